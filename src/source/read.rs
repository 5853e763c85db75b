//! Reading a policy directory, whole.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use thiserror::Error;

use super::limits::Limits;
use crate::engine::Files;
use crate::engine::files::Role;

/// What is limited of directories that are come to by links, the files in which need not
/// be wanted: links to directories of links lead to more than anybody can walk through.
pub(super) const LINKED: &str = "directories that symbolic links lead to";

/// A policy directory that cannot be read: the operator has to mend it.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The directory itself.
    #[error("cannot read the policy directory `{}`: {error}", path.display())]
    Root {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file or directory in it.
    #[error("cannot read `{}`: {error}", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A symbolic link that leads out of the directory.
    #[error("`{}` leads out of the policy directory, to `{}`", path.display(), target.display())]
    LeadsOut {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// A name that is not UTF-8.
    #[error("the name of `{}` is not UTF-8", path.display())]
    Name {
        /// The file.
        path: PathBuf,
    },
    /// More than a limit allows.
    #[error("`{}` exceeds the limit of {limit} {unit}", path.display())]
    TooMuch {
        /// The file or directory.
        path: PathBuf,
        /// The limit.
        limit: u64,
        /// What is limited.
        unit: &'static str,
        /// The configuration key of the limit.
        key: &'static str,
    },
}

impl SourceError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Root { .. } => {
                "give a directory of policies with `--policies` or the key `policies.path`".into()
            }
            Self::Entry { .. } => "check that the file exists and may be read".into(),
            Self::LeadsOut { .. } => {
                "copy the file into the directory: links that lead out are refused, since they \
                 bring in what nobody reviewed"
                    .into()
            }
            Self::Name { .. } => "rename the file".into(),
            Self::TooMuch { key, .. } => format!("make it smaller, or raise `{key}`"),
        }
    }
}

/// Reads every file that a server takes (see [`Role::is_served`]), below `root`.
///
/// Names that start with a dot are passed over (`.git` among them), and so is
/// everything without a role. Symbolic links are followed while they stay
/// inside the directory.
///
/// # Errors
/// The first thing that cannot be read or exceeds a limit: a revision is read
/// whole or not at all.
pub fn read(root: &Path, limits: &Limits) -> Result<Files, SourceError> {
    read_roles(root, limits, Role::is_served)
}

/// Reads every file that has a [`Role`], tests and invariants among them, below
/// `root`; otherwise as [`read`].
///
/// # Errors
/// As [`read`].
pub fn read_all(root: &Path, limits: &Limits) -> Result<Files, SourceError> {
    read_roles(root, limits, |_| true)
}

fn read_roles(
    root: &Path,
    limits: &Limits,
    is_wanted: fn(Role) -> bool,
) -> Result<Files, SourceError> {
    let at_root = |error| SourceError::Root {
        path: root.to_owned(),
        error,
    };
    let canonical = fs::canonicalize(root).map_err(at_root)?;
    fs::read_dir(&canonical).map_err(at_root)?;
    let mut reader = Reader {
        root: canonical.clone(),
        limits,
        is_wanted,
        files: Vec::new(),
        bytes: 0,
        linked: 0,
    };
    reader.folder(&canonical, "", 0)?;
    Ok(Files::new(reader.files))
}

struct Reader<'a> {
    root: PathBuf,
    limits: &'a Limits,
    is_wanted: fn(Role) -> bool,
    files: Vec<(String, Vec<u8>)>,
    bytes: u64,
    /// Directories that were come to by links.
    linked: usize,
}

impl Reader<'_> {
    fn folder(&mut self, folder: &Path, prefix: &str, depth: usize) -> Result<(), SourceError> {
        if depth > self.limits.depth_max {
            let limit = self.limits.depth_max as u64;
            return Err(too_much(
                folder,
                limit,
                "directories below one another",
                "policies.depth_max",
            ));
        }
        self.count_linked(folder, prefix)?;
        let at = |error| SourceError::Entry {
            path: folder.to_owned(),
            error,
        };
        for entry in fs::read_dir(folder).map_err(at)? {
            let path = entry.map_err(at)?.path();
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .ok_or_else(|| SourceError::Name { path: path.clone() })?;
            if name.starts_with('.') {
                continue;
            }
            self.entry(&path, &format!("{prefix}{name}"), depth)?;
        }
        Ok(())
    }

    /// Counts a directory that has another place than its name says, which is by a link.
    fn count_linked(&mut self, folder: &Path, prefix: &str) -> Result<(), SourceError> {
        let named = self.root.join(prefix.trim_end_matches('/'));
        if folder == named {
            return Ok(());
        }
        self.linked += 1;
        let limit = self.limits.files_max;
        if self.linked > limit {
            return Err(too_much(&named, limit as u64, LINKED, "policies.files_max"));
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, name: &str, depth: usize) -> Result<(), SourceError> {
        let at = |error| SourceError::Entry {
            path: path.to_owned(),
            error,
        };
        let kind = fs::symlink_metadata(path).map_err(at)?.file_type();
        let target = if kind.is_symlink() {
            let target = fs::canonicalize(path).map_err(at)?;
            if !target.starts_with(&self.root) {
                return Err(SourceError::LeadsOut {
                    path: path.to_owned(),
                    target,
                });
            }
            target
        } else {
            path.to_owned()
        };
        let metadata = fs::metadata(&target).map_err(at)?;
        if metadata.is_dir() {
            return self.folder(&target, &format!("{name}/"), depth + 1);
        }
        if !metadata.is_file() || !Role::of(name).is_some_and(self.is_wanted) {
            return Ok(());
        }
        self.file(&target, name)
    }

    fn file(&mut self, path: &Path, name: &str) -> Result<(), SourceError> {
        use std::io::Read as _;
        let at = |error| SourceError::Entry {
            path: path.to_owned(),
            error,
        };
        let limits = self.limits;
        if self.files.len() >= limits.files_max {
            return Err(too_much(
                &self.root,
                limits.files_max as u64,
                "files",
                "policies.files_max",
            ));
        }
        // One byte past the limit tells a file that is too long, also while it grows.
        let mut content = Vec::new();
        fs::File::open(path)
            .and_then(|file| {
                file.take(limits.file_bytes_max + 1)
                    .read_to_end(&mut content)
            })
            .map_err(at)?;
        let length = content.len() as u64;
        if length > limits.file_bytes_max {
            return Err(too_much(
                path,
                limits.file_bytes_max,
                "bytes",
                "policies.file_bytes_max",
            ));
        }
        self.bytes += length;
        if self.bytes > limits.total_bytes_max {
            let limit = limits.total_bytes_max;
            return Err(too_much(
                &self.root,
                limit,
                "bytes in all",
                "policies.total_bytes_max",
            ));
        }
        self.files.push((name.to_owned(), content));
        Ok(())
    }
}

fn too_much(path: &Path, limit: u64, unit: &'static str, key: &'static str) -> SourceError {
    SourceError::TooMuch {
        path: path.to_owned(),
        limit,
        unit,
        key,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::Limits;
    use super::SourceError;
    use super::read;
    use crate::engine::files::Role;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("policies/deep")).unwrap();
        fs::create_dir_all(folder.path().join(".git")).unwrap();
        fs::write(
            folder.path().join("policies/deep/a.cedar"),
            "permit(principal, action, resource);",
        )
        .unwrap();
        fs::write(folder.path().join(".git/b.cedar"), "hidden").unwrap();
        fs::write(folder.path().join("README.md"), "not a policy").unwrap();
        folder
    }

    #[test]
    fn only_files_with_a_role_are_read() {
        let folder = folder();
        let files = read(folder.path(), &Limits::default()).unwrap();
        let names: Vec<_> = files
            .with_role(Role::Policies)
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["policies/deep/a.cedar"]);
        fs::write(folder.path().join("README.md"), "changed").unwrap();
        let again = read(folder.path(), &Limits::default()).unwrap();
        assert_eq!(files.policy_digest(), again.policy_digest());
    }

    #[test]
    fn links_may_stay_inside_but_not_lead_out() {
        let folder = folder();
        symlink("policies/deep/a.cedar", folder.path().join("b.cedar")).unwrap();
        assert_eq!(
            read(folder.path(), &Limits::default())
                .unwrap()
                .with_role(Role::Policies)
                .count(),
            2
        );
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("c.cedar"), "").unwrap();
        symlink(
            outside.path().join("c.cedar"),
            folder.path().join("c.cedar"),
        )
        .unwrap();
        let error = read(folder.path(), &Limits::default()).unwrap_err();
        assert!(matches!(error, SourceError::LeadsOut { .. }), "{error}");
    }

    #[test]
    fn a_link_to_its_own_folder_ends_at_the_depth_limit() {
        let folder = folder();
        symlink(".", folder.path().join("loop")).unwrap();
        let error = read(folder.path(), &Limits::default()).unwrap_err();
        assert!(error.hint().contains("policies.depth_max"), "{error}");
    }

    fn of_files(files_max: usize) -> Limits {
        Limits {
            files_max,
            ..Limits::default()
        }
    }

    #[test]
    fn directories_of_links_to_each_other_come_to_an_end() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..6 {
            let path = folder.path().join(format!("n/d{number}"));
            fs::create_dir_all(&path).unwrap();
            for link in 0..3 {
                let next = format!("../d{}", number + 1);
                if number < 5 {
                    symlink(next, path.join(format!("l{link}"))).unwrap();
                }
            }
        }
        fs::write(folder.path().join("n/d5/x.md"), "no policy").unwrap();
        let error = read(folder.path(), &of_files(100)).unwrap_err();
        let told = "exceeds the limit of 100 directories that symbolic links lead to";
        assert!(error.to_string().contains(told), "{error}");
        assert!(error.hint().contains("`policies.files_max`"), "{error}");
        // 3 + 9 + 27 + 81 + 243 from the first, and so on: a finite number.
        read(folder.path(), &of_files(363 + 120 + 39 + 12 + 3)).unwrap();
        read(folder.path(), &of_files(363 + 120 + 39 + 12 + 2)).unwrap_err();
    }

    #[test]
    fn directories_count_where_links_lead_to_them() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["a/b/c", "a/d", "e"] {
            fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        read(folder.path(), &of_files(1)).unwrap();
        symlink("a", folder.path().join("l")).unwrap();
        read(folder.path(), &of_files(4)).unwrap();
        let error = read(folder.path(), &of_files(3)).unwrap_err();
        assert!(error.to_string().contains("/l"), "{error}");
    }

    #[test]
    fn every_limit_is_kept() {
        let folder = folder();
        fs::write(folder.path().join("b.cedar"), "12345").unwrap();
        let cases = [
            (
                Limits {
                    file_bytes_max: 4,
                    ..Limits::default()
                },
                "policies.file_bytes_max",
            ),
            (
                Limits {
                    files_max: 1,
                    ..Limits::default()
                },
                "policies.files_max",
            ),
            (
                Limits {
                    total_bytes_max: 20,
                    ..Limits::default()
                },
                "policies.total_bytes_max",
            ),
            (
                Limits {
                    depth_max: 1,
                    ..Limits::default()
                },
                "policies.depth_max",
            ),
        ];
        for (limits, key) in cases {
            let error = read(folder.path(), &limits).unwrap_err();
            assert!(error.hint().contains(key), "{error}");
        }
    }
}
