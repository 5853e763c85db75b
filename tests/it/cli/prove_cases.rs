//! `deodar prove`: counterexamples are test cases that fail where they are pasted, and
//! an invariant says something or is not said to hold. Skipped without cvc5.

use crate::cli::Place;
use crate::cli::assert_shown;
use crate::cli::prove::POLICIES;
use crate::cli::prove::path_of_solver;
use crate::cli::prove::prove;
use crate::cli::prove::repository;

/// The cases that are shown, pasted into a test file; what `test` makes of them.
fn pasted(place: &Place, shown: &str) -> String {
    let lines = shown.lines().filter_map(|line| line.strip_prefix("    "));
    let cases: Vec<&str> = lines.collect();
    assert!(!cases.is_empty(), "{shown}");
    place.write(
        "p/pasted.test.yaml",
        &format!("cases:\n{}\n", cases.join("\n")),
    );
    place.run(&["test", "p"])
}

/// A template fails in a link of it, so the case has one.
#[test]
fn the_case_of_a_template_that_fails_does_so_where_it_is_pasted() {
    let Some(path) = path_of_solver() else { return };
    let failing = POLICIES.replace("context.now <", "context.now + 1 <");
    let place = repository(
        &failing,
        "invariants:\n  - name: grants never fail\n    never_errors: [grant]\n",
    );
    let broken = prove(&place, &path, &["--no-reports"]);
    assert!(broken.contains("template: 'grant'"), "{broken}");
    let tested = pasted(&place, &broken);
    assert!(
        tested.starts_with("exit 5\n") && tested.contains("linked-grant"),
        "{tested}"
    );
    place.write(
        "p/invariants.yaml",
        "invariants:\n  - name: looking never fails\n    never_errors: [everybody-looks]\n",
    );
    let found = prove(&place, &path, &[]);
    assert!(
        found.contains("found: template grant can fail to evaluate"),
        "{found}"
    );
    let tested = pasted(&place, &found);
    assert!(
        tested.starts_with("exit 5\n") && tested.contains("linked-grant"),
        "{tested}"
    );
}

/// A test keeps what is stored of an entity, so what is asked may not be the same.
#[test]
fn a_case_that_names_stored_entities_says_so() {
    let Some(path) = path_of_solver() else { return };
    let policies = r#"
@id("ann") permit (principal == User::"ann", action == Action::"unlock", resource);
@id("not-guests") forbid (principal in Group::"guests", action, resource);
"#;
    let place = repository(
        policies,
        "invariants:\n  - name: nobody unlocks\n    never: 'permit (principal, action == Action::\"unlock\", resource);'\n",
    );
    let entities = |parents: &str| {
        format!(
            r#"[{{"uid": {{"type": "Group", "id": "guests"}}, "attrs": {{}}, "parents": []}},
            {{"uid": {{"type": "User", "id": "ann"}}, "attrs": {{"level": 1}}, "parents": [{parents}]}}]"#
        )
    };
    place.write("p/entities/all.json", &entities(""));
    let shown = prove(&place, &path, &["--no-reports"]);
    assert!(!shown.contains("pasted as it is"), "{shown}");
    let guest = r#"{"type": "Group", "id": "guests"}"#;
    place.write("p/entities/all.json", &entities(guest));
    let shown = prove(&place, &path, &["--no-reports"]);
    let notes: Vec<&str> = shown
        .lines()
        .filter(|line| line.contains("  # "))
        .map(str::trim)
        .collect();
    assert_shown!(notes.join("\n"), @r#"
    # the invariant wants deny, the policies allow
    # pasted as it is, it may ask something else: a test keeps the parents and attributes that the repository has of `User::"ann"`
    # allowed by `ann`
    # with the entities and links that the repository has now it is denied by `not-guests`
    "#);
}

/// What can match nothing would hold for ever.
#[test]
fn what_is_about_nothing_does_not_hold() {
    let Some(path) = path_of_solver() else { return };
    let invariants = r#"invariants:
  - name: between five and three
    never: 'permit (principal, action, resource) when { principal.level < 3 && principal.level > 5 };'
  - name: below three, taken to be above five
    always: 'permit (principal, action, resource) when { principal.level < 3 };'
    assume: principal.level > 5
  - name: nothing but looking is about anything
    never: |
      permit (principal, action, resource)
      when { principal.level < 0 }
      unless { action == Action::"unlock" && principal.level < 2 };
"#;
    let policies = "@id(\"nobody\") forbid (principal, action, resource);\n@id(\"looks\") permit (principal, action, resource);\n";
    let place = repository(policies, invariants);
    assert_shown!(prove(&place, &path, &["--no-reports"]), @r"
    exit 6
    --- stdout
    about nothing: between five and three invariants.yaml:2
      no request of the schema is concerned by it, so it proves nothing; mend its policy, `assume` or `environments`

    about nothing: below three, taken to be above five invariants.yaml:4
      no request of the schema is concerned by it, so it proves nothing; mend its policy, `assume` or `environments`

    2 invariants broken, 1 invariant holds in 2 environments; no reports
    ");
    let shown = prove(&place, &path, &["--no-reports", "--format", "json"]);
    let of: Vec<&str> = shown
        .lines()
        .filter(|line| line.contains("\"result\"") || line.contains("\"environments\": "))
        .map(str::trim)
        .collect();
    assert_shown!(of.join("\n"), @r#"
    "environments": 2,
    "result": "about_nothing",
    "environments": 0,
    "result": "about_nothing",
    "environments": 0,
    "result": "holds",
    "environments": 1,
    "#);
}

/// One name that is stale stops no other proof.
#[test]
fn an_invariant_with_a_fault_is_left_out_and_the_others_are_proved() {
    let Some(path) = path_of_solver() else { return };
    let invariants = r#"invariants:
  - name: grants never fail
    never_errors: [gone]
  - name: nobody looks
    never: 'permit (principal, action == Action::"look", resource);'
"#;
    let place = repository(POLICIES, invariants);
    let shown = prove(&place, &path, &["--no-reports"]);
    let lines: Vec<&str> = shown
        .lines()
        .filter(|line| !line.starts_with("    "))
        .collect();
    assert_shown!(lines.join("\n"), @r#"
    exit 4
    --- stdout
    broken: nobody looks invariants.yaml:4
      in User, Action::"look", Lock, such as

    1 invariant broken, 0 invariants hold in 2 environments; no reports; 1 invariant left out for faults
    --- stderr
      × there is no policy, template or link `gone`
       ╭─[invariants.yaml:3:20]
     2 │   - name: grants never fail
     3 │     never_errors: [gone]
       ·                    ────
     4 │   - name: nobody looks
       ╰────
      help: write its `@id`, or `*` for all of them

    error: the policy directory has 1 fault
    "#);
    let json = prove(&place, &path, &["--no-reports", "--format", "json"]);
    for part in [
        "\"result\": \"broken\"",
        "\"invariants_left_out\": 1",
        "\"message\": \"there is no policy, template or link `gone`\"",
    ] {
        assert!(json.contains(part), "{part} {json}");
    }
    let github = prove(&place, &path, &["--no-reports", "--format", "github"]);
    let faults: Vec<&str> = github
        .lines()
        .filter(|line| line.starts_with("::error file=p/invariants.yaml,line="))
        .collect();
    assert_eq!(faults.len(), 2, "{github}");
    // A name that is not asked for hides no fault.
    let other = prove(&place, &path, &["--no-reports", "--filter", "grants*"]);
    assert!(
        other.starts_with("exit 4\n") && !other.contains("broken"),
        "{other}"
    );
}

/// Where the repository is invalid, GitHub is told too.
#[test]
fn faults_are_annotated() {
    let place = repository("permit (principal, action resource);\n", "");
    let shown = prove(&place, "/nowhere", &["--format", "github"]);
    let annotation = "--- stdout\n::error file=p/locks.cedar,line=1,col=27::unexpected token";
    assert!(
        shown.starts_with("exit 4\n") && shown.contains(annotation),
        "{shown}"
    );
}
