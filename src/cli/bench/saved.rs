//! Saved measurements.

use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;

use crate::analysis::cost::Report;
use crate::analysis::cost::report::VERSION;
use crate::cli::Failure;
use crate::cli::failure::Message;
use crate::cli::output;

/// A longer file is no measurement.
const BYTES_MAX: u64 = 256 << 20;

/// Reads a measurement.
///
/// # Errors
/// When the file is none, or one of another version.
pub fn read(path: &Path) -> Result<Report, Failure> {
    #[derive(Deserialize)]
    struct Head {
        version: u32,
    }
    let hint = "save one with `deodar bench --save FILE`";
    let usage = |message: String| Failure::Usage(Message::new(message, hint));
    let shown = path.display();
    let cannot = |error: io::Error| usage(format!("cannot read `{shown}`: {error}"));
    if fs::metadata(path).map_err(cannot)?.len() > BYTES_MAX {
        return Err(usage(format!("`{shown}` is too long to be a measurement")));
    }
    let text = fs::read_to_string(path).map_err(cannot)?;
    let not_one = |error: serde_json::Error| usage(format!("`{shown}` is no measurement: {error}"));
    let head: Head = serde_json::from_str(&text).map_err(not_one)?;
    if head.version != VERSION {
        let version = head.version;
        return Err(usage(format!(
            "`{shown}` is of version {version}, and this program reads version {VERSION}"
        )));
    }
    serde_json::from_str(&text).map_err(not_one)
}

/// Writes a measurement.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, report: &Report) -> Result<(), Failure> {
    fs::write(path, output::json(report)).map_err(|error| {
        Failure::Failed(Message::new(
            format!("cannot write `{}`: {error}", path.display()),
            "name a file that you may write to",
        ))
    })
}

/// Parses what `--fail-above` takes.
///
/// # Errors
/// When it is no number of at least 1.
pub fn ratio(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|ratio: &f64| ratio.is_finite() && *ratio >= 1.0)
        .ok_or_else(|| "not a ratio of at least 1, such as 1.2".to_owned())
}
