//! A process of the solver, as the compiler of formulas talks to it. What it writes
//! is bounded, and believed only while it is in step with what it was asked: an
//! answer to the question before would be a wrong one to this.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use cedar_policy_symcc::SmtLibScript as _;
use cedar_policy_symcc::solver::Decision;
use cedar_policy_symcc::solver::DecisionWithModel;
use cedar_policy_symcc::solver::Solver;
use cedar_policy_symcc::solver::SolverError;
use tokio::io::AsyncBufReadExt as _;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt as _;
use tokio::io::BufReader;
use tokio::io::BufWriter;
use tokio::process::Child;
use tokio::process::ChildStdin;
use tokio::process::ChildStdout;
use tokio::process::Command;

/// An answer that is longer is none: models of the largest schemas have some
/// kilobytes.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// What has ended without an answer says so in these words.
pub(super) const ENDED: &str = "process terminated unexpectedly";

type Result<T> = std::result::Result<T, SolverError>;

/// A process of the solver. It is killed when it is dropped.
#[derive(Debug)]
pub(super) struct Process {
    _child: Child,
    input: BufWriter<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// How often it was asked to say where it is.
    marks: u64,
    version: Option<String>,
}

impl Process {
    /// Starts the solver, and sees that it tells true from false. Should this
    /// program be killed while the solver thinks, the solver gives up by itself a
    /// while after `patience`.
    ///
    /// # Errors
    /// When it cannot be started, or is no solver.
    pub(super) async fn start(program: &Path, patience: Duration) -> Result<Self> {
        let limit = patience.saturating_add(Duration::from_secs(1)).as_millis();
        let mut command = Command::new(program);
        command
            // Without `strings-exp` it refuses what becomes of some patterns of `like`.
            .args(["--lang", "smt", "--strings-exp"])
            .arg(format!("--tlimit-per={limit}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (input, output) = pipes.ok_or_else(|| io::Error::other("it has no pipes"))?;
        let mut process = Self {
            _child: child,
            input: BufWriter::new(input),
            output: BufReader::new(output),
            marks: 0,
            version: None,
        };
        process.examine().await?;
        Ok(process)
    }

    /// What it says of its version.
    pub(super) fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Asks what is known, so that a program that says the same of everything
    /// proves nothing.
    async fn examine(&mut self) -> Result<()> {
        self.input.write_all(b"(get-info :version)\n").await?;
        self.input.flush().await?;
        let line = self.line(ANSWER_BYTES_MAX).await?;
        let version = version_in(&line);
        self.version = Some(version.ok_or_else(|| not_understood(&line))?);
        self.in_step().await?;
        for (claim, expected) in [("x", Decision::Sat), ("(and x (not x))", Decision::Unsat)] {
            self.input.reset().await?;
            self.input.set_logic("ALL").await?;
            self.input.declare_const("x", "Bool").await?;
            self.input.assert(claim).await?;
            let said = self.check_sat().await?;
            if said != expected {
                let words = format!("it says `{said:?}` of `{claim}`, so it is no solver");
                return Err(SolverError::Solver(words.to_lowercase()));
            }
        }
        Ok(())
    }

    /// One line, without its end.
    async fn line(&mut self, bytes_max: usize) -> Result<String> {
        let mut bytes = Vec::new();
        let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX);
        let mut limited = (&mut self.output).take(limit);
        limited.read_until(b'\n', &mut bytes).await?;
        if bytes.last() != Some(&b'\n') {
            let words = if bytes.len() >= bytes_max {
                format!("an answer of more than {} MiB", ANSWER_BYTES_MAX >> 20)
            } else {
                ENDED.to_owned()
            };
            return Err(SolverError::Solver(words));
        }
        String::from_utf8(bytes)
            .map(|line| line.trim_end_matches(['\n', '\r']).to_owned())
            .map_err(|_| SolverError::Solver("an answer that is not UTF-8".to_owned()))
    }

    /// Sees that nothing was said besides what was asked for.
    async fn in_step(&mut self) -> Result<()> {
        self.marks += 1;
        let mark = format!("deodar {}", self.marks);
        let echo = format!("(echo \"{mark}\")\n");
        self.input.write_all(echo.as_bytes()).await?;
        self.input.flush().await?;
        let line = self.line(ANSWER_BYTES_MAX).await?;
        if line.trim_matches('"') == mark {
            Ok(())
        } else {
            Err(not_understood(&line))
        }
    }
}

impl Solver for Process {
    fn smtlib_input(&mut self) -> &mut (dyn AsyncWrite + Unpin + Send) {
        &mut self.input
    }

    async fn enable_models(&mut self) -> Result<()> {
        self.input.set_option("produce-models", "true").await?;
        Ok(())
    }

    async fn check_sat(&mut self) -> Result<Decision> {
        self.input.check_sat().await?;
        self.input.flush().await?;
        let line = self.line(ANSWER_BYTES_MAX).await?;
        let decision = match line.as_str() {
            "sat" => Decision::Sat,
            "unsat" => Decision::Unsat,
            "unknown" => Decision::Unknown,
            other => return Err(not_understood(other)),
        };
        self.in_step().await?;
        Ok(decision)
    }

    async fn check_sat_with_model(&mut self) -> Result<DecisionWithModel> {
        match self.check_sat().await? {
            Decision::Unsat => return Ok(DecisionWithModel::Unsat),
            Decision::Unknown => return Ok(DecisionWithModel::Unknown),
            Decision::Sat => {}
        }
        self.input.get_model().await?;
        self.input.flush().await?;
        let mut model = String::new();
        while model.is_empty() || !model.ends_with("\n)\n") {
            let room = ANSWER_BYTES_MAX.saturating_sub(model.len()).max(1);
            let line = self.line(room).await?;
            if model.is_empty() && line != "(" {
                return Err(not_understood(&line));
            }
            model.push_str(&line);
            model.push('\n');
        }
        self.in_step().await?;
        Ok(DecisionWithModel::Sat { model })
    }
}

/// What the solver should not have said.
fn not_understood(line: &str) -> SolverError {
    let error = line.strip_prefix("(error \"");
    match error.and_then(|error| error.strip_suffix("\")")) {
        Some(error) => SolverError::Solver(error.to_owned()),
        None => SolverError::UnrecognizedSolverOutput(line.chars().take(100).collect()),
    }
}

/// The version in `(:version "1.0.3")`.
fn version_in(line: &str) -> Option<String> {
    let rest = line.strip_prefix("(:version \"")?;
    let version = rest.strip_suffix("\")")?;
    Some(version.chars().take(100).collect())
}
