//! What can go wrong with an audit log, grouped by who can mend it.

use std::io;
use std::path::Path;

use thiserror::Error;

use super::fault::Fault;

/// A log that cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// An option that makes no sense.
    #[error("`{option}` is out of its range")]
    Option {
        /// Its name.
        option: &'static str,
    },
    /// Another process has it open, or this one does already.
    #[error("the audit log `{directory}` is in use")]
    InUse {
        /// The directory.
        directory: String,
    },
    /// The system would not have it.
    #[error("`{what}`: {error}")]
    Io {
        /// The file or directory.
        what: String,
        /// What the system said.
        error: io::Error,
    },
    /// What is there is not what was written, and no crash explains it.
    #[error("the audit log `{directory}` is damaged: {fault}")]
    Damaged {
        /// The directory.
        directory: String,
        /// Where, and how that shows.
        fault: Fault,
    },
}

impl OpenError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Option { .. } => "sizes and times are at least 1, and a window at most an hour",
            Self::InUse { .. } => {
                "stop the other server, or give each its own directory; an audit log has one writer"
            }
            Self::Io { error, .. } => match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "make room on the file system, or raise the quota"
                }
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    "check owner and mode of the directory, and that its file system is not \
                     mounted read-only"
                }
                _ => "check the disk and the system's messages",
            },
            Self::Damaged { .. } => {
                "run `deodar audit verify`, keep the directory as evidence, and move it away: the \
                 next start begins a new log"
            }
        }
    }

    pub(super) fn io(what: &Path) -> impl FnOnce(io::Error) -> Self {
        let what = what.display().to_string();
        |error| Self::Io { what, error }
    }
}

/// A log that cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The system would not have it.
    #[error("`{what}`: {error}")]
    Io {
        /// The file or directory.
        what: String,
        /// What the system said.
        error: io::Error,
    },
    /// There is no segment in the directory.
    #[error("there is no audit log in `{directory}`")]
    Absent {
        /// The directory.
        directory: String,
    },
    /// What was to be read next was dropped meanwhile.
    #[error("records before `{oldest}` were dropped")]
    Dropped {
        /// The first record that is still there.
        oldest: u64,
    },
    /// What is there is not what was written.
    #[error("the audit log is damaged: {0}")]
    Damaged(Fault),
}

impl ReadError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Io { .. } => "check that the directory is there and that you may read it",
            Self::Absent { .. } => "name the directory that the server has as `audit.path`",
            Self::Dropped { .. } => "read on from there, or keep more",
            Self::Damaged(_) => "run `deodar audit verify`",
        }
    }

    pub(super) fn io(what: &Path) -> impl FnOnce(io::Error) -> Self {
        let what = what.display().to_string();
        |error| Self::Io { what, error }
    }
}

/// The log ended before the record was durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the audit log ended before the record was durable")]
pub struct NotDurable;

/// Why a log is not well.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unhealthy {
    /// Nothing is written any more.
    #[error("the audit log has ended")]
    Ended,
    /// Too much waits to be written.
    #[error("the audit log has no room, and nothing is answered without a record")]
    Full,
    /// The disk fails; records wait in memory.
    #[error("the audit log cannot be written: {0}")]
    Failing(String),
    /// Records were lost or refused within the last minute.
    #[error(
        "{lost} audit records were lost and {refused} refused since the start, the last within a minute"
    )]
    Losing {
        /// So many were lost since the start.
        lost: u64,
        /// So many were refused since the start.
        refused: u64,
    },
    /// Records wait for far longer than they should.
    #[error("audit records wait for {seconds} s to become durable")]
    Stalled {
        /// For so long, in seconds.
        seconds: u64,
    },
}
