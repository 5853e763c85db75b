//! `deodar diff` of revisions, where git is used in less usual ways.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use crate::cli::Place;
use crate::cli::diff::git;
use crate::cli::diff::run;
use crate::cli::diff::versioned;

fn verdict(shown: &str) -> &str {
    shown.lines().last().unwrap()
}

/// As `run`, with more in the environment.
fn run_with(place: &Place, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let path = std::env::var("PATH").unwrap();
    let variables = [variables, &[("PATH", path.as_str())]].concat();
    let arguments = [&["diff", "--no-solver"], arguments].concat();
    place.run_with(&arguments, &variables, "")
}

#[test]
fn revisions_by_other_names() {
    let place = versioned();
    git(&place, &["tag", "-a", "v1", "-m", "one", "released"]);
    for before in [
        "v1",
        "HEAD~1",
        "main^",
        "v1:policies",
        "v1:./policies/",
        "main@{1}",
    ] {
        let shown = run(&place, &[before, "HEAD"]);
        assert!(shown.starts_with("exit 0"), "{before}: {shown}");
        assert_eq!(verdict(&shown), "1 principal gains, 1 loses", "{before}");
    }
}

#[test]
fn a_directory_with_spaces_below_others() {
    let place = versioned();
    git(&place, &["mv", "policies", "my policies"]);
    git(&place, &["commit", "-qm", "moved"]);
    let shown = run(&place, &["released:policies", "HEAD:my policies"]);
    assert_eq!(verdict(&shown), "1 principal gains, 1 loses", "{shown}");
    let shown = run(&place, &["HEAD:my policies", "my policies"]);
    assert!(shown.starts_with("exit 0"), "{shown}");
}

/// Git tells its hooks where the repository is, which holds for their directory only.
#[test]
fn in_a_hook() {
    let place = versioned();
    let hook = [
        ("GIT_DIR", ".git"),
        ("GIT_INDEX_FILE", ".git/index"),
        ("GIT_PREFIX", ""),
    ];
    let shown = run_with(&place, &["released", "HEAD"], &hook);
    assert!(shown.starts_with("exit 0"), "{shown}");
    assert_eq!(verdict(&shown), "1 principal gains, 1 loses");
    // A repository that is elsewhere.
    let away = Place(tempfile::tempdir().unwrap());
    let directory = place.0.path().join(".git");
    let there = [("GIT_DIR", directory.to_str().unwrap())];
    let shown = run_with(&away, &["released:policies", "HEAD:policies"], &there);
    assert_eq!(verdict(&shown), "1 principal gains, 1 loses", "{shown}");
}

fn cloned(place: &Place, options: &[&str]) -> Place {
    let clone = Place(tempfile::tempdir().unwrap());
    let from = format!("file://{}", place.0.path().display());
    let into = clone.0.path().to_str().unwrap();
    git(
        place,
        &[&["clone", "-q"], options, &[from.as_str(), into]].concat(),
    );
    clone
}

#[test]
fn a_bare_repository() {
    let bare = cloned(&versioned(), &["--bare"]);
    let shown = run(&bare, &["released", "main"]);
    assert!(shown.starts_with("exit 0"), "{shown}");
    assert_eq!(verdict(&shown), "1 principal gains, 1 loses");
}

#[test]
fn a_shallow_clone() {
    let clone = cloned(&versioned(), &["--depth", "1"]);
    assert!(run(&clone, &["HEAD"]).starts_with("exit 0"));
    let shown = run(&clone, &["HEAD~1"]);
    assert!(
        shown.starts_with("exit 1") && shown.contains("a shallow clone has only its last commits"),
        "{shown}"
    );
}

#[test]
fn nothing_was_committed_yet() {
    let place = Place::new();
    git(&place, &["init", "-q"]);
    let shown = run(&place, &["HEAD"]);
    assert!(
        shown.starts_with("exit 1") && shown.contains("has no commits yet"),
        "{shown}"
    );
}

#[test]
fn names_that_are_not_utf_8() {
    let place = versioned();
    let policies = place.0.path().join("policies");
    fs::write(policies.join(OsStr::from_bytes(b"caf\xe9.txt")), "a").unwrap();
    git(&place, &["add", "."]);
    git(&place, &["commit", "-qm", "three"]);
    let shown = run(&place, &["released", "HEAD"]);
    assert_eq!(verdict(&shown), "1 principal gains, 1 loses", "{shown}");
    fs::write(policies.join(OsStr::from_bytes(b"caf\xe9.cedar")), "").unwrap();
    git(&place, &["add", "."]);
    git(&place, &["commit", "-qm", "four"]);
    let shown = run(&place, &["released", "HEAD"]);
    assert!(
        shown.starts_with("exit 1") && shown.contains("is not UTF-8"),
        "{shown}"
    );
}

#[test]
fn a_submodule_is_told() {
    let place = versioned();
    let commit = "160000,1111111111111111111111111111111111111111,policies/more";
    git(&place, &["update-index", "--add", "--cacheinfo", commit]);
    git(&place, &["commit", "-qm", "three"]);
    let shown = run(&place, &["released", "HEAD"]);
    assert!(
        shown.contains("note: `HEAD`: the submodule `more` is not looked into"),
        "{shown}"
    );
    let comment = run(&place, &["main", "HEAD", "--format", "markdown"]);
    assert!(
        comment.contains("* `HEAD`: the submodule `more` is not looked into\n"),
        "{comment}"
    );
    // The same on both sides is not nothing: nobody looked.
    assert!(
        comment.contains("not asked: the submodules of `main`; the submodules of `HEAD`\n"),
        "{comment}"
    );
}

#[test]
fn a_file_past_the_limit() {
    let place = versioned();
    place.write(
        "deodar.toml",
        "[policies]\npath = \"policies\"\nfile_bytes_max = \"1KiB\"\n",
    );
    place.write("policies/long.cedar", &"// A comment.\n".repeat(100));
    git(&place, &["add", "."]);
    git(&place, &["commit", "-qm", "three"]);
    let shown = run(&place, &["released", "HEAD", "--config", "deodar.toml"]);
    assert!(
        shown.starts_with("exit 1")
            && shown.contains("exceeds the limit of 1024 bytes")
            && shown.contains("raise `policies.file_bytes_max`"),
        "{shown}"
    );
}
