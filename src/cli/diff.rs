//! `deodar diff`.

use clap::Args;

use super::ExitCode;
use super::Failure;
use super::failure::Message;

/// Tell who gains or loses access by a change
#[derive(Debug, Args)]
pub struct DiffArgs {}

/// Not built yet.
///
/// # Errors
/// Always.
pub fn run(_: &DiffArgs) -> Result<ExitCode, Failure> {
    Err(Failure::Failed(Message::new("not built yet", "")))
}
