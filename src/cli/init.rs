//! `deodar init`.

use clap::Args;

use super::ExitCode;
use super::Failure;
use super::failure::Message;

/// Start a policy directory
#[derive(Debug, Args)]
pub struct InitArgs {}

/// Not built yet.
///
/// # Errors
/// Always.
pub fn run(_: &InitArgs) -> Result<ExitCode, Failure> {
    Err(Failure::Failed(Message::new("not built yet", "")))
}
