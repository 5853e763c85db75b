//! Installing outside programs.

/// Installs what is missing.
pub(crate) fn run() -> Result<(), String> {
    Err("not built yet".to_owned())
}
