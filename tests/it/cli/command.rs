//! Help, usage, completions and colours.

use crate::cli::Place;
use crate::cli::assert_shown;

#[test]
fn help() {
    assert_shown!(Place::new().run(&["--help"]), @r#"
    exit 0
    --- stdout
    Decides who may do what, from Cedar policies

    Deodar answers "may this principal do this action on this resource, now?" from a directory of Cedar
    policies, and tells why.

    Usage: deodar [OPTIONS] <COMMAND>

    Decide:
      serve        Answer requests over gRPC
      check        Ask one question, and be told why
      explain      Explain one decision: conditions, values, what would turn it

    Write policies:
      init         Start a policy repository
      validate     Find the mistakes in a policy directory
      fmt          Bring policies and schema into one form
      lint         Find what is legal, but probably not meant
      test         Run the tests of a policy directory
      prove        Prove invariants of the policies for every possible request

    Change policies:
      diff         Tell who gains or loses access by a change
      replay       Decide recorded questions again, by other policies
      bench        Measure what each policy costs

    Run a server:
      directory    See and change the entities and links of a server
      audit        Read and check the audit log
      config       Show the configuration, and what can be configured

    Other:
      completions  Print the completions of a shell
      help         Print this message or the help of the given subcommand(s)

    Options:
      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

          --color <WHEN>
              When to write in colours

              Possible values:
              - auto:   On a terminal, unless `NO_COLOR` is set
              - always: Always
              - never:  Never
              
              [default: auto]

    Examples:
      deodar validate policies/         find the mistakes in a policy directory
      deodar check --policies policies/ --principal 'User::"alice"' \
          --action 'Action::"read"' --resource 'Doc::"plan"'
      deodar init demo                  start a policy directory with tests
      deodar test --coverage demo       test it, and see what no test reaches
      deodar diff main .                who gains or loses access by a change
      deodar serve                      answer over gRPC on 127.0.0.1:8470
      deodar directory stats            what entities and links the server has
      deodar audit tail                 what was decided last
      deodar config show                what is configured, and where each value comes from

    Exit codes: 0 yes, 1 failed, 2 usage or configuration, 3 denied, 4 invalid policies, 5 tests failed,
    6 found what was looked for (a lint, a change, a broken invariant), 7 no solver
    "#);
}

#[test]
fn help_of_serve() {
    assert_shown!(Place::new().run(&["serve", "--help"]), @r"
    exit 0
    --- stdout
    Answer requests over gRPC

    Every setting is a key of deodar.toml, a variable `DEODAR_SECTION__KEY`, or one of the flags below;
    a flag wins over a variable, a variable over the file. All of them are checked before anything is
    listened on.

    Usage: deodar serve [OPTIONS]

    Options:
          --config <FILE>
              The configuration file; by default `DEODAR_CONFIG`, or ./deodar.toml if there is one

          --policies <DIR>
              The directory of policies [key: policies.path]

          --grpc <ADDR>
              Where to serve gRPC; may be repeated [key: server.grpc]

          --unix <PATH>
              A unix socket on which to serve gRPC; may be repeated [key: server.unix]

          --http <ADDR|off>
              Where to serve HTTP, or `off` [key: server.http]

          --insecure
              Listen beyond this machine without TLS and without knowing the callers: everyone who
              reaches it may ask, read, and write entities and links [key: server.insecure]

          --log-format <FORMAT>
              How to write log lines: auto, human or json [key: log.format]

          --log-level <LEVEL>
              Which log lines to write, such as `debug` or `info,deodar::source=debug` [key: log.level]

      -h, --help
              Print help (see a summary with '-h')

          --color <WHEN>
              When to write in colours

              Possible values:
              - auto:   On a terminal, unless `NO_COLOR` is set
              - always: Always
              - never:  Never
              
              [default: auto]

    Examples:
      deodar serve --policies policies/
      deodar serve --grpc 127.0.0.1:9000 --unix /run/deodar.sock --http off
      DEODAR_LIMITS__DEADLINE_MAX=5s deodar serve --config /etc/deodar.toml

    `deodar config keys` lists every key, `deodar config show` what they are set to.
    ");
}

#[test]
fn help_of_check() {
    assert_shown!(Place::new().run(&["check", "-h"]), @r#"
    exit 0
    --- stdout
    Ask one question, and be told why

    Usage: deodar check [OPTIONS] --principal <ENTITY> --action <ENTITY> --resource <ENTITY>

    Options:
          --principal <ENTITY>       Who asks, as in a policy: 'Type::"id"'
          --action <ENTITY>          To do what: 'Action::"id"'
          --resource <ENTITY>        To what: 'Type::"id"'
          --context <JSON|@FILE|->   The circumstances: a Cedar JSON object, @FILE, or - for standard
                                     input
          --entities <JSON|@FILE|->  Entities to lay over those of the directory: a Cedar JSON array,
                                     @FILE, or -
          --now <TIME>               The time to decide for, where the schema declares `context.now`; by
                                     default the clock's
          --policies <DIR>           Decide from this policy directory; by default the one that is
                                     configured [key: policies.path]
          --server <URL|unix:PATH>   Ask this server
          --format <FORMAT>          How to write it; JSON is {"decision": "allow"|"deny", "cause",
                                     "sentence", "policies", "advice", "obligations", "errors",
                                     "near_misses", "near_misses_left_out", "revisions", "decision_id"}
                                     [default: human] [possible values: human, json]
          --config <FILE>            The configuration file; by default `DEODAR_CONFIG`, or
                                     ./deodar.toml if there is one
      -h, --help                     Print help (see more with '--help')
          --color <WHEN>             When to write in colours [default: auto] [possible values: auto,
                                     always, never]

    Examples:
      deodar check --policies policies/ --principal 'Iot::Device::"press-1"' \
          --action 'Iot::Action::"publish"' --resource 'Iot::Topic::"plant/press-1/temperature"'
      deodar check ... --context '{"session": {"ip": "10.0.0.1"}}' --now 2026-11-22T03:12:00Z
      deodar check ... --context @context.json --entities @entities.json
      deodar check --server http://127.0.0.1:8470 ... --format json

    Exit codes: 0 allowed, 1 failed, 2 usage or configuration, 3 denied, 4 invalid policies
    "#);
}

#[test]
fn help_of_validate_and_config() {
    let place = Place::new();
    assert_shown!(place.run(&["validate", "-h"]), @r#"
    exit 0
    --- stdout
    Find the mistakes in a policy directory

    Usage: deodar validate [OPTIONS] [DIR]

    Arguments:
      [DIR]  The directory; by default this one if it has a manifest.toml, else the one that is
             configured [key: policies.path]

    Options:
          --format <FORMAT>  How to write it; JSON is {"valid", "files", "policies", "templates",
                             "entities", "links", "tests", "cases", "invariants", "policy_revision",
                             "directory_revision", "not_checked": ["entities" | "cases" | "links" |
                             "invariants"], "faults": [{"file", "line", "column", "text", "message",
                             "hint", "is_warning"}], "warnings": [..]}; `not_checked` is what other
                             faults kept from being looked at [default: human] [possible values: human,
                             json, github]
          --deny-warnings    Treat warnings as faults
          --config <FILE>    The configuration file; by default `DEODAR_CONFIG`, or ./deodar.toml if
                             there is one
      -h, --help             Print help (see more with '--help')
          --color <WHEN>     When to write in colours [default: auto] [possible values: auto, always,
                             never]

    Examples:
      deodar validate policies/
      deodar validate --deny-warnings --format json . > report.json
      deodar validate --format github          annotate a pull request

    Exit codes: 0 valid, 1 the directory cannot be read, 2 usage or configuration, 4 invalid
    "#);
    assert_shown!(place.run(&["config", "-h"]), @r"
    exit 0
    --- stdout
    Show the configuration, and what can be configured

    Usage: deodar config [OPTIONS] <COMMAND>

    Commands:
      show  Show every key, its value, and where that comes from
      keys  List every key with its default, variable and meaning
      help  Print this message or the help of the given subcommand(s)

    Options:
      -h, --help          Print help (see more with '--help')
          --color <WHEN>  When to write in colours [default: auto] [possible values: auto, always,
                          never]
    ");
}

#[test]
fn usage_errors() {
    let place = Place::new();
    let no_verb = place.run(&[]);
    assert!(
        no_verb.starts_with("exit 2\n--- stderr\nDecides who may do what"),
        "{no_verb}"
    );
    assert_shown!(place.run(&["chekc"]), @r"
    exit 2
    --- stderr
    error: unrecognized subcommand 'chekc'

      tip: a similar subcommand exists: 'check'

    Usage: deodar [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
    assert_shown!(place.run(&["check", "--principal", "User::\"ann\""]), @r"
    exit 2
    --- stderr
    error: the following required arguments were not provided:
      --action <ENTITY>
      --resource <ENTITY>

    Usage: deodar check --principal <ENTITY> --action <ENTITY> --resource <ENTITY>

    For more information, try '--help'.
    ");
    assert_shown!(place.run(&["--version"]), @r"
    exit 0
    --- stdout
    deodar 0.1.0
    ");
}

#[test]
fn completions() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let shown = place.run(&["completions", shell]);
        assert!(shown.starts_with("exit 0\n--- stdout\n"), "{shown}");
        assert!(
            shown.contains("deny-warnings") && !shown.contains("--- stderr"),
            "{shown}"
        );
    }
}

#[test]
fn colours_are_for_terminals() {
    let place = Place::new();
    place.write(
        "policies/worse.cedar",
        "permit (principal, action resource);\n",
    );
    let commands: [&[&str]; 5] = [
        &["validate", "policies"],
        &["validate", "nowhere"],
        &["config", "show"],
        &["--help"],
        &["serve", "--grpc", "localhost:1"],
    ];
    for command in commands {
        let plain = place.run(command);
        assert!(!plain.contains('\u{1b}'), "{plain}");
        let coloured = place.run(&[command, &["--color", "always"]].concat());
        assert!(coloured.contains('\u{1b}'), "{coloured}");
        let never = place.run(&[command, &["--color=never"]].concat());
        assert_eq!(never, plain);
    }
}
