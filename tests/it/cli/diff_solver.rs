//! `deodar diff` with a solver. Skipped without one, and says so.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value as Json;

use crate::cli::Place;
use crate::cli::prove::path_of_solver;

/// Two repositories: nobody in them has a level past 100.
fn place(more: &str) -> Place {
    let place = Place::new();
    for (name, text) in [
        ("manifest.toml", "name = \"test\"\n"),
        ("schema.cedarschema", super::SCHEMA),
        ("docs.cedar", &format!("{}\n{more}", super::POLICIES)),
        ("entities/all.json", super::ENTITIES),
        ("links/all.json", super::LINKS),
    ] {
        place.write(&format!("new/{name}"), text);
    }
    place
}

const CHIEFS: &str = r#"@id("chiefs") permit (principal, action == Action::"ping", resource)
when { principal.level > 100 };"#;

fn run(place: &Place, path: &str, arguments: &[&str]) -> String {
    place.run_with(&[&["diff"], arguments].concat(), &[("PATH", path)], "")
}

#[test]
fn who_is_in_no_repository_can_gain() {
    let Some(path) = path_of_solver() else { return };
    let place = place(CHIEFS);
    let shown = run(&place, &path, &["policies", "new", "--fail-on", "gained"]);
    assert!(shown.starts_with("exit 6"), "{shown}");
    assert!(
        shown.contains("every request, by the policies alone with the same entities on both sides: some request is allowed that was denied; the same in 2, more permissive in 1 of 3 environments"),
        "{shown}"
    );
    assert!(
        shown.ends_with("nobody in the repository gains or loses access, but others do\n"),
        "{shown}"
    );
    // The other way round it is lost.
    let back = run(&place, &path, &["new", "policies", "--fail-on", "gained"]);
    assert!(
        back.starts_with("exit 0") && back.contains("no request is allowed that was denied; "),
        "{back}"
    );
    assert!(run(&place, &path, &["new", "policies", "--fail-on", "lost"]).starts_with("exit 6"));
    let comment = run(&place, &path, &["policies", "new", "--format", "markdown"]);
    assert!(
        comment.contains(
            "**Every request**, by the policies alone with the same entities on both sides, as a \
             solver says: some request"
        ),
        "{comment}"
    );
    assert!(comment.contains("**more permissive**: "), "{comment}");
}

/// What shows it is a test case, which is as it says on both sides.
#[test]
fn a_counterexample_is_a_test_case() {
    let Some(path) = path_of_solver() else { return };
    let place = place(CHIEFS);
    let shown = run(&place, &path, &["policies", "new", "--format", "json"]);
    let json: Json =
        serde_json::from_str(shown.strip_prefix("exit 0\n--- stdout\n").unwrap()).unwrap();
    let solver = &json["solver"];
    assert_eq!(
        (
            &solver["asked"],
            &solver["is_no_more_permissive"],
            &solver["gained"],
            &solver["lost"]
        ),
        (&true.into(), &false.into(), &1.into(), &0.into())
    );
    let shown = &solver["differing"]["items"][0]["shown"]["gained"]["test_case"];
    let cases = format!("cases:\n{}", shown.as_str().unwrap());
    place.write("new/solver.test.yaml", &cases);
    let after = place.run(&["test", "new"]);
    assert!(after.starts_with("exit 0"), "{cases}\n{after}");
    place.write("policies/solver.test.yaml", &cases);
    let before = place.run(&["test", "policies"]);
    assert!(
        before.starts_with("exit 5") && before.contains("1 failed"),
        "{cases}\n{before}"
    );
}

#[test]
fn the_same_policies_in_other_words() {
    let Some(path) = path_of_solver() else { return };
    let more = r#"@id("again") permit (principal, action, resource) when { principal == resource.owner };"#;
    let shown = run(
        &place(more),
        &path,
        &["policies", "new", "--fail-on", "any"],
    );
    assert!(
        shown.starts_with("exit 0")
            && shown.contains(
                "by the policies alone with the same entities on both sides: no request is allowed that was denied; the same in 3 of 3"
            ),
        "{shown}"
    );
}

/// A solver takes every entity that is named to exist: where one does not, a policy
/// that reads it fails, so what it proves is not all.
#[test]
fn an_entity_that_is_only_named() {
    let Some(path) = path_of_solver() else { return };
    let place = Place::new();
    let schema = "entity User { level: Long }; entity Doc;
        action read appliesTo { principal: User, resource: Doc, context: { who?: User } };";
    let guarded = r#"@id("p") permit (principal, action, resource)
        when { if context has who then context.who.level > 3 || context.who.level <= 3 else true };"#;
    let open = r#"@id("p") permit (principal, action, resource);"#;
    for (folder, policy) in [("old", guarded), ("new", open)] {
        place.write(&format!("{folder}/manifest.toml"), "name = \"test\"\n");
        place.write(&format!("{folder}/schema.cedarschema"), schema);
        place.write(&format!("{folder}/p.cedar"), policy);
        let entities = r#"[{"uid": {"type": "User", "id": "u"}, "attrs": {"level": 1}, "parents": []},
            {"uid": {"type": "Doc", "id": "d"}, "attrs": {}, "parents": []}]"#;
        place.write(&format!("{folder}/entities/all.json"), entities);
    }
    let shown = run(&place, &path, &["old", "new"]);
    assert!(
        shown.contains("the same in 1 of 1 environments")
            && shown.ends_with(
                "of what was asked, nobody gains or loses access; not asked: 1 action in any context \
                 but the least, for want of a test case\n"
            ),
        "{shown}"
    );
}

/// Who looks for what is gained does not mind that what is lost is not known.
#[test]
fn what_is_not_known_the_other_way() {
    let Some(path) = path_of_solver() else { return };
    let place = place("");
    let schema = super::SCHEMA.replace("purpose?: String", "purpose?: String, dry_run?: Bool");
    place.write("new/schema.cedarschema", &schema);
    let forbid = r#"@id("dry") forbid (principal, action == Action::"write", resource)
when { context has dry_run && context.dry_run };"#;
    place.write("new/dry.cedar", forbid);
    let gained = run(&place, &path, &["policies", "new", "--fail-on", "gained"]);
    let lost = run(&place, &path, &["policies", "new", "--fail-on", "lost"]);
    assert!(
        gained.starts_with("exit 0") && !lost.starts_with("exit 0"),
        "{gained}\n{lost}"
    );
}

/// Without one, it is said what to do. A search that found nothing then fails, unless
/// no solver is wanted.
#[test]
fn no_solver() {
    let place = place(CHIEFS);
    let shown = |more: &[&str], variables: &[(&str, &str)]| {
        let arguments = [&["diff", "policies", "new"], more].concat();
        place.run_with(&arguments, variables, "")
    };
    let nowhere = [("PATH", "/nowhere")];
    let told = shown(&[], &nowhere);
    assert!(
        told.starts_with("exit 0") && told.contains("every request: not looked at: "),
        "{told}"
    );
    let none =
        "nobody gains or loses access; not asked: every possible request, for want of a solver";
    assert!(told.contains(none), "{told}");
    let gained = ["--fail-on", "gained"];
    for variables in [&nowhere as &[_], &[("CVC5", "/no/such")]] {
        let told = shown(&gained, variables);
        assert!(
            told.starts_with("exit 7")
                && told
                    .contains("warning: `--fail-on` found nothing, but not everything was asked"),
            "{told}"
        );
    }
    let unwanted = shown(&["--no-solver", "--fail-on", "gained"], &nowhere);
    assert!(
        unwanted.starts_with("exit 0")
            && unwanted.ends_with("not asked: every possible request (`--no-solver`)\n"),
        "{unwanted}"
    );
}

/// Which forbids can fail is asked of the solver. It is the one that failed, and not the
/// policies.
#[test]
fn a_solver_that_ends_at_once() {
    let place = place(
        r#"@id("chiefs") forbid (principal, action == Action::"ping", resource)
when { principal.level + 1 > 100 };"#,
    );
    place.write("solver", "#!/bin/sh\nexit 1\n");
    let solver = place.0.path().join("solver");
    fs::set_permissions(&solver, fs::Permissions::from_mode(0o755)).unwrap();
    let variables = [("CVC5", solver.to_str().unwrap())];
    let arguments = ["diff", "new", "policies", "--fail-on", "gained"];
    let shown = place.run_with(&arguments, &variables, "");
    assert!(
        shown.starts_with("exit 7")
            && shown.contains("not known what is gained: ")
            && shown.contains(
                "not asked: requests in 1 environment where the solver does not know what is gained"
            ),
        "{shown}"
    );
    assert!(!shown.contains("cannot be read by the schema"), "{shown}");
}

/// What the solver is asked about is policies: entities may let more, and do.
#[test]
fn an_entity_that_gains_by_itself() {
    let Some(path) = path_of_solver() else { return };
    let place = place("");
    let entities = super::ENTITIES.replace("\"secret\": true", "\"secret\": false");
    place.write("new/entities/all.json", &entities);
    place.write("policies/docs.test.yaml", super::diff::TESTS);
    let shown = run(&place, &path, &["policies", "new"]);
    assert!(
        shown.contains(
            "every request, by the policies alone with the same entities on both sides: no request is \
             allowed that was denied; "
        ),
        "{shown}"
    );
    assert!(
        shown.contains(" gain, 0 lose\n") || shown.contains(" gains, 0 lose\n"),
        "{shown}"
    );
}

/// Two repositories with one policy, which is the same in both: about a group.
fn groups(sides: [(&str, &str); 2]) -> Place {
    let place = Place(tempfile::tempdir().unwrap());
    for (folder, (above, manifest)) in ["old", "new"].iter().zip(sides) {
        let schema = format!(
            "entity User; entity Lock;
            action manage appliesTo {{ principal: User, resource: Lock }};
            action open{above} appliesTo {{ principal: User, resource: Lock }};"
        );
        let policy =
            r#"@id("p") permit (principal is User, action in Action::"manage", resource is Lock);"#;
        place.write(&format!("{folder}/schema.cedarschema"), &schema);
        place.write(&format!("{folder}/p.cedar"), policy);
        place.write(
            &format!("{folder}/manifest.toml"),
            &format!("name = \"locks\"\n{manifest}"),
        );
    }
    place
}

/// What the same policies allow depends on the schema and the manifest too.
#[test]
fn the_same_policies_under_another_schema_or_manifest() {
    let Some(path) = path_of_solver() else { return };
    let told = |sides| {
        let shown = run(&groups(sides), &path, &["old", "new"]);
        let told = shown.split(" on both sides: ").nth(1).unwrap();
        told.lines().next().unwrap().to_owned()
    };
    let unknown = "it is not known whether a request is allowed that was denied; ";
    assert_eq!(
        told([("", ""), ("", "")]),
        "no request is allowed that was denied; the same in 2 of 2 environments"
    );
    assert_eq!(
        told([("", ""), (" in [manage]", "")]),
        format!("{unknown}the same in 1, not known in 1 of 2 environments")
    );
    for manifest in ["unknown = \"cedar\"\n", "implicit_types = [\"User\"]\n"] {
        assert_eq!(
            told([("", ""), ("", manifest)]),
            format!("{unknown}not known in 2 of 2 environments")
        );
    }
}
