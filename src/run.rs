//! The composition root: the only file that names everything.

use thiserror::Error;

use crate::config::Config;

/// Why the server did not start, or ended otherwise than asked to.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct RunError {
    /// What happened: lower case, no full stop.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

/// Serves until told to stop.
///
/// # Errors
/// Always, until the server is built.
pub fn serve(config: Config) -> Result<(), RunError> {
    drop(config);
    Err(RunError {
        message: "the server is not built yet".to_owned(),
        hint: "decide locally with `deodar check --policies DIR`".to_owned(),
    })
}
