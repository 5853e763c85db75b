//! `deodar init`: a policy repository to start from, whole and tested.

use std::fs;
use std::fs::OpenOptions;
use std::io;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;

use super::ExitCode;
use super::Failure;
use super::failure::Message;
use super::output;
use super::output::NAME;
use super::output::PLAIN;
use super::output::count;
use super::output::paint;

/// A longer name is none.
const NAME_CHARS_MAX: usize = 64;
/// At most so many of the entries that are in the way are named.
const NAMED_MAX: usize = 5;

/// Start a policy repository
///
/// Writes a small home: schema, policies with a template, entities, links, tests that notice every
/// change of a policy, invariants, a commit hook, and workflows for GitHub and GitLab. It passes
/// `validate`, `fmt --check`, `lint`, `test` and `prove`, so that whatever they say later is about
/// your own changes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deodar init demo && cd demo && deodar test --coverage --mutate
  mkdir access && deodar init access --name plant-hamburg
  git init demo && deodar init demo

Nothing that exists is changed: a directory that has more than `.git` in it is refused.

Exit codes: 0 written, 1 it cannot be written, 2 usage")]
pub struct InitArgs {
    /// The directory; it is made if there is none
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// What the repository is called; by default as the directory is
    #[arg(long)]
    name: Option<String>,
}

/// A file of the repository. `%NAME%` and `%VERSION%` stand for what they say.
struct Template {
    path: &'static str,
    text: &'static str,
    is_executable: bool,
}

const fn file(path: &'static str, text: &'static str) -> Template {
    Template {
        path,
        text,
        is_executable: false,
    }
}

/// The repository, in order of path.
const TEMPLATES: &[Template] = &[
    file(
        ".github/workflows/policies.yml",
        include_str!("init/github.yml"),
    ),
    file(".gitignore", include_str!("init/gitignore")),
    file(".gitlab-ci.yml", include_str!("init/gitlab-ci.yml")),
    file(
        ".pre-commit-config.yaml",
        include_str!("init/pre-commit-config.yaml"),
    ),
    file("README.md", include_str!("init/README.md")),
    file("entities/homes.json", include_str!("init/homes.json")),
    file("entities/people.json", include_str!("init/people.json")),
    Template {
        path: "hooks/pre-commit",
        text: include_str!("init/pre-commit"),
        is_executable: true,
    },
    file("invariants.yaml", include_str!("init/invariants.yaml")),
    file("links/guests.json", include_str!("init/guests.json")),
    file("manifest.toml", include_str!("init/manifest.toml")),
    file("policies/guests.cedar", include_str!("init/guests.cedar")),
    file(
        "policies/household.cedar",
        include_str!("init/household.cedar"),
    ),
    file(
        "policies/maintenance.cedar",
        include_str!("init/maintenance.cedar"),
    ),
    file(
        "policies/quarantine.cedar",
        include_str!("init/quarantine.cedar"),
    ),
    file(
        "schema/home.cedarschema",
        include_str!("init/home.cedarschema"),
    ),
    file(
        "tests/guests.test.yaml",
        include_str!("init/guests.test.yaml"),
    ),
    file(
        "tests/household.test.yaml",
        include_str!("init/household.test.yaml"),
    ),
    file(
        "tests/maintenance.test.yaml",
        include_str!("init/maintenance.test.yaml"),
    ),
    file(
        "tests/quarantine.test.yaml",
        include_str!("init/quarantine.test.yaml"),
    ),
];

/// Writes the repository, and says what to do with it.
///
/// # Errors
/// When the directory has something in it, the name is none, or a file cannot be
/// written.
pub fn run(args: &InitArgs) -> Result<ExitCode, Failure> {
    let root = &args.directory;
    let name = name(args)?;
    refuse_what_is_there(root)?;
    for template in TEMPLATES {
        let text = template
            .text
            .replace("%NAME%", &name)
            .replace("%VERSION%", env!("CARGO_PKG_VERSION"));
        let path = root.join(template.path);
        write(&path, &text, template.is_executable)
            .map_err(|error| cannot("write", &path, &error))?;
    }
    output::stdout(&next(root, &name));
    Ok(ExitCode::Yes)
}

/// The name that was asked for, or that of the directory. It stands in TOML and
/// Markdown, so it has no character that means something there.
fn name(args: &InitArgs) -> Result<String, Failure> {
    let from_path = || {
        let path = std::path::absolute(&args.directory).ok()?;
        // `.` and `..` have no name of their own.
        let path = fs::canonicalize(&path).unwrap_or(path);
        Some(path.file_name()?.to_string_lossy().into_owned())
    };
    let name = args.name.clone().or_else(from_path).unwrap_or_default();
    let is_good = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ');
    let is_name = !name.trim().is_empty()
        && name.chars().count() <= NAME_CHARS_MAX
        && name.chars().all(is_good);
    if is_name {
        return Ok(name);
    }
    Err(Failure::Usage(Message::new(
        format!(
            "`{}` cannot be the name of a repository",
            name.escape_debug()
        ),
        format!(
            "give one with `--name`: at most {NAME_CHARS_MAX} letters, digits, spaces, dots, `-` and `_`"
        ),
    )))
}

/// Refuses a directory that has anything but `.git` in it.
fn refuse_what_is_there(root: &Path) -> Result<(), Failure> {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(cannot("read", root, &error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| cannot("read", root, &error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != ".git" {
            names.push(name);
        }
    }
    if names.is_empty() {
        return Ok(());
    }
    names.sort();
    let shown: Vec<_> = names
        .iter()
        .take(NAMED_MAX)
        .map(|name| format!("`{}`", name.escape_debug()))
        .collect();
    let more = match names.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Err(Failure::Failed(Message::new(
        format!(
            "`{}` is not empty: it has {}{more}",
            root.display(),
            shown.join(", ")
        ),
        "name a new directory, and copy from it what you need: nothing that exists is changed",
    )))
}

/// Writes a new file; one that has come to be since the directory was looked at
/// is left alone.
fn write(path: &Path, text: &str, is_executable: bool) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if is_executable {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o777);
    }
    options.open(path)?.write_all(text.as_bytes())
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::Failed(Message::new(
        format!("cannot {what} `{}`: {error}", path.display()),
        "name a directory that you may write to",
    ))
}

/// What was written, and what to do next.
fn next(root: &Path, name: &str) -> String {
    let go = format!("cd {}", quoted(root));
    let steps = [
        (go.as_str(), ""),
        ("deodar test --coverage --mutate", "what the tests notice"),
        ("deodar lint", "what is suspicious"),
        ("deodar prove", "what holds for every question; needs cvc5"),
        ("deodar serve --policies .", "answer over gRPC"),
        (
            "git config core.hooksPath hooks",
            "check each commit, once it is in git",
        ),
    ];
    let steps: Vec<_> = steps
        .into_iter()
        .filter(|(command, _)| *command != "cd .")
        .map(|(command, what)| [command.to_owned(), what.to_owned()])
        .collect();
    let steps = output::table("  ", [NAME, PLAIN], &steps);
    let files = count(TEMPLATES.len(), "file", "files");
    let root = root.display().to_string();
    format!(
        "wrote {}, {files}, to {}\n\nnext\n{steps}\nREADME.md says which file is for what.\n",
        paint(NAME, name),
        paint(NAME, &root)
    )
}

/// A path as the shell takes it.
fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | '~' | '+');
    if path.chars().all(is_plain) {
        path
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
}
