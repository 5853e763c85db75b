//! The files of a policy repository, as bytes: what a source yields and
//! [`compile`](super::compile()) takes.

use std::collections::BTreeMap;

use super::digest::Digest;

/// What a file is for, told by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `manifest.toml` at the root.
    Manifest,
    /// `*.cedarschema`
    Schema,
    /// `*.cedar`: policies and templates.
    Policies,
    /// `entities/**.json`: entities, in Cedar's JSON.
    Entities,
    /// `links/**.json`: links of templates, in Cedar's JSON.
    Links,
    /// `*.test.yaml`, and `*.test.json` as Cedar's command line has them: what the
    /// policies are tested with. A server does not read them.
    Tests,
    /// `*.invariants.yaml`, or `invariants.yaml`: what the policies must always
    /// be. A server does not read them.
    Invariants,
}

impl Role {
    /// The role of a path relative to the root, with `/` between its parts;
    /// `None` for files that are not Deodar's business, such as a README.
    pub fn of(path: &str) -> Option<Self> {
        let (_, extension) = path.rsplit_once('.')?;
        match extension {
            "yaml" if path.ends_with(".test.yaml") => Some(Self::Tests),
            "yaml" if path.ends_with(".invariants.yaml") => Some(Self::Invariants),
            "yaml" if path == "invariants.yaml" || path.ends_with("/invariants.yaml") => {
                Some(Self::Invariants)
            }
            "toml" if path == "manifest.toml" => Some(Self::Manifest),
            "cedarschema" => Some(Self::Schema),
            "cedar" => Some(Self::Policies),
            "json" if path.starts_with("entities/") => Some(Self::Entities),
            "json" if path.starts_with("links/") => Some(Self::Links),
            "json" if path.ends_with(".test.json") => Some(Self::Tests),
            _ => None,
        }
    }

    /// Whether the file belongs to the policies (as opposed to the directory's
    /// data).
    pub fn is_policy(self) -> bool {
        matches!(self, Self::Manifest | Self::Schema | Self::Policies)
    }

    /// Whether the file is the directory's data.
    pub fn is_data(self) -> bool {
        matches!(self, Self::Entities | Self::Links)
    }

    /// Whether a server reads the file; the others are for the command line.
    pub fn is_served(self) -> bool {
        self.is_policy() || self.is_data()
    }
}

/// The files of one revision of a policy repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    files: BTreeMap<String, Vec<u8>>,
}

impl Files {
    /// Files from `(path, content)` pairs; paths are relative to the root, with
    /// `/` between their parts. Files without a [`Role`] are left out.
    pub fn new(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        Self {
            files: files
                .into_iter()
                .filter(|(path, _)| Role::of(path).is_some())
                .collect(),
        }
    }

    /// The files of one role, in order of path.
    pub fn with_role(&self, role: Role) -> impl Iterator<Item = (&str, &[u8])> {
        self.iter()
            .filter(move |(path, _)| Role::of(path) == Some(role))
    }

    /// Whether there is no file at all.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Every file, in order of path.
    pub fn all(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.iter()
    }

    /// The content of the file at this path.
    pub fn get(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// The digest of manifest, schema and policies: names a [`Snapshot`](super::Snapshot).
    pub fn policy_digest(&self) -> Digest {
        self.digest(Role::is_policy)
    }

    /// The digest of entities and links: names a [`View`](super::View).
    pub fn data_digest(&self) -> Digest {
        self.digest(Role::is_data)
    }

    fn digest(&self, wanted: impl Fn(Role) -> bool) -> Digest {
        Digest::of_files(
            self.iter()
                .filter(|(path, _)| Role::of(path).is_some_and(&wanted)),
        )
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files
            .iter()
            .map(|(path, content)| (path.as_str(), content.as_slice()))
    }
}
