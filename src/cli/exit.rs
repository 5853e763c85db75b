//! Exit codes, the same for every verb.

use std::process;
use std::process::Termination;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// It worked; the answer is yes.
    Yes = 0,
    /// It could not be done.
    Failed = 1,
    /// It was asked for in the wrong way: arguments, configuration, question.
    Usage = 2,
    /// The answer is deny.
    Denied = 3,
    /// The policies, entities or links are invalid.
    Invalid = 4,
    /// Policy tests failed.
    TestsFailed = 5,
    /// What was looked for was found: a lint, a file that is not formatted, a
    /// decision that changed, an invariant that does not hold.
    Found = 6,
    /// There is no solver, or it gave no answer.
    NoSolver = 7,
}

impl Termination for ExitCode {
    fn report(self) -> process::ExitCode {
        process::ExitCode::from(self as u8)
    }
}
