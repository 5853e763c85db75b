//! What the entries of a log add up to, at a place in it.

use std::fmt;

use super::Head;
use super::LogError;

/// The chunks of a snapshot, in the order in which they were put.
pub type Chunks = Box<dyn Iterator<Item = Result<Vec<u8>, LogError>> + Send>;

/// A snapshot that was verified whole.
pub struct Snapshot {
    /// The place it was taken at: continue with [`super::Log::read`] after it.
    pub at: Head,
    /// What it holds. An error in between is of the store that began to fail.
    pub chunks: Chunks,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}
