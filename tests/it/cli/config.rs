//! `deodar config`, and the faults that every verb reports first.

use crate::cli::Place;
use crate::cli::assert_shown;

const FILE: &str = "\
[server]
grpc = [\"127.0.0.1:9000\", \"[::1]:9000\"]
http = \"off\"

[limits]
batch_items_max = 50
message_bytes_max = \"2MiB\"
";

#[test]
fn every_value_is_shown_with_its_origin() {
    let place = Place::new();
    place.write("deodar.toml", FILE);
    let variables = [
        ("DEODAR_LIMITS__BATCH_ITEMS_MAX", "70"),
        ("DEODAR_SERVER__UNIX", "/run/a.sock,/run/b.sock"),
    ];
    assert_shown!(place.run_with(&["config", "show", "--log-level", "debug", "--policies", "p"], &variables, ""), @r"
    exit 0
    --- stdout
    server.grpc                         127.0.0.1:9000, [::1]:9000  deodar.toml:2
    server.unix                         /run/a.sock, /run/b.sock    DEODAR_SERVER__UNIX
    server.http                         off                         deodar.toml:3
    server.insecure                     false                       default
    server.reflection                   true                        default
    policies.path                       p                           --policies
    policies.watch                      true                        default
    policies.debounce                   200ms                       default
    policies.file_bytes_max             64MiB                       default
    policies.files_max                  20000                       default
    policies.total_bytes_max            512MiB                      default
    policies.depth_max                  16                          default
    directory.path                      deodar-data/directory       default
    directory.retain                    1000000                     default
    directory.on_schema_conflict        reject                      default
    directory.entity_bytes_max          64KiB                       default
    directory.attributes_max            256                         default
    directory.tags_max                  1024                        default
    directory.parents_max               256                         default
    directory.depth_max                 32                          default
    directory.writes_waiting_max        10000                       default
    directory.writes_waiting_bytes_max  256MiB                      default
    directory.operations_max            10000                       default
    directory.page_max                  1000                        default
    directory.watches_max               1000                        default
    cache.bytes_max                     64MiB                       default
    cache.stamps                        1048576                     default
    cache.skip_actions                  (none)                      default
    audit.path                          deodar-data/audit           default
    audit.mode                          batched                     default
    audit.window                        200ms                       default
    audit.overflow                      block                       default
    audit.waiting_records_max           65536                       default
    audit.waiting_bytes_max             64MiB                       default
    audit.segment_bytes                 64MiB                       default
    audit.segment_age                   24h                         default
    audit.keep_age                      0s                          default
    audit.keep_bytes                    0                           default
    audit.context_keys                  (none)                      default
    audit.entities                      record                      default
    audit.redact                        (none)                      default
    audit.redact_key_file               none                        default
    audit.readable                      true                        default
    audit.page_max                      1000                        default
    audit.looked_at_max                 100000                      default
    audit.tails_max                     100                         default
    decision.time_resolution            1s                          default
    decision.trust_caller_time          false                       default
    decision.keep_for                   0s                          default
    limits.message_bytes_max            2MiB                        deodar.toml:7
    limits.batch_items_max              70                          DEODAR_LIMITS__BATCH_ITEMS_MAX
    limits.id_bytes_max                 1KiB                        default
    limits.entities_max                 100                         default
    limits.depth_max                    16                          default
    limits.values_max                   4096                        default
    limits.connections_max              10000                       default
    limits.streams_per_connection_max   1000                        default
    limits.deadline_max                 30s                         default
    connection.keepalive_interval       30s                         default
    connection.keepalive_timeout        10s                         default
    connection.age_max                  30m                         default
    connection.age_grace                30s                         default
    compression.above_bytes             8KiB                        default
    shutdown.delay                      0s                          default
    shutdown.grace                      10s                         default
    telemetry.trace_trust               child                       default
    log.format                          auto                        default
    log.level                           debug                       --log-level
    ");
    let json = place.run_with(&["config", "show", "--json"], &variables, "");
    let start: Vec<&str> = json.lines().take(22).collect();
    assert_shown!(start.join("\n"), @r#"
    exit 0
    --- stdout
    {
      "settings": [
        {
          "key": "server.grpc",
          "value": [
            "127.0.0.1:9000",
            "[::1]:9000"
          ],
          "origin": "deodar.toml:2"
        },
        {
          "key": "server.unix",
          "value": [
            "/run/a.sock",
            "/run/b.sock"
          ],
          "origin": "DEODAR_SERVER__UNIX"
        },
        {
          "key": "server.http",
    "#);
}

#[test]
fn the_file_is_the_named_one() {
    let place = Place::new();
    place.write("a.toml", "[log]\nlevel = \"warn\"\n");
    place.write("b.toml", "[log]\nlevel = \"error\"\n");
    let by_variable = [("DEODAR_CONFIG", "a.toml")];
    let last = |shown: &str| {
        shown
            .lines()
            .last()
            .unwrap()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        last(&place.run_with(&["config", "show"], &by_variable, "")),
        "log.level warn a.toml:2"
    );
    let both = place.run_with(&["config", "show", "--config", "b.toml"], &by_variable, "");
    assert_eq!(last(&both), "log.level error b.toml:2");
    assert_shown!(place.run(&["config", "show", "--config", "gone.toml"]), @r"
    exit 2
    --- stderr
    error: the configuration has 1 fault

    --config: cannot read the configuration file `gone.toml`: No such file or directory (os error 2)
      hint: name a file that exists and may be read, or leave it out for the defaults
    ");
}

#[test]
fn all_faults_at_once_before_anything_else() {
    let place = Place::new();
    place.write(
        "deodar.toml",
        "[server]\ngrpc = [\"localhost:8470\"]\nhttp = \"0.0.0.0:8471\"\n\n[limits]\ndept_max = 3\ndeadline_max = \"2 hours\"\n\n[loging]\nlevel = \"info\"\n",
    );
    let variables = [
        ("DEODAR_LIMITS__VALUES_MAX", "0"),
        ("DEODAR_LIMIT__DEPTH_MAX", "3"),
    ];
    assert_shown!(place.run_with(&["serve", "--log-format", "xml"], &variables, ""), @r"
    exit 2
    --- stderr
    error: the configuration has 8 faults

    deodar.toml:6: `limits.dept_max` is not a key
      hint: did you mean `limits.depth_max`?

    deodar.toml:9: `loging` is not a section
      hint: see `deodar config keys`

    DEODAR_LIMIT__DEPTH_MAX: the variable sets no key
      hint: did you mean `DEODAR_LIMITS__DEPTH_MAX`?

    deodar.toml:2: `server.grpc`: `localhost:8470` is not an address to listen on
      hint: write `127.0.0.1:8470` or `[::1]:8470`: names are not looked up

    DEODAR_LIMITS__VALUES_MAX: `limits.values_max`: `0` is out of bounds
      hint: write 1 to 10000000

    deodar.toml:7: `limits.deadline_max`: `2 hours` is not a duration
      hint: write a whole number and a unit: `200ms`, `10s`, `30m`, `1h`, `1d`

    --log-format: `log.format`: `xml` is not a log format
      hint: write `auto`, `human` or `json`

    deodar.toml:3: `server.http`: `0.0.0.0:8471` can be reached from other machines, without TLS and by unknown callers
      hint: listen on 127.0.0.1 or a unix socket, or set `server.insecure = true` (`--insecure`) where everyone who reaches the server may ask, read, and write entities and links, such as behind a mesh that lets in nobody else
    ");
    // Verbs that need little of it report the same.
    let validate = place.run_with(&["validate", "nowhere"], &variables, "");
    assert!(
        validate.starts_with("exit 2\n--- stderr\nerror: the configuration has 7 faults"),
        "{validate}"
    );
}

#[test]
fn keys_are_listed() {
    let place = Place::new();
    let listed = place.run(&["config", "keys"]);
    let start: Vec<&str> = listed.lines().take(13).collect();
    assert_shown!(start.join("\n"), @r"
    exit 0
    --- stdout
    server.grpc  127.0.0.1:8470  (list of addresses)
        Where gRPC is served.
        DEODAR_SERVER__GRPC

    server.unix  (none)  (list of paths)
        Unix sockets on which gRPC is served as well.
        DEODAR_SERVER__UNIX

    server.http  127.0.0.1:8471  (address or `off`)
        Where health and metrics are served over HTTP; `off` for nowhere.
        DEODAR_SERVER__HTTP
    ");
    let markdown = place.run(&["config", "keys", "--markdown"]);
    let start: Vec<&str> = markdown.lines().take(8).collect();
    assert_shown!(start.join("\n"), @r"
    exit 0
    --- stdout
    ## `[server]`

    | Key | Default | Values | Meaning |
    |---|---|---|---|
    | `grpc`<br>`DEODAR_SERVER__GRPC` | `127.0.0.1:8470` | list of addresses | Where gRPC is served. |
    | `unix`<br>`DEODAR_SERVER__UNIX` | none | list of paths | Unix sockets on which gRPC is served as well. |
    ");
}
