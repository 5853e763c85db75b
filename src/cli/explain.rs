//! `deodar explain`.

use clap::Args;

use super::ExitCode;
use super::Failure;
use super::failure::Message;

/// Explain one decision: conditions, values, what would turn it
#[derive(Debug, Args)]
pub struct ExplainArgs {}

/// Not built yet.
///
/// # Errors
/// Always.
pub fn run(_: &ExplainArgs) -> Result<ExitCode, Failure> {
    Err(Failure::Failed(Message::new("not built yet", "")))
}
