//! What a run of tests came to, as every format writes it.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::Tests;
use crate::cli::ExitCode;
use crate::cli::answer::Effect;
use crate::cli::answer::NearMiss;
use crate::cli::answer::PolicyError;
use crate::cli::answer::PolicyRef;
use crate::cli::answer::sentence;
use crate::cli::check::local::near_miss;
use crate::cli::check::local::policy_ref;
use crate::cli::failure::Message;
use crate::engine::Fault;
use crate::engine::files::Role;
use crate::testing::Case;
use crate::testing::Verdict;
use crate::testing::run;
use crate::testing::suite::Broken;
use crate::testing::suite::Difference;

/// A run. Its JSON is stable: fields are added, never changed or removed.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Whether something was run, and nothing is wrong.
    pub(super) ok: bool,
    /// Where the repository is.
    pub(super) repository: PathBuf,
    /// What made the order, if chance did.
    pub(super) seed: Option<u64>,
    pub(super) milliseconds: u64,
    pub(super) counts: Counts,
    pub(super) suites: Vec<Suite>,
    /// What is wrong with test files but for single cases, or with the repository.
    pub(super) faults: Vec<Fault>,
    /// Whether there is any test file.
    #[serde(skip)]
    has_files: bool,
    /// Whether the repository does not compile.
    #[serde(skip)]
    pub(super) has_no_policies: bool,
}

/// How many there were.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Counts {
    pub(super) cases: usize,
    pub(super) passed: usize,
    pub(super) failed: usize,
    /// Those that could not be asked.
    pub(super) broken: usize,
    pub(super) skipped: usize,
    /// Those that no filter matches; they are not among the cases.
    pub(super) left_out: usize,
    /// Test files that no case could be made of.
    pub(super) files_left_out: usize,
}

/// The cases of a file.
#[derive(Debug, Serialize)]
pub(super) struct Suite {
    pub(super) name: String,
    /// Relative to the repository.
    pub(super) file: String,
    pub(super) cases: Vec<Tested>,
}

/// A case.
#[derive(Debug, Serialize)]
pub(super) struct Tested {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) status: Status,
    /// Why it is skipped.
    pub(super) skipped: Option<String>,
    pub(super) failure: Option<Failed>,
    /// Why it could not be asked.
    pub(super) fault: Option<Fault>,
}

/// What a case came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Passed,
    Failed,
    Broken,
    Skipped,
}

/// What is not as expected, and why.
#[derive(Debug, Serialize)]
pub(super) struct Failed {
    pub(super) differences: Vec<Different>,
    pub(super) decision: Effect,
    pub(super) cause: Option<&'static str>,
    pub(super) sentence: &'static str,
    pub(super) policies: Vec<PolicyRef>,
    pub(super) errors: Vec<PolicyError>,
    pub(super) near_misses: Vec<NearMiss>,
    pub(super) near_misses_left_out: usize,
}

/// One thing that is not as expected.
#[derive(Debug, Serialize)]
pub(super) struct Different {
    pub(super) what: &'static str,
    pub(super) expected: String,
    pub(super) came: String,
    /// What to do about it, where that can be told.
    pub(super) hint: Option<String>,
}

impl Report {
    /// Takes down what a run came to.
    pub(super) fn new(
        tests: &Tests,
        ran: &run::Report<'_>,
        seed: Option<u64>,
        took: Duration,
    ) -> Self {
        let suites: Vec<Suite> = ran.suites.iter().map(Suite::new).collect();
        let mut counts = Counts {
            left_out: tests.left_out,
            files_left_out: tests.files_left_out,
            ..Counts::default()
        };
        for case in suites.iter().flat_map(|suite| &suite.cases) {
            counts.cases += 1;
            *match case.status {
                Status::Passed => &mut counts.passed,
                Status::Failed => &mut counts.failed,
                Status::Broken => &mut counts.broken,
                Status::Skipped => &mut counts.skipped,
            } += 1;
        }
        let mut report = Self {
            ok: false,
            repository: tests.repository.path.clone(),
            seed,
            milliseconds: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            counts,
            suites,
            faults: tests.faults.clone(),
            has_files: tests
                .repository
                .files
                .with_role(Role::Tests)
                .next()
                .is_some(),
            has_no_policies: false,
        };
        report.ok = report.exit_code() == ExitCode::Yes;
        report
    }

    /// That there is nothing to test, for a repository that does not compile.
    pub(super) fn of_faults(repository: &Path, faults: Vec<Fault>) -> Self {
        Self {
            ok: false,
            repository: repository.to_owned(),
            seed: None,
            milliseconds: 0,
            counts: Counts::default(),
            suites: Vec::new(),
            faults,
            has_files: false,
            has_no_policies: true,
        }
    }

    /// What the command exits with.
    pub(super) fn exit_code(&self) -> ExitCode {
        let counts = self.counts;
        if counts.failed + counts.broken > 0 {
            ExitCode::TestsFailed
        } else if !self.faults.is_empty() {
            ExitCode::Invalid
        } else if counts.passed == 0 {
            ExitCode::TestsFailed
        } else {
            ExitCode::Yes
        }
    }

    /// That no test was run, where nothing else is wrong.
    pub(super) fn nothing_ran(&self) -> Option<Message> {
        let counts = self.counts;
        if counts.passed + counts.failed + counts.broken + self.faults.len() > 0 {
            return None;
        }
        Some(if counts.skipped > 0 {
            Message::new(
                "no test was run: every case is skipped",
                "take `skip` away from one",
            )
        } else if counts.left_out > 0 {
            Message::new(
                "no test was run: no case, suite or file has a name that a filter matches",
                "a filter matches whole names: write `*door*` for what has `door` in it",
            )
        } else if self.has_files {
            Message::new(
                "no test was run: there is no test file at this path",
                "give another path, or none",
            )
        } else {
            let place = self.repository.display();
            Message::new(
                format!("no test was run: there is no `*.test.yaml` in `{place}`"),
                "write one: `deodar test --help` and docs/policy-testing.md say how",
            )
        })
    }

    /// A file of the repository as the working directory sees it.
    pub(super) fn path(&self, file: &str) -> String {
        shown(&self.repository, file)
    }

    /// Every case with its suite.
    pub(super) fn cases(&self) -> impl Iterator<Item = (&Suite, &Tested)> {
        let suites = self.suites.iter();
        suites.flat_map(|suite| suite.cases.iter().map(move |case| (suite, case)))
    }
}

/// A file of a repository as the working directory sees it.
pub(super) fn shown(repository: &Path, file: &str) -> String {
    let path = match file {
        "" => repository.to_owned(),
        file => repository.join(file),
    };
    let here = std::env::current_dir().unwrap_or_default();
    let path = path.strip_prefix(here).unwrap_or(&path);
    let path = path.strip_prefix(".").unwrap_or(path);
    if path.as_os_str().is_empty() {
        return ".".to_owned();
    }
    path.display().to_string()
}

impl Suite {
    fn new(tested: &run::Tested<'_>) -> Self {
        let cases = tested.cases.iter();
        Self {
            name: tested.suite.name.clone(),
            file: tested.suite.file.to_string(),
            cases: cases
                .map(|(case, verdict)| Tested::new(case, verdict))
                .chain(tested.suite.broken.iter().map(Tested::broken))
                .collect(),
        }
    }
}

impl Tested {
    fn broken(broken: &Broken) -> Self {
        Self {
            name: broken.name.clone(),
            line: broken.line,
            status: Status::Broken,
            skipped: None,
            failure: None,
            fault: Some(Fault::clone(&broken.fault)),
        }
    }

    /// The line to look at: that of what is wrong, or else that of the case.
    pub(super) fn line_of_fault(&self) -> usize {
        let line = self.fault.as_ref().map(|fault| fault.line);
        line.filter(|line| *line > 0).unwrap_or(self.line)
    }

    fn new(case: &Case, verdict: &Verdict) -> Self {
        let mut tested = Self {
            name: case.name.clone(),
            line: case.line,
            status: Status::Passed,
            skipped: None,
            failure: None,
            fault: None,
        };
        match verdict {
            Verdict::Passed => {}
            Verdict::Skipped => {
                tested.status = Status::Skipped;
                tested.skipped.clone_from(&case.skip);
            }
            Verdict::Broken(fault) => {
                tested.status = Status::Broken;
                let mut fault = Fault::clone(fault);
                // The case has its name beside it.
                if let Some(message) = fault.message.strip_prefix(&format!("`{}`: ", case.name)) {
                    fault.message = message.to_owned();
                }
                tested.fault = Some(fault);
            }
            Verdict::Failed(failed) => {
                tested.status = Status::Failed;
                tested.failure = Some(Failed::new(failed));
            }
        }
        tested
    }
}

impl Failed {
    /// The differences, a line each.
    pub(super) fn lines(&self) -> Vec<String> {
        self.differences.iter().map(Different::line).collect()
    }

    fn new(failed: &run::Failed) -> Self {
        let decision = &failed.decision;
        let cause = decision.cause();
        let errors = decision.errors.iter();
        let misses = failed.explanation.near_misses.iter();
        Self {
            differences: failed.differences.iter().map(Different::new).collect(),
            decision: if decision.is_allow() {
                Effect::Allow
            } else {
                Effect::Deny
            },
            cause: cause.map(crate::engine::Cause::as_str),
            sentence: sentence(cause),
            policies: decision
                .policies
                .iter()
                .map(|info| policy_ref(info))
                .collect(),
            errors: errors
                .map(|error| PolicyError {
                    policy: policy_ref(&error.policy),
                    message: error.message.clone(),
                })
                .collect(),
            near_misses: misses.cloned().map(near_miss).collect(),
            near_misses_left_out: failed.explanation.left_out,
        }
    }
}

impl Different {
    fn new(difference: &Difference) -> Self {
        Self {
            what: difference.what,
            expected: difference.expected.clone(),
            came: difference.came.clone(),
            hint: difference.hint.clone(),
        }
    }

    /// In one line, with its hint.
    fn line(&self) -> String {
        let hint = self.hint.as_ref();
        let hint = hint.map_or_else(String::new, |hint| format!(" ({hint})"));
        format!(
            "{}: expected {}, came {}{hint}",
            self.what, self.expected, self.came
        )
    }
}
