//! `deodar prove`. What needs cvc5 is skipped without it, and says so.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::cli::Place;
use crate::cli::assert_shown;
use crate::peer::missing;

const SCHEMA: &str = "
entity Group;
entity User in [Group] { level: Long };
entity Lock { alarm?: Bool, owner: User } tags Long;
action unlock, look appliesTo { principal: User, resource: Lock, context: { now: Long } };
";

pub(crate) const POLICIES: &str = r#"
@id("staff-unlocks")
permit (principal in Group::"staff", action == Action::"unlock", resource)
when { principal.level > 2 };

@id("everybody-looks")
permit (principal, action == Action::"look", resource);

@id("not-in-alarm")
forbid (principal, action == Action::"unlock", resource)
when { resource has alarm && resource.alarm };

@id("grant")
permit (principal == ?principal, action == Action::"unlock", resource == ?resource)
when { resource.hasTag("until") && context.now < resource.getTag("until") };
"#;

pub(crate) const INVARIANTS: &str = r#"description: locks
invariants:
  - name: nothing opens in an alarm
    never: |
      permit (principal, action == Action::"unlock", resource)
      when { resource has alarm && resource.alarm };
  - name: outside of a grant staff of level 3 unlock only
    never: |
      permit (principal, action == Action::"unlock", resource)
      unless { principal in Group::"staff" && principal.level >= 3 }
      unless { resource.hasTag("until") && context.now < resource.getTag("until") };
  - name: everybody looks
    always: |
      permit (principal, action == Action::"look", resource);
  - name: staff unlocks in peace
    always: |
      permit (principal in Group::"staff", action == Action::"unlock", resource);
    assume: |
      principal.level > 2 && !(resource has alarm)
  - name: nothing fails
    never_errors: ["*"]
  - name: nobody is linked in the repository
    links: repository
    never: |
      permit (principal, action == Action::"unlock", resource)
      unless { principal in Group::"staff" };
  - name: looking is not unlocking
    disjoint: [staff-unlocks, everybody-looks]
  - name: staff unlocks only where unlocking is
    implies: [staff-unlocks, staff-unlocks]
    environments:
      actions: ['Action::"unlock"']
"#;

/// Where the solver is, as `PATH` has it; `None` when the test is to be skipped.
pub(crate) fn path_of_solver() -> Option<String> {
    let path = std::env::var("PATH").unwrap_or_default();
    let is_there = std::env::split_paths(&path).any(|folder| folder.join("cvc5").is_file());
    if !is_there {
        missing("cvc5 is not installed, such as by `apt-get install cvc5`");
    }
    is_there.then_some(path)
}

pub(crate) fn repository(policies: &str, invariants: &str) -> Place {
    let place = Place(tempfile::tempdir().unwrap());
    place.write("p/manifest.toml", "name = \"locks\"\n");
    place.write("p/schema.cedarschema", SCHEMA);
    place.write("p/locks.cedar", policies);
    if !invariants.is_empty() {
        place.write("p/invariants.yaml", invariants);
    }
    place
}

pub(crate) fn prove(place: &Place, path: &str, arguments: &[&str]) -> String {
    let all: Vec<&str> = ["prove", "p"].iter().chain(arguments).copied().collect();
    place.run_with(&all, &[("PATH", path)], "")
}

/// A solver that is a shell script.
fn script(place: &Place, text: &str) -> String {
    let path = place.0.path().join("fake-cvc5");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn what_holds_takes_one_line() {
    let Some(path) = path_of_solver() else { return };
    let place = repository(POLICIES, INVARIANTS);
    assert_shown!(prove(&place, &path, &[]), @r"
    exit 0
    --- stdout
    8 invariants hold in 2 environments; 0 findings
    ");
    assert_shown!(prove(&place, &path, &["--no-reports", "--filter", "*alarm"]), @r"
    exit 0
    --- stdout
    1 invariant holds in 2 environments; no reports
    ");
}

#[test]
fn each_kind_of_invariant_can_be_broken() {
    let Some(path) = path_of_solver() else { return };
    let broken = POLICIES
        .replace("resource.alarm }", "resource.alarm && context.now > 7 }")
        .replace("principal.level > 2 }", "principal.level + 1 > 2 }")
        .replace(
            "Action::\"look\", resource)",
            "Action::\"look\", resource) when { principal.level != 4 }",
        )
        .replace("context.now < resource", "context.now <= resource");
    let invariants = INVARIANTS
        .replace(
            "disjoint: [staff-unlocks, everybody-looks]",
            "disjoint: [staff-unlocks, grant]",
        )
        .replace(
            "implies: [staff-unlocks, staff-unlocks]",
            "implies: [staff-unlocks, everybody-looks]",
        )
        + "  - name: nobody ever looks\n    never_applies: [everybody-looks]\n    because: it is dark\n";
    let place = repository(&broken, &invariants);
    let shown = prove(&place, &path, &["--no-reports", "--jobs", "1"]);
    let heads: Vec<&str> = shown
        .lines()
        .filter(|line| !line.starts_with("    ") && !line.is_empty())
        .collect();
    assert_shown!(heads.join("\n"), @r#"
    exit 6
    --- stdout
    broken: nothing opens in an alarm invariants.yaml:3
      in User, Action::"unlock", Lock, such as
    broken: outside of a grant staff of level 3 unlock only invariants.yaml:7
      in User, Action::"unlock", Lock, such as
    broken: everybody looks invariants.yaml:12
      in User, Action::"look", Lock, such as
    broken: staff unlocks in peace invariants.yaml:15
      in User, Action::"unlock", Lock, such as
    broken: nothing fails invariants.yaml:20
      in User, Action::"unlock", Lock, such as
    broken: looking is not unlocking invariants.yaml:27
      in User, Action::"unlock", Lock, such as
    broken: staff unlocks only where unlocking is invariants.yaml:29
      in User, Action::"unlock", Lock, such as
    broken: nobody ever looks invariants.yaml:33
      because: it is dark
      in User, Action::"look", Lock, such as
    8 invariants broken, 1 invariant holds in 2 environments; no reports
    "#);
}

#[test]
fn a_counterexample_is_a_test_case() {
    let Some(path) = path_of_solver() else { return };
    let open = POLICIES.replace("resource has alarm && resource.alarm }", "false }");
    let place = repository(&open, INVARIANTS);
    assert_shown!(prove(&place, &path, &["--no-reports", "--filter", "nothing opens*"]), @r#"
    exit 6
    --- stdout
    broken: nothing opens in an alarm invariants.yaml:3
      in User, Action::"unlock", Lock, such as
        - name: 'nothing opens in an alarm'
          # the invariant wants deny, the policies allow
          # allowed by `linked-grant`
          principal: 'User::"user"'
          action: 'Action::"unlock"'
          resource: 'Lock::"lock"'
          context: {"now": -1}
          entities:
            - uid: 'Lock::"lock"'
              attrs: {"alarm": true, "owner": {"__entity": {"type": "User", "id": "user-2"}}}
              tags: {"until": 1}
            - uid: 'User::"user"'
              attrs: {"level": -1}
          links:
            - id: 'linked-grant'
              template: 'grant'
              principal: 'User::"user"'
              resource: 'Lock::"lock"'
          decision: deny

    1 invariant broken, 0 invariants hold in 2 environments; no reports
    "#);
}

#[test]
fn links_that_there_can_be_count_unless_the_repository_is_meant() {
    let Some(path) = path_of_solver() else { return };
    let invariants = r#"invariants:
  - name: only staff unlocks
    never: |
      permit (principal, action == Action::"unlock", resource)
      unless { principal in Group::"staff" };
"#;
    let place = repository(POLICIES, invariants);
    assert_shown!(prove(&place, &path, &["--no-reports"]), @r#"
    exit 6
    --- stdout
    broken: only staff unlocks invariants.yaml:2
      in User, Action::"unlock", Lock, such as
        - name: 'only staff unlocks'
          # the invariant wants deny, the policies allow
          # allowed by `linked-grant`
          principal: 'User::"user"'
          action: 'Action::"unlock"'
          resource: 'Lock::"lock"'
          context: {"now": -1}
          entities:
            - uid: 'Lock::"lock"'
              attrs: {"owner": {"__entity": {"type": "User", "id": "user-2"}}}
              tags: {"until": 1}
            - uid: 'User::"user"'
              attrs: {"level": 0}
          links:
            - id: 'linked-grant'
              template: 'grant'
              principal: 'User::"user"'
              resource: 'Lock::"lock"'
          decision: deny

    1 invariant broken, 0 invariants hold in 2 environments; no reports
    "#);
    let here = invariants.replace("    never:", "    links: repository\n    never:");
    place.write("p/invariants.yaml", &here);
    assert_shown!(prove(&place, &path, &["--no-reports"]), @r"
    exit 0
    --- stdout
    1 invariant holds in 2 environments; no reports
    ");
}

#[test]
fn a_forbid_that_fails_denies_which_cedar_does_not_know() {
    let Some(path) = path_of_solver() else { return };
    let failing = r#"
@id("staff") permit (principal, action, resource);
@id("limit") forbid (principal, action, resource) when { principal.level + 1 < 0 };
"#;
    let invariants = r"invariants:
  - name: everybody who is not negative
    always: |
      permit (principal, action, resource) when { principal.level >= 0 };
  - name: nobody at the limit
    never: |
      permit (principal, action, resource) when { principal.level == 9223372036854775807 };
";
    let place = repository(failing, invariants);
    let denies = prove(&place, &path, &["--no-reports"]);
    assert_shown!(denies, @r#"
    exit 6
    --- stdout
    broken: everybody who is not negative invariants.yaml:2
      in User, Action::"look", Lock and 1 other, such as
        - name: 'everybody who is not negative'
          # the invariant wants allow, the policies deny
          # denied, because `limit` fails to evaluate
          principal: 'User::"user"'
          action: 'Action::"look"'
          resource: 'Lock::"lock"'
          context: {"now": 0}
          entities:
            - uid: 'Lock::"lock"'
              attrs: {"owner": {"__entity": {"type": "User", "id": "user"}}}
            - uid: 'User::"user"'
              attrs: {"level": 9223372036854775807}
          decision: allow

    1 invariant broken, 1 invariant holds in 2 environments; no reports
    "#);
    // As Cedar's own `Authorizer` does it, it is the other way round.
    place.write("p/manifest.toml", "name = \"locks\"\nerrors = \"cedar\"\n");
    let skips = prove(&place, &path, &["--no-reports"]);
    let heads: Vec<&str> = skips
        .lines()
        .filter(|line| line.starts_with("broken"))
        .collect();
    assert_shown!(heads.join("\n"), @"broken: nobody at the limit invariants.yaml:5");
}

#[test]
fn reports_find_what_is_dead_overridden_superfluous_and_failing() {
    let Some(path) = path_of_solver() else { return };
    let bad = r#"
@id("dead")
permit (principal, action, resource) when { principal.level > 2 && principal.level < 1 };

@id("overridden")
permit (principal in Group::"guests", action == Action::"unlock", resource);

@id("guests-do-not-unlock")
forbid (principal in Group::"guests", action == Action::"unlock", resource);

@id("narrow")
permit (principal, action == Action::"look", resource) when { context.now > 5 };

@id("wide")
permit (principal, action == Action::"look", resource) when { context.now > 3 };

@id("failing")
permit (principal, action == Action::"unlock", resource) when { context.now + 1 > principal.level };

@id("dead-template")
permit (principal == ?principal, action == Action::"look", resource)
when { principal.level != principal.level };
"#;
    let place = repository(bad, "");
    assert_shown!(prove(&place, &path, &["--jobs", "1"]), @r#"
    exit 0
    --- stdout
    found: policy dead can never apply locks.cedar:2
      hint: its conditions contradict each other or its scope; mend or remove it

    found: template dead-template can never apply locks.cedar:20
      hint: its conditions contradict each other or its scope; mend or remove it

    found: policy overridden permits nothing: all that it matches is forbidden locks.cedar:5
      hint: let the forbids spare it, or remove it

    found: policy narrow changes nothing: all that it matches is matched by others locks.cedar:11
      by `wide`
      hint: remove it, or narrow the others if it was meant to add something

    found: policy failing can fail to evaluate locks.cedar:17
      hint: test with `has` or `hasTag` first, and keep numbers within bounds; a forbid that fails denies
        - name: 'failing fails'
          # `failing` fails to evaluate
          # denied: no policy permits it
          principal: 'User::"user"'
          action: 'Action::"unlock"'
          resource: 'Lock::"lock"'
          context: {"now": 9223372036854775807}
          entities:
            - uid: 'Lock::"lock"'
              attrs: {"owner": {"__entity": {"type": "User", "id": "user"}}}
            - uid: 'User::"user"'
              attrs: {"level": 0}
          decision: deny
          errors: []

    no invariants in 2 environments; 5 findings
    "#);
    assert!(prove(&place, &path, &["--deny-findings"]).starts_with("exit 6\n"));
    place.write("p/invariants.yaml", "invariants:\n  - name: look\n    never_errors: [wide]\naccept:\n  - finding: redundant\n    policies: [narrow, wide]\n    because: it is clearer\n");
    let accepted = prove(&place, &path, &["--jobs", "1"]);
    let tail: Vec<&str> = accepted
        .lines()
        .filter(|line| line.contains("accepted"))
        .collect();
    assert_shown!(tail.join("\n"), @r"
    accepted in vain: that wide changes nothing: all that it matches is matched by others was not found invariants.yaml:5
    1 invariant holds in 2 environments; 4 findings, 1 accepted
    ");
}

#[test]
fn json_and_github() {
    let Some(path) = path_of_solver() else { return };
    let open = POLICIES.replace("resource has alarm && resource.alarm }", "false }");
    let place = repository(&open, INVARIANTS);
    let arguments = ["--no-reports", "--filter", "nothing opens*"];
    let json = |format: &'static str| {
        prove(
            &place,
            &path,
            &[&arguments[..], &["--format", format]].concat(),
        )
    };
    let shown = json("json");
    let version = shown.split("\"version\": \"").nth(1).unwrap();
    let version = version.split('"').next().unwrap();
    assert!(
        version.starts_with(|c: char| c.is_ascii_digit()),
        "{version}"
    );
    let found = path.split(':').map(|folder| format!("{folder}/cvc5"));
    let found = found
        .into_iter()
        .find(|file| Path::new(file).is_file())
        .unwrap();
    let shown = shown
        .replace(version, "[VERSION]")
        .replace(&found, "/usr/bin/cvc5");
    assert_shown!(shown, @r#"
    exit 6
    --- stdout
    {
      "solver": {
        "path": "/usr/bin/cvc5",
        "version": "[VERSION]",
        "timeout_seconds": 10.0
      },
      "assumed": [],
      "environments": 2,
      "invariants": [
        {
          "name": "nothing opens in an alarm",
          "file": "invariants.yaml",
          "line": 3,
          "claim": "never",
          "links": "any",
          "because": null,
          "result": "broken",
          "environments": 1,
          "counterexamples": [
            {
              "environment": {
                "principal": "User",
                "action": "Action::\"unlock\"",
                "resource": "Lock"
              },
              "wanted": "deny",
              "notes": [
                "allowed by `linked-grant`"
              ],
              "case": {
                "principal": "User::\"user\"",
                "action": "Action::\"unlock\"",
                "resource": "Lock::\"lock\"",
                "context": {
                  "now": -1
                },
                "entities": [
                  {
                    "uid": "Lock::\"lock\"",
                    "parents": [],
                    "attrs": {
                      "alarm": true,
                      "owner": {
                        "__entity": {
                          "type": "User",
                          "id": "user-2"
                        }
                      }
                    },
                    "tags": {
                      "until": 1
                    }
                  },
                  {
                    "uid": "User::\"user\"",
                    "parents": [],
                    "attrs": {
                      "level": -1
                    },
                    "tags": {}
                  }
                ],
                "links": [
                  {
                    "template": "grant",
                    "id": "linked-grant",
                    "principal": "User::\"user\"",
                    "resource": "Lock::\"lock\""
                  }
                ]
              }
            }
          ],
          "unknown": []
        }
      ],
      "findings": null,
      "unknown": null,
      "left_out": null,
      "accepted": 0,
      "accepted_in_vain": [],
      "faults": [],
      "invariants_left_out": 0
    }
    "#);
    assert_shown!(json("github"), @r#"
    exit 6
    --- stdout
    ::error file=p/invariants.yaml,line=3::broken: nothing opens in an alarm in User, Action::"unlock", Lock%0A- name: 'nothing opens in an alarm'%0A  # the invariant wants deny, the policies allow%0A  # allowed by `linked-grant`%0A  principal: 'User::"user"'%0A  action: 'Action::"unlock"'%0A  resource: 'Lock::"lock"'%0A  context: {"now": -1}%0A  entities:%0A    - uid: 'Lock::"lock"'%0A      attrs: {"alarm": true, "owner": {"__entity": {"type": "User", "id": "user-2"}}}%0A      tags: {"until": 1}%0A    - uid: 'User::"user"'%0A      attrs: {"level": -1}%0A  links:%0A    - id: 'linked-grant'%0A      template: 'grant'%0A      principal: 'User::"user"'%0A      resource: 'Lock::"lock"'%0A  decision: deny%0A
    1 invariant broken, 0 invariants hold in 2 environments; no reports
    "#);
}

#[test]
fn without_a_solver_it_says_how_to_get_one() {
    let place = repository(POLICIES, INVARIANTS);
    assert_shown!(prove(&place, "/nowhere", &[]), @r"
    exit 7
    --- stderr
    error: the solver `cvc5` is not installed

    hint: install it, such as `apt-get install cvc5`, or get it from https://cvc5.github.io and set `CVC5` to its path
    ");
    let variables = [("CVC5", "/nowhere/cvc5"), ("PATH", "/nowhere")];
    assert_shown!(place.run_with(&["prove", "p"], &variables, ""), @r"
    exit 7
    --- stderr
    error: `CVC5` is `/nowhere/cvc5`, which is not a program

    hint: set `CVC5` to the path of the program, or unset it to look in `PATH`
    ");
}

#[test]
fn a_solver_that_is_none_leaves_things_unknown() {
    let place = repository(POLICIES, INVARIANTS);
    let run = |text: &str| {
        let solver = script(&place, text);
        let variables = [("CVC5", solver.as_str()), ("PATH", "/usr/bin:/bin")];
        let arguments = [
            "prove",
            "p",
            "--no-reports",
            "--jobs",
            "1",
            "--timeout",
            "200ms",
            "--filter",
            "nothing opens*",
        ];
        place.run_with(&arguments, &variables, "")
    };
    assert_shown!(run("exec sleep 60"), @r#"
    exit 7
    --- stdout
    unknown: nothing opens in an alarm invariants.yaml:3
      the solver gave no answer in 2 s
      in User, Action::"unlock", Lock

    hint: give the solver more time for each question with `--timeout`, such as `--timeout 60s`

    1 unknown, 0 invariants hold in 2 environments; no reports
    "#);
    assert_shown!(run("read line; exit 3"), @r#"
    exit 7
    --- stdout
    unknown: nothing opens in an alarm invariants.yaml:3
      the solver ended before it answered
      in User, Action::"unlock", Lock

    1 unknown, 0 invariants hold in 2 environments; no reports
    "#);
    assert_shown!(run("echo hello; exec cat >/dev/null"), @r#"
    exit 7
    --- stdout
    unknown: nothing opens in an alarm invariants.yaml:3
      the solver failed: unrecognized solver output: hello
      in User, Action::"unlock", Lock

    1 unknown, 0 invariants hold in 2 environments; no reports
    "#);
    assert_shown!(run("exec cat"), @r#"
    exit 7
    --- stdout
    unknown: nothing opens in an alarm invariants.yaml:3
      the solver failed: unrecognized solver output: (get-info :version)
      in User, Action::"unlock", Lock

    1 unknown, 0 invariants hold in 2 environments; no reports
    "#);
}

/// A script that passes for a solver, and then does this when it is asked.
fn imposter(place: &Place, when_asked: &str) -> String {
    let text = format!(
        r#"asked=0
while read -r line; do
  case "$line" in
    '(get-info :version)') echo '(:version "0.0")' ;;
    '(echo '*) mark="${{line#(echo }}"; echo "${{mark%)}}" ;;
    '(check-sat)')
      asked=$((asked + 1))
      case $asked in
        1) echo sat ;;
        2) echo unsat ;;
        *) {when_asked} ;;
      esac ;;
    '(get-model)') echo '('; echo "$model"; echo ')' ;;
  esac
done"#
    );
    script(place, &text)
}

/// What is said of one question to such a script, and how it ended.
fn asked_of_imposter(place: &Place, when_asked: &str) -> String {
    let solver = imposter(place, when_asked);
    let variables = [("CVC5", solver.as_str()), ("PATH", "/usr/bin:/bin")];
    let arguments = ["prove", "p", "--no-reports", "--jobs", "1"];
    let filter = ["--timeout", "1s", "--filter", "nothing opens*"];
    let arguments = [&arguments[..], &filter].concat();
    let shown = place.run_with(&arguments, &variables, "");
    let mut lines = shown.lines().skip(1).map(str::trim);
    let reason = lines.find(|line| !line.starts_with("---") && !line.starts_with("unknown"));
    let code = shown.lines().next().unwrap();
    format!("{code}: {}", reason.unwrap())
}

#[test]
fn a_solver_that_goes_wrong_is_named_and_bounded() {
    let place = repository(POLICIES, INVARIANTS);
    let cases = [
        "echo unknown",
        "exit 1",
        "exec cat /dev/zero",
        "echo 'unsat'; echo unsat",
        "echo '(error \"out of memory\")'",
        "model=rubbish; echo sat",
        "echo sat; exec cat /dev/zero",
        "exec sleep 60",
    ];
    let shown: Vec<String> = cases
        .iter()
        .map(|case| asked_of_imposter(&place, case))
        .collect();
    assert_shown!(shown.join("\n"), @r"
    exit 7: the solver gave up
    exit 7: the solver ended before it answered
    exit 7: the solver failed: an answer of more than 8 MiB
    exit 7: the solver failed: unrecognized solver output: unsat
    exit 7: the solver failed: out of memory
    exit 7: failed to decode model: Model of an unexpected form returned by the solver
    exit 7: the solver failed: an answer of more than 8 MiB
    exit 7: the solver gave no answer in 1 s
    ");
    // What is always said proves nothing.
    let solver = script(
        &place,
        "echo '(:version \"1\")'; echo '\"deodar 1\"'; while :; do echo unsat; done",
    );
    let variables = [("CVC5", solver.as_str()), ("PATH", "/usr/bin:/bin")];
    let shown = place.run_with(&["prove", "p", "--no-reports"], &variables, "");
    assert!(shown.starts_with("exit 7\n"), "{shown}");
}

#[test]
fn a_solver_that_will_not_end_is_killed() {
    let place = repository(POLICIES, INVARIANTS);
    let said = asked_of_imposter(&place, "echo $$ > pid; trap '' TERM; exec sleep 600");
    assert_eq!(said, "exit 7: the solver gave no answer in 1 s");
    let pid = fs::read_to_string(place.0.path().join("pid")).unwrap();
    let state = fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    // Gone, or dead and not yet buried.
    let is_dead = state.map_or(true, |state| state.contains(") Z "));
    assert!(is_dead, "{pid}");
}

#[test]
fn a_solver_that_lies_raises_no_alarm() {
    let place = repository(POLICIES, INVARIANTS);
    // A model without anything in it: it exists, but it breaks nothing.
    let said = asked_of_imposter(&place, "echo sat");
    assert!(said.starts_with("exit 7: "), "{said}");
    let confirmed = "the solver found a request that breaks it, which the engine does not confirm";
    assert!(said.contains(confirmed) || said.contains("model"), "{said}");
}

#[test]
fn reports_with_a_broken_solver_say_what_is_not_known() {
    let place = repository(POLICIES, "");
    let solver = script(&place, "read line; exit 3");
    let variables = [("CVC5", solver.as_str()), ("PATH", "/usr/bin:/bin")];
    let shown = place.run_with(&["prove", "p", "--jobs", "1"], &variables, "");
    assert_shown!(shown, @r#"
    exit 7
    --- stdout
    unknown: the solver ended before it answered
      of `not-in-alarm` in User, Action::"unlock", Lock

    unknown: the solver failed again and again, and was not asked
      of `staff-unlocks` in User, Action::"unlock", Lock; `grant` in User, Action::"unlock", Lock

    no invariants in 2 environments; 0 findings, 3 unknown
    "#);
}

#[test]
fn what_the_manifest_makes_matter_is_said() {
    let Some(path) = path_of_solver() else { return };
    let place = repository(POLICIES, INVARIANTS);
    let manifest =
        "errors = \"cedar\"\nunknown = \"cedar\"\nimplicit_types = [\"User\", \"Group\"]\n";
    place.write("p/manifest.toml", manifest);
    assert_shown!(prove(&place, &path, &["--no-reports", "--filter", "everybody*"]), @r#"
    exit 0
    --- stdout
    assumed: `unknown = "cedar"` lets policies decide about principals and resources that nobody knows; what is proved speaks of those that are known

    assumed: `errors = "cedar"` skips a forbid that fails because an entity is missing; what is proved takes every entity that is named to exist

    assumed: entities of the implicit type `User` need not be stored, and then lack the attributes that the schema requires; what is proved takes them to be there

    1 invariant holds in 2 environments; no reports
    "#);
}

/// A group of actions is in no environment by itself: it stands for its members.
#[test]
fn environments_take_groups_of_actions() {
    let Some(path) = path_of_solver() else { return };
    let invariants = r#"invariants:
  - name: nobody at all
    never: 'permit (principal, action, resource);'
    environments: {actions: ['Action::"any"']}
"#;
    let place = repository(POLICIES, invariants);
    let schema = SCHEMA.replace(
        "action unlock, look appliesTo",
        "action any;\naction unlock, look in any appliesTo",
    );
    place.write("p/schema.cedarschema", &schema);
    let shown = prove(&place, &path, &["--no-reports"]);
    assert!(shown.contains("broken: nobody at all"), "{shown}");
}
