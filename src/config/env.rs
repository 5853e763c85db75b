//! The environment: the only reader of it.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use super::closest::closest;
use super::fault::ConfigFault;
use super::fault::Origin;
use super::keys::KEYS;
use super::keys::Key;
use super::raw::Raw;
use super::raw::Value;
use super::raw::Written;

/// Names the configuration file.
pub const CONFIG: &str = "DEODAR_CONFIG";

/// The variables that are ours, by name.
pub type Variables = BTreeMap<String, String>;

/// Reads the variables that start with `DEODAR_`, and those of OpenTelemetry.
pub fn read() -> Variables {
    env::vars_os()
        .filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            let is_ours = name.starts_with("DEODAR_") || name.starts_with("OTEL_");
            is_ours.then(|| (name, value.to_string_lossy().into_owned()))
        })
        .collect()
}

/// The solver that `CVC5` asks for, if it does.
pub fn solver() -> Option<OsString> {
    env::var_os("CVC5")
}

/// The folders in which programs are looked for.
pub fn program_folders() -> Vec<PathBuf> {
    env::var_os("PATH")
        .iter()
        .flat_map(env::split_paths)
        .filter(|folder| !folder.as_os_str().is_empty())
        .collect()
}

/// The settings among the variables: those with `__` between section and key.
pub fn settings(variables: &Variables, faults: &mut Vec<ConfigFault>) -> Raw {
    let mut raw = Raw::new();
    for (name, value) in variables
        .iter()
        .filter(|(name, _)| name.starts_with("DEODAR_") && name.contains("__"))
    {
        let origin = Origin::Variable(name.clone());
        if let Some(key) = KEYS.iter().find(|key| key.variable() == *name) {
            let value = Value::Text(value.clone());
            raw.insert(key.path(), Written { value, origin });
        } else {
            faults.push(ConfigFault {
                key: String::new(),
                value: None,
                origin,
                reason: "the variable sets no key".to_owned(),
                hint: unknown_variable_hint(name),
            });
        }
    }
    raw
}

fn unknown_variable_hint(name: &str) -> String {
    let known: Vec<String> = KEYS.iter().map(Key::variable).collect();
    closest(name, known.iter().map(String::as_str)).map_or_else(
        || "see `deodar config keys`; unset what is not for Deodar".to_owned(),
        |close| format!("did you mean `{close}`?"),
    )
}
