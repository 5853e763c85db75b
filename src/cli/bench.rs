//! `deodar bench`.

use clap::Args;

use super::ExitCode;
use super::Failure;
use super::failure::Message;

/// Measure what each policy costs
#[derive(Debug, Args)]
pub struct BenchArgs {}

/// Not built yet.
///
/// # Errors
/// Always.
pub fn run(_: &BenchArgs) -> Result<ExitCode, Failure> {
    Err(Failure::Failed(Message::new("not built yet", "")))
}
