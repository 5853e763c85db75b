//! Which policy directory is tested, and which of its test files.

use std::path::Path;
use std::path::PathBuf;

use crate::cli::Failure;
use crate::cli::failure::Message;
use crate::cli::repository;
use crate::engine::files::Role;

/// A policy directory and the part of it that is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The policy directory.
    pub(super) repository: PathBuf,
    /// Files and folders, relative to it; none for all.
    parts: Vec<String>,
}

impl Place {
    /// Finds the policy directory that paths are in: the nearest folder at or
    /// above each that has a `manifest.toml`; else the path itself.
    ///
    /// # Errors
    /// When a path does not exist, is no test file, or they are in several.
    pub(super) fn find(paths: &[PathBuf], configured: &Path) -> Result<Self, Failure> {
        let mut place = Self {
            repository: repository::place(None, configured),
            parts: Vec::new(),
        };
        let mut whole = false;
        for (at, path) in paths.iter().enumerate() {
            let (root, part) = locate(path)?;
            if at > 0 && canonical(&root)? != canonical(&place.repository)? {
                let message = format!(
                    "`{}` and `{}` are two policy directories",
                    place.repository.display(),
                    root.display()
                );
                return Err(usage(&message, "test one after the other"));
            }
            if at == 0 {
                place.repository = root;
            }
            if part.is_empty() {
                whole = true;
            }
            place.parts.push(part);
        }
        if whole {
            place.parts.clear();
        }
        Ok(place)
    }

    /// Whether a file, relative to the policy directory, is asked for.
    pub(super) fn holds(&self, file: &str) -> bool {
        let is_in = |part: &String| {
            let rest = file.strip_prefix(part.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.parts.is_empty() || self.parts.iter().any(is_in)
    }
}

/// The policy directory that a path is in, and the path relative to it.
fn locate(path: &Path) -> Result<(PathBuf, String), Failure> {
    let full = canonical(path)?;
    let is_file = full.is_file();
    let beside = path.ancestors().skip(usize::from(is_file));
    let above = full.ancestors().skip(usize::from(is_file));
    let root = beside
        .map(|folder| {
            if folder == Path::new("") {
                Path::new(".")
            } else {
                folder
            }
        })
        .chain(above)
        .find(|folder| folder.join("manifest.toml").is_file());
    let root = match root {
        Some(root) => root,
        None if is_file => {
            let message = format!("`{}` is in no policy directory", path.display());
            let hint = "a policy directory has a `manifest.toml`; it may be empty";
            return Err(usage(&message, hint));
        }
        None => return Ok((path.to_owned(), String::new())),
    };
    let full_root = canonical(root)?;
    let part = full.strip_prefix(&full_root).unwrap_or(&full);
    let parts: Vec<_> = part.iter().map(|part| part.to_string_lossy()).collect();
    let part = parts.join("/");
    if is_file && Role::of(&part) != Some(Role::Tests) {
        let message = format!("`{}` is not a test file", path.display());
        let hint = "test files are `*.test.yaml`, and `*.test.json` as for `cedar run-tests`";
        return Err(usage(&message, hint));
    }
    Ok((root.to_owned(), part))
}

fn canonical(path: &Path) -> Result<PathBuf, Failure> {
    path.canonicalize().map_err(|error| {
        let message = format!("cannot read `{}`: {error}", path.display());
        let hint = "give a policy directory, or test files of one";
        Failure::Failed(Message::new(message, hint))
    })
}

fn usage(message: &str, hint: &str) -> Failure {
    Failure::Usage(Message::new(message, hint))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::Place;

    #[test]
    fn parts_are_whole_names() {
        let place = |parts: &[&str]| Place {
            repository: PathBuf::new(),
            parts: parts.iter().map(ToString::to_string).collect(),
        };
        assert!(place(&[]).holds("a.test.yaml"));
        assert!(place(&["a"]).holds("a/b.test.yaml"));
        assert!(place(&["a", "b/c.test.yaml"]).holds("b/c.test.yaml"));
        assert!(!place(&["a"]).holds("ab/c.test.yaml"));
        assert!(!place(&["a/b.test.yaml"]).holds("a/b.test.yaml2"));
    }
}
