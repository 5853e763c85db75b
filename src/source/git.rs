//! Reading a policy repository of a revision that git has, whole.
//!
//! The `git` program does it, without a shell. Nothing is checked out: the files come
//! as they are in the revision.
//!
//! The repository is the one that the directory is in. Hooks run with a `GIT_DIR` that
//! holds for their own directory only, so it counts where no other is found.

mod listing;

use std::io;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::ChildStdin;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Stdio;
use std::thread;

use thiserror::Error;

use self::listing::Entry;
use self::listing::Listing;
use super::limits::Limits;
use super::read::SourceError;
use crate::engine::Files;

/// Bytes of a listing that are taken, of files or names of branches.
const LISTING_BYTES_MAX: u64 = 64 << 20;
/// What hooks have in their environment about where their repository is.
const OF_HOOKS: [&str; 3] = ["GIT_DIR", "GIT_WORK_TREE", "GIT_PREFIX"];
/// Bytes of what git says of an error.
const SAID_BYTES_MAX: u64 = 4096;

/// The files of a revision.
#[derive(Debug)]
pub struct Revision {
    /// The commit, in hexadecimal.
    pub commit: String,
    /// Every file that has a role.
    pub files: Files,
    /// What was left out, and why: sentences without a full stop.
    pub left_out: Vec<String>,
}

/// A revision that cannot be read.
#[derive(Debug, Error)]
pub enum GitError {
    /// The program cannot be started.
    #[error("cannot run `git`: {0}")]
    Absent(io::Error),
    /// The directory is in no repository.
    #[error("`{}` is in no git repository", .0.display())]
    NoRepository(PathBuf),
    /// There is no such revision.
    #[error("there is no revision `{revision}`")]
    NoRevision {
        /// As it was asked for.
        revision: String,
        /// A branch or tag that may have been meant.
        closest: Option<String>,
        /// Nothing was committed yet.
        is_without_commits: bool,
    },
    /// The revision is there, the directory in it is not.
    #[error("the revision `{revision}` has no directory `{path}`")]
    NoPath {
        /// As it was asked for.
        revision: String,
        /// The directory, from the top of the repository.
        path: String,
    },
    /// Git would not.
    #[error("`git {what}` failed: {said}")]
    Failed {
        /// What it was to do.
        what: String,
        /// What it said.
        said: String,
    },
    /// Files that cannot be taken: more than a limit allows, or links that lead out.
    #[error(transparent)]
    Files(SourceError),
}

impl GitError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Absent(_) => "install git, or give directories instead of revisions".into(),
            Self::NoRepository(_) => {
                "run it in a clone of the policies, or give directories instead of revisions".into()
            }
            Self::NoRevision {
                closest: Some(closest),
                ..
            } => format!("did you mean `{closest}`?"),
            Self::NoRevision {
                is_without_commits: true,
                ..
            } => "the repository has no commits yet: make one with `git commit`".into(),
            Self::NoRevision { .. } => {
                "see `git log --oneline`; what others pushed comes with `git fetch`, and a shallow \
                 clone has only its last commits"
                    .into()
            }
            Self::NoPath { revision, .. } => {
                format!("name the directory, from the top of the repository: `{revision}:policies`")
            }
            Self::Failed { .. } => "see whether git works there: `git status`".into(),
            Self::Files(error) => error.hint(),
        }
    }
}

/// Where a directory is in its repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// A directory of the repository, or the repository itself if it is a bare one.
    pub directory: PathBuf,
    /// The directory from the top of the work tree, with `/` between its parts; empty
    /// for the top.
    pub path: String,
    /// The repository is not the one around the directory, but the one that the
    /// environment names.
    is_of_environment: bool,
}

/// Where a directory is in its repository.
///
/// # Errors
/// When it is in none, or there is no git.
pub fn place(directory: &Path) -> Result<Place, GitError> {
    let place = |is_of_environment| {
        let mut place = Place {
            directory: directory.to_owned(),
            path: String::new(),
            is_of_environment,
        };
        // In a bare repository there is none, and nothing is said.
        let shown = place.output(&["rev-parse", "--git-dir", "--show-prefix"]);
        let shown = shown.map_err(|error| match error {
            GitError::Failed { said, .. } if said.contains("not a git repository") => {
                GitError::NoRepository(directory.to_owned())
            }
            error => error,
        })?;
        let shown = String::from_utf8_lossy(&shown);
        let path = shown.lines().nth(1).unwrap_or_default();
        path.trim_matches('/').clone_into(&mut place.path);
        Ok(place)
    };
    match place(false) {
        Err(GitError::NoRepository(_)) => place(true),
        found => found,
    }
}

/// Reads every file that has a [`Role`](crate::engine::files::Role) below a directory of a revision. Names
/// that start with a dot are passed over. Symbolic links are followed while they stay
/// inside the directory; submodules are left out, which is told.
///
/// # Errors
/// When there is no such revision or directory, git fails, a link leads out or nowhere,
/// or a limit is exceeded.
pub fn read(place: &Place, revision: &str, limits: &Limits) -> Result<Revision, GitError> {
    let commit = commit(place, revision)?;
    let no_path = || GitError::NoPath {
        revision: revision.to_owned(),
        path: place.path.clone(),
    };
    // Behind the colon nothing but a path is read.
    let tree = format!("{commit}:{}", place.path);
    let listing = place.output(&["ls-tree", "-r", "-z", "--full-tree", &tree]);
    let listing = listing.map_err(|error| match error {
        GitError::Failed { .. } => no_path(),
        error => error,
    })?;
    let listing = Listing::new(&listing)?;
    let targets = match listing.links() {
        links if links.is_empty() => Vec::new(),
        links => contents(place, &links, limits)?,
    };
    let mut left_out = Vec::new();
    let entries = listing.wanted(&targets, limits, &mut left_out)?;
    let files = contents(place, &entries, limits)?;
    Ok(Revision {
        commit,
        files: Files::new(files),
        left_out,
    })
}

/// The commit that a revision names.
fn commit(place: &Place, revision: &str) -> Result<String, GitError> {
    let unknown = || GitError::NoRevision {
        revision: revision.to_owned(),
        closest: closest(place, revision),
        is_without_commits: place
            .output(&["rev-list", "--all", "--max-count=1"])
            .is_ok_and(|commits| commits.is_empty()),
    };
    // No name of git begins so, and no option shall be made of it.
    if revision.is_empty() || revision.starts_with('-') {
        return Err(unknown());
    }
    let wanted = format!("{revision}^{{commit}}");
    let arguments = [
        "rev-parse",
        "--verify",
        "--quiet",
        "--end-of-options",
        &wanted,
    ];
    match place.output(&arguments) {
        Ok(found) => Ok(String::from_utf8_lossy(&found).trim().to_owned()),
        Err(GitError::Failed { .. }) => Err(unknown()),
        Err(error) => Err(error),
    }
}

/// A branch or tag that may have been meant.
fn closest(place: &Place, revision: &str) -> Option<String> {
    let arguments = ["for-each-ref", "--format=%(refname:short)", "--count=2000"];
    let names = place.output(&arguments).ok()?;
    let names = String::from_utf8_lossy(&names);
    crate::config::closest::closest(revision, names.lines()).map(str::to_owned)
}

/// The contents of the files, asked for one after the other.
fn contents(
    place: &Place,
    entries: &[Entry],
    limits: &Limits,
) -> Result<Vec<(String, Vec<u8>)>, GitError> {
    let mut child = place
        .git(&["cat-file", "--batch"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(GitError::Absent)?;
    let read = match (child.stdin.take(), child.stdout.take()) {
        (Some(input), Some(output)) => asked(entries, limits, input, BufReader::new(output)),
        _ => Err(failed("cat-file", "it has no input or output")),
    };
    // Its input is closed by now, so it ends.
    child
        .wait()
        .map_err(|error| failed("cat-file", error.to_string()))?;
    read
}

fn asked(
    entries: &[Entry],
    limits: &Limits,
    mut input: ChildStdin,
    mut output: BufReader<ChildStdout>,
) -> Result<Vec<(String, Vec<u8>)>, GitError> {
    let mut files = Vec::new();
    let mut total = 0;
    for Entry { name, object } in entries {
        let at = |error: io::Error| failed("cat-file", format!("`{name}`: {error}"));
        writeln!(input, "{object}")
            .and_then(|()| input.flush())
            .map_err(at)?;
        let mut head = String::new();
        (&mut output).take(1024).read_line(&mut head).map_err(at)?;
        let size = head.trim_end().rsplit(' ').next();
        let Some(size) = size.and_then(|size| size.parse::<u64>().ok()) else {
            return Err(failed("cat-file", format!("`{name}`: {}", head.trim_end())));
        };
        if size > limits.file_bytes_max {
            let limit = limits.file_bytes_max;
            return Err(too_much(name, limit, "bytes", "policies.file_bytes_max"));
        }
        total += size;
        if total > limits.total_bytes_max {
            let limit = limits.total_bytes_max;
            return Err(too_much(
                name,
                limit,
                "bytes in all",
                "policies.total_bytes_max",
            ));
        }
        // And the line end behind it.
        let mut content = Vec::new();
        (&mut output)
            .take(size + 1)
            .read_to_end(&mut content)
            .map_err(at)?;
        if content.len() as u64 != size + 1 {
            return Err(failed("cat-file", format!("`{name}` is cut short")));
        }
        content.pop();
        files.push((name.clone(), content));
    }
    Ok(files)
}

impl Place {
    fn git(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.directory).args(arguments);
        if !self.is_of_environment {
            for name in OF_HOOKS {
                command.env_remove(name);
            }
        }
        // What it says is looked into.
        command.env("LC_ALL", "C").stdin(Stdio::null());
        command
    }

    /// What git writes to standard output.
    fn output(&self, arguments: &[&str]) -> Result<Vec<u8>, GitError> {
        let what = arguments.first().copied().unwrap_or_default();
        output(what, &mut self.git(arguments))
    }
}

fn output(what: &str, command: &mut Command) -> Result<Vec<u8>, GitError> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(GitError::Absent)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (shown, said) = thread::scope(|scope| {
        let said = scope.spawn(|| bounded(stderr, SAID_BYTES_MAX));
        (bounded(stdout, LISTING_BYTES_MAX), said.join())
    });
    let status = child
        .wait()
        .map_err(|error| failed(what, error.to_string()))?;
    let shown = shown.map_err(|error| failed(what, error.to_string()))?;
    if shown.len() as u64 > LISTING_BYTES_MAX {
        let unit = "bytes of names";
        return Err(too_much(".", LISTING_BYTES_MAX, unit, "policies.files_max"));
    }
    if status.success() {
        return Ok(shown);
    }
    let said = said.ok().and_then(Result::ok).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let said = said.trim().trim_start_matches("fatal: ");
    Err(failed(what, said))
}

/// One byte past the limit tells that there is more. The pipe is closed then.
fn bounded(pipe: Option<impl Read>, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(limit + 1).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn failed(what: &str, said: impl Into<String>) -> GitError {
    GitError::Failed {
        what: what.to_owned(),
        said: said.into(),
    }
}

fn too_much(name: &str, limit: u64, unit: &'static str, key: &'static str) -> GitError {
    GitError::Files(SourceError::TooMuch {
        path: PathBuf::from(name),
        limit,
        unit,
        key,
    })
}
