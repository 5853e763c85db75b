//! The solver: a process that is fed formulas and tells whether they can be met.

use std::ffi::OsStr;
use std::fmt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use cedar_policy_symcc::CedarSymCompiler;
use cedar_policy_symcc::Env;
use cedar_policy_symcc::WellFormedAsserts;
use cedar_policy_symcc::err::Error;
use cedar_policy_symcc::err::SolverError;
use thiserror::Error as ThisError;
use tokio::runtime::Builder;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::Options;
use super::process::ENDED;
use super::process::Process;

/// The program that is looked for.
const NAME: &str = "cvc5";

/// A solver that failed this often without ever answering is not asked again.
const FAILURES_MAX: u32 = 3;

/// Nor is one that answered at first, and then failed this often in a row.
const FAILURES_IN_A_ROW_MAX: u32 = 30;

/// It may take this long to start, however short the time for a question is.
const START: Duration = Duration::from_secs(2);

/// How the reason begins where a question took longer than it may.
pub const NO_ANSWER: &str = "the solver gave no answer";

/// A solver that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    path: PathBuf,
}

/// There is no solver.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
pub enum NoSolver {
    /// `CVC5` names something else.
    #[error("`CVC5` is `{0}`, which is not a program")]
    NotAProgram(String),
    /// It is in no folder where programs are.
    #[error("the solver `cvc5` is not installed")]
    NotInstalled,
}

impl NoSolver {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotAProgram(_) => {
                "set `CVC5` to the path of the program, or unset it to look in `PATH`"
            }
            Self::NotInstalled => {
                "install it, such as `apt-get install cvc5`, or get it from https://cvc5.github.io and set `CVC5` to its path"
            }
        }
    }
}

impl Program {
    /// The solver that is asked for by name or path; without one, `cvc5` in the
    /// first folder that has it.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn find(asked_for: Option<&OsStr>, folders: &[PathBuf]) -> Result<Self, NoSolver> {
        let in_folders = |name: &OsStr| {
            let places = folders.iter().map(|folder| folder.join(name));
            places.into_iter().find(|place| is_program(place))
        };
        let Some(name) = asked_for.filter(|name| !name.is_empty()) else {
            return in_folders(OsStr::new(NAME))
                .map(|path| Self { path })
                .ok_or(NoSolver::NotInstalled);
        };
        let path = Path::new(name);
        let found = if path.components().count() > 1 {
            Some(path.to_owned()).filter(|path| is_program(path))
        } else {
            in_folders(name)
        };
        found
            .map(|path| Self { path })
            .ok_or_else(|| NoSolver::NotAProgram(name.to_string_lossy().into_owned()))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}

/// What the solver says of formulas.
#[derive(Debug)]
pub(super) enum Answer {
    /// Nothing meets them all.
    Unsatisfiable,
    /// This does.
    Satisfiable(Box<Env>),
    /// It did not say, and why.
    Unknown(String),
}

/// A process of the solver, started when it is first needed and again after it
/// failed. Each thread has its own.
pub(super) struct Solver {
    program: Program,
    patience: Duration,
    runtime: Option<Runtime>,
    process: Option<CedarSymCompiler<Process>>,
    has_answered: bool,
    failures: u32,
}

impl fmt::Debug for Solver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Solver")
            .field("program", &self.program)
            .finish_non_exhaustive()
    }
}

impl Solver {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            program: options.program.clone(),
            patience: options.timeout,
            runtime: Builder::new_current_thread().enable_all().build().ok(),
            process: None,
            has_answered: false,
            failures: 0,
        }
    }

    /// Whether something meets the formulas, and what.
    pub(super) fn ask(&mut self, asserts: &WellFormedAsserts<'_>) -> Answer {
        if is_trivially_false(asserts) {
            return Answer::Unsatisfiable;
        }
        let asked = self.run(async |solver| solver.check_sat(asserts).await);
        match asked {
            Ok(None) => Answer::Unsatisfiable,
            Ok(Some(model)) => Answer::Satisfiable(Box::new(model)),
            Err(reason) => Answer::Unknown(reason),
        }
    }

    /// Whether nothing meets the formulas.
    ///
    /// # Errors
    /// Why nobody knows.
    pub(super) fn is_unsatisfiable(
        &mut self,
        asserts: &WellFormedAsserts<'_>,
    ) -> Result<bool, String> {
        if is_trivially_false(asserts) {
            return Ok(true);
        }
        if asserts
            .asserts()
            .iter()
            .all(|assert| *assert == true.into())
        {
            return Ok(false);
        }
        self.run(async |solver| solver.check_unsat(asserts).await)
    }

    /// Asks once, within the time that a question may take. A process that did not
    /// answer as it should is ended: what it would say next is not to be believed.
    fn run<T>(
        &mut self,
        ask: impl AsyncFnOnce(&mut CedarSymCompiler<Process>) -> Result<T, Error>,
    ) -> Result<T, String> {
        let failures_max = if self.has_answered {
            FAILURES_IN_A_ROW_MAX
        } else {
            FAILURES_MAX
        };
        if self.failures >= failures_max {
            return Err("the solver failed again and again, and was not asked".to_owned());
        }
        let asked = self.run_once(ask);
        // One that gave up is still there, and has answered as it should.
        if self.process.is_some() {
            self.has_answered = true;
            self.failures = 0;
        } else {
            self.failures += 1;
        }
        asked
    }

    fn run_once<T>(
        &mut self,
        ask: impl AsyncFnOnce(&mut CedarSymCompiler<Process>) -> Result<T, Error>,
    ) -> Result<T, String> {
        let Some(runtime) = &self.runtime else {
            return Err("there is no runtime for the solver".to_owned());
        };
        let _guard = runtime.enter();
        let patience = self.patience;
        let mut process = match self.process.take() {
            Some(process) => process,
            None => runtime.block_on(start(&self.program, patience))?,
        };
        let asked = runtime.block_on(async { timeout(patience, ask(&mut process)).await });
        match asked {
            Ok(Ok(answer)) => {
                self.process = Some(process);
                Ok(answer)
            }
            Ok(Err(Error::SolverUnknown)) => {
                self.process = Some(process);
                Err("the solver gave up".to_owned())
            }
            Ok(Err(error)) => Err(sentence(&error)),
            Err(_) => Err(no_answer(patience)),
        }
    }
}

/// What the solver says of its version; `None` when it does not answer as a solver
/// should, which the answers to questions will say.
pub fn version(options: &Options) -> Option<String> {
    let runtime = Builder::new_current_thread().enable_all().build().ok()?;
    let starting = Process::start(&options.program.path, options.timeout);
    let started = runtime.block_on(async { timeout(START.max(options.timeout), starting).await });
    started.ok()?.ok()?.version().map(str::to_owned)
}

async fn start(program: &Program, patience: Duration) -> Result<CedarSymCompiler<Process>, String> {
    let patience_to_start = START.max(patience);
    let starting = Process::start(&program.path, patience);
    let started = timeout(patience_to_start, starting).await;
    let started = started.map_err(|_| no_answer(patience_to_start))?;
    let process = started.map_err(|error| match error {
        SolverError::Io(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            format!("`{}` cannot be started: {error}", program.path.display())
        }
        error => sentence(&Error::SolverError(error)),
    })?;
    CedarSymCompiler::new(process).map_err(|error| sentence(&error))
}

fn no_answer(patience: Duration) -> String {
    format!("{NO_ANSWER} in {} s", patience.as_secs_f64())
}

/// What went wrong, with its causes, in one line that is not too long.
fn sentence(error: &Error) -> String {
    if has_ended(error) {
        return "the solver ended before it answered".to_owned();
    }
    let mut text = match error {
        Error::SolverError(_) | Error::EncodeError(_) => "the solver failed: ".to_owned(),
        _ => String::new(),
    };
    match error {
        Error::SolverError(SolverError::Solver(words)) => text.push_str(words),
        error => text.push_str(&error.to_string()),
    }
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let words = inner.to_string();
        let said = words.strip_prefix("solver error: ").unwrap_or(&words);
        if !text.contains(said) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = inner.source();
    }
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(300).collect()
}

/// Whether the process is gone: which of several errors that is depends on when it
/// went.
fn has_ended(error: &Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        let words = inner.to_string();
        if inner.is::<std::io::Error>() || words.contains(ENDED) {
            return true;
        }
        cause = inner.source();
    }
    false
}

/// What the compiler of formulas has already found to be met by nothing.
fn is_trivially_false(asserts: &WellFormedAsserts<'_>) -> bool {
    asserts
        .asserts()
        .iter()
        .any(|assert| *assert == false.into())
}
