//! `deodar replay`.

use clap::Args;

use super::ExitCode;
use super::Failure;
use super::failure::Message;

/// Decide recorded questions again, by other policies
#[derive(Debug, Args)]
pub struct ReplayArgs {}

/// Not built yet.
///
/// # Errors
/// Always.
pub fn run(_: &ReplayArgs) -> Result<ExitCode, Failure> {
    Err(Failure::Failed(Message::new("not built yet", "")))
}
