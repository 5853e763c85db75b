//! `cargo xtask bench`: measures, and writes `docs/performance.md`.
//!
//! ```text
//! cargo xtask bench [--quick] [SECTION ..]
//! ```
//!
//! The sections are those of [`SECTIONS`]. The server, the echo server that it is compared with and the load generator
//! are processes of their own. What a section measured is kept under
//! `target/bench/`; the page is made of the last result of each.

use std::path::PathBuf;

mod audit;
mod collector;
mod decide;
mod directory;
mod echo;
mod endurance;
mod import;
mod load;
mod machine;
mod metrics;
mod page;
mod process;
mod questions;
mod reload;
mod replay;
mod results;
mod server;
mod slow_disk;
mod start;
mod telemetry;
mod tools;
mod trouble;
mod turns;

/// The messages and services of Deodar.
#[allow(clippy::all, missing_docs, reason = "generated code")]
pub(crate) mod v1 {
    tonic::include_proto!("deodar.v1");
}

/// What can be measured by itself, in this order.
const SECTIONS: [&str; 13] = [
    "start",
    "server",
    "reload",
    "import",
    "audit",
    "telemetry",
    "trouble",
    "endurance",
    "directory",
    "decide",
    "instructions",
    "tools",
    "replay",
];

/// How a measurement is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// Alternations of the two servers.
    pub(crate) rounds: usize,
    /// Seconds of each measurement.
    pub(crate) seconds: f64,
    /// How often things that happen once are done.
    pub(crate) repetitions: usize,
    /// Short runs everywhere.
    pub(crate) quick: bool,
}

/// Measures the sections asked for, or all.
pub(crate) fn run(arguments: Vec<String>) -> Result<(), String> {
    let mut arguments = arguments.into_iter().peekable();
    match arguments.peek().map(String::as_str) {
        Some("load") => return load::command(arguments.skip(1)),
        Some("echo") => return echo::command(arguments.skip(1)),
        Some("reload-load") => return reload::command(arguments.skip(1)),
        Some("endurance-load") => return endurance::command(arguments.skip(1)),
        _ => {}
    }
    let (flags, sections): (Vec<_>, Vec<_>) =
        arguments.partition(|argument| argument.starts_with('-'));
    let quick = match flags.as_slice() {
        [] => false,
        [flag] if flag == "--quick" => true,
        _ => return Err(format!("unknown flags {flags:?}; there is `--quick`")),
    };
    if let Some(unknown) = sections
        .iter()
        .find(|name| !SECTIONS.contains(&name.as_str()) && *name != "page")
    {
        return Err(format!(
            "there is no section `{unknown}`; there are {}, and `page`",
            SECTIONS.join(", ")
        ));
    }
    let effort = if quick {
        Effort {
            rounds: 2,
            seconds: 1.0,
            repetitions: 3,
            quick,
        }
    } else {
        Effort {
            rounds: 7,
            seconds: 3.0,
            repetitions: 15,
            quick,
        }
    };
    let wanted = |name: &str| sections.is_empty() || sections.iter().any(|section| section == name);
    let in_process = ["decide", "instructions", "directory"];
    let is_of_server = |name: &str| !in_process.contains(&name);
    if SECTIONS
        .into_iter()
        .any(|name| is_of_server(name) && wanted(name))
    {
        process::build()?;
    }
    let mut failed = Vec::new();
    for section in SECTIONS.into_iter().filter(|section| wanted(section)) {
        // Valgrind is slow: a quick run does it only when asked to.
        if section == "instructions" && quick && sections.is_empty() {
            continue;
        }
        eprintln!("measuring `{section}`");
        if let Err(error) = measure(section, effort) {
            eprintln!("`{section}`: {error}");
            failed.push(section);
        }
    }
    // A section that failed keeps its last result, and holds up no other.
    page::write()?;
    if failed.is_empty() {
        Ok(())
    } else {
        Err(format!("not measured, see above: {}", failed.join(", ")))
    }
}

/// Measures a section, and keeps the result.
fn measure(section: &str, effort: Effort) -> Result<(), String> {
    match section {
        "start" => results::write(section, start::measure(effort)?),
        "server" => results::write(section, server::measure(effort)?),
        "reload" => results::write(section, reload::measure(effort)?),
        "import" => results::write(section, import::measure(effort)?),
        "audit" => results::write(section, audit::measure(effort)?),
        "telemetry" => results::write(section, telemetry::measure(effort)?),
        "trouble" => results::write(section, trouble::measure(effort)?),
        "endurance" => results::write(section, endurance::measure(effort)?),
        "directory" => results::write(section, directory::measure(effort)?),
        "decide" => results::write(section, decide::measure(effort)?),
        "tools" => results::write(section, tools::measure(effort)?),
        "replay" => results::write(section, replay::measure(effort)?),
        "instructions" => results::write(section, decide::instructions()?),
        _ => Err("there is no such section".to_owned()),
    }
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}
