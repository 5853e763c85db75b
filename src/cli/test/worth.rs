//! What the tests are worth: coverage and mutation, after a run.

use clap::Args;
use serde::Serialize;
use serde_json::Value as Json;

use super::coverage::CoverageArgs;
use super::coverage::Measured;
use super::mutation::MutationArgs;
use super::mutation::Tried;
use crate::cli::ExitCode;
use crate::cli::Failure;
use crate::cli::output;
use crate::cli::repository::Repository;
use crate::testing::Suite;

/// What to find out about the tests themselves.
#[derive(Debug, Args)]
pub struct WorthArgs {
    #[command(flatten)]
    coverage: CoverageArgs,
    #[command(flatten)]
    mutation: MutationArgs,
}

/// What was found out; nothing that was not asked for.
#[derive(Debug)]
pub struct Worth {
    measured: Option<Measured>,
    tried: Option<Tried>,
}

impl WorthArgs {
    /// Whether something else than the report goes to standard output.
    pub fn is_listed(&self) -> bool {
        self.coverage.is_listed()
    }

    /// Finds out what was asked for.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn run(&self, repository: &Repository, suites: &[Suite]) -> Result<Worth, Failure> {
        Ok(Worth {
            measured: self.coverage.run(repository, suites)?,
            tried: self.mutation.run(repository, suites),
        })
    }
}

impl Worth {
    /// For people; empty when nothing was asked for.
    pub fn text(&self, verbose: bool) -> String {
        let measured = self.measured.as_ref();
        let tried = self.tried.as_ref();
        let parts = [
            measured.map(|measured| measured.text(verbose)),
            tried.map(|tried| tried.text(verbose)),
        ];
        let mut text = String::new();
        for part in parts.into_iter().flatten().filter(|part| !part.is_empty()) {
            text.push('\n');
            text.push_str(&part);
        }
        text
    }

    /// A report with the members `coverage` and `mutation`, where they were asked
    /// for.
    pub fn json(&self, report: &impl Serialize) -> String {
        #[derive(Serialize)]
        struct Both<'a, R> {
            #[serde(flatten)]
            report: &'a R,
            #[serde(skip_serializing_if = "Option::is_none")]
            coverage: Option<Json>,
            #[serde(skip_serializing_if = "Option::is_none")]
            mutation: Option<Json>,
        }
        output::json(&Both {
            report,
            coverage: self.measured.as_ref().map(Measured::json),
            mutation: self.tried.as_ref().map(Tried::json),
        })
    }

    /// Why the run fails for what the tests are worth; empty when it does not.
    pub fn shortfall(&self) -> String {
        let measured = self.measured.as_ref().and_then(Measured::shortfall);
        let tried = self.tried.as_ref().and_then(Tried::shortfall);
        measured.into_iter().chain(tried).collect()
    }

    /// What the process exits with, if all tests pass.
    pub fn exit_code(&self) -> ExitCode {
        let is_met = self.measured.as_ref().is_none_or(Measured::is_met)
            && self.tried.as_ref().is_none_or(Tried::is_met);
        if is_met {
            ExitCode::Yes
        } else {
            ExitCode::TestsFailed
        }
    }
}
