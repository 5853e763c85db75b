//! `deodar prove`.

use clap::Args;

use super::ExitCode;
use super::Failure;
use super::failure::Message;

/// Prove invariants of the policies for every possible request
#[derive(Debug, Args)]
pub struct ProveArgs {}

/// Not built yet.
///
/// # Errors
/// Always.
pub fn run(_: &ProveArgs) -> Result<ExitCode, Failure> {
    Err(Failure::Failed(Message::new("not built yet", "")))
}
