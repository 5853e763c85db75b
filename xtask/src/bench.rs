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

mod decide;
mod directory;
mod echo;
mod import;
mod load;
mod machine;
mod page;
mod process;
mod questions;
mod reload;
mod results;
mod server;
mod start;

/// The messages and services of Deodar.
#[allow(clippy::all, missing_docs, reason = "generated code")]
pub(crate) mod v1 {
    tonic::include_proto!("deodar.v1");
}

/// What can be measured by itself.
const SECTIONS: [&str; 7] = [
    "decide",
    "instructions",
    "server",
    "start",
    "reload",
    "directory",
    "import",
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
    if ["server", "start", "reload", "import"]
        .into_iter()
        .any(wanted)
    {
        process::build()?;
    }
    if wanted("start") {
        results::write("start", start::measure(effort)?)?;
    }
    if wanted("server") {
        results::write("server", server::measure(effort)?)?;
    }
    if wanted("reload") {
        results::write("reload", reload::measure(effort)?)?;
    }
    if wanted("import") {
        results::write("import", import::measure(effort)?)?;
    }
    if wanted("directory") {
        results::write("directory", directory::measure(effort)?)?;
    }
    if wanted("decide") {
        results::write("decide", decide::measure(effort)?)?;
    }
    // Valgrind is slow: a quick run does it only when asked to.
    if wanted("instructions") && !(quick && sections.is_empty()) {
        results::write("instructions", decide::instructions()?)?;
    }
    page::write()
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}
