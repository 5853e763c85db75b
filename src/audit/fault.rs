//! Where a log is not as it was written, and how that shows.

use std::fmt;

use thiserror::Error;

/// The first place where a log is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The name of the file, in the log's directory.
    pub file: String,
    /// The number of the line in it; the first is 1.
    pub line: u64,
    /// The record that is or should be there.
    pub seq: u64,
    /// Where the line begins, in uncompressed bytes.
    pub offset: u64,
    /// What is wrong.
    pub what: What,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            seq,
            offset,
            what,
        } = self;
        write!(
            f,
            "`{file}` line {line} (record {seq}, byte {offset}): {what}"
        )
    }
}

/// What is wrong at a place of a log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum What {
    /// It is no record.
    #[error("the line {0}")]
    Unreadable(&'static str),
    /// It begins like a record, and is not JSON.
    #[error("the line is not JSON")]
    NotJson,
    /// It is over the limit.
    #[error("the line is longer than a record may be")]
    TooLong,
    /// The file ends within a line, and others follow.
    #[error("the file ends within this line")]
    Partial,
    /// A record that should not be here.
    #[error("record {found} is where {expected} should be")]
    Seq {
        /// What should be here.
        expected: u64,
        /// What is.
        found: u64,
    },
    /// The next record was chained to another line than this one.
    #[error("this line, or `prev` of the record after it, was changed")]
    Changed,
    /// The first line of a file is not what it should be.
    #[error("the first line is not the `segment` record of this file")]
    NotASegment,
    /// A segment record in the middle of a file.
    #[error("a `segment` record is not at the beginning of a file")]
    StraySegment,
    /// A segment of another log.
    #[error("the segment is of another log")]
    Foreign,
    /// A file is missing before this one.
    #[error("the segment `{0}` before this one is missing")]
    Missing(String),
    /// Files before the first one are missing.
    #[error("the segments before this one are missing, and no `retention` record tells of it")]
    Beheaded,
    /// The next segment tells other things of this one.
    #[error("the file ends here with other {0} than the next segment states")]
    Sealed(&'static str),
    /// It cannot be unpacked.
    #[error("the file cannot be unpacked: {0}")]
    Packed(String),
}
