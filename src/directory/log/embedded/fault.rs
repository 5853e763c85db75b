//! What the storage engine reports, sorted into the faults of a log.

use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

use crate::directory::log::LogError;

/// A call to the engine that failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// The engine says so.
    Engine(Box<redb::Error>),
    /// The engine panicked: it does on some damaged files.
    Panicked,
    /// What it holds contradicts itself.
    Contradiction(String),
    /// Any other error of the log.
    Log(LogError),
}

impl From<LogError> for Fault {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

macro_rules! from_engine {
    ($($error:ident),+) => {$(
        impl From<redb::$error> for Fault {
            fn from(error: redb::$error) -> Self {
                Self::Engine(Box::new(error.into()))
            }
        }
    )+};
}

from_engine!(
    CommitError,
    DatabaseError,
    SetDurabilityError,
    StorageError,
    TableError,
    TransactionError
);

impl Fault {
    /// Whether the engine has to be opened again before it is of use.
    pub(super) fn ends_use(&self) -> bool {
        use redb::Error;
        match self {
            Self::Panicked => true,
            Self::Engine(error) => matches!(
                **error,
                Error::Io(_) | Error::PreviousIo | Error::DatabaseClosed | Error::LockPoisoned(_)
            ),
            Self::Contradiction(_) | Self::Log(_) => false,
        }
    }

    /// As an error of the log that is kept in the file `what`.
    pub(super) fn sort(self, what: &str) -> LogError {
        use redb::Error;
        let error = match self {
            Self::Log(error) => return error,
            Self::Panicked => {
                return LogError::damaged(format!("`{what}`: the storage engine panicked on it"));
            }
            Self::Contradiction(text) => return LogError::damaged(format!("`{what}`: {text}")),
            Self::Engine(error) => *error,
        };
        match error {
            Error::DatabaseAlreadyOpen | Error::LockProtocolMismatch => LogError::InUse {
                store: what.to_owned(),
            },
            Error::Io(error) => LogError::of_io(what, error),
            Error::PreviousIo
            | Error::DatabaseClosed
            | Error::LockPoisoned(_)
            | Error::RepairAborted
            | Error::TransactionPoisoned => LogError::Unknown,
            error => LogError::damaged(format!("`{what}`: {error}")),
        }
    }
}

/// Calls the engine, and turns a panic of it into a fault.
///
/// The engine trusts the structure of its file as far as its checks go, and
/// panics beyond. The panic hook still prints the message, and a build that aborts
/// on panics has none of this. The caller must not use the database after a panic, other than
/// to drop it, again in here.
pub(super) fn caught<T>(call: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or(Err(Fault::Panicked))
}
