//! What is wrong with a configuration, and where it was written.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// Where a setting comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody wrote it.
    Default,
    /// A line of the configuration file, from 1; 0 for the file as a whole.
    File {
        /// The file, as it was named.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// A variable of the environment.
    Variable(String),
    /// A flag of the command line, with its dashes.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line: 0 } => write!(f, "{}", path.display()),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

impl Serialize for Origin {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One fault: the operator has to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFault {
    /// The key, such as `limits.depth_max`; empty when the file itself is at
    /// fault.
    pub key: String,
    /// The value as written.
    pub value: Option<String>,
    /// Where it was written.
    pub origin: Origin,
    /// What is wrong, to be read after the value.
    pub reason: String,
    /// What to do about it.
    pub hint: String,
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        match (self.key.as_str(), &self.value) {
            ("", _) => f.write_str(&self.reason),
            (key, None) => write!(f, "`{key}` {}", self.reason),
            (key, Some(value)) => write!(f, "`{key}`: `{value}` {}", self.reason),
        }
    }
}

impl std::error::Error for ConfigFault {}

/// Why a text is not a value of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong, to be read after the value.
    pub reason: String,
    /// What to write instead.
    pub hint: String,
}

impl Refusal {
    /// A refusal with its reason and hint.
    pub fn new(reason: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            hint: hint.into(),
        }
    }
}
