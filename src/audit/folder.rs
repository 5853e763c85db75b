//! The files of a log: segments, open or packed, and what was torn off.
//!
//! | name | what |
//! | --- | --- |
//! | `<first seq, 20 digits>.ndjson` | a segment |
//! | `<first seq, 20 digits>.ndjson.zst` | a closed segment, packed |
//! | `*.new` | a file that was not finished, removed at the next start |
//! | `torn-<seq, 20 digits>` | what was cut off where the record `seq` would have begun |
//! | `lock` | held by the one process that writes |

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::io;
use std::io::BufReader;
use std::path::Path;
use std::path::PathBuf;

use super::lines::Lines;

const PLAIN: &str = ".ndjson";
const PACKED: &str = ".ndjson.zst";

/// What a file that is not finished ends in.
pub(super) const UNFINISHED: &str = ".new";

/// The name of a segment that is not packed.
pub(super) fn plain_name(first: u64) -> String {
    format!("{first:020}{PLAIN}")
}

/// The name of a segment that is packed.
pub(super) fn packed_name(first: u64) -> String {
    format!("{first:020}{PACKED}")
}

/// A segment there is a file of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// Its first record.
    pub(super) first: u64,
    /// There is a file that is not packed. It is the one that counts: a packed
    /// one beside it may not have been looked at yet.
    pub(super) is_plain: bool,
    /// There is a packed file.
    pub(super) is_packed: bool,
}

impl Found {
    /// The name of the file that counts.
    pub(super) fn name(&self) -> String {
        if self.is_plain {
            plain_name(self.first)
        } else {
            packed_name(self.first)
        }
    }

    /// Opens it to be read. Who packs it or drops it meanwhile is no hindrance,
    /// as long as one of both files was there.
    pub(super) fn lines(&self, directory: &Path) -> io::Result<Lines> {
        match open(&directory.join(plain_name(self.first))) {
            Ok(file) => Ok(Lines::new(Box::new(BufReader::new(file)))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let file = open(&directory.join(packed_name(self.first)))?;
                let unpacked = zstd::stream::read::Decoder::new(file)?;
                Ok(Lines::new(Box::new(BufReader::new(unpacked))))
            }
            Err(error) => Err(error),
        }
    }

    /// The bytes that its files take on the disk.
    pub(super) fn bytes(&self, directory: &Path) -> u64 {
        let names = [plain_name(self.first), packed_name(self.first)];
        let sizes =
            names.map(|name| fs::metadata(directory.join(name)).map_or(0, |file| file.len()));
        sizes.iter().sum()
    }
}

/// Opens a file to be read, or what a link to one leads to. A pipe in its place
/// would be waited for without end.
fn open(path: &Path) -> io::Result<File> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("is not a file"));
    }
    File::open(path)
}

/// The segments there are, in order.
///
/// A segment that is packed while the names are listed may show neither of its
/// names. That happens to each but once, so they are listed twice.
pub(super) fn segments(directory: &Path) -> io::Result<Vec<Found>> {
    let mut found: BTreeMap<u64, Found> = BTreeMap::new();
    let twice = names(directory)?.into_iter().chain(names(directory)?);
    for name in twice {
        let (digits, is_packed) = match (name.strip_suffix(PLAIN), name.strip_suffix(PACKED)) {
            (Some(digits), _) => (digits, false),
            (_, Some(digits)) => (digits, true),
            _ => continue,
        };
        let Ok(first) = digits.parse() else { continue };
        let is_ours = name == plain_name(first) || name == packed_name(first);
        // No record has these numbers.
        if !is_ours || first == 0 || first == u64::MAX {
            continue;
        }
        let segment = found.entry(first).or_insert(Found {
            first,
            is_plain: false,
            is_packed: false,
        });
        segment.is_plain |= !is_packed;
        segment.is_packed |= is_packed;
    }
    Ok(found.into_values().collect())
}

/// The name of the file for what is torn off where the record `seq` would have
/// begun; `again` counts those that are there already.
pub(super) fn torn_name(seq: u64, again: usize) -> String {
    match again {
        0 => format!("torn-{seq:020}"),
        again => format!("torn-{seq:020}.{again}"),
    }
}

/// The files of what was torn off where the record `seq` or a later one would
/// have begun: no record tells of them yet.
pub(super) fn torn(directory: &Path, seq: u64) -> io::Result<Vec<String>> {
    let mut names = names(directory)?;
    names.retain(|name| {
        let digits = name.strip_prefix("torn-").and_then(|rest| rest.get(..20));
        digits.is_some_and(|digits| digits.parse().is_ok_and(|torn: u64| torn >= seq))
    });
    names.sort_unstable();
    Ok(names)
}

/// The files that a crash left unfinished.
pub(super) fn unfinished(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let names = names(directory)?.into_iter();
    let unfinished = names.filter(|name| name.ends_with(UNFINISHED));
    Ok(unfinished.map(|name| directory.join(name)).collect())
}

fn names(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        // What is not text is not ours.
        names.extend(entry?.file_name().into_string().ok());
    }
    Ok(names)
}
