//! Where and when something was measured.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use serde::Serialize;

use super::root;

/// A machine at the time of a measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    /// Of 1, 5 and 15 minutes, when the measurement ended.
    pub(crate) load_average: String,
    pub(crate) commit: String,
    pub(crate) rustc: String,
    pub(crate) date: String,
}

impl Machine {
    /// Looks at this machine, now.
    pub(crate) fn look() -> Result<Self, String> {
        let cpu = read("/proc/cpuinfo")?
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map_or_else(|| "unknown".to_owned(), |(_, model)| model.to_owned());
        let load = read("/proc/loadavg")?;
        let is_clean = output(
            "git",
            &[
                "status",
                "--porcelain",
                "--untracked-files=no",
                "src",
                "proto",
                "Cargo.lock",
            ],
        )?
        .is_empty();
        let commit = output("git", &["rev-parse", "--short=12", "HEAD"])?;
        Ok(Self {
            cpu,
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: output("uname", &["-sr"])?,
            load_average: load.split(' ').take(3).collect::<Vec<_>>().join(" "),
            commit: if is_clean {
                commit
            } else {
                format!("{commit} with changes")
            },
            rustc: output("rustc", &["--version"])?,
            date: output("date", &["-u", "+%Y-%m-%d"])?,
        })
    }
}

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}

/// What a command prints.
pub(crate) fn output(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "{program} {}: {}\n{said}",
            arguments.join(" "),
            output.status
        ));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The kind of file system that a path is on, and its device.
pub(crate) fn disk(path: &Path) -> Result<String, String> {
    let path = fs::canonicalize(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mounts = read("/proc/mounts")?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        Some((words.next()?, words.next()?, words.next()?))
    });
    // Of two mounts at one place, the later one is seen.
    let (device, _, kind) = mounts
        .filter(|(_, place, _)| path.starts_with(place))
        .max_by_key(|(_, place, _)| place.len())
        .ok_or_else(|| format!("{}: on no file system", path.display()))?;
    Ok(format!("{kind} on {device}"))
}
