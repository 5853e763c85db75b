//! `deodar init`, and that what it writes passes the verbs of the toolchain.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value as Json;

use crate::cli::Place;
use crate::cli::assert_shown;

#[test]
fn a_repository_is_written_and_valid() {
    let place = Place::new();
    assert_shown!(place.run(&["init", "demo"]), @r"
    exit 0
    --- stdout
    wrote demo, 20 files, to demo

    next
      cd demo
      deodar test --coverage --mutate  what the tests notice
      deodar lint                      what is suspicious
      deodar prove                     what holds for every question; needs cvc5
      deodar serve --policies .        answer over gRPC
      git config core.hooksPath hooks  check each commit, once it is in git

    README.md says which file is for what.
    ");
    let root = place.0.path().join("demo");
    let written = files(&root);
    assert_shown!(written.join("\n"), @r"
    .github/workflows/policies.yml
    .gitignore
    .gitlab-ci.yml
    .pre-commit-config.yaml
    README.md
    entities/homes.json
    entities/people.json
    hooks/pre-commit
    invariants.yaml
    links/guests.json
    manifest.toml
    policies/guests.cedar
    policies/household.cedar
    policies/maintenance.cedar
    policies/quarantine.cedar
    schema/home.cedarschema
    tests/guests.test.yaml
    tests/household.test.yaml
    tests/maintenance.test.yaml
    tests/quarantine.test.yaml
    ");
    for file in &written {
        let text = fs::read_to_string(root.join(file)).unwrap();
        assert!(
            !text.contains("%NAME%") && !text.contains("%VERSION%"),
            "{file}"
        );
        assert!(text.ends_with('\n') && !text.contains(" \n"), "{file}");
    }
    assert_shown!(place.run(&["validate", "--deny-warnings", "demo"]), @r"
    exit 0
    --- stdout
    valid; 14 files, 5 policies, 1 template, 21 entities, 3 links, 4 test files, 136 cases, 1 file of invariants, revision [REVISION]
    ");
}

/// Every verb says that the new repository is as it should be.
#[test]
fn a_new_repository_passes_every_verb() {
    let place = Place::new();
    place.run(&["init", "demo"]);
    let verbs: [&[&str]; 5] = [
        &["validate", "demo", "--deny-warnings"],
        &["fmt", "--check", "demo"],
        &["lint", "demo"],
        &["test", "demo", "--coverage-min", "100", "--mutate"],
        &["prove", "demo"],
    ];
    for verb in verbs {
        let path = std::env::var("PATH").unwrap_or_default();
        let shown = place.run_with(verb, &[("PATH", &path)], "");
        if place.run(&[verb[0]]).contains("not built yet") {
            eprintln!("skipped: `deodar {}` is not built yet", verb[0]);
            continue;
        }
        if shown.starts_with("exit 7\n") && std::env::var_os("DEODAR_REQUIRE_PEERS").is_none() {
            eprintln!("skipped: no solver for `deodar prove`");
            continue;
        }
        assert!(shown.starts_with("exit 0\n"), "{verb:?}\n{shown}");
        assert!(!shown.to_lowercase().contains("survived:"), "{shown}");
    }
}

#[test]
fn the_name_is_asked_for_or_that_of_the_directory() {
    let place = Place::new();
    place.run(&["init", "a/b/demo-1"]);
    place.run(&["init", "other", "--name", "plant hamburg"]);
    fs::create_dir(place.0.path().join("here")).unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_deodar"))
        .args(["init", "."])
        .current_dir(place.0.path().join("here"))
        .status();
    assert!(done.unwrap().success());
    for (directory, name) in [
        ("a/b/demo-1", "demo-1"),
        ("other", "plant hamburg"),
        ("here", "here"),
    ] {
        let root = place.0.path().join(directory);
        let manifest = fs::read_to_string(root.join("manifest.toml")).unwrap();
        assert!(
            manifest.contains(&format!("\nname = \"{name}\"\n")),
            "{manifest}"
        );
        let readme = fs::read_to_string(root.join("README.md")).unwrap();
        assert!(readme.starts_with(&format!("# {name}\n")), "{readme}");
    }
    assert_shown!(place.run(&["init", "bad", "--name", "a\"\nerrors = 1"]), @r#"
    exit 2
    --- stderr
    error: `a\"\nerrors = 1` cannot be the name of a repository

    hint: give one with `--name`: at most 64 letters, digits, spaces, dots, `-` and `_`
    "#);
    assert_shown!(place.run(&["init", "/"]), @r"
    exit 2
    --- stderr
    error: `` cannot be the name of a repository

    hint: give one with `--name`: at most 64 letters, digits, spaces, dots, `-` and `_`
    ");
    assert!(!place.0.path().join("bad").exists());
}

#[test]
fn nothing_that_exists_is_changed() {
    let place = Place::new();
    assert_shown!(place.run(&["init", "policies"]), @r"
    exit 1
    --- stderr
    error: `policies` is not empty: it has `docs.cedar`, `entities`, `links`, `manifest.toml`, `schema.cedarschema`

    hint: name a new directory, and copy from it what you need: nothing that exists is changed
    ");
    for name in ["a", "b", "c", "d", "e", "f"] {
        place.write(&format!("full/{name}"), "mine");
    }
    assert_shown!(place.run(&["init", "full"]), @r"
    exit 1
    --- stderr
    error: `full` is not empty: it has `a`, `b`, `c`, `d`, `e` and 1 more

    hint: name a new directory, and copy from it what you need: nothing that exists is changed
    ");
    assert_eq!(files(&place.0.path().join("full")).len(), 6);
    place.write("file", "mine");
    assert_shown!(place.run(&["init", "file"]), @r"
    exit 1
    --- stderr
    error: cannot read `file`: Not a directory (os error 20)

    hint: name a directory that you may write to
    ");
    assert_shown!(place.run(&["init", "file/below"]), @r"
    exit 1
    --- stderr
    error: cannot read `file/below`: Not a directory (os error 20)

    hint: name a directory that you may write to
    ");
    assert_eq!(
        fs::read_to_string(place.0.path().join("file")).unwrap(),
        "mine"
    );
    // A repository of git without a file is where many begin.
    place.write("fresh/.git/HEAD", "ref: refs/heads/main\n");
    assert!(place.run(&["init", "fresh"]).starts_with("exit 0\n"));
}

#[cfg(unix)]
#[test]
fn the_hook_can_be_run_and_stops_a_bad_commit() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    place.run(&["init", "demo"]);
    let hook = place.0.path().join("demo/hooks/pre-commit");
    let mode = fs::metadata(&hook).unwrap().permissions().mode();
    assert_eq!(mode & 0o100, 0o100, "{mode:o}");
    let is_sound = Command::new("sh").arg("-n").arg(&hook).status().unwrap();
    assert!(is_sound.success());
}

/// Workflows are YAML, and name only verbs and flags that there are.
#[test]
fn the_workflows_run_what_there_is() {
    let place = Place::new();
    place.run(&["init", "demo"]);
    let mut lines = Vec::new();
    for file in [
        ".github/workflows/policies.yml",
        ".gitlab-ci.yml",
        ".pre-commit-config.yaml",
        "hooks/pre-commit",
    ] {
        let text = fs::read_to_string(place.0.path().join("demo").join(file)).unwrap();
        if file != "hooks/pre-commit" {
            let _: Json = serde_saphyr::from_str(&text).unwrap();
        }
        lines.extend(text.lines().filter_map(|line| {
            let (_, command) = line.split_once("deodar ")?;
            (line.trim_start_matches([' ', '-']).starts_with("deodar ")
                || line.contains("run: deodar "))
            .then(|| command.split(" > ").next().unwrap().to_owned())
        }));
    }
    assert!(lines.len() > 12, "{lines:?}");
    for line in lines {
        let words: Vec<&str> = line.split(' ').map(|word| word.trim_matches('"')).collect();
        let help = place.run(&[words[0], "--help"]);
        assert!(help.starts_with("exit 0\n"), "{line}\n{help}");
        let is_built = !place.run(&[words[0]]).contains("not built yet");
        for flag in words.iter().filter(|word| word.starts_with("--")) {
            assert!(!is_built || help.contains(flag), "{line}: no `{flag}`");
        }
    }
}

/// The paths below a folder, in order.
fn files(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut todo = vec![root.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else {
                let path = path.strip_prefix(root).unwrap();
                found.push(path.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}
