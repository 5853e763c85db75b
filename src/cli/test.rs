//! `deodar test`.

pub mod coverage;
pub mod mutation;

use clap::Args;

use super::ExitCode;
use super::Failure;
use super::failure::Message;

/// Run the tests of a policy directory
#[derive(Debug, Args)]
pub struct TestArgs {}

/// Not built yet.
///
/// # Errors
/// Always.
pub fn run(_: &TestArgs) -> Result<ExitCode, Failure> {
    Err(Failure::Failed(Message::new("not built yet", "")))
}
