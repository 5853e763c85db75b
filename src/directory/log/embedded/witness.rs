//! A second opinion on how far the log got: the file `head`.
//!
//! The engine chooses between the last two states of its file by one bit, and
//! falls back on the older one when the newer looks damaged; either would take
//! back what was acknowledged, silently. So the bounds are written here too,
//! after each commit and before it is acknowledged. It is not synced: it survives
//! the process, and after a power loss it is older at the most, which proves
//! less but nothing false. For the same reason a failure to write it does not
//! count, and one that is damaged or missing says nothing.

use std::fs;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use sha2::Digest as _;
use sha2::Sha256;

use super::tables::Bounds;
use crate::directory::log::Hash;
use crate::directory::log::LogError;
use crate::directory::log::LogId;

const FILE: &str = "head";

/// What was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Acknowledged {
    /// Of which log.
    pub(super) log: LogId,
    /// Entries up to here were trimmed.
    pub(super) base: u64,
    /// Entries up to here were appended.
    pub(super) sequence: u64,
    /// The hash there.
    pub(super) hash: Hash,
}

/// The file, to be written.
#[derive(Debug)]
pub(super) struct Witness(File);

impl Witness {
    /// Opens the file, or makes it.
    pub(super) fn open(directory: &Path) -> Result<Self, LogError> {
        let path = directory.join(FILE);
        File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map(Self)
            .map_err(|error| LogError::of_io(path.display().to_string(), error))
    }

    /// Writes down what is about to be acknowledged.
    pub(super) fn write(&self, bounds: &Bounds) {
        let mut bytes = [
            bounds.head.log.as_bytes().as_slice(),
            &bounds.base.sequence.to_be_bytes(),
            &bounds.head.sequence.to_be_bytes(),
            bounds.head.hash.as_bytes(),
        ]
        .concat();
        bytes.extend(Sha256::digest(&bytes));
        self.0.write_all_at(&bytes, 0).ok();
    }
}

/// What the file says, if it says anything.
pub(super) fn read(directory: &Path) -> Option<Acknowledged> {
    let bytes: [u8; 96] = fs::read(directory.join(FILE)).ok()?.try_into().ok()?;
    let (content, digest) = bytes.split_last_chunk::<32>()?;
    if Sha256::digest(content).as_slice() != digest {
        return None;
    }
    let (log, rest) = content.split_first_chunk()?;
    let (base, rest) = rest.split_first_chunk()?;
    let (sequence, hash) = rest.split_first_chunk()?;
    Some(Acknowledged {
        log: LogId::from_bytes(*log),
        base: u64::from_be_bytes(*base),
        sequence: u64::from_be_bytes(*sequence),
        hash: Hash::from_bytes(hash.try_into().ok()?),
    })
}
