//! The reference repository passes everything that the command line has for it, with
//! the real binary.

use std::path::Path;
use std::process::Command;

use super::support::root;

fn deodar(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_deodar"))
        .args(arguments)
        .arg("policies")
        .current_dir(root())
        .output()
        .unwrap();
    let mut text = String::from_utf8(output.stdout).unwrap();
    text.push_str(&String::from_utf8(output.stderr).unwrap());
    (output.status.code(), text)
}

#[test]
fn every_clause_is_seen_and_no_mutant_survives_unexplained() {
    let (code, text) = deodar(&["test", "--coverage", "--coverage-min", "100", "--mutate"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("coverage  100.0%"), "{text}");
    assert!(!text.contains("survived"), "{text}");
}

#[test]
fn it_is_valid_in_form_and_without_a_finding() {
    for arguments in [
        &["validate", "--deny-warnings"][..],
        &["fmt", "--check"],
        &["lint", "--deny", "warnings"],
    ] {
        let (code, text) = deodar(arguments);
        assert_eq!(code, Some(0), "{arguments:?}\n{text}");
    }
}

/// That the invariants hold is `cli::prove`'s to test; here, that there are some.
#[test]
fn it_has_invariants() {
    let text =
        std::fs::read_to_string(Path::new(&root()).join("policies/invariants.yaml")).unwrap();
    assert!(text.matches("- name: ").count() >= 10);
}
