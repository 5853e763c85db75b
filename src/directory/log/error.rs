//! What can go wrong with a log, grouped by who can mend it.

use std::io;

use thiserror::Error;

/// A log that cannot do what it was asked.
#[derive(Debug, Error)]
pub enum LogError {
    // For the caller to mend.
    /// A body or chunk is over the limit.
    #[error("{bytes} bytes are over the limit of {limit}")]
    TooLarge {
        /// Its size in bytes.
        bytes: usize,
        /// The most there may be.
        limit: usize,
    },
    /// The entry asked for was dropped.
    #[error("entries before `{oldest}` were trimmed")]
    Trimmed {
        /// The first entry that is still there.
        oldest: u64,
    },
    /// Entries that no snapshot covers are not to be dropped.
    #[error("entries up to `{through}` cannot be trimmed: no snapshot covers them")]
    Uncovered {
        /// What was to be dropped.
        through: u64,
    },
    /// A snapshot that is not of this log.
    #[error("the snapshot at `{found}` is not of the log `{log}`")]
    Foreign {
        /// This log.
        log: String,
        /// The place the snapshot names.
        found: String,
    },
    /// A call failed, and what it left behind is not known yet.
    #[error("the store failed, and what it holds is unknown")]
    Unknown,

    // For the operator to mend.
    /// Another process has it open, or this one does already.
    #[error("the store `{store}` is in use")]
    InUse {
        /// The directory.
        store: String,
    },
    /// Written by a later release.
    #[error("`{what}` has format {found}, and this release knows up to {supported}")]
    Newer {
        /// The file.
        what: String,
        /// Its format.
        found: u64,
        /// The latest format known here.
        supported: u64,
    },
    /// No space left, or a quota is used up.
    #[error("no space is left for `{what}`")]
    Full {
        /// The file or directory.
        what: String,
    },
    /// It may not be written.
    #[error("`{what}` may not be written")]
    ReadOnly {
        /// The file or directory.
        what: String,
    },
    /// Anything else the system said.
    #[error("`{what}`: {error}")]
    Io {
        /// The file or directory.
        what: String,
        /// What the system said.
        error: io::Error,
    },
    /// What is stored is not what was written.
    #[error("the store is damaged: {what}")]
    Damaged {
        /// Where, and how that shows.
        what: String,
    },
}

impl LogError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "split it",
            Self::Trimmed { .. } => "start from the snapshot, then read the entries after it",
            Self::Uncovered { .. } => "put a snapshot first, then trim up to where it was taken",
            Self::Foreign { .. } => {
                "use the snapshots and the log of one server together; never mix directories"
            }
            Self::Unknown => "recover the log: that opens the store again and tells how far it got",
            Self::InUse { .. } => {
                "stop the other server, or give each its own directory; a log has one writer"
            }
            Self::Newer { .. } => "run the release that wrote it, or a later one",
            Self::Full { .. } => "make room on the file system, or raise the quota",
            Self::ReadOnly { .. } => {
                "check owner and mode of the directory, and that its file system is not mounted \
                 read-only"
            }
            Self::Io { .. } => "check the disk and the system's messages",
            Self::Damaged { .. } => {
                "keep a copy of the directory, check the disk, and restore the whole directory \
                 from a backup"
            }
        }
    }

    pub(super) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }

    /// Sorts what the system said by who can mend it.
    pub(super) fn of_io(what: impl Into<String>, error: io::Error) -> Self {
        use io::ErrorKind;
        let what = what.into();
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                Self::Full { what }
            }
            ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => Self::ReadOnly { what },
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => Self::Damaged {
                what: format!("`{what}`: {error}"),
            },
            _ => Self::Io { what, error },
        }
    }
}
