//! The policy repository that a verb of the policy engineer works on.

use std::path::Path;
use std::path::PathBuf;

use super::Failure;
use super::args::FileArg;
use crate::directory;
use crate::engine::Files;
use crate::engine::Snapshot;
use crate::engine::View;
use crate::engine::compile;
use crate::source;
use crate::source::Limits;

/// A policy repository that compiles, with the entities and links that it has.
#[derive(Debug)]
pub struct Repository {
    /// Where it is.
    pub path: PathBuf,
    /// Every file of it, tests and invariants among them.
    pub files: Files,
    /// Its policies.
    pub snapshot: Snapshot,
    /// Its entities and links.
    pub view: View,
}

impl Repository {
    /// Reads and compiles a policy repository: see [`place`] for which.
    ///
    /// # Errors
    /// When it cannot be read, or every fault of it.
    pub fn open(path: Option<&Path>, file: &FileArg) -> Result<Self, Failure> {
        let config = file.resolve()?.config;
        let path = place(path, &config.policies.path);
        let files = source::read_all(&path, &config.policies.limits)?;
        Self::compiled(path, files)
    }

    /// Reads and compiles the repository at this path.
    ///
    /// # Errors
    /// As [`Repository::open`].
    pub fn read(path: &Path, limits: &Limits) -> Result<Self, Failure> {
        Self::compiled(path.to_owned(), source::read_all(path, limits)?)
    }

    /// Compiles files, from wherever they are.
    ///
    /// # Errors
    /// Every fault of them.
    pub fn compiled(path: PathBuf, files: Files) -> Result<Self, Failure> {
        let snapshot = compile(&files)?;
        let view = directory::load(&snapshot, &files)?;
        Ok(Self {
            path,
            files,
            snapshot,
            view,
        })
    }
}

/// Where the repository is: what was asked for; else the current directory if it
/// has a `manifest.toml`; else what is configured.
pub fn place(asked_for: Option<&Path>, configured: &Path) -> PathBuf {
    match asked_for {
        Some(path) => path.to_owned(),
        None if Path::new("manifest.toml").is_file() => PathBuf::from("."),
        None => configured.to_owned(),
    }
}
