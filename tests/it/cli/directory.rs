//! `deodar directory`, against a server of its own.

use std::fs;

use crate::cli::Place;
use crate::cli::serve::Served;
use crate::devices;
use crate::support::reference;

/// A server over the policies of the place, and commands to it.
struct Desk {
    // Ends before its files go.
    served: Served,
    place: Place,
}

impl Desk {
    fn new() -> Self {
        let place = Place::new();
        // Not among the policies, so that the directory starts empty.
        for file in ["entities", "links"] {
            let from = place.0.path().join("policies").join(file);
            fs::rename(from.join("all.json"), place.0.path().join(file)).unwrap();
        }
        let policies = place.0.path().join("policies");
        let memory = [("DEODAR_DIRECTORY__PATH", "memory")];
        let served = Served::start(place.0.path(), &policies, &memory);
        Self { served, place }
    }

    fn run(&self, arguments: &[&str]) -> String {
        self.run_with(arguments, "")
    }

    fn run_with(&self, arguments: &[&str], input: &str) -> String {
        let server = format!("unix:{}", self.served.socket.display());
        let mut all = vec!["directory"];
        all.extend(arguments);
        all.extend(["--server", &server]);
        self.place.run_with(&all, &[], input)
    }

    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.place.0.path().join(file)).unwrap()
    }
}

/// The revision that a command told.
fn revision(shown: &str) -> String {
    let after = shown.split("revision ").nth(1);
    let after = after.unwrap_or_else(|| panic!("{shown}"));
    after.split_whitespace().next().unwrap().to_owned()
}

/// Snapshots without what differs from run to run.
macro_rules! assert_desk {
    ($shown:expr, @$snapshot:literal) => {
        insta::with_settings!({filters => vec![
            (r"\b[0-9a-f]{16}-(\d+)-[0-9a-f]{16}\b", "[LOG]-$1-[HASH]"),
            (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "[TIME]"),
            (r" in \d+\.\d s, \d+/s", " in [TIME]"),
            (r#""(seconds|per_second)": [\d.e-]+"#, r#""$1": [NUMBER]"#),
            (r"unix:uid=\d+", "unix:uid=[UID]"),
            (r"  version \d+", "  version [VERSION]"),
            (r#""version": \d+"#, r#""version": [VERSION]"#),
        ]}, { insta::assert_snapshot!($shown, @$snapshot) });
    };
}

#[test]
fn a_tour() {
    let desk = Desk::new();
    let imported = desk.run(&["import", "entities"]);
    assert_desk!(imported, @r"
    exit 0
    --- stdout
    imported 5 entities in [TIME], revision [LOG]-1-[HASH]
    ");
    let before = revision(&imported);
    assert_desk!(desk.run(&["import", "--links", "links", "--json"]), @r#"
    exit 0
    --- stdout
    {
      "imported": 1,
      "skipped": 0,
      "seconds": [NUMBER],
      "per_second": [NUMBER],
      "revision": "[LOG]-2-[HASH]"
    }
    "#);
    assert_desk!(desk.run(&["stats"]), @r"
    exit 0
    --- stdout
    entities  5
      Doc    2
      User   2
      Group  1
    links  1
      share  1
    expiring  0
    revision  [LOG]-2-[HASH], made at [TIME]
    ");
    assert_desk!(desk.run(&["get", "User::\"bob\"", "User::\"zoe\""]), @r#"
    exit 1
    --- stdout
    User::"bob"  version [VERSION]
      attributes
        badge  {until: datetime("2026-01-01")}
        level  3
      parents
        Group::"staff"

    User::"zoe"  not there
    "#);
    let patched = desk.run(&[
        "patch",
        "User::\"bob\"",
        "level=4",
        "badge={\"until\": \"2027-01-01\"}",
        "--add-parent",
        "Group::\"guests\"",
        "--parent-expires",
        "2096-12-24T18:00:00+01:00",
        "--remove-parent",
        "Group::\"staff\"",
        "--expires",
        "2097-01-01",
    ]);
    assert_desk!(patched, @r"
    exit 0
    --- stdout
    revision [LOG]-3-[HASH]
    ");
    assert_desk!(desk.run(&["get", "User::\"bob\"", "--at-least", &revision(&patched)]), @r#"
    exit 0
    --- stdout
    User::"bob"  version [VERSION], until 2097-01-01T00:00:00Z
      attributes
        badge  {until: datetime("2027-01-01")}
        level  4
      parents
        Group::"guests"  until 2096-12-24T17:00:00Z
    "#);
    assert_desk!(desk.run(&["get", "User::\"bob\"", "--json"]), @r#"
    exit 0
    --- stdout
    {
      "revision": "[LOG]-3-[HASH]",
      "entities": [
        {
          "uid": {
            "type": "User",
            "id": "bob"
          },
          "attrs": {
            "badge": {
              "until": {
                "__extn": {
                  "fn": "datetime",
                  "arg": "2027-01-01"
                }
              }
            },
            "level": 4
          },
          "parents": [],
          "temporary_parents": [
            {
              "uid": {
                "type": "Group",
                "id": "guests"
              },
              "expires": "2096-12-24T17:00:00Z"
            }
          ],
          "expires": "2097-01-01T00:00:00Z",
          "version": [VERSION]
        }
      ]
    }
    "#);
    let group = r#"{"uid": {"type": "Group", "id": "guests"}, "attrs": {}, "parents": []}"#;
    assert_desk!(desk.run(&["put", group, "--json"]), @r#"
    exit 0
    --- stdout
    {
      "revision": "[LOG]-4-[HASH]"
    }
    "#);
    let again = desk.run(&["get", "User::\"bob\"", "--json"]);
    let again: serde_json::Value =
        serde_json::from_str(again.strip_prefix("exit 0\n--- stdout\n").unwrap()).unwrap();
    let put = desk.run_with(&["put", "-"], &again["entities"].to_string());
    assert!(put.starts_with("exit 0\n"), "{put}");
    assert_desk!(desk.run(&[
        "link", "add", "share-plan", "--template", "share", "--principal", "User::\"ann\"",
        "--resource", "Doc::\"plan\"", "--expires", "2099-01-01",
    ]), @r"
    exit 0
    --- stdout
    revision [LOG]-6-[HASH]
    ");
    assert_desk!(desk.run(&["link", "list"]), @r#"
    exit 0
    --- stdout
    share-key-with-bob  share  User::"bob"  Doc::"key"
    share-plan          share  User::"ann"  Doc::"plan"  until 2099-01-01T00:00:00Z
    "#);
    assert_desk!(desk.run(&["link", "list", "--principal", "User::\"ann\"", "--json"]), @r#"
    exit 0
    --- stdout
    {
      "revision": "[LOG]-6-[HASH]",
      "links": [
        {
          "template_id": "share",
          "link_id": "share-plan",
          "args": {
            "?principal": "User::\"ann\"",
            "?resource": "Doc::\"plan\""
          },
          "expires": "2099-01-01T00:00:00Z"
        }
      ]
    }
    "#);
    assert_desk!(desk.run(&["link", "remove", "share-plan"]), @r"
    exit 0
    --- stdout
    revision [LOG]-7-[HASH]
    ");
    assert_desk!(desk.run(&["export", "--links", "--json"]), @r#"
    exit 0
    --- stdout
    [
    {"template_id":"share","link_id":"share-key-with-bob","args":{"?principal":"User::\"bob\"","?resource":"Doc::\"key\""}}
    ]
    --- stderr
    exported 1 link, revision [LOG]-7-[HASH]
    "#);
    assert_desk!(desk.run(&["delete", "Doc::\"key\""]), @r"
    exit 0
    --- stdout
    revision [LOG]-8-[HASH]
    ");
    assert_desk!(desk.run(&["watch", "--after", &before, "--count", "7"]), @r#"
    exit 0
    --- stdout
    [LOG]-2-[HASH]  [TIME]  unix:uid=[UID]
      link  share-key-with-bob  share User::"bob" Doc::"key"
    [LOG]-3-[HASH]  [TIME]  unix:uid=[UID]
      patch   User::"bob"  badge = {until: datetime("2027-01-01")}, level = 4, until 2097-01-01T00:00:00Z
      remove  User::"bob"  from Group::"staff"
      add     User::"bob"  to Group::"guests" until 2096-12-24T17:00:00Z
    [LOG]-4-[HASH]  [TIME]  unix:uid=[UID]
      put  Group::"guests"
    [LOG]-5-[HASH]  [TIME]  unix:uid=[UID]
      put  User::"bob"  until 2097-01-01T00:00:00Z
    [LOG]-6-[HASH]  [TIME]  unix:uid=[UID]
      link  share-plan  share User::"ann" Doc::"plan" until 2099-01-01T00:00:00Z
    [LOG]-7-[HASH]  [TIME]  unix:uid=[UID]
      unlink  share-plan
    [LOG]-8-[HASH]  [TIME]  unix:uid=[UID]
      unlink  share-key-with-bob
      delete  Doc::"key"
    "#);
    assert_desk!(desk.run(&["watch", "--after", &before, "--count", "2", "--json"]), @r#"
    exit 0
    --- stdout
    {"revision":"[LOG]-2-[HASH]","time":"[TIME]","actor":"unix:uid=[UID]","continues":false,"operations":[{"put_link":{"template_id":"share","link_id":"share-key-with-bob","args":{"?principal":"User::\"bob\"","?resource":"Doc::\"key\""}}}]}
    {"revision":"[LOG]-3-[HASH]","time":"[TIME]","actor":"unix:uid=[UID]","continues":false,"operations":[{"patch":{"uid":{"type":"User","id":"bob"},"attrs":{"badge":{"until":{"__extn":{"fn":"datetime","arg":"2027-01-01"}}},"level":4},"unset":[],"tags":{},"unset_tags":[],"expires":"2097-01-01T00:00:00Z"}},{"remove_parent":{"uid":{"type":"User","id":"bob"},"parent":{"type":"Group","id":"staff"}}},{"add_parent":{"uid":{"type":"User","id":"bob"},"parent":{"type":"Group","id":"guests"},"expires":"2096-12-24T17:00:00Z"}}]}
    "#);
    assert_desk!(desk.run(&["export"]), @r#"
    exit 0
    --- stdout
    {"uid":{"type":"Doc","id":"plan"},"attrs":{"owner":{"__entity":{"type":"User","id":"ann"}},"secret":false},"parents":[]}
    {"uid":{"type":"Group","id":"guests"},"attrs":{},"parents":[]}
    {"uid":{"type":"Group","id":"staff"},"attrs":{},"parents":[]}
    {"uid":{"type":"User","id":"ann"},"attrs":{"level":5},"parents":[]}
    {"uid":{"type":"User","id":"bob"},"attrs":{"badge":{"until":{"__extn":{"fn":"datetime","arg":"2027-01-01"}}},"level":4},"parents":[],"temporary_parents":[{"uid":{"type":"Group","id":"guests"},"expires":"2096-12-24T17:00:00Z"}],"expires":"2097-01-01T00:00:00Z"}
    --- stderr
    exported 5 entities, revision [LOG]-8-[HASH]
    "#);
    assert_desk!(desk.run(&["stats", "--json"]), @r#"
    exit 0
    --- stdout
    {
      "revision": "[LOG]-8-[HASH]",
      "time": "[TIME]",
      "entities": {
        "Doc": 1,
        "Group": 2,
        "User": 2
      },
      "links": {},
      "expiring": 2,
      "next_expiry": "2096-12-24T17:00:00Z"
    }
    "#);
}

#[test]
fn what_is_exported_can_be_imported_again() {
    let desk = Desk::new();
    desk.run(&["import", "entities"]);
    desk.run(&["import", "--links", "links"]);
    let odd = r#"{"uid": {"type": "User", "id": "\u0000\"😀\\"}, "attrs": {"level": -9223372036854775808},
        "parents": [], "expires": "2096-01-01T00:00:00Z",
        "temporary_parents": [{"uid": {"type": "Group", "id": "staff"}, "expires": "2095-01-01"}]}"#;
    desk.run(&["put", odd]);
    for format in [&["-o", "first"][..], &["-o", "first", "--json"]] {
        let mut export = vec!["export"];
        export.extend(format);
        assert!(desk.run(&export).starts_with("exit 0\n"));
        desk.run(&["export", "--links", "-o", "first-links"]);
        let other = Desk::new();
        for file in ["first", "first-links"] {
            other.place.write(file, &desk.text(file));
        }
        let imported = other.run(&["import", "first", "--batch", "2"]);
        assert!(imported.contains("imported 6 entities"), "{imported}");
        let imported = other.run(&["import", "--links", "first-links"]);
        assert!(imported.contains("imported 1 link in"), "{imported}");
        export[2] = "second";
        assert!(other.run(&export).starts_with("exit 0\n"));
        other.run(&["export", "--links", "-o", "second-links"]);
        assert_eq!(other.text("second"), desk.text("first"));
        assert_eq!(other.text("second-links"), desk.text("first-links"));
    }
    let of_type = desk.run(&["export", "--type", "Group"]);
    assert!(of_type.contains("exported 1 entity"), "{of_type}");
}

fn users(count: usize, bad: Option<usize>) -> String {
    let user = |number: usize| {
        let level = if bad == Some(number) { "null" } else { "3" };
        format!(
            "{{\"uid\": {{\"type\": \"User\", \"id\": \"u{number}\"}}, \"attrs\": {{\"level\": {level}}}, \"parents\": []}}\n"
        )
    };
    (1..=count).map(user).collect()
}

#[test]
fn an_interrupted_import_goes_on_where_it_was() {
    let desk = Desk::new();
    desk.place.write("users", &users(10, Some(6)));
    let import = [
        "import",
        "users",
        "--resume",
        "--batch",
        "2",
        "--in-flight",
        "1",
    ];
    assert_desk!(desk.run(&import), @r#"
    exit 2
    --- stderr
    4 entities were imported before this:
    error: `users`, line 6, entity 6: `attrs.level` is null: leave out what has no value; see its type in the schema; an entity is {"type": "..", "id": ".."}, addresses, decimals and times are text

    hint: nothing of lines 5 to 6, one transaction, was imported; mend it, and go on with `--resume`
    "#);
    let state = desk.text("users.resume");
    // Nothing has changed: the same again, from where it was.
    let again = desk.run(&import);
    assert!(
        again.contains("\n0 entities were imported before this"),
        "{again}"
    );
    assert_eq!(desk.text("users.resume"), state);
    // What is done already must be what it was.
    desk.place
        .write("users", &users(10, Some(6)).replacen("u1", "v1", 1));
    assert_desk!(desk.run(&import), @r"
    exit 1
    --- stderr
    0 entities were imported before this:
    error: `users` is not what it was: its first 4 entities have changed

    hint: import without `--resume` to begin anew: what is stored already is stored again
    ");
    desk.place.write("users", &users(10, None));
    assert_desk!(desk.run(&import), @r"
    exit 0
    --- stdout
    imported 6 entities, after 4 that were there in [TIME], revision [LOG]-5-[HASH]
    ");
    assert!(!desk.place.0.path().join("users.resume").exists());
    let stats = desk.run(&["stats"]);
    assert!(stats.contains("User  10\n"), "{stats}");
    // Nothing to go on with: from the beginning.
    let whole = desk.run(&[
        "import",
        "--resume",
        "users",
        "--in-flight",
        "3",
        "--batch",
        "3",
    ]);
    assert!(whole.contains("imported 10 entities in"), "{whole}");
    desk.place.write("users.resume", "{}");
    let foreign = desk.run(&import);
    assert!(foreign.contains("is not what an import left"), "{foreign}");
    // An import that does not go on forgets the earlier one.
    let anew = desk.run(&["import", "users"]);
    assert!(anew.contains("imported 10 entities in"), "{anew}");
}

#[test]
fn bad_files_are_refused_by_line() {
    let desk = Desk::new();
    let import = |arguments: &[&str], text: &str| {
        let mut all = vec!["import", "-"];
        all.extend(arguments);
        desk.run_with(&all, text)
    };
    assert_desk!(import(&[], "[{}\n{}]"), @r#"
    exit 2
    --- stderr
    0 entities were imported before this:
    error: standard input, line 1, entity 1: has no `uid`; see its type in the schema; an entity is {"type": "..", "id": ".."}, addresses, decimals and times are text

    hint: nothing of lines 1 to 1, one transaction, was imported; mend it, and import again
    "#);
    let two_bad = users(4, Some(2)) + &users(4, Some(3));
    assert_desk!(import(&[], &two_bad), @r#"
    exit 2
    --- stderr
    0 entities were imported before this:
    error: standard input, line 2, entity 2: `attrs.level` is null: leave out what has no value; see its type in the schema; an entity is {"type": "..", "id": ".."}, addresses, decimals and times are text
    standard input, line 7, entity 7: `attrs.level` is null: leave out what has no value; see its type in the schema; an entity is {"type": "..", "id": ".."}, addresses, decimals and times are text

    hint: nothing of lines 1 to 8, one transaction, was imported; mend it, and import again
    "#);
    assert_desk!(import(&[], "{\"uid\": {\"type\": \"User\", \"id\": \"x\"}, \"expires\": 3}"), @r"
    exit 2
    --- stderr
    0 entities were imported before this:
    error: standard input, line 1, entity 1: has an `expires` that is not text

    hint: mend it, and import again
    ");
    assert_desk!(import(&["--links"], "[{\"template_id\": \"share\", \"link_id\": \"l\", \"args\": {\"?who\": \"User::\\\"x\\\"\"}}]"), @r"
    exit 2
    --- stderr
    0 links were imported before this:
    error: standard input, line 1, link 1: has `?who`, which is not `?principal` or `?resource`

    hint: mend it, and import again
    ");
    assert_desk!(import(&["--dry-run"], &users(3, None)), @r"
    exit 0
    --- stdout
    3 entities can be read; whether they fit the schema, the server knows
    ");
    assert_desk!(import(&["--dry-run"], "{\"uid\": \"x\"}"), @r#"
    exit 2
    --- stderr
    error: standard input, line 1, entity 1: has a bad `uid`; write {"uid": {"type": "..", "id": ".."}, "attrs": {}, "parents": []}

    hint: nothing was imported
    "#);
    assert_desk!(import(&["--dry-run", "--links"], "{}"), @r#"
    exit 2
    --- stderr
    error: standard input, line 1, link 1: is no link such as {"template_id": "..", "link_id": "..", "args": {"?principal": "Type::\"id\""}}: missing field `template_id` at line 1 column 2

    hint: nothing was imported
    "#);
    assert_desk!(import(&["--resume"], ""), @r"
    exit 2
    --- stderr
    error: standard input cannot be resumed

    hint: give a file
    ");
    let gone = desk.run(&["import", "gone"]);
    assert!(
        gone.starts_with("exit 1\n") && gone.contains("cannot read `gone`"),
        "{gone}"
    );
    let empty = import(&[], "");
    assert!(empty.contains("imported 0 entities in"), "{empty}");
}

#[test]
fn refusals_say_what_to_do() {
    let desk = Desk::new();
    assert_desk!(desk.run(&["patch", "User::\"bob\"", "level=3"]), @r#"
    exit 2
    --- stderr
    error: nothing was written: `operations[0]`: `User::"bob"` is not there; put it first, or look for it with `deodar directory get`
    "#);
    assert_desk!(desk.run(&["patch", "User::\"bob\""]), @r"
    exit 2
    --- stderr
    error: nothing is asked for

    hint: name an attribute to set, as in `name=true`, or see `--help`
    ");
    assert_desk!(desk.run(&["patch", "User::\"bob\"", "level={"]), @r"
    exit 2
    --- stderr
    error: invalid value 'level={' for '[NAME=JSON]...': `{` is not JSON: EOF while parsing an object at line 1 column 1

    For more information, try '--help'.
    ");
    assert_desk!(desk.run(&["get", "Usr::\"bob\""]), @r"
    exit 2
    --- stderr
    error: `entities[0]` has the type `Usr`, which the schema does not declare; types are written with their namespace, as in the schema
    ");
    assert_desk!(desk.run(&["get", "bob"]), @r#"
    exit 2
    --- stderr
    error: invalid value 'bob' for '<ENTITY>...': not an entity such as Type::"id"; the double quotes belong to it: write 'Type::"id"' in single quotes

    For more information, try '--help'.
    "#);
    assert_desk!(desk.run(&["put", "3"]), @r#"
    exit 2
    --- stderr
    error: entity 1 is not an object

    hint: write {"uid": {"type": "..", "id": ".."}, "attrs": {}, "parents": []}
    "#);
    assert_desk!(desk.run(&["watch", "--after", "yesterday"]), @r"
    exit 2
    --- stderr
    error: `after` is bad: `yesterday` is not a revision of a directory; give one that a server answered with, as it is
    ");
    assert_desk!(desk.run(&["watch", "--after", "0000000000000001-1-0000000000000001"]), @r"
    exit 1
    --- stderr
    error: FailedPrecondition: `after`: `[LOG]-1-[HASH]` is a revision of another directory; this one is at `[LOG]-0-[HASH]`; take revisions from the server that is asked, and drop those of a directory that was replaced
    ");
    let unreachable = desk
        .place
        .run(&["directory", "stats", "--server", "unix:nowhere"]);
    assert!(
        unreachable.starts_with("exit 1\n")
            && unreachable.contains("cannot reach the server `unix:nowhere`"),
        "{unreachable}"
    );
}

#[test]
fn help() {
    let place = Place::new();
    assert_desk!(place.run(&["directory", "-h"]), @r#"
    exit 0
    --- stdout
    See and change the entities and links of a server

    Usage: deodar directory [OPTIONS] <COMMAND>

    Commands:
      import  Store many entities or links from a file
      export  Write entities or links to a file, all as they were at one revision
      get     Show entities
      put     Store entities, in place of those of the same name
      patch   Change some attributes, tags and parents of an entity
      delete  Remove an entity, and the links that name it
      link    Add, remove and list links of templates
      watch   Show changes as they happen, until stopped
      stats   Show how many entities and links there are
      help    Print this message or the help of the given subcommand(s)

    Options:
      -h, --help          Print help (see more with '--help')
          --color <WHEN>  When to write in colours [default: auto] [possible values: auto, always,
                          never]

    Examples:
      deodar directory import devices.ndjson
      deodar directory get 'Iot::Device::"press-01"'
      deodar directory patch 'Iot::Device::"press-01"' --add-parent 'Iot::DeviceGroup::"quarantined"'
      deodar directory export -o backup.ndjson
      deodar directory watch

    Entities are written as in a policy: 'Type::"id"', in single quotes for the shell.
    "#);
    assert_desk!(place.run(&["directory", "import", "-h"]), @r#"
    exit 0
    --- stdout
    Store many entities or links from a file

    Usage: deodar directory import [OPTIONS] <FILE|->

    Arguments:
      <FILE|->  The file, or - for standard input

    Options:
          --links                   Links instead of entities: [{"template_id", "link_id", "args":
                                    {"?principal": ENTITY}}]
          --resume                  Go on where an import of this file was interrupted, if it was
          --dry-run                 Only look for entities that cannot be read; no server is asked
          --batch <NUMBER>          Entities or links in one transaction [default: 1000]
          --in-flight <NUMBER>      Transactions at a time; with 1 they are made in the order of the
                                    file [default: 4]
          --format <FORMAT>         How to write it; JSON is {"imported", "skipped", "seconds",
                                    "per_second", "revision"} [default: human] [possible values: human,
                                    json]
          --server <URL|unix:PATH>  The server; by default the first that the configuration listens on
                                    [keys: server.grpc, server.unix]
          --config <FILE>           The configuration file; by default `DEODAR_CONFIG`, or ./deodar.toml
                                    if there is one
      -h, --help                    Print help (see more with '--help')
          --color <WHEN>            When to write in colours [default: auto] [possible values: auto,
                                    always, never]

    Examples:
      deodar directory import policies/entities/people.json
      deodar directory import --resume devices.ndjson
      deodar directory import --links policies/links/people.json
      cargo xtask devices --count 1000000 | deodar directory import -

    Exit codes: 0 imported, 1 failed, 2 usage, or a bad entity or link
    "#);
    for verb in [
        "export", "get", "put", "patch", "delete", "link", "watch", "stats",
    ] {
        let shown = place.run(&["directory", verb, "--help"]);
        assert!(shown.starts_with("exit 0\n"), "{shown}");
    }
}

#[test]
fn generated_devices_fit_the_reference_schema() {
    let mut lines = Vec::new();
    devices::write(120, 1, &mut lines).unwrap();
    let mut again = Vec::new();
    devices::write(120, 1, &mut again).unwrap();
    assert_eq!(lines, again);
    let lines = String::from_utf8(lines).unwrap();
    let schemas = ["iot", "org"].map(|name| {
        fs::read_to_string(reference().join(format!("schema/{name}.cedarschema"))).unwrap()
    });
    let (schema, _) = cedar_policy::Schema::from_cedarschema_str(&schemas.concat()).unwrap();
    let array = format!("[{}]", lines.lines().collect::<Vec<_>>().join(","));
    let entities = cedar_policy::Entities::from_json_str(&array, Some(&schema)).unwrap();
    let devices: Vec<_> = entities
        .iter()
        .filter(|entity| entity.uid().type_name().to_string() == "Iot::Device")
        .collect();
    assert_eq!(devices.len(), 120);

    let place = Place::new();
    place.write("devices", &lines);
    let served = Served::start(
        place.0.path(),
        &reference(),
        &[("DEODAR_DIRECTORY__PATH", "memory")],
    );
    let server = format!("unix:{}", served.socket.display());
    let imported = place.run(&[
        "directory",
        "import",
        "devices",
        "--batch",
        "50",
        "--server",
        &server,
    ]);
    assert!(imported.starts_with("exit 0\n"), "{imported}");
    let device = place.run(&[
        "directory",
        "get",
        "Iot::Device::\"device-0000007\"",
        "--server",
        &server,
    ]);
    assert_desk!(device, @r#"
    exit 0
    --- stdout
    Iot::Device::"device-0000007"  version [VERSION]
      attributes
        model    Iot::Model::"model-13"
        owner    Org::User::"user-000000"
        posture  {default_password_changed: true, firmware: {build: 240, rollback_index: 3, version: "1.6.3"}, reported_at: datetime("2026-11-02T08:30:00Z"), secure_boot: true}
        site     Iot::Site::"site-0000"
        zone     Iot::Zone::"zone-0000"
      parents
        Iot::DeviceGroup::"batch-00000"
        Iot::Zone::"zone-0000"
    "#);
}
