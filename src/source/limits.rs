//! How much a policy repository may hold.

/// Limits on what is read from a policy directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one file.
    pub file_bytes_max: u64,
    /// Files of a repository, other files not counted; and apart from these so many
    /// directories that symbolic links lead to, with those below them.
    pub files_max: usize,
    /// Bytes of all files together.
    pub total_bytes_max: u64,
    /// Directories below one another.
    pub depth_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes_max: 64 << 20,
            files_max: 20_000,
            total_bytes_max: 512 << 20,
            depth_max: 16,
        }
    }
}
