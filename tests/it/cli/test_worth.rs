//! `deodar test --coverage --mutate`.

use std::fs;

use crate::cli::Place;
use crate::cli::assert_shown;

const CASES: &str = r#"
now: 2025-11-22T12:00:00Z
cases:
  - name: the owner reads
    principal: 'User::"ann"'
    action: 'Action::"read"'
    resource: 'Doc::"plan"'
    decision: allow
    policies: [owner-reads-and-writes]
  - name: staff read
    principal: 'User::"bob"'
    action: 'Action::"read"'
    resource: 'Doc::"plan"'
    decision: allow
  - name: secrets stay
    principal: 'User::"bob"'
    action: 'Action::"read"'
    resource: 'Doc::"key"'
    decision: deny
"#;

fn place() -> Place {
    let place = Place::new();
    place.write("policies/docs.test.yaml", CASES);
    place
}

/// The time that it took is another every time.
fn run(place: &Place, arguments: &[&str]) -> String {
    let mut all = vec!["test", "policies"];
    all.extend(arguments);
    let shown = place.run(&all);
    let lines = shown
        .lines()
        .map(|line| match line.split_once(" cases in ") {
            Some((passed, _)) => format!("{passed} cases\n"),
            None => format!("{line}\n"),
        });
    lines.collect()
}

#[test]
fn coverage() {
    assert_shown!(run(&place(), &["--coverage"]), @r#"
    exit 0
    --- stdout
    passed: 3 cases

    coverage  58.8%  10 of 17 by 3 cases

      no-secrets-from-outside  docs.cedar:18  4/8  matched 3, held 1
        line 22: `context has ip` never true
        line 22: `context.ip.isInRange(ip("10.0.0.0/8"))` never reached
        line 23: `action == Action::"ping"` never true
      staff-read-by-day        docs.cedar:9   3/6  matched 2, held 2
        line 14: `principal.level > 2` never false
        line 15: `principal has badge` never false
        line 15: `context.now < principal.badge.until` never false
    "#);
    assert_shown!(run(&place(), &["--coverage", "--verbose", "--coverage-min", "40"]), @r#"
    exit 0
    --- stdout
    pass docs: the owner reads  policies/docs.test.yaml:4
    pass docs: staff read  policies/docs.test.yaml:10
    pass docs: secrets stay  policies/docs.test.yaml:15
    passed: 3 cases

    coverage  58.8%  10 of 17 by 3 cases

      no-secrets-from-outside  docs.cedar:18  4/8  matched 3, held 1
        line 22: `context has ip` never true
        line 22: `context.ip.isInRange(ip("10.0.0.0/8"))` never reached
        line 23: `action == Action::"ping"` never true
      staff-read-by-day        docs.cedar:9   3/6  matched 2, held 2
        line 14: `principal.level > 2` never false
        line 15: `principal has badge` never false
        line 15: `context.now < principal.badge.until` never false
      owner-reads-and-writes   docs.cedar:2   2/2  matched 3, held 1
      share                    docs.cedar:25  1/1  matched 1, held 1
        link share-key-with-bob matched 1 times
    "#);
    assert_shown!(run(&place(), &["--coverage-min", "90"]), @r#"
    exit 5
    --- stdout
    passed: 3 cases
    --- stderr
    error: coverage is 58.8%, less than the 90% of `--coverage-min`
    "#);
}

#[test]
fn a_minimum_is_a_percentage() {
    assert_shown!(run(&place(), &["--coverage-min", "101"]), @r#"
    exit 2
    --- stderr
    error: invalid value '101' for '--coverage-min <PERCENT>': not a number from 0 to 100

    For more information, try '--help'.
    "#);
}

#[test]
fn listing_and_tracefile() {
    let place = place();
    assert_shown!(run(&place, &["--coverage-listing", "-"]), @r#"
    exit 0
    --- stdout
    docs.cedar
                             1 │ 
               3 matched     2 │ @id("owner-reads-and-writes")
                             3 │ @title("Owners read and write what they own")
                             4 │ @reason("The document is theirs.")
                             5 │ @obligation("log-access, watermark")
                             6 │ permit (principal, action, resource)
          1 true 2 false     7 │ when { resource.owner == principal };
                             8 │ 
               2 matched     9 │ @id("staff-read-by-day")
                            10 │ @title("Staff with a badge read")
                            11 │ permit (principal in Group::"staff", action == Action::"read", resource)
                            12 │ when
                            13 │ {
          2 true 0 false    14 │   principal.level > 2 &&
                               ^ `principal.level > 2` never false
          2 true 0 false    15 │   principal has badge && context.now < principal.badge.until
                               ^ `principal has badge` never false
                               ^ `context.now < principal.badge.until` never false
                            16 │ };
                            17 │ 
               3 matched    18 │ @id("no-secrets-from-outside")
                            19 │ @title("Secrets stay inside")
                            20 │ @advice("Connect to the network of the office.")
                            21 │ forbid (principal, action, resource)
          0 true 0 false    22 │ when { resource.secret && !(context has ip && context.ip.isInRange(ip("10.0.0.0/8"))) }
                               ^ `context has ip` never true
                               ^ `context.ip.isInRange(ip("10.0.0.0/8"))` never reached
          0 true 1 false    23 │ unless { action == Action::"ping" };
                               ^ `action == Action::"ping"` never true
                            24 │ 
               1 matched    25 │ @id("share")
                            26 │ @title("A document is shared with somebody")
                            27 │ permit (principal == ?principal, action == Action::"read", resource == ?resource);

    passed: 3 cases
    "#);
    run(
        &place,
        &[
            "--coverage-listing",
            "listing.txt",
            "--coverage-lcov",
            "lcov.info",
        ],
    );
    let listing = fs::read_to_string(place.0.path().join("listing.txt")).unwrap();
    assert!(listing.starts_with("docs.cedar\n") && !listing.contains('\u{1b}'));
    let tracefile = fs::read_to_string(place.0.path().join("lcov.info")).unwrap();
    assert!(tracefile.contains("SF:docs.cedar\n"));
    assert_shown!(run(&place, &["--coverage-listing", "-", "--format", "json"]), @r#"
    exit 2
    --- stderr
    error: standard output cannot be both the listing and the report

    hint: give `--coverage-listing` a file, or leave `--format` out
    "#);
    assert_shown!(run(&place, &["--coverage-lcov", "no/such/file"]), @r#"
    exit 1
    --- stderr
    error: cannot write `no/such/file`: No such file or directory (os error 2)

    hint: is there such a directory?
    "#);
}

#[test]
fn mutants() {
    let shown = run(&place(), &["--mutate"]);
    assert_eq!(shown, run(&place(), &["--mutate"]));
    assert_shown!(shown, @r#"
    exit 5
    --- stdout
    passed: 3 cases

    mutation  47.5%  19 of 40 mutants killed by 3 cases, 21 survived

      owner-reads-and-writes  docs.cedar:7  drop-condition
        - when { resource.owner == principal };
        + ;
        hint: say in `staff read` (docs.test.yaml:10) which policies decide: with this change they are others
        or explain: @survives("drop-condition `when { resource.owner == principal };` -> `;`: ..")

      staff-read-by-day  docs.cedar:11  scope
        - permit (principal in Group::"staff", action == Action::"read", resource)
        + permit (principal, action == Action::"read", resource)
        hint: ask something that lies just outside the scope of this policy
        or explain: @survives("scope `permit (principal in Group::\"staff\", action == Action::\"read\", resource)` -> `permit (principal, action == Action::\"read\", resource)`: ..")

      staff-read-by-day  docs.cedar:12  drop-condition
        - when
        - {
        -   principal.level > 2 &&
        -   principal has badge && context.now < principal.badge.until
        - };
        + ;
        hint: ask something that all else allows for and this condition decides
        or explain: @survives("drop-condition `when { principal.level > 2 && principal has badge && context.now < principal.badge.until };` -> `;`: ..")

      staff-read-by-day  docs.cedar:14  drop-clause
        - principal.level > 2 &&
        + true &&
        hint: ask something that all other clauses hold for and this one decides
        or explain: @survives("drop-clause `principal.level > 2 &&` -> `true &&`: ..")

      staff-read-by-day  docs.cedar:14  connective
        - principal.level > 2 &&
        + principal.level > 2 ||
        hint: ask something for which one side holds and the other does not
        or explain: @survives("connective `principal.level > 2 &&` -> `principal.level > 2 ||`: ..")

      staff-read-by-day  docs.cedar:14  compare
        - principal.level > 2 &&
        + principal.level >= 2 &&
        hint: ask with both sides equal, and with one a little off
        or explain: @survives("compare `principal.level > 2 &&` -> `principal.level >= 2 &&`: ..")

      staff-read-by-day  docs.cedar:14  integer
        - principal.level > 2 &&
        + principal.level > 1 &&
        hint: ask with a number right at the limit
        or explain: @survives("integer `principal.level > 2 &&` -> `principal.level > 1 &&`: ..")

      staff-read-by-day  docs.cedar:15  drop-clause
        - principal has badge && context.now < principal.badge.until
        + principal has badge && true
        hint: ask something that all other clauses hold for and this one decides
        or explain: @survives("drop-clause `principal has badge && context.now < principal.badge.until` -> `principal has badge && true`: ..")

      staff-read-by-day  docs.cedar:15  compare
        - principal has badge && context.now < principal.badge.until
        + principal has badge && context.now <= principal.badge.until
        hint: ask with both sides equal, and with one a little off
        or explain: @survives("compare `principal has badge && context.now < principal.badge.until` -> `principal has badge && context.now <= principal.badge.until`: ..")

      no-secrets-from-outside  docs.cedar:22  drop-clause
        - when { resource.secret && !(context has ip && context.ip.isInRange(ip("10.0.0.0/8"))) }
        + when { resource.secret && true }
        hint: ask something that all other clauses hold for and this one decides
        or explain: @survives("drop-clause `when { resource.secret && !(context has ip && context.ip.isInRange(ip(\"10.0.0.0/8\"))) }` -> `when { resource.secret && true }`: ..")

      no-secrets-from-outside  docs.cedar:22  drop-clause
        - when { resource.secret && !(context has ip && context.ip.isInRange(ip("10.0.0.0/8"))) }
        + when { resource.secret && !(context has ip && true) }
        hint: ask something that all other clauses hold for and this one decides
        or explain: @survives("drop-clause `when { resource.secret && !(context has ip && context.ip.isInRange(ip(\"10.0.0.0/8\"))) }` -> `when { resource.secret && !(context has ip && true) }`: ..")

      no-secrets-from-outside  docs.cedar:22  negate
        - when { resource.secret && !(context has ip && context.ip.isInRange(ip("10.0.0.0/8"))) }
        + when { resource.secret && !(context has ip && !(context.ip.isInRange(ip("10.0.0.0/8")))) }
        hint: ask something that all other clauses hold for and this one decides
        or explain: @survives("negate `when { resource.secret && !(context has ip && context.ip.isInRange(ip(\"10.0.0.0/8\"))) }` -> `when { resource.secret && !(context has ip && !(context.ip.isInRange(ip(\"10.0.0.0/8\")))) }`: ..")

      no-secrets-from-outside  docs.cedar:22  constant
        - when { resource.secret && !(context has ip && context.ip.isInRange(ip("10.0.0.0/8"))) }
        + when { resource.secret && !(context has ip && context.ip.isInRange(ip("11.0.0.0/8"))) }
        hint: ask with a value right at the limit, and one just beyond it
        or explain: @survives("constant `when { resource.secret && !(context has ip && context.ip.isInRange(ip(\"10.0.0.0/8\"))) }` -> `when { resource.secret && !(context has ip && context.ip.isInRange(ip(\"11.0.0.0/8\"))) }`: ..")

      no-secrets-from-outside  docs.cedar:23  drop-condition
        - unless { action == Action::"ping" };
        + ;
        hint: ask something that all else allows for and this condition decides
        or explain: @survives("drop-condition `unless { action == Action::\"ping\" };` -> `;`: ..")

      share  docs.cedar:27  effect
        - permit (principal == ?principal, action == Action::"read", resource == ?resource);
        + forbid (principal == ?principal, action == Action::"read", resource == ?resource);
        hint: say in `secrets stay` (docs.test.yaml:15) which policies decide: with this change they are others
        or explain: @survives("effect `permit (principal == ?principal, action == Action::\"read\", resource == ?resource);` -> `forbid (principal == ?principal, action == Action::\"read\", resource == ?resource);`: ..")

      share  docs.cedar:27  remove
        - permit (principal == ?principal, action == Action::"read", resource == ?resource);
        hint: ask something that this policy alone decides
        or explain: @survives("remove `permit (principal == ?principal, action == Action::\"read\", resource == ?resource);`: ..")

      share  docs.cedar:27  scope
        - permit (principal == ?principal, action == Action::"read", resource == ?resource);
        + permit (principal, action == Action::"read", resource == ?resource);
        hint: ask something that lies just outside the scope of this policy
        or explain: @survives("scope `permit (principal == ?principal, action == Action::\"read\", resource == ?resource);` -> `permit (principal, action == Action::\"read\", resource == ?resource);`: ..")

      share  docs.cedar:27  scope
        - permit (principal == ?principal, action == Action::"read", resource == ?resource);
        + permit (principal in ?principal, action == Action::"read", resource == ?resource);
        hint: ask something that lies just outside the scope of this policy
        or explain: @survives("scope `permit (principal == ?principal, action == Action::\"read\", resource == ?resource);` -> `permit (principal in ?principal, action == Action::\"read\", resource == ?resource);`: ..")

      share  docs.cedar:27  scope
        - permit (principal == ?principal, action == Action::"read", resource == ?resource);
        + permit (principal == ?principal, action, resource == ?resource);
        hint: ask something that lies just outside the scope of this policy
        or explain: @survives("scope `permit (principal == ?principal, action == Action::\"read\", resource == ?resource);` -> `permit (principal == ?principal, action, resource == ?resource);`: ..")

      share  docs.cedar:27  scope
        - permit (principal == ?principal, action == Action::"read", resource == ?resource);
        + permit (principal == ?principal, action == Action::"read", resource);
        hint: say in `staff read` (docs.test.yaml:10) which policies decide: with this change they are others
        or explain: @survives("scope `permit (principal == ?principal, action == Action::\"read\", resource == ?resource);` -> `permit (principal == ?principal, action == Action::\"read\", resource);`: ..")

      share  docs.cedar:27  scope
        - permit (principal == ?principal, action == Action::"read", resource == ?resource);
        + permit (principal == ?principal, action == Action::"read", resource in ?resource);
        hint: ask something that lies just outside the scope of this policy
        or explain: @survives("scope `permit (principal == ?principal, action == Action::\"read\", resource == ?resource);` -> `permit (principal == ?principal, action == Action::\"read\", resource in ?resource);`: ..")
    --- stderr
    error: no test notices 21 changes of policies
    "#);
}

#[test]
fn both_as_json() {
    let place = place();
    let shown = place.run(&[
        "test",
        "policies",
        "--coverage",
        "--mutate",
        "--format",
        "json",
    ]);
    let (_, json) = shown.split_once("--- stdout\n").unwrap();
    let (json, _) = json.split_once("--- stderr").unwrap();
    let report: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(report["coverage"]["policies"].as_array().unwrap().len(), 4);
    let mutation = &report["mutation"];
    let survivors = mutation["survivors"].as_array().unwrap();
    assert_eq!(mutation["survived"], survivors.len());
    assert_eq!(mutation["cases"], 3);
    assert!(survivors[0]["before"].is_array());
}

/// Seen to fail when only the cases count.
#[test]
fn what_exits_with_a_failure_is_not_ok() {
    let place = place();
    for (worth, ok) in [
        (&["--coverage-min", "50"][..], true),
        (&["--coverage-min", "99"], false),
        (&["--mutate"], false),
    ] {
        let shown = place.run(&[&["test", "policies", "--format", "json"], worth].concat());
        let code = if ok { "exit 0\n" } else { "exit 5\n" };
        assert!(shown.starts_with(code), "{shown}");
        assert!(
            shown.contains(&format!("{{\n  \"ok\": {ok},")),
            "{worth:?} {shown}"
        );
    }
}
