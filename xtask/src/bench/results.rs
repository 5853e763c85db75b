//! What was measured, kept between runs under `target/bench/`.

use std::fs;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::machine::Machine;
use super::process::target;

/// A result with where and when it was measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Kept<T> {
    pub(crate) machine: Machine,
    pub(crate) measured: T,
}

fn path(section: &str) -> PathBuf {
    target().join("bench").join(format!("{section}.json"))
}

/// Keeps the result of a section.
pub(crate) fn write<T: Serialize>(section: &str, measured: T) -> Result<(), String> {
    let path = path(section);
    let kept = Kept {
        machine: Machine::look()?,
        measured,
    };
    let text = serde_json::to_string_pretty(&kept).map_err(|error| error.to_string())?;
    let written = fs::create_dir_all(target().join("bench")).and_then(|()| fs::write(&path, text));
    written.map_err(|error| format!("{}: {error}", path.display()))
}

/// The last result of a section, if it was ever measured.
pub(crate) fn read<T: DeserializeOwned>(section: &str) -> Option<Kept<T>> {
    let text = fs::read_to_string(path(section)).ok()?;
    serde_json::from_str(&text).ok()
}

/// The value in the middle.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
