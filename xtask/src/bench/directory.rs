//! The directory and the decision cache in process, and what their benchmarks
//! print: a line of JSON for each thing measured.

use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Effort;
use super::decide::bench;
use super::machine::disk;
use super::process::target;

/// What `benches/directory.rs` and `benches/cache.rs` measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Directories {
    pub(crate) lines: Vec<Line>,
    pub(crate) caches: Vec<CacheLine>,
    /// What the directories were on.
    pub(crate) disk: String,
}

/// One thing measured with one number of devices.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) devices: u64,
    pub(crate) value: f64,
    pub(crate) unit: String,
}

/// One cache under one mix of questions, while devices change.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CacheLine {
    pub(crate) mix: String,
    pub(crate) cache: String,
    pub(crate) writes_per_second: f64,
    pub(crate) asked_per_second: f64,
    /// From 0 to 1.
    pub(crate) hit_rate: f64,
    pub(crate) mean_us: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// Answers that were compared with the decision made without a cache.
    pub(crate) sampled: u64,
    /// Those of them that differed.
    pub(crate) stale: u64,
}

impl Directories {
    /// A measured value.
    pub(crate) fn of(&self, name: &str, devices: u64) -> Option<f64> {
        let mut lines = self.lines.iter();
        lines
            .find(|line| line.name == name && line.devices == devices)
            .map(|line| line.value)
    }

    /// The fewest and the most devices that were measured.
    pub(crate) fn sizes(&self) -> (u64, u64) {
        let sizes = || self.lines.iter().map(|line| line.devices);
        (sizes().min().unwrap_or(0), sizes().max().unwrap_or(0))
    }
}

/// Runs both benchmarks.
pub(crate) fn measure(effort: Effort) -> Result<Directories, String> {
    let arguments: &[&str] = if effort.quick { &["--quick"] } else { &[] };
    Ok(Directories {
        lines: read(&bench("directory", arguments)?)?,
        caches: read(&bench("cache", arguments)?)?,
        disk: disk(&target().join("bench"))?,
    })
}

fn read<T: DeserializeOwned>(printed: &str) -> Result<Vec<T>, String> {
    let lines = printed.lines().filter(|line| line.starts_with('{'));
    let read: Result<Vec<T>, _> = lines.map(serde_json::from_str).collect();
    match read {
        Ok(read) if !read.is_empty() => Ok(read),
        Ok(_) => Err(format!("nothing was measured:\n{printed}")),
        Err(error) => Err(format!(
            "cannot read what was measured: {error}:\n{printed}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::Line;
    use super::read;

    #[test]
    fn lines_of_json_are_read_and_others_are_not() {
        let printed =
            "running\n{\"name\":\"decide\",\"devices\":1000,\"value\":2.5,\"unit\":\"us\"}\n";
        let lines: Vec<Line> = read(printed).unwrap();
        assert_eq!((lines[0].devices, lines[0].value), (1000, 2.5));
        assert!(read::<Line>("running\n").is_err());
    }
}
