//! Finds an outside program, or says that the test is skipped without it.

use std::path::PathBuf;

use crate::places::Places;

/// The program, if it is installed.
///
/// # Panics
/// When it is not, and `DEODAR_REQUIRE_PEERS=1` says that it has to be.
pub(crate) fn peer(name: &str, place: impl Fn(&Places) -> PathBuf) -> Option<PathBuf> {
    let program = Places::of_this_build().map(|places| place(&places));
    let found = program.filter(|program| program.is_file());
    if found.is_none() {
        missing(&format!("{name} is not installed, run `cargo xtask peers`"));
    }
    found
}

/// Says why a test is skipped, or fails where nothing may be skipped.
pub(crate) fn missing(why: &str) {
    let required = std::env::var_os("DEODAR_REQUIRE_PEERS").is_some_and(|value| value == "1");
    assert!(!required, "{why}");
    eprintln!("skipped: {why}");
}
