//! What is compared: a directory, a revision that git has, or a running server.

use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr as _;

use super::served;
use super::served::Served;
use crate::cli::Failure;
use crate::cli::failure::Message;
use crate::cli::output::count;
use crate::cli::repository::Repository;
use crate::cli::repository::place;
use crate::cli::server::ServerAddress;
use crate::config::Config;
use crate::engine::Files;
use crate::engine::Snapshot;
use crate::source;
use crate::source::git;
use crate::source::git::GitError;

/// A policy repository, and what it is called.
#[derive(Debug)]
pub struct Side {
    /// As it was asked for.
    pub name: String,
    /// The commit, if it is a revision.
    pub commit: Option<String>,
    /// The policies and entities.
    pub repository: Repository,
    /// What was left out or taken from elsewhere.
    pub notes: Vec<String>,
    /// What a server told of itself, if it is one.
    pub served: Option<Served>,
}

/// Where a side is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A directory.
    Directory(PathBuf),
    /// A revision, perhaps with the directory in it.
    Revision(String, Option<String>),
    /// A running server.
    Server(ServerAddress),
}

impl Origin {
    /// What a text names: a directory that is there, a server, else a revision.
    ///
    /// # Errors
    /// A server whose address is none.
    pub fn new(text: &str) -> Result<Self, Failure> {
        if text.starts_with("http://") || text.starts_with("https://") || text.starts_with("unix:")
        {
            let address = ServerAddress::from_str(text);
            return address.map(Self::Server).map_err(|error| {
                let message = format!("`{text}` is {error}");
                Failure::Usage(Message::new(
                    message,
                    "give its address as `check --server` takes it",
                ))
            });
        }
        if Path::new(text).is_dir() {
            return Ok(Self::Directory(text.into()));
        }
        Ok(match text.split_once(':') {
            Some((revision, path)) => {
                // From the top, as everything behind the colon.
                let path = path.trim_start_matches("./").trim_matches('/').to_owned();
                Self::Revision(revision.to_owned(), Some(path))
            }
            None => Self::Revision(text.to_owned(), None),
        })
    }

    /// The policies of the work tree: see [`place`].
    pub fn work_tree(config: &Config) -> Self {
        Self::Directory(place(None, &config.policies.path))
    }

    /// What it is called.
    pub fn name(&self) -> String {
        match self {
            Self::Directory(path) => path.display().to_string(),
            Self::Revision(revision, None) => revision.clone(),
            Self::Revision(revision, Some(path)) => format!("{revision}:{path}"),
            Self::Server(address) => address.to_string(),
        }
    }

    /// Reads and compiles it. What a server does not tell is taken from `other`.
    ///
    /// # Errors
    /// When it cannot be read, or every fault of it.
    pub fn open(&self, config: &Config, other: Option<&Files>) -> Result<Side, Failure> {
        let mut notes = Vec::new();
        let mut of_server = None;
        let (files, commit) = match self {
            Self::Directory(path) => (source::read_all(path, &config.policies.limits)?, None),
            Self::Revision(revision, path) => {
                let read = of_revision(revision, path.as_deref(), config)?;
                notes = read.left_out;
                (read.files, Some(read.commit))
            }
            Self::Server(address) => {
                let Some(other) = other else {
                    let hint = "give a directory or a revision";
                    let message = format!("the schema of `{address}` is not known");
                    return Err(Failure::Usage(Message::new(message, hint)));
                };
                let (files, served) = served::files(address, other, &mut notes)?;
                of_server = Some(served);
                (files, None)
            }
        };
        let path = PathBuf::from(self.name());
        Ok(Side {
            name: self.name(),
            commit,
            repository: Repository::compiled(path, files)?,
            notes,
            served: of_server,
        })
    }
}

fn of_revision(
    revision: &str,
    path: Option<&str>,
    config: &Config,
) -> Result<git::Revision, Failure> {
    let directory = place(None, &config.policies.path);
    let found = if directory.is_dir() {
        git::place(&directory)
    } else {
        // It may be only in the revision.
        git::place(Path::new(".")).map(|mut here| {
            let name = directory.to_string_lossy();
            let name = name.trim_start_matches("./");
            here.path = format!("{}/{name}", here.path).trim_matches('/').to_owned();
            here
        })
    };
    let read = found.and_then(|mut found| {
        if let Some(path) = path {
            path.clone_into(&mut found.path);
        }
        git::read(&found, revision, &config.policies.limits)
    });
    read.map_err(|error| match error {
        GitError::NoRepository(_) => {
            let message = format!("`{revision}` is neither a directory nor a revision: {error}");
            Failure::Failed(Message::new(message, error.hint()))
        }
        error => Failure::Failed(Message::new(&error, error.hint())),
    })
}

impl Side {
    /// What it is, on one line.
    pub fn shown(&self) -> String {
        let Repository { snapshot, view, .. } = &self.repository;
        let mut parts = Vec::new();
        if let Some(commit) = &self.commit {
            parts.push(format!("commit {}", short(commit)));
        }
        parts.push(counted(snapshot));
        parts.push(count(view.len(), "entity", "entities"));
        parts.push(count(view.links().len(), "link", "links"));
        parts.join(", ")
    }
}

fn counted(snapshot: &Snapshot) -> String {
    let policies = snapshot.rules().len() + snapshot.templates().count();
    count(policies, "policy", "policies")
}

/// The beginning of a commit or digest, enough for people.
pub fn short(digest: &str) -> String {
    digest.chars().take(12).collect()
}
