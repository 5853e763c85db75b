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
use cedar_policy_symcc::solver::LocalSolver;
use thiserror::Error as ThisError;
use tokio::process::Command;
use tokio::runtime::Builder;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::Options;

/// The program that is looked for.
const NAME: &str = "cvc5";

/// A solver that failed this often without ever answering is not asked again.
const FAILURES_MAX: u32 = 3;

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
    process: Option<CedarSymCompiler<LocalSolver>>,
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
        self.run(async |solver| solver.check_unsat(asserts).await)
    }

    /// Asks once, within the time that a question may take. A process that did not
    /// answer as it should is ended: what it would say next is not to be believed.
    fn run<T>(
        &mut self,
        ask: impl AsyncFnOnce(&mut CedarSymCompiler<LocalSolver>) -> Result<T, Error>,
    ) -> Result<T, String> {
        if !self.has_answered && self.failures >= FAILURES_MAX {
            return Err("the solver failed again and again, and was not asked".to_owned());
        }
        let Some(runtime) = &self.runtime else {
            return Err("there is no runtime for the solver".to_owned());
        };
        let _guard = runtime.enter();
        let mut process = match self.process.take() {
            Some(process) => process,
            None => start(&self.program)?,
        };
        let patience = self.patience;
        let asked = runtime.block_on(async { timeout(patience, ask(&mut process)).await });
        let reason = match asked {
            Ok(Ok(answer)) => {
                self.has_answered = true;
                self.process = Some(process);
                return Ok(answer);
            }
            Ok(Err(Error::SolverUnknown)) => {
                self.has_answered = true;
                self.process = Some(process);
                return Err("the solver gave up".to_owned());
            }
            Ok(Err(error)) => sentence(&error),
            Err(_) => format!("the solver gave no answer in {} s", seconds(patience)),
        };
        self.failures += 1;
        Err(reason)
    }
}

fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    format!("{seconds}")
}

fn start(program: &Program) -> Result<CedarSymCompiler<LocalSolver>, String> {
    let cannot = |error: &dyn fmt::Display| {
        format!("`{}` cannot be started: {error}", program.path.display())
    };
    let mut command = Command::new(&program.path);
    command.args(["--lang", "smt"]).kill_on_drop(true);
    let solver = LocalSolver::from_command(&mut command).map_err(|error| match error {
        cedar_policy_symcc::err::SolverError::Io(error) => cannot(&error),
        error => cannot(&error),
    })?;
    CedarSymCompiler::new(solver).map_err(|error| cannot(&error))
}

/// What went wrong, with its causes, in one line that is not too long.
fn sentence(error: &Error) -> String {
    let mut text = match error {
        Error::SolverError(_) | Error::EncodeError(_) => "the solver failed: ".to_owned(),
        _ => String::new(),
    };
    text.push_str(&error.to_string());
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = inner.source();
    }
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(300).collect()
}

/// What the compiler of formulas has already found to be met by nothing.
fn is_trivially_false(asserts: &WellFormedAsserts<'_>) -> bool {
    asserts
        .asserts()
        .iter()
        .any(|assert| *assert == false.into())
}
