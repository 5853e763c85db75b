//! Tests of precedence, and of every kind of fault.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use super::Flags;
use super::Kind;
use super::Resolved;
use super::resolve;
use crate::config::ConfigFault;
use crate::config::SchemaConflict;
use crate::config::Store;
use crate::config::env::Variables;
use crate::config::keys::KEYS;
use crate::config::raw::Value;
use crate::serve::DirectoryLimits;
use crate::source;

fn variables(pairs: &[(&str, &str)]) -> Variables {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn file(text: &str) -> Result<Resolved, Vec<ConfigFault>> {
    resolve(
        Some((Path::new("deodar.toml"), text)),
        &Variables::new(),
        &Flags::default(),
    )
}

fn only_fault(result: Result<Resolved, Vec<ConfigFault>>) -> String {
    let faults = result.unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    format!("{}; {}", faults[0], faults[0].hint)
}

#[test]
fn defaults_are_sound() {
    let resolved = resolve(None, &Variables::new(), &Flags::default()).unwrap();
    let config = resolved.config;
    assert_eq!(config.server.grpc, ["127.0.0.1:8470".parse().unwrap()]);
    assert_eq!(config.server.http, Some("127.0.0.1:8471".parse().unwrap()));
    assert!(config.server.unix.is_empty() && !config.server.insecure && config.server.reflection);
    assert_eq!(config.policies.limits, source::Limits::default());
    assert_eq!(config.decision.keep_for, None);
    assert_eq!(
        config.directory.store,
        Store::Path(PathBuf::from("deodar-data/directory"))
    );
    assert_eq!(config.directory.limits, DirectoryLimits::default());
    assert_eq!(config.limits.message_bytes_max, 1 << 20);
    assert_eq!(config.connection.age_max, Some(Duration::from_mins(30)));
    assert_eq!(config.compression.above_bytes, Some(8192));
    assert_eq!(resolved.settings.len(), KEYS.len());
}

#[test]
fn a_flag_beats_a_variable_beats_the_file_beats_the_default() {
    let text = "[limits]\nbatch_items_max = 1\nentities_max = 1\ndepth_max = 1\n";
    let variables = variables(&[
        ("DEODAR_LIMITS__BATCH_ITEMS_MAX", "2"),
        ("DEODAR_LIMITS__ENTITIES_MAX", "2"),
    ]);
    let mut flags = Flags::default();
    flags.set(
        "limits.batch_items_max",
        "--batch",
        Value::Text("3".to_owned()),
    );
    let resolved = resolve(Some((Path::new("x.toml"), text)), &variables, &flags).unwrap();
    let limits = &resolved.config.limits;
    assert_eq!(
        (
            limits.batch_items_max,
            limits.entities_max,
            limits.depth_max,
            limits.values_max
        ),
        (3, 2, 1, 4096)
    );
    let origin = |key: &str| {
        resolved
            .settings
            .iter()
            .find(|setting| setting.key == key)
            .unwrap()
            .origin
            .to_string()
    };
    assert_eq!(origin("limits.batch_items_max"), "--batch");
    assert_eq!(origin("limits.entities_max"), "DEODAR_LIMITS__ENTITIES_MAX");
    assert_eq!(origin("limits.depth_max"), "x.toml:4");
    assert_eq!(origin("limits.values_max"), "default");
}

#[test]
fn every_key_is_read_and_refuses_what_it_cannot_be() {
    for key in KEYS {
        let resolved = resolve(
            None,
            &variables(&[(&key.variable(), key.default)]),
            &Flags::default(),
        );
        assert!(resolved.is_ok(), "{}: {resolved:?}", key.path());
        // A path can be anything but empty.
        let nonsense = if key.kind == Kind::Path {
            ""
        } else {
            &"=".repeat(200)
        };
        let fault = only_fault(resolve(
            None,
            &variables(&[(&key.variable(), nonsense)]),
            &Flags::default(),
        ));
        assert!(
            fault.starts_with(&format!("{}: `{}`", key.variable(), key.path())),
            "{fault}"
        );
    }
}

#[test]
fn lists_have_commas_in_the_environment_and_brackets_in_the_file() {
    let variables = variables(&[
        ("DEODAR_SERVER__GRPC", "127.0.0.1:1, [::1]:2"),
        ("DEODAR_SERVER__UNIX", "/run/a,/run/b"),
    ]);
    let server = resolve(None, &variables, &Flags::default())
        .unwrap()
        .config
        .server;
    assert_eq!(server.grpc.len(), 2);
    assert_eq!(
        server.unix,
        [PathBuf::from("/run/a"), PathBuf::from("/run/b")]
    );
    let server = file("[server]\ngrpc = []\nunix = [\"/run/a\"]\nhttp = \"off\"")
        .unwrap()
        .config
        .server;
    assert_eq!((server.grpc.len(), server.http), (0, None));
}

#[test]
fn unknown_names_are_faults_with_what_was_meant() {
    insta::assert_snapshot!(only_fault(file("[limits]\n\ndept_max = 3")), @"deodar.toml:3: `limits.dept_max` is not a key; did you mean `limits.depth_max`?");
    insta::assert_snapshot!(only_fault(file("[server]\ndepth_max = 3")), @"deodar.toml:2: `server.depth_max` is not a key; did you mean `policies.depth_max`?");
    insta::assert_snapshot!(only_fault(file("[sever]\ngrpc = 3")), @"deodar.toml:1: `sever` is not a section; did you mean `[server]`?");
    insta::assert_snapshot!(only_fault(file("grpc = 3")), @"deodar.toml:1: `grpc` is not a section; did you mean `server.grpc`?");
    insta::assert_snapshot!(only_fault(file("server = 3")), @"deodar.toml:1: `server` is a section; write `[server]`, then its keys");
    let unknown = resolve(
        None,
        &variables(&[
            ("DEODAR_SERVER__GRCP", "x"),
            ("DEODAR_CONFIG", "y"),
            ("DEODAR_OTHER", "z"),
        ]),
        &Flags::default(),
    );
    insta::assert_snapshot!(only_fault(unknown), @"DEODAR_SERVER__GRCP: the variable sets no key; did you mean `DEODAR_SERVER__GRPC`?");
}

#[test]
fn values_of_another_kind_are_faults() {
    insta::assert_snapshot!(only_fault(file("[limits]\ndepth_max = 0")), @"deodar.toml:2: `limits.depth_max`: `0` is out of bounds; write 1 to 64");
    insta::assert_snapshot!(only_fault(file("[limits]\nmessage_bytes_max = \"2TiB\"")), @"deodar.toml:2: `limits.message_bytes_max`: `2TiB` is not a size; write bytes, or a whole number and a unit: `8192`, `64KiB`, `1MiB`");
    insta::assert_snapshot!(only_fault(file("[limits]\ndeadline_max = 30")), @r#"deodar.toml:2: `limits.deadline_max`: `30` is a bare number; write text, in quotes, such as `"30s"` for a duration"#);
    insta::assert_snapshot!(only_fault(file("[limits]\ndepth_max = -1")), @"deodar.toml:2: `limits.depth_max` cannot be an integer; write text, a whole number from 0, `true`, `false`, or a list of texts");
    insta::assert_snapshot!(only_fault(file("[server]\ninsecure = \"yes\"")), @"deodar.toml:2: `server.insecure`: `yes` is not a yes or no; write `true` or `false`");
    insta::assert_snapshot!(only_fault(file("[server]\ngrpc = [\"127.0.0.1:1\", \":2\"]")), @"deodar.toml:2: `server.grpc`: `127.0.0.1:1, :2` has the item `:2`, which is not an address to listen on; write `127.0.0.1:2`, or `0.0.0.0:2` for every interface");
    insta::assert_snapshot!(only_fault(file("[log]\nlevel = \"deodar=loud\"")), @"deodar.toml:2: `log.level`: `deodar=loud` is not a log filter; write a level (`error`, `warn`, `info`, `debug`, `trace`, `off`) or directives such as `info,deodar::source=debug`");
}

#[test]
fn the_directory_can_be_kept_in_memory() {
    let config = file("[directory]\npath = \"memory\"\non_schema_conflict = \"activate\"")
        .unwrap()
        .config;
    assert_eq!(config.directory.store, Store::Memory);
    assert_eq!(
        config.directory.on_schema_conflict,
        SchemaConflict::Activate
    );
    insta::assert_snapshot!(only_fault(file("[directory]\non_schema_conflict = \"ignore\"")), @"deodar.toml:2: `directory.on_schema_conflict`: `ignore` is no way to go on; write `reject` or `activate`");
}

#[test]
fn zero_switches_off_where_that_has_a_meaning() {
    let config = file("[connection]\nkeepalive_interval = \"0s\"\nage_max = \"0s\"\n[compression]\nabove_bytes = 0\n[decision]\nkeep_for = \"5s\"").unwrap().config;
    assert_eq!(config.connection.keepalive_interval, None);
    assert_eq!(config.connection.age_max, None);
    assert_eq!(config.compression.above_bytes, None);
    assert_eq!(config.decision.keep_for, Some(Duration::from_secs(5)));
}

#[test]
fn listening_beyond_this_machine_takes_an_explicit_switch() {
    let open = "[server]\nhttp = \"0.0.0.0:8471\"\n";
    insta::assert_snapshot!(only_fault(file(open)), @"deodar.toml:2: `server.http`: `0.0.0.0:8471` can be reached from other machines, without TLS and by unknown callers; listen on 127.0.0.1 or a unix socket, or set `server.insecure = true` (`--insecure`) where everyone who reaches the server may ask, read, and write entities and links, such as behind a mesh that lets in nobody else");
    assert!(file(&format!("{open}insecure = true")).is_ok());
}

#[test]
fn listeners_must_be_able_to_live_together() {
    insta::assert_snapshot!(only_fault(file("[server]\nhttp = \"127.0.0.1:8470\"")), @"deodar.toml:2: `server.http`: `127.0.0.1:8470` is listened on already; give every listener a port of its own");
    insta::assert_snapshot!(only_fault(file("[server]\ngrpc = []")), @"deodar.toml:2: `server.grpc` leaves nothing to serve on: `server.unix` is empty too; give an address or a unix socket");
    assert!(file("[server]\ngrpc = [\"127.0.0.1:0\"]\nhttp = \"127.0.0.1:0\"").is_ok());
}

#[test]
fn a_broken_file_hides_no_other_fault() {
    let faults = resolve(
        Some((
            Path::new("deodar.toml"),
            "[limits]\ndepth_max = = 3\n[sever]\n",
        )),
        &variables(&[("DEODAR_LIMITS__VALUES_MAX", "0")]),
        &Flags::default(),
    )
    .unwrap_err();
    let origins: Vec<_> = faults
        .iter()
        .map(|fault| fault.origin.to_string())
        .collect();
    assert!(origins.contains(&"deodar.toml:2".to_owned()), "{faults:?}");
    assert!(origins.contains(&"deodar.toml:3".to_owned()), "{faults:?}");
    assert!(
        origins.contains(&"DEODAR_LIMITS__VALUES_MAX".to_owned()),
        "{faults:?}"
    );
}
