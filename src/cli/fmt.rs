//! `deodar fmt`.

use clap::Args;

use super::ExitCode;
use super::Failure;
use super::failure::Message;

/// Bring policies and schema into one form
#[derive(Debug, Args)]
pub struct FmtArgs {}

/// Not built yet.
///
/// # Errors
/// Always.
pub fn run(_: &FmtArgs) -> Result<ExitCode, Failure> {
    Err(Failure::Failed(Message::new("not built yet", "")))
}
