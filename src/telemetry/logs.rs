//! Log lines: for people on a terminal, as JSON elsewhere or where asked for.

use std::io;
use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people, coloured where `colour` says so.
    Human {
        /// Whether to colour.
        colour: bool,
    },
    /// One JSON object a line.
    Json,
}

/// Whether standard error, where log lines go, is a terminal.
pub fn on_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Starts logging to standard error.
///
/// # Errors
/// When `filter` is not a filter, or logging was started before.
pub fn start(format: Format, filter: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    match format {
        Format::Human { colour } => builder.with_ansi(colour).with_target(false).try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    }
    .map_err(|error| error.to_string())
}
