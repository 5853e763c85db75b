//! `deodar diff`, where something was not asked: it is said, and a search that found
//! nothing is no answer then.

use deodar::audit::Audit;
use deodar::audit::EventRecord;
use deodar::audit::Options;

use crate::cli::Place;
use crate::cli::diff::TESTS;
use crate::cli::diff::run;

/// The repository of `policies/` with test cases, and `new/`, where policies and tests
/// are others.
fn changed(policies: &str, tests: &str) -> Place {
    let place = Place::new();
    place.write("policies/docs.test.yaml", TESTS);
    for (name, text) in [
        ("manifest.toml", "name = \"test\"\n"),
        ("schema.cedarschema", super::SCHEMA),
        ("docs.cedar", policies),
        ("docs.test.yaml", tests),
        ("entities/all.json", super::ENTITIES),
        ("links/all.json", super::LINKS),
    ] {
        place.write(&format!("new/{name}"), text);
    }
    place
}

fn more(policy: &str) -> String {
    format!("{}\n{policy}\n", super::POLICIES)
}

const SEARCH: [&str; 4] = ["policies", "new", "--fail-on", "any"];
const NOBODY: &str = "of what was asked, nobody gains or loses access; not asked: ";
const CHOSEN: &str = "every possible request (`--no-solver`)\n";

#[test]
fn contexts_that_nobody_made_up() {
    // In the contexts of the tests nobody reads for a purpose: more is not asked, since
    // no solver is wanted.
    let audit = |action: &str| {
        more(&format!(
            r#"@id("auditors") permit (principal, action == Action::"{action}", resource)
               when {{ context has purpose && context.purpose == "audit" }};"#
        ))
    };
    let shown = run(&changed(&audit("read"), TESTS), &SEARCH);
    assert!(
        shown.starts_with("exit 0") && shown.ends_with(&format!("{NOBODY}{CHOSEN}")),
        "{shown}"
    );
    // Of writing there is no test.
    let shown = run(&changed(&audit("write"), TESTS), &SEARCH);
    let gap = "1 action in any context but the least, for want of a test case";
    assert!(
        shown.starts_with("exit 0") && shown.ends_with(&format!("{NOBODY}{gap}; {CHOSEN}")),
        "{shown}"
    );
    // Nor is a context needed where nothing can differ.
    let title = super::POLICIES.replace("Secrets stay inside", "Inside");
    let shown = run(&changed(&title, TESTS), &SEARCH);
    assert!(
        shown.starts_with("exit 0") && shown.ends_with("\nnobody gains or loses access\n"),
        "{shown}"
    );
}

/// Everyday changes, in which everything was asked that could be: a search that finds
/// nothing ends well.
#[test]
fn changes_that_let_nobody_in() {
    let badge = super::POLICIES.replace("principal.level > 2", "principal.level > 3");
    let told = [
        (super::POLICIES.to_owned(), TESTS.to_owned()),
        (
            format!("// A comment.\n{}", super::POLICIES),
            TESTS.to_owned(),
        ),
        (badge, TESTS.to_owned()),
        (
            more(
                r#"@id("out") forbid (principal, action, resource) when { context has purpose && context.purpose == "x" };"#,
            ),
            TESTS.to_owned(),
        ),
        // A file of tests that is wrong, and mended.
        (
            super::POLICIES.to_owned(),
            format!("{TESTS}  - nameless: 1\n"),
        ),
    ];
    for (policies, tests) in told {
        let place = changed(&policies, &tests);
        let shown = run(&place, &["policies", "new", "--fail-on", "gained"]);
        assert!(shown.starts_with("exit 0"), "{policies}\n{shown}");
    }
}

/// A case that brings what only one side knows: the other refuses it.
#[test]
fn a_case_that_one_side_does_not_take() {
    let schema = super::SCHEMA.replace("purpose?: String", "purpose?: String, dry_run?: Bool");
    let case = |decision: &str| {
        let context = r#"context: { now: "2025-06-01T12:00:00Z", dry_run: true }"#;
        format!(
            "{TESTS}  - name: dry\n    principal: bob\n    action: read\n    resource: plan\n    \
             {context}\n    decision: {decision}\n"
        )
    };
    let denied = more(
        r#"@id("dry") forbid (principal, action, resource) when { context has dry_run && context.dry_run };"#,
    );
    for (policies, decision, codes) in [
        // Who leaves the flag out before loses by giving it.
        (&*denied, "deny", ["exit 0", "exit 6"]),
        (&*more("// New."), "allow", ["exit 1", "exit 0"]),
    ] {
        let place = changed(policies, &case(decision));
        place.write("new/schema.cedarschema", &schema);
        for (way, code) in ["gained", "lost"].into_iter().zip(codes) {
            let shown = run(&place, &["policies", "new", "--fail-on", way]);
            assert!(shown.starts_with(code), "{way}\n{shown}");
        }
    }
}

/// A server has links that the repository does not.
#[test]
fn a_template_that_is_not_linked() {
    let template = r#"action == Action::"read", resource == ?resource);"#;
    let guarded = template.replace(';', " unless { resource.secret };");
    let policies = super::POLICIES.replace(template, &guarded);
    assert_ne!(policies, super::POLICIES);
    let place = changed(&policies, TESTS);
    for side in ["policies", "new"] {
        place.write(&format!("{side}/links/all.json"), "[]");
    }
    for sides in [["policies", "new"], ["new", "policies"]] {
        let shown = run(&place, &[&sides as &[_], &["--fail-on", "gained"]].concat());
        assert!(
            shown.starts_with("exit 1")
                && shown.contains(&format!(
                    "{NOBODY}links of `share` that only a server has; {CHOSEN}"
                )),
            "{shown}"
        );
    }
    // Of a template that is new there is no link anywhere.
    let added = more(r#"@id("lend") permit (principal == ?principal, action, resource);"#);
    let place = changed(&added, TESTS);
    let shown = run(&place, &SEARCH);
    assert!(
        shown.starts_with("exit 0") && shown.ends_with(&format!("{NOBODY}{CHOSEN}")),
        "{shown}"
    );
}

#[test]
fn cases_that_are_skipped() {
    let skipped = TESTS.replace("decision: allow", "decision: allow\n    skip: later");
    let place = changed(
        &more("permit (principal, action, resource) when { false };"),
        &skipped,
    );
    let shown = run(&place, &["policies", "new"]);
    assert!(
        shown.contains("note: `new`: left out 1 skipped test case\n")
            && shown.contains(&format!("{NOBODY}1 skipped test case; ")),
        "{shown}"
    );
    let comment = run(&place, &["policies", "new", "--format", "markdown"]);
    assert!(
        comment.contains("* `new`: left out 1 skipped test case\n"),
        "{comment}"
    );
}

#[test]
fn a_log_without_questions() {
    let place = changed(super::POLICIES, TESTS);
    let audit = Audit::open(Options {
        directory: place.0.path().join("audit"),
        ..Options::default()
    });
    let audit = audit.unwrap();
    drop(audit.submit(1_795_316_400_000, EventRecord::new("started", [])));
    audit.close();
    let search = [&SEARCH as &[_], &["--audit", "audit"]].concat();
    let shown = run(&place, &search);
    assert!(
        shown.starts_with("exit 1")
            && shown.contains(&format!(
                "{NOBODY}recorded questions, of which the audit log has none\n"
            )),
        "{shown}"
    );
}
