//! `deodar diff` where the schemas differ, so that what is asked fits one side only;
//! and in which contexts all entities are asked about.

use crate::cli::Place;
use crate::cli::diff::TESTS;
use crate::cli::diff::run;

const NEW: &str = "new";

/// The repository of `policies/`, and another one, with other schema and policies.
fn changed(schema: &str, policies: &str) -> Place {
    let place = Place::new();
    place.write("policies/docs.test.yaml", TESTS);
    for (name, text) in [
        ("manifest.toml", "name = \"test\"\n"),
        ("schema.cedarschema", schema),
        ("docs.cedar", policies),
        ("entities/all.json", super::ENTITIES),
        ("links/all.json", super::LINKS),
    ] {
        place.write(&format!("{NEW}/{name}"), text);
    }
    place
}

fn line<'a>(shown: &'a str, of: &str) -> &'a str {
    let line = shown.lines().find(|line| line.contains(of));
    line.unwrap_or_else(|| panic!("no `{of}` in {shown}"))
        .trim()
}

/// Nobody has what is demanded now: the questions of before do not fit any more, and
/// it is not passed over.
#[test]
fn an_attribute_that_is_demanded() {
    let schema = super::SCHEMA.replace(
        "context: { now: datetime,",
        "context: { now: datetime, mfa: Bool,",
    );
    let policies = super::POLICIES.replace("context.now <", "context.mfa && context.now <");
    let place = changed(&schema, &policies);
    let shown = run(&place, &["policies", NEW]);
    assert!(
        line(&shown, "left out:").contains("docs.test.yaml:10"),
        "{shown}"
    );
    assert!(line(&shown, "fit one side only: 1").contains("the least of what it demands"));
    assert_eq!(
        line(&shown, "lost 1 User Action::\"read\""),
        "lost 1 User Action::\"read\"  staff-read-by-day no longer permits"
    );
    assert!(shown.ends_with("0 principals gain, 1 loses\n"), "{shown}");
    // The other way round they gain.
    let back = run(&place, &[NEW, "policies"]);
    assert!(back.ends_with("1 principal gains, 0 lose\n"), "{back}");
    // The same policies: nothing flips, but a case could not be decided by both.
    let place = changed(&schema, super::POLICIES);
    let shown = run(&place, &["policies", NEW, "--fail-on", "any"]);
    assert!(shown.starts_with("exit 1"), "{shown}");
    assert!(
        shown.contains(
            "of what was asked, nobody gains or loses access; not asked: 1 test case allowed before \
             that the other side does not take; "
        ),
        "{shown}"
    );
    assert!(
        shown.contains("warning: `--fail-on` found nothing, but"),
        "{shown}"
    );
}

/// A value of another type, of which neither side takes the other's.
#[test]
fn an_attribute_of_another_type() {
    let schema = super::SCHEMA.replace("now: datetime", "now: Long");
    let policies =
        super::POLICIES.replace("context.now < principal.badge.until", "context.now < 5");
    let shown = run(&changed(&schema, &policies), &["policies", NEW]);
    assert!(shown.contains("were not asked with: 1"), "{shown}");
    // Each is asked in its own least context.
    assert!(
        !shown.contains("not asked about for want of a context"),
        "{shown}"
    );
    // Below five is now; before it was the badge, which holds until 2026.
    let verdict = shown.lines().last().unwrap();
    assert!(
        verdict.starts_with("of what was asked, nobody gains or loses access; not asked: ")
            && verdict.contains("2 actions in any context but the least, for want of a test case"),
        "{shown}"
    );
}

#[test]
fn an_action_that_is_gone() {
    let schema = super::SCHEMA.replace(
        "action ping appliesTo { principal: User, resource: Doc };",
        "",
    );
    let policies = super::POLICIES.replace("unless { action == Action::\"ping\" };", ";");
    let place = changed(&schema, &policies);
    let shown = run(&place, &["policies", NEW]);
    assert!(
        line(&shown, "lost 2 User Action::\"ping\"").ends_with("permitted what is no longer known"),
        "{shown}"
    );
    let back = run(&place, &[NEW, "policies"]);
    assert!(
        line(&back, "gained 2 User Action::\"ping\"").ends_with("permits what is now known"),
        "{back}"
    );
}

#[test]
fn a_type_that_is_gone() {
    let place = changed(super::SCHEMA, super::POLICIES);
    let schema = super::SCHEMA.replace("principal: User", "principal: [User, Robot]");
    let policies =
        super::POLICIES.replace("principal.level", "principal is User && principal.level");
    let robot = r#"@id("robots") permit (principal is Robot, action == Action::"ping", resource);"#;
    place.write(
        "policies/schema.cedarschema",
        &format!("{schema}\nentity Robot;\n"),
    );
    place.write("policies/docs.cedar", &format!("{policies}\n{robot}"));
    place.write(
        "policies/entities/robots.json",
        r#"[{"uid": {"type": "Robot", "id": "r"}, "attrs": {}, "parents": []}]"#,
    );
    let shown = run(&place, &["policies", NEW]);
    assert!(
        line(&shown, "lost 2 Robot Action::\"ping\"").contains("robots permitted what"),
        "{shown}"
    );
    assert!(shown.contains("0 principals gain, 1 loses"), "{shown}");
}

/// However many contexts show it, a triple counts once, and the simplest is told.
#[test]
fn a_triple_counts_once() {
    let policies = super::POLICIES.replace("principal.level > 2", "principal.level > 4");
    let place = changed(super::SCHEMA, &policies);
    let mut tests = TESTS.to_owned();
    for (number, more) in ["ip: 10.0.0.1", "purpose: audit", "purpose: a"]
        .iter()
        .enumerate()
    {
        tests.push_str(&format!(
            "  - name: more {number}\n    principal: bob\n    action: read\n    resource: plan\n    \
             context: {{ now: \"2025-06-01T12:00:00Z\", {more} }}\n    decision: allow\n"
        ));
    }
    place.write("policies/docs.test.yaml", &tests);
    let shown = run(&place, &["policies", NEW]);
    let all = shown.split("all entities").nth(1).unwrap();
    let mut lines = all.lines();
    assert!(
        lines.next().unwrap().ends_with("0 gained, 1 lost"),
        "{shown}"
    );
    let group: Vec<&str> = lines
        .skip_while(|line| !line.contains("lost 1 User"))
        .take(3)
        .collect();
    assert!(
        group[1].contains(r#"{"now":"2025-06-01T12:00:00Z"}"#),
        "{shown}"
    );
    assert!(!group[2].contains("Doc::"), "{shown}");
}
