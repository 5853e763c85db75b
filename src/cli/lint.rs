//! `deodar lint`.

use clap::Args;

use super::ExitCode;
use super::Failure;
use super::failure::Message;

/// Find what is legal, but probably not meant
#[derive(Debug, Args)]
pub struct LintArgs {}

/// Not built yet.
///
/// # Errors
/// Always.
pub fn run(_: &LintArgs) -> Result<ExitCode, Failure> {
    Err(Failure::Failed(Message::new("not built yet", "")))
}
