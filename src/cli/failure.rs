//! Why a command could not do what it was asked.

use std::fmt;

use super::ExitCode;
use super::output;
use super::output::BAD;
use super::output::NAME;
use super::output::count;
use super::output::paint;
use crate::config::ConfigFault;
use crate::engine::Fault;
use crate::engine::json::JsonError;
use crate::engine::query::QueryError;
use crate::run::RunError;
use crate::source::SourceError;

/// A failure: whose fault it is decides the exit code. Displays as what is
/// printed, with hints and in colours.
#[derive(Debug)]
pub enum Failure {
    /// The configuration has faults.
    Config(Vec<ConfigFault>),
    /// It was asked for in the wrong way.
    Usage(Message),
    /// It could not be done.
    Failed(Message),
    /// The policies, entities or links are invalid.
    Invalid(Vec<Fault>),
}

/// What is wrong and what to do about it.
#[derive(Debug)]
pub struct Message {
    /// Lower case, no full stop.
    pub message: String,
    /// A whole sentence without its full stop; may be empty.
    pub hint: String,
}

impl Message {
    /// A message with its hint.
    pub fn new(message: impl fmt::Display, hint: impl Into<String>) -> Self {
        Self {
            message: message.to_string(),
            hint: hint.into(),
        }
    }
}

impl Failure {
    /// For who reads JSON: `{"ok": false, "faults": [..]}` of a policy directory that is
    /// invalid; empty for what is no answer.
    pub fn json(&self) -> String {
        match self {
            Self::Invalid(faults) => {
                output::json(&serde_json::json!({ "ok": false, "faults": faults }))
            }
            Self::Config(_) | Self::Usage(_) | Self::Failed(_) => String::new(),
        }
    }

    /// What the process exits with.
    pub fn code(&self) -> ExitCode {
        match self {
            Self::Config(_) | Self::Usage(_) => ExitCode::Usage,
            Self::Failed(_) => ExitCode::Failed,
            Self::Invalid(_) => ExitCode::Invalid,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = paint(BAD, "error:");
        let hint = paint(NAME, "hint:");
        match self {
            Self::Usage(message) | Self::Failed(message) => {
                writeln!(f, "{error} {}", message.message)?;
                if message.hint.is_empty() {
                    Ok(())
                } else {
                    writeln!(f, "\n{hint} {}", message.hint)
                }
            }
            Self::Config(faults) => {
                writeln!(
                    f,
                    "{error} the configuration has {}",
                    count(faults.len(), "fault", "faults")
                )?;
                faults
                    .iter()
                    .try_for_each(|fault| write!(f, "\n{fault}\n  {hint} {}\n", fault.hint))
            }
            Self::Invalid(faults) => {
                let number = count(faults.len(), "fault", "faults");
                write!(f, "{}", output::drawn(faults))?;
                writeln!(f, "{error} the policy directory has {number}")
            }
        }
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        Self::Failed(Message::new(&error, error.hint()))
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Policies { faults, .. } => Self::Invalid(faults),
            error => Self::Failed(Message::new(&error, error.hint())),
        }
    }
}

impl From<Vec<Fault>> for Failure {
    fn from(faults: Vec<Fault>) -> Self {
        Self::Invalid(faults)
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        Self::Usage(Message::new(&error, error.hint()))
    }
}

impl From<JsonError> for Failure {
    fn from(error: JsonError) -> Self {
        Self::Usage(Message::new(&error, error.hint()))
    }
}
