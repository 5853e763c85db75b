//! The log of the directory: transactions in one order, each chained to the
//! one before it by a hash.
//!
//! The log deals in opaque bytes; what a transaction says is for the layer
//! above. [`Log`] is the seam: [`Embedded`] keeps it in a directory of this
//! machine, [`Memory`] nowhere. Every implementation passes `conformance`.

pub mod embedded;
pub mod error;
pub mod memory;
pub mod snapshot;

#[cfg(test)]
mod conformance;

use std::fmt;

use sha2::Digest as _;
use sha2::Sha256;
use uuid::Uuid;

pub use self::embedded::Embedded;
pub use self::error::LogError;
pub use self::memory::Memory;
pub use self::snapshot::Snapshot;

/// The largest body of an entry and the largest chunk of a snapshot, in bytes.
pub const BODY_BYTES_MAX: usize = 64 << 20;

/// The name of a log, drawn at random when it is made: sequences of two logs
/// say nothing of each other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogId([u8; 16]);

impl LogId {
    /// A new name: the bytes of a UUID of version 4.
    pub fn random() -> Self {
        Self(Uuid::new_v4().into_bytes())
    }

    /// The name that these bytes are.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The raw 16 bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hexadecimal(&self.0, f)
    }
}

impl fmt::Debug for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hexadecimal(&self.0, f)
    }
}

/// SHA-256 over an entry and everything before it; see [`chain`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash([u8; 32]);

impl Hash {
    /// The hash before the first entry of a log: SHA-256 of the log's name.
    pub fn before_first(log: &LogId) -> Self {
        Self(Sha256::digest(log.as_bytes()).into())
    }

    /// The hash that these bytes are.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The raw 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hexadecimal(&self.0, f)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hexadecimal(&self.0, f)
    }
}

fn hexadecimal(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// The hash of entry `sequence`, given that of the entry before it.
///
/// SHA-256 over `previous`, `sequence` and the length of `body` in bytes (both
/// as 64-bit big-endian), and `body`. Equal hashes at a sequence thus mean equal
/// logs up to there.
pub fn chain(previous: &Hash, sequence: u64, body: &[u8]) -> Hash {
    let mut hash = Sha256::new();
    hash.update(previous.as_bytes());
    hash.update(sequence.to_be_bytes());
    hash.update((body.len() as u64).to_be_bytes());
    hash.update(body);
    Hash(hash.finalize().into())
}

/// A place in a log: behind the entry `sequence`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Head {
    /// Of which log.
    pub log: LogId,
    /// How many entries there were until here; 0 in an empty log.
    pub sequence: u64,
    /// The hash of entry `sequence`; in an empty log, [`Hash::before_first`].
    pub hash: Hash,
}

impl Head {
    /// The place before the first entry.
    pub fn before_first(log: LogId) -> Self {
        let hash = Hash::before_first(&log);
        Self {
            log,
            sequence: 0,
            hash,
        }
    }

    /// The place behind one more entry.
    #[must_use]
    pub fn after(&self, body: &[u8]) -> Self {
        let sequence = self.sequence + 1;
        let hash = chain(&self.hash, sequence, body);
        Self {
            log: self.log,
            sequence,
            hash,
        }
    }
}

/// What is noted of a log; see [`Log::set_mark`].
pub type Mark = [u8; 32];

/// One entry of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number: the first is 1, and there are no gaps.
    pub sequence: u64,
    /// Its hash; see [`chain`].
    pub hash: Hash,
    /// What was appended.
    pub body: Vec<u8>,
}

/// A log of entries in one order, with snapshots of what they add up to.
///
/// One process writes it. Calls block on the store: from asynchronous code, make
/// them on a thread that may block.
pub trait Log: Send + Sync + fmt::Debug {
    /// The place behind the last entry that is durable. After a failure, the
    /// last one known, until [`Log::recover`] succeeded.
    fn head(&self) -> Head;

    /// The sequence of the first entry that is still there; one past the head if
    /// there is none.
    fn oldest(&self) -> u64;

    /// Appends the bodies in this order: all of them or none, and durable before
    /// it returns. Without bodies, nothing is done.
    ///
    /// # Errors
    /// [`LogError::TooLarge`] before anything is written. After any other error
    /// it is unknown whether the entries are there, and everything but
    /// [`Log::recover`] answers [`LogError::Unknown`] until that succeeded.
    fn append(&self, bodies: &[Vec<u8>]) -> Result<Head, LogError>;

    /// The entries after the sequence `after`, as far as the head: `entries_max`
    /// and bodies of `bytes_max` bytes at the most, but always one if there is
    /// one. Their chain is verified.
    ///
    /// # Errors
    /// [`LogError::Trimmed`] if entry `after + 1` was dropped;
    /// [`LogError::Damaged`] if the entries are not those that were appended.
    fn read(
        &self,
        after: u64,
        entries_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Entry>, LogError>;

    /// The hash at this sequence; none before `oldest() - 1` and past the head.
    ///
    /// # Errors
    /// As [`Log::read`].
    fn hash_at(&self, sequence: u64) -> Result<Option<Hash>, LogError>;

    /// Keeps a snapshot: what the entries up to `at` add up to, in chunks. It is
    /// durable before this returns. Appends go on meanwhile. The two newest
    /// snapshots are kept.
    ///
    /// # Errors
    /// [`LogError::Foreign`] if `at` is no place of this log,
    /// [`LogError::Trimmed`] if it can no longer be told, and
    /// [`LogError::TooLarge`] for a chunk; the snapshots are then as before.
    fn put_snapshot(
        &self,
        at: Head,
        chunks: &mut dyn Iterator<Item = Vec<u8>>,
    ) -> Result<(), LogError>;

    /// The newest snapshot, verified whole before the first chunk is handed out.
    ///
    /// One that is damaged is passed over only if every entry since an older one
    /// (or since the beginning: then none is returned) is still there.
    ///
    /// # Errors
    /// What is wrong with the newest snapshot, if it is needed.
    fn snapshot(&self) -> Result<Option<Snapshot>, LogError>;

    /// Drops the entries up to and including `through`.
    ///
    /// # Errors
    /// [`LogError::Uncovered`] beyond the newest snapshot.
    fn trim(&self, through: u64) -> Result<(), LogError>;

    /// What was noted of everything up to the head.
    ///
    /// # Errors
    /// As [`Log::read`].
    fn mark(&self) -> Result<Option<Mark>, LogError>;

    /// Notes something of everything up to the head, or takes it back; durable
    /// before this returns. It stays when entries are appended: whoever does that
    /// takes it back first if it will no longer be true.
    ///
    /// # Errors
    /// As [`Log::append`]: the old mark or the new one is there.
    fn set_mark(&self, mark: Option<Mark>) -> Result<(), LogError>;

    /// Opens the store again after a failure, and tells what is there.
    ///
    /// # Errors
    /// If it still fails, or if entries that were acknowledged are gone.
    fn recover(&self) -> Result<Head, LogError>;
}

/// Refuses bodies that are too large.
fn check_sizes(bodies: &[Vec<u8>]) -> Result<(), LogError> {
    match bodies.iter().find(|body| body.len() > BODY_BYTES_MAX) {
        None => Ok(()),
        Some(body) => Err(LogError::TooLarge {
            bytes: body.len(),
            limit: BODY_BYTES_MAX,
        }),
    }
}

/// Refuses a snapshot at `at` if that is no place of the log.
fn check_place(log: &dyn Log, at: &Head) -> Result<(), LogError> {
    let head = log.head();
    let foreign = || LogError::Foreign {
        log: head.log.to_string(),
        found: format!("{}:{}", at.log, at.sequence),
    };
    if at.log != head.log || at.sequence > head.sequence {
        return Err(foreign());
    }
    match log.hash_at(at.sequence)? {
        Some(hash) if hash == at.hash => Ok(()),
        Some(_) => Err(foreign()),
        None => Err(LogError::Trimmed {
            oldest: log.oldest(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::Hash;
    use super::Head;
    use super::LogId;
    use super::chain;

    #[test]
    fn the_chain_is_as_documented() {
        // From `printf .. | sha256sum`, so that the format cannot drift.
        let log = LogId::from_bytes([0x11; 16]);
        assert_eq!(log.to_string(), "11111111111111111111111111111111");
        let first = Head::before_first(log);
        assert_eq!(first.hash.to_string(), FIRST);
        assert_eq!(first.after(b"abc").hash.to_string(), SECOND);
    }

    const FIRST: &str = "b8f12ea8c9a95d4b4641b03d9fa5a71ad30b44ed6cd4bf793bbe1a5801b986d4";
    const SECOND: &str = "1f206fa603634e6a6bfaa69653869612c082a26f1f021d697b56da14c58863f5";

    #[test]
    fn every_part_is_hashed() {
        let previous = Hash::from_bytes([1; 32]);
        let hash = chain(&previous, 1, b"a");
        assert_ne!(hash, chain(&Hash::from_bytes([2; 32]), 1, b"a"));
        assert_ne!(hash, chain(&previous, 2, b"a"));
        assert_ne!(hash, chain(&previous, 1, b"b"));
        assert_ne!(chain(&previous, 1, b""), chain(&previous, 1, b"\0"));
    }
}
