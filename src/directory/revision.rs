//! Revision tokens: which log, how far, and the hash that proves it.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::log::Head;

/// A state of the directory: all transactions of one log up to one of them.
///
/// Callers take it as opaque text, `<log>-<sequence>-<hash>`: the log's id in 16
/// hexadecimal digits, the sequence number of the last transaction in decimal,
/// the first 8 bytes of its chain hash in 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Revision {
    /// The first 8 bytes of the id of the log.
    pub log: u64,
    /// The last transaction; 0 before the first.
    pub sequence: u64,
    /// The first 8 bytes of the chain hash.
    pub hash: u64,
}

impl Revision {
    /// The token of a place in a log.
    pub fn of(head: &Head) -> Self {
        let first = |bytes: &[u8]| {
            let bytes = bytes.iter().take(8);
            bytes.fold(0, |number, byte| (number << 8) | u64::from(*byte))
        };
        Self {
            log: first(head.log.as_bytes()),
            sequence: head.sequence,
            hash: first(head.hash.as_bytes()),
        }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            log,
            sequence,
            hash,
        } = self;
        write!(f, "{log:016x}-{sequence}-{hash:016x}")
    }
}

/// A text that is no revision token.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a revision of a directory")]
pub struct NotARevision(String);

impl FromStr for Revision {
    type Err = NotARevision;

    fn from_str(text: &str) -> Result<Self, NotARevision> {
        let parse = || {
            let (log, rest) = text.split_once('-')?;
            let (sequence, hash) = rest.split_once('-')?;
            let hexadecimal = |text: &str| {
                let is_whole =
                    text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
                is_whole
                    .then(|| u64::from_str_radix(text, 16).ok())
                    .flatten()
            };
            let is_decimal = sequence.bytes().all(|byte| byte.is_ascii_digit());
            Some(Self {
                log: hexadecimal(log)?,
                sequence: is_decimal.then(|| sequence.parse().ok()).flatten()?,
                hash: hexadecimal(hash)?,
            })
        };
        parse().ok_or_else(|| NotARevision(text.chars().take(64).collect()))
    }
}

/// Why a revision that a caller named cannot be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RevisionError {
    /// It is of another log.
    #[error("`{asked}` is a revision of another directory; this one is at `{head}`")]
    Foreign {
        /// What was asked for.
        asked: Revision,
        /// What there is.
        head: Revision,
    },
    /// It has not been reached.
    #[error("`{asked}` has not been reached; the directory is at `{head}`")]
    Future {
        /// What was asked for.
        asked: Revision,
        /// What there is.
        head: Revision,
    },
    /// The log has another transaction in its place.
    #[error("`{asked}` is not in the history of this directory, which is at `{head}`")]
    Forked {
        /// What was asked for.
        asked: Revision,
        /// What there is.
        head: Revision,
    },
}

impl RevisionError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Foreign { .. } => {
                "take revisions from the server that is asked, and drop those of a directory that was replaced"
            }
            Self::Future { .. } => {
                "the server lost or has not yet got writes that somebody saw; wait, or ask the operator whether its directory was restored from an older copy"
            }
            Self::Forked { .. } => {
                "the directory was restored from an older copy and went on from there; drop revisions from before"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Revision;

    #[test]
    fn revisions_are_read_as_written_and_nothing_else_is() {
        let revision = Revision {
            log: 7,
            sequence: u64::MAX,
            hash: u64::MAX,
        };
        assert_eq!(revision.to_string().parse(), Ok(revision));
        for bad in [
            "",
            "1-2-3",
            "0000000000000007-1-+00000000000000f",
            "0000000000000007-+1-000000000000000f",
            "0000000000000007--000000000000000f",
            "0000000000000007-1-000000000000000f-",
            "0000000000000007-99999999999999999999-000000000000000f",
        ] {
            assert!(bad.parse::<Revision>().is_err(), "{bad}");
        }
    }
}
