//! `deodar test --watch`: run the tests again after every change.

use std::io;
use std::io::Read as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::oneshot;

use super::Place;
use super::TestArgs;
use super::once;
use crate::cli::ExitCode;
use crate::cli::Failure;
use crate::cli::failure::Message;
use crate::cli::output;
use crate::source::Watch;

/// An editor writes a file in several steps.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// Runs the tests, and again after every change, until ctrl-c or the end of
/// standard input. Exits as the last run would have.
///
/// # Errors
/// When the directory cannot be watched.
pub(super) fn run(args: &TestArgs) -> Result<ExitCode, Failure> {
    let config = args.file.resolve()?.config;
    let place = Place::find(&args.paths, &config.policies.path)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| cannot(&place.repository, &error.to_string()))?;
    runtime.block_on(watch(args, &place.repository))
}

async fn watch(args: &TestArgs, repository: &Path) -> Result<ExitCode, Failure> {
    let mut changes =
        Watch::new(repository, DEBOUNCE).map_err(|error| cannot(repository, &error.to_string()))?;
    // Made before the first run, so that no ctrl-c is missed during one.
    let mut interrupts =
        signal(SignalKind::interrupt()).map_err(|error| cannot(repository, &error.to_string()))?;
    let mut ended = end_of_input();
    loop {
        let code = once(args).unwrap_or_else(|failure| {
            output::stderr(&failure.to_string());
            failure.code()
        });
        tokio::select! {
            is_watching = changes.changed() => {
                if !is_watching {
                    return Err(cannot(repository, "the system stopped"));
                }
            }
            _ = interrupts.recv() => return Ok(code),
            _ = &mut ended => return Ok(code),
        }
    }
}

/// Tells when standard input ends. A thread reads it: it cannot be waited for in
/// any other way on every system, and dies with the process.
fn end_of_input() -> oneshot::Receiver<()> {
    let (sender, receiver) = oneshot::channel();
    thread::spawn(move || {
        let mut buffer = [0; 1024];
        while io::stdin().read(&mut buffer).is_ok_and(|read| read > 0) {}
        sender.send(()).ok();
    });
    receiver
}

fn cannot(repository: &Path, why: &str) -> Failure {
    let message = format!("cannot watch `{}`: {why}", repository.display());
    let hint = "check that the directory exists, and the system's limit of watches";
    Failure::Failed(Message::new(message, hint))
}
