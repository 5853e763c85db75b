//! `deodar diff`.

pub mod json;
pub mod served;
pub mod side;

use clap::Args;
use clap::ValueEnum;

use super::ExitCode;
use super::Failure;
use super::failure::Message;

/// Tell who gains or loses access by a change
#[derive(Debug, Args)]
pub struct DiffArgs {}

/// What a comparison is to fail on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Something is allowed that was denied
    Gained,
    /// Something is denied that was allowed
    Lost,
    /// Either
    Any,
}

impl FailOn {
    /// Whether it is there.
    pub fn is_found(self, gained: u64, lost: u64) -> bool {
        match self {
            Self::Gained => gained > 0,
            Self::Lost => lost > 0,
            Self::Any => gained + lost > 0,
        }
    }
}

/// Not built yet.
///
/// # Errors
/// Always.
pub fn run(_: &DiffArgs) -> Result<ExitCode, Failure> {
    Err(Failure::Failed(Message::new("not built yet", "")))
}
