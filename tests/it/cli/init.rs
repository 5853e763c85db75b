//! `deodar init`, and that what it writes passes the verbs of the toolchain.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value as Json;

use crate::cli::Place;
use crate::cli::assert_shown;
use crate::cli::prove::path_of_solver;

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
    valid; 14 files, 5 policies, 1 template, 21 entities, 3 links, 4 test files, 138 cases, 1 file of invariants, revision [REVISION]
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
        if verb[0] == "prove" && path_of_solver().is_none() {
            continue;
        }
        assert!(shown.starts_with("exit 0\n"), "{verb:?}\n{shown}");
        assert!(!shown.contains(" survived"), "{shown}");
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

/// A new repository in git, on the branch `main` of a server as well.
fn in_git() -> Place {
    let place = Place::new();
    place.run(&["init", "demo"]);
    for command in [
        "git init --quiet --initial-branch main",
        "git add --all",
        "git -c core.hooksPath=/dev/null commit --quiet --message start",
        "git update-ref refs/remotes/origin/main HEAD",
    ] {
        let (is_good, shown) = shell(&place, command);
        assert!(is_good, "{command}\n{shown}");
    }
    place
}

/// Runs a command in the new repository, where `deodar` is ours.
fn shell(place: &Place, command: &str) -> (bool, String) {
    let ours = Path::new(env!("CARGO_BIN_EXE_deodar")).parent().unwrap();
    let path = format!("{}:{}", ours.display(), std::env::var("PATH").unwrap());
    let done = Command::new("sh")
        .args(["-euc", command])
        .current_dir(place.0.path().join("demo"))
        .env_clear()
        .envs([
            ("PATH", path.as_str()),
            ("HOME", "/nowhere"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_AUTHOR_NAME", "a"),
            ("GIT_AUTHOR_EMAIL", "a@example.org"),
            ("GIT_COMMITTER_NAME", "a"),
            ("GIT_COMMITTER_EMAIL", "a@example.org"),
            ("BASE", "main"),
            ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main"),
        ])
        .output()
        .unwrap();
    let shown = [done.stdout, done.stderr].concat();
    let shown = String::from_utf8_lossy(&shown).into_owned();
    (done.status.success(), shown)
}

#[cfg(unix)]
#[test]
fn the_hook_lets_a_good_commit_pass_and_stops_a_bad_one() {
    let place = in_git();
    let commit = "git -c core.hooksPath=hooks commit --quiet --all --message next";
    let file = place.0.path().join("demo/policies/quarantine.cedar");
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("// About quarantine.\n{good}")).unwrap();
    let (is_good, shown) = shell(&place, commit);
    assert!(is_good, "{shown}");
    fs::write(&file, good.replace("forbid", "permit")).unwrap();
    let (is_good, shown) = shell(&place, commit);
    assert!(!is_good, "{shown}");
    let (_, log) = shell(&place, "git log --oneline");
    assert_eq!(log.lines().count(), 2, "{log}");
}

/// What is committed is checked, not what lies in the work tree.
#[cfg(unix)]
#[test]
fn the_hook_looks_at_what_is_staged() {
    let place = in_git();
    let commit = "git -c core.hooksPath=hooks commit --quiet --message next";
    let file = place.0.path().join("demo/policies/quarantine.cedar");
    let good = fs::read_to_string(&file).unwrap();
    let bad = good.replace("forbid", "permit");
    // A bad change is staged, and mended in the work tree only.
    fs::write(&file, &bad).unwrap();
    shell(&place, "git add --all");
    fs::write(&file, &good).unwrap();
    let (is_good, shown) = shell(&place, commit);
    assert!(!is_good, "{shown}");
    // A good one is staged, and broken in the work tree only.
    let commented = format!("// About quarantine.\n{good}");
    fs::write(&file, &commented).unwrap();
    shell(&place, "git add --all");
    fs::write(&file, &bad).unwrap();
    fs::write(file.with_file_name("new.cedar"), "permit (").unwrap();
    let (is_good, shown) = shell(&place, commit);
    assert!(is_good, "{shown}");
    assert_eq!(fs::read_to_string(&file).unwrap(), bad);
    // A condition that no test looks at is not covered.
    shell(
        &place,
        "rm policies/new.cedar tests/quarantine.test.yaml && git checkout policies && git add --all",
    );
    let (is_good, shown) = shell(&place, commit);
    assert!(!is_good && shown.contains("100"), "{shown}");
}

/// Workflows are YAML, and each of their commands passes in the new repository.
#[test]
fn the_workflows_run_what_there_is() {
    let place = in_git();
    let mut commands = Vec::new();
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
        commands.extend(text.lines().filter_map(|line| {
            let line = line.trim_start_matches([' ', '-']);
            let line = line.strip_prefix("run: ").unwrap_or(line);
            let line = line.replace("\"$staged\"", ".");
            line.starts_with("deodar ").then_some(line)
        }));
    }
    assert_eq!(commands.len(), 16, "{commands:#?}");
    let verbs = ["validate", "fmt", "lint", "test", "prove", "diff"];
    for verb in verbs {
        let start = format!("deodar {verb} ");
        assert!(
            commands.iter().any(|line| line.starts_with(&start)),
            "{verb}"
        );
    }
    commands.sort();
    commands.dedup();
    let has_solver = path_of_solver().is_some();
    for command in commands {
        if command.starts_with("deodar prove") && !has_solver {
            continue;
        }
        let (is_good, shown) = shell(&place, &command);
        assert!(is_good, "{command}\n{shown}");
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
