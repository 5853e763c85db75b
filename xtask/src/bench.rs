//! Measuring.

/// Measures everything.
pub(crate) fn run(_arguments: Vec<String>) -> Result<(), String> {
    Err("not built yet".to_owned())
}
