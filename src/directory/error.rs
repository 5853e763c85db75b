//! What can go wrong with reads and writes.

use thiserror::Error;

/// One fault of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteFault {
    /// Where: `operations[3]`, `preconditions[0]`, or `operations`.
    pub field: String,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

/// Why a transaction was not applied.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WriteError {
    /// It is wrong, and would be at any time: the caller has to mend it.
    #[error("the transaction is refused: {} fault(s), the first at {}", .0.len(), first(.0))]
    Refused(Vec<WriteFault>),
    /// A precondition does not hold.
    #[error("a precondition does not hold: {}", first(.0))]
    Precondition(Vec<WriteFault>),
    /// Too many writes are waiting.
    #[error("too many writes are waiting")]
    Busy,
    /// The store cannot be written: the operator has to mend it.
    #[error("the directory cannot be written: {message}")]
    Store {
        /// What the store says.
        message: String,
        /// What to do about it.
        hint: String,
        /// Whether the transaction may have become durable all the same.
        outcome_unknown: bool,
    },
}

fn first(faults: &[WriteFault]) -> String {
    faults.first().map_or_else(String::new, |fault| {
        format!("`{}`: {}", fault.field, fault.message)
    })
}

/// Why the log cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReadError {
    /// The transactions asked for are no longer kept.
    #[error("the log no longer has what comes after {after}; it starts at {oldest}")]
    Trimmed {
        /// After which sequence number was asked.
        after: u64,
        /// The oldest that is kept.
        oldest: u64,
    },
    /// The store cannot be read: the operator has to mend it.
    #[error("the log cannot be read: {message}")]
    Store {
        /// What the store says.
        message: String,
        /// What to do about it.
        hint: String,
    },
}

impl ReadError {
    /// What to do about it.
    pub fn hint(&self) -> &str {
        match self {
            Self::Trimmed { .. } => "list everything, and watch from the revision of the list",
            Self::Store { hint, .. } => hint,
        }
    }
}
