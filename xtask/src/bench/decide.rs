//! The benchmarks in process, and what they print.

use std::process::Command;
use std::process::Stdio;

use serde::Deserialize;
use serde::Serialize;

use super::Effort;
use super::root;

/// What divan measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Decides {
    pub(crate) lines: Vec<Line>,
}

/// One benchmark with one argument.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) argument: String,
    pub(crate) fastest_us: f64,
    pub(crate) median_us: f64,
}

/// What gungraun counted.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Instructions {
    pub(crate) counts: Vec<(String, u64)>,
}

/// Runs `benches/decide.rs`.
pub(crate) fn measure(effort: Effort) -> Result<Decides, String> {
    let arguments: &[&str] = if effort.quick {
        &["--max-time", "0.2"]
    } else {
        &[]
    };
    let printed = bench("decide", arguments)?;
    let lines = read_table(&printed);
    if lines.is_empty() {
        Err(format!("cannot read what divan printed:\n{printed}"))
    } else {
        Ok(Decides { lines })
    }
}

/// Runs `benches/decide_instructions.rs`.
pub(crate) fn instructions() -> Result<Instructions, String> {
    let printed = bench("decide_instructions", &[]).map_err(|error| {
        format!("{error}\nis valgrind installed, and `cargo install gungraun-runner --version 0.20.0 --locked` done?")
    })?;
    let counts = read_counts(&printed);
    if counts.is_empty() {
        Err(format!("cannot read what gungraun printed:\n{printed}"))
    } else {
        Ok(Instructions { counts })
    }
}

/// Runs a benchmark of the package; gives what it prints.
pub(crate) fn bench(name: &str, arguments: &[&str]) -> Result<String, String> {
    let mut cargo = Command::new("cargo");
    cargo
        .args(["bench", "--bench", name])
        .current_dir(root())
        .stderr(Stdio::inherit());
    if !arguments.is_empty() {
        cargo.arg("--").args(arguments);
    }
    let output = cargo.output().map_err(|error| format!("cargo: {error}"))?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    eprintln!("{printed}");
    if output.status.success() {
        Ok(printed)
    } else {
        Err(format!("cargo bench {name}: {}", output.status))
    }
}

/// Reads divan's table: a tree of names in the first column, then
/// `fastest | slowest | median | mean | samples | iters`.
fn read_table(printed: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut parent = String::new();
    for line in printed.lines() {
        let is_child = line.starts_with("│  ") || line.starts_with("   ");
        let line = line.trim_start_matches(['│', '├', '╰', '─', ' ']);
        let mut columns = line.split('│');
        let mut first = columns.next().unwrap_or_default().split_whitespace();
        let name = first.next().unwrap_or_default().to_owned();
        let fastest = duration(first);
        let median = columns
            .nth(1)
            .and_then(|column| duration(column.split_whitespace()));
        match (fastest, median) {
            (Some(fastest_us), Some(median_us)) => lines.push(Line {
                argument: if is_child {
                    name.clone()
                } else {
                    String::new()
                },
                name: if is_child { parent.clone() } else { name },
                fastest_us,
                median_us,
            }),
            _ => parent = name,
        }
    }
    lines
}

/// `24.16 µs` in microseconds.
fn duration<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<f64> {
    let number: f64 = words.next()?.parse().ok()?;
    let scale = match words.next()? {
        "ns" => 1e-3,
        "µs" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        _ => return None,
    };
    Some(number * scale)
}

/// Reads gungraun's blocks: the name of a benchmark, then its counts.
fn read_counts(printed: &str) -> Vec<(String, u64)> {
    let mut counts = Vec::new();
    let mut name = "";
    for line in printed.lines() {
        if let Some(count) = line.trim().strip_prefix("Instructions:") {
            let digits = count.trim().split('|').next().unwrap_or_default();
            if let Ok(count) = digits.trim().parse() {
                let short = name.rsplit("::").next().unwrap_or(name);
                counts.push((short.to_owned(), count));
            }
        } else if !line.starts_with(' ') && !line.is_empty() {
            // `decide_instructions::decisions::decide_miss of_10:(asked(10))`
            name = line.split_once(":(").map_or(line, |(name, _)| name);
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::read_table;

    #[test]
    fn divans_table_is_read() {
        let printed = "\
decide          fastest       │ slowest       │ median        │ mean          │ samples │ iters
├─ deodar                     │               │               │               │         │
│  ├─ 10        1.1 µs        │ 2 µs          │ 1.2 µs        │ 1.3 µs        │ 100     │ 800
│  ╰─ 100000    1.5 µs        │ 3 µs          │ 1.6 µs        │ 1.7 µs        │ 100     │ 800
╰─ explain      900 ns        │ 1 ms          │ 2 ms          │ 1 ms          │ 100     │ 100";
        let lines = read_table(printed);
        let rows: Vec<_> = lines
            .iter()
            .map(|line| (&*line.name, &*line.argument, line.median_us))
            .collect();
        assert_eq!(
            rows,
            [
                ("deodar", "10", 1.2),
                ("deodar", "100000", 1.6),
                ("explain", "", 2000.0)
            ]
        );
    }
}
