//! The files of a revision by a listing of git: symbolic links are followed while they
//! stay inside the directory, as in a directory on disk.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::path::PathBuf;

use super::GitError;
use super::too_much;
use crate::engine::files::Role;
use crate::source::limits::Limits;
use crate::source::read::LINKED;
use crate::source::read::SourceError;

/// Links that are followed one after the other; with more they go round.
const HOPS_MAX: usize = 40;

/// A file that is read.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) object: String,
}

/// What is at a path. Directories are known by what is in them.
enum Node {
    File(String),
    /// The object that says where it leads.
    Link(String),
    Submodule,
}

/// All that a listing has, by path.
pub(super) struct Listing {
    nodes: BTreeMap<String, Node>,
}

impl Listing {
    /// Reads `<mode> <type> <object>\t<path>\0`, again and again.
    ///
    /// # Errors
    /// When a file that is wanted has a name that is not UTF-8.
    pub(super) fn new(listing: &[u8]) -> Result<Self, GitError> {
        let mut nodes = BTreeMap::new();
        for entry in listing.split(|byte| *byte == 0) {
            let Ok(text) = std::str::from_utf8(entry) else {
                let entry = String::from_utf8_lossy(entry);
                let name = entry.split('\t').nth(1).unwrap_or_default();
                if is_hidden(name) || Role::of(name).is_none() {
                    continue;
                }
                let path = PathBuf::from(name);
                return Err(GitError::Files(SourceError::Name { path }));
            };
            let Some((head, name)) = text.split_once('\t') else {
                continue;
            };
            let mut head = head.split(' ');
            let (Some(mode), Some(_), Some(object)) = (head.next(), head.next(), head.next())
            else {
                continue;
            };
            let node = match mode {
                "120000" => Node::Link(object.to_owned()),
                "160000" => Node::Submodule,
                _ => Node::File(object.to_owned()),
            };
            nodes.insert(name.to_owned(), node);
        }
        Ok(Self { nodes })
    }

    /// The symbolic links, whose contents say where they lead.
    pub(super) fn links(&self) -> Vec<Entry> {
        let links = self.nodes.iter().filter_map(|(name, node)| match node {
            Node::Link(object) => Some(Entry {
                name: name.clone(),
                object: object.clone(),
            }),
            Node::File(_) | Node::Submodule => None,
        });
        links.collect()
    }

    /// The files that are wanted; `targets` is where links lead. Submodules are told in
    /// `left_out`.
    ///
    /// # Errors
    /// When a link leads out or nowhere, or a limit is exceeded.
    pub(super) fn wanted(
        &self,
        targets: &[(String, Vec<u8>)],
        limits: &Limits,
        left_out: &mut Vec<String>,
    ) -> Result<Vec<Entry>, GitError> {
        let mut walk = Walk {
            nodes: &self.nodes,
            targets: targets
                .iter()
                .map(|(name, target)| (name.as_str(), target.as_slice()))
                .collect(),
            limits,
            left_out,
            entries: Vec::new(),
            linked: 0,
        };
        walk.folder("", "")?;
        Ok(walk.entries)
    }
}

struct Walk<'a> {
    nodes: &'a BTreeMap<String, Node>,
    targets: BTreeMap<&'a str, &'a [u8]>,
    limits: &'a Limits,
    left_out: &'a mut Vec<String>,
    entries: Vec<Entry>,
    /// Folders that were come to by links.
    linked: usize,
}

impl Walk<'_> {
    /// All that is in a folder; `prefix` is what its files are called by.
    fn folder(&mut self, folder: &str, prefix: &str) -> Result<(), GitError> {
        self.keep_depth(prefix)?;
        let is_linked = !prefix.is_empty();
        self.count_linked(usize::from(is_linked), prefix)?;
        let mut last = "";
        let nodes = self.nodes;
        let below = below(folder);
        let inside = nodes.range::<str, _>((Bound::Included(below.as_str()), Bound::Unbounded));
        for (path, node) in inside {
            let Some(rest) = path.strip_prefix(&below) else {
                break;
            };
            if is_hidden(rest) {
                continue;
            }
            if is_linked {
                self.count_linked(entered(last, rest), prefix)?;
                last = rest;
            }
            let name = format!("{prefix}{rest}");
            match node {
                Node::File(object) => self.file(name, object)?,
                Node::Submodule => self.submodule(&name),
                Node::Link(_) => self.link(path, name)?,
            }
        }
        Ok(())
    }

    /// Counts folders that are come to by a link, and those below them.
    fn count_linked(&mut self, folders: usize, prefix: &str) -> Result<(), GitError> {
        self.linked += folders;
        let limit = self.limits.files_max;
        if self.linked <= limit {
            return Ok(());
        }
        let name = prefix.trim_end_matches('/');
        Err(too_much(name, limit as u64, LINKED, "policies.files_max"))
    }

    fn link(&mut self, path: &str, name: String) -> Result<(), GitError> {
        let target = self.target(path).map_err(GitError::Files)?;
        let nodes = self.nodes;
        match nodes.get(&target) {
            Some(Node::File(object)) => self.file(name, object),
            Some(Node::Submodule) => {
                self.submodule(&name);
                Ok(())
            }
            Some(Node::Link(_)) | None if !self.is_folder(&target) => {
                let error = io::Error::new(io::ErrorKind::NotFound, "it leads nowhere");
                Err(GitError::Files(unreadable(path, error)))
            }
            Some(Node::Link(_)) | None => self.folder(&target, &format!("{name}/")),
        }
    }

    /// Where a link leads in the end.
    fn target(&self, link: &str) -> Result<String, SourceError> {
        let mut found: Vec<&str> = Vec::new();
        let mut rest: Vec<&str> = link.split('/').rev().collect();
        let mut hops = 0;
        let leads_out = |target: &str| SourceError::LeadsOut {
            path: PathBuf::from(link),
            target: PathBuf::from(target),
        };
        let mut last = "";
        while let Some(part) = rest.pop() {
            match part {
                "" | "." => continue,
                ".." => match found.pop() {
                    Some(_) => continue,
                    None => return Err(leads_out(last)),
                },
                part => found.push(part),
            }
            let Some(target) = self.targets.get(found.join("/").as_str()) else {
                continue;
            };
            let Ok(target) = std::str::from_utf8(target) else {
                let path = PathBuf::from(link);
                return Err(SourceError::Name { path });
            };
            hops += 1;
            if hops > HOPS_MAX {
                return Err(unreadable(link, io::Error::other("its links go round")));
            }
            if target.starts_with('/') {
                return Err(leads_out(target));
            }
            last = target;
            found.pop();
            rest.extend(target.split('/').rev());
        }
        Ok(found.join("/"))
    }

    fn is_folder(&self, path: &str) -> bool {
        let below = below(path);
        let mut inside = self
            .nodes
            .range::<str, _>((Bound::Included(below.as_str()), Bound::Unbounded));
        inside
            .next()
            .is_some_and(|(first, _)| first.starts_with(&below))
    }

    fn submodule(&mut self, name: &str) {
        self.left_out
            .push(format!("the submodule `{name}` is not looked into"));
    }

    fn file(&mut self, name: String, object: &str) -> Result<(), GitError> {
        if Role::of(&name).is_none() {
            return Ok(());
        }
        self.keep_depth(&name)?;
        if self.entries.len() >= self.limits.files_max {
            let limit = self.limits.files_max as u64;
            return Err(too_much(&name, limit, "files", "policies.files_max"));
        }
        self.entries.push(Entry {
            name,
            object: object.to_owned(),
        });
        Ok(())
    }

    fn keep_depth(&self, name: &str) -> Result<(), GitError> {
        if name.matches('/').count() <= self.limits.depth_max {
            return Ok(());
        }
        let limit = self.limits.depth_max as u64;
        let unit = "directories below one another";
        Err(too_much(name, limit, unit, "policies.depth_max"))
    }
}

/// What the paths in a folder begin with.
fn below(folder: &str) -> String {
    if folder.is_empty() {
        String::new()
    } else {
        format!("{folder}/")
    }
}

/// How many folders a path is in that the one before it, in order, is not in.
fn entered(before: &str, path: &str) -> usize {
    let folders = path
        .match_indices('/')
        .filter_map(|(at, _)| path.get(..=at));
    folders.filter(|folder| !before.starts_with(folder)).count()
}

fn is_hidden(name: &str) -> bool {
    name.split('/').any(|part| part.starts_with('.'))
}

fn unreadable(path: &str, error: io::Error) -> SourceError {
    SourceError::Entry {
        path: PathBuf::from(path),
        error,
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::Limits;
    use super::Listing;

    /// The files that come of a listing and of where its links lead; or the error.
    fn wanted(nodes: &[(&str, &str)], links: &[(&str, &str)]) -> Result<Vec<String>, String> {
        wanted_within(nodes, links, &Limits::default())
    }

    fn wanted_within(
        nodes: &[(&str, &str)],
        links: &[(&str, &str)],
        limits: &Limits,
    ) -> Result<Vec<String>, String> {
        let mut text = String::new();
        for (name, object) in nodes {
            write!(text, "100644 blob {object}\t{name}\0").unwrap();
        }
        for (name, _) in links {
            write!(text, "120000 blob link\t{name}\0").unwrap();
        }
        let listing = Listing::new(text.as_bytes()).unwrap();
        let targets: Vec<(String, Vec<u8>)> = links
            .iter()
            .map(|(name, target)| ((*name).to_owned(), target.as_bytes().to_vec()))
            .collect();
        let found = listing.wanted(&targets, limits, &mut Vec::new());
        found
            .map(|all| {
                let told = all
                    .iter()
                    .map(|entry| format!("{} {}", entry.name, entry.object));
                told.collect()
            })
            .map_err(|error| error.to_string())
    }

    const FILES: [(&str, &str); 4] = [
        (".kept/d.cedar", "4"),
        ("README.md", "3"),
        ("a/b/x.cedar", "1"),
        ("y.cedar", "2"),
    ];

    #[test]
    fn links_are_followed_as_on_disk() {
        let cases = [
            (&[] as &[(&str, &str)], &[] as &[&str]),
            (&[("l.cedar", "y.cedar")], &["l.cedar 2"]),
            // To a directory, up and down again, and through another link.
            (&[("a/up", "./../a//b")], &["a/up/x.cedar 1"]),
            (
                &[("z.cedar", "q/x.cedar"), ("q", "a/b")],
                &["q/x.cedar 1", "z.cedar 1"],
            ),
            // What is called by the link counts: its role, and whether it is hidden.
            (&[("l.cedar", "README.md"), (".l", "gone")], &["l.cedar 3"]),
            (&[("k", ".kept")], &["k/d.cedar 4"]),
        ];
        for (links, more) in cases {
            let mut expected = vec!["a/b/x.cedar 1".to_owned(), "y.cedar 2".to_owned()];
            expected.extend(more.iter().map(|name| (*name).to_owned()));
            expected.sort();
            let mut found = wanted(&FILES, links).unwrap();
            found.sort();
            assert_eq!(found, expected, "{links:?}");
        }
    }

    #[test]
    fn links_that_lead_out_nowhere_or_round_are_faults() {
        for (links, expected) in [
            ([("l", "../x.cedar"), ("k", "y.cedar")], "leads out"),
            ([("l", "/etc"), ("k", "y.cedar")], "leads out"),
            ([("l", "gone.cedar"), ("k", "y.cedar")], "leads nowhere"),
            ([("l", "k"), ("k", "l")], "go round"),
            ([("l", "."), ("k", "y.cedar")], "exceeds the limit"),
        ] {
            let error = wanted(&FILES, &links).unwrap_err();
            assert!(error.contains(expected), "{links:?}: {error}");
        }
    }

    fn of_files(files_max: usize) -> Limits {
        Limits {
            files_max,
            ..Limits::default()
        }
    }

    #[test]
    fn folders_of_links_to_each_other_come_to_an_end() {
        let mut links = Vec::new();
        for number in 0..5 {
            for link in 0..3 {
                links.push((
                    format!("n/d{number}/l{link}"),
                    format!("../d{}", number + 1),
                ));
            }
        }
        let links: Vec<(&str, &str)> = links
            .iter()
            .map(|(name, target)| (name.as_str(), target.as_str()))
            .collect();
        let nodes = [("n/d5/x.md", "1")];
        let error = wanted_within(&nodes, &links, &of_files(100)).unwrap_err();
        let told = "exceeds the limit of 100 directories that symbolic links lead to";
        assert!(error.contains(told), "{error}");
        // 3 + 9 + 27 + 81 + 243 from the first, and so on: as on disk.
        wanted_within(&nodes, &links, &of_files(363 + 120 + 39 + 12 + 3)).unwrap();
        wanted_within(&nodes, &links, &of_files(363 + 120 + 39 + 12 + 2)).unwrap_err();
    }

    #[test]
    fn folders_count_where_links_lead_to_them() {
        let nodes = [
            ("a/b/c/x.md", "1"),
            ("a/b/c/y.md", "1"),
            ("a/b/x.md", "1"),
            ("a/d/.kept/x.md", "1"),
            ("a/d/x.md", "1"),
            ("e/x.md", "1"),
        ];
        wanted_within(&nodes, &[], &of_files(1)).unwrap();
        wanted_within(&nodes, &[("l", "a")], &of_files(4)).unwrap();
        let error = wanted_within(&nodes, &[("l", "a")], &of_files(3)).unwrap_err();
        assert!(error.starts_with("`l` exceeds"), "{error}");
    }
}
