//! The invariants of the reference policies: they hold, and each of them says
//! something.

use std::fs;
use std::path::Path;

use crate::cli::Place;
use crate::cli::assert_shown;
use crate::cli::prove::path_of_solver;
use crate::cli::prove::prove;

/// The reference policies, with some policies changed.
fn reference(change: impl Fn(&str, String) -> String) -> Place {
    let place = Place(tempfile::tempdir().unwrap());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path
                .strip_prefix(&root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            let text = fs::read_to_string(&path).unwrap();
            place.write(&format!("p/{name}"), &change(&name, text));
        }
    }
    place
}

#[test]
fn the_invariants_of_the_reference_policies_hold() {
    let Some(path) = path_of_solver() else { return };
    let place = reference(|_, text| text);
    let shown = prove(&place, &path, &["--no-reports"]);
    assert_shown!(shown, @r"
    exit 0
    --- stdout
    17 invariants hold in 55 environments; no reports
    ");
}

#[test]
fn without_its_forbid_an_invariant_of_the_reference_policies_is_broken() {
    let Some(path) = path_of_solver() else { return };
    let place = reference(|name, text| {
        if name == "policies/incident.cedar" {
            // The forbids stay, and catch nobody.
            text.replace(
                "resource in Iot::DeviceGroup::\"quarantined\"",
                "resource in Iot::DeviceGroup::\"other\"",
            )
            .replace(
                "principal in Iot::DeviceGroup::\"revoked\"",
                "principal in Iot::DeviceGroup::\"other\"",
            )
        } else {
            text
        }
    });
    let shown = prove(
        &place,
        &path,
        &["--no-reports", "--filter", "only break-glass*"],
    );
    assert!(shown.starts_with("exit 6\n"), "{shown}");
    assert!(shown.contains("broken: only break-glass"), "{shown}");
    assert!(shown.contains("decision: deny"), "{shown}");
}

/// The invariants of the reference policies say something: with every forbid turned
/// round, everything permitted, one permit taken back and one policy failing, each of
/// them is broken. Each counterexample is a test case that comes out as it is shown.
#[test]
fn each_invariant_of_the_reference_policies_can_be_broken() {
    let Some(path) = path_of_solver() else { return };
    let place = reference(|name, text| {
        if !name.starts_with("policies/") {
            return text;
        }
        let turned = text.replace("\nforbid (", "\npermit (");
        if name != "policies/incident.cedar" {
            return turned;
        }
        let breach = r#"
@id("breach-permits-all") permit (principal, action, resource);
@id("breach-stops-no-machine")
forbid (principal is Org::User, action == Iot::Action::"emergencyStop", resource);
"#;
        let revoked = "principal in Iot::DeviceGroup::\"revoked\"";
        let scope = format!("{revoked},\n  action,\n  resource\n)");
        assert!(turned.contains(&scope));
        let failing =
            format!("{scope} when {{ (if {revoked} then 9223372036854775807 else 0) + 1 > 0 }}");
        turned.replace(&scope, &failing) + breach
    });
    let shown = prove(&place, &path, &["--no-reports"]);
    assert!(shown.starts_with("exit 6\n"), "{shown}");
    assert!(
        shown.contains("\n17 invariants broken, 0 invariants hold in 55"),
        "{shown}"
    );
    let cases = shown.lines().filter(|line| line.starts_with("    "));
    let cases: Vec<&str> = cases.collect();
    assert_eq!(
        cases
            .iter()
            .filter(|line| line.starts_with("    - name:"))
            .count(),
        17
    );
    place.write(
        "p/tests/found.test.yaml",
        &format!("cases:\n{}\n", cases.join("\n")),
    );
    let root = place.0.path().join("p");
    let files = deodar::source::read_all(&root, &deodar::source::Limits::default()).unwrap();
    let snapshot = deodar::engine::compile(&files).unwrap();
    let view = deodar::directory::load(&snapshot, &files).unwrap();
    let read = deodar::testing::read::read_some(&files, Some(&snapshot), |file| {
        file == "tests/found.test.yaml"
    });
    assert!(read.faults.is_empty(), "{:?}", read.faults);
    for case in &read.suites[0].cases {
        let asked = case.question.asked(&snapshot, &view).unwrap();
        let decision = deodar::engine::decide(&snapshot, &asked.view, &asked.query).unwrap();
        let is_failing = case.name.ends_with("never fail");
        assert_eq!(
            decision.is_allow() == case.expected.allow,
            is_failing,
            "{}",
            case.name
        );
        assert!(!is_failing || !decision.errors.is_empty(), "{}", case.name);
    }
}
