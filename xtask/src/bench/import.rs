//! Importing devices into a running server, and starting with them.

use std::fs::File;
use std::io::BufRead as _;
use std::io::BufReader;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use serde::Deserialize;
use serde::Serialize;
use tokio::time::Instant;

use super::Effort;
use super::load;
use super::machine::disk;
use super::process;
use super::process::Process;
use super::questions;

/// What was seen.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Imports {
    pub(crate) devices: u64,
    /// The devices and what they refer to.
    pub(crate) entities: u64,
    pub(crate) seconds: f64,
    pub(crate) rss_mib: f64,
    pub(crate) starts: Vec<Start>,
    /// What the directory was on.
    pub(crate) disk: String,
}

/// A start with the imported devices.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Start {
    /// How the server before was ended.
    pub(crate) after: String,
    /// From starting the process until it says that it is ready.
    pub(crate) seconds: f64,
    /// The first question on an open connection.
    pub(crate) first_decision_ms: f64,
    pub(crate) rss_mib: f64,
}

/// Imports once, starts twice.
pub(crate) fn measure(effort: Effort) -> Result<Imports, String> {
    let devices = if effort.quick { 100_000 } else { 1_000_000 };
    let policies = process::policies()?;
    let place = process::scratch("import-")?;
    let file = place.path().join("devices.ndjson");
    let entities = generate(devices, &file)?;
    let store = place.path().join("directory");
    let mut deodar = stored(policies.path(), &store)?;
    deodar.wait_until_ready()?;

    let program = process::target().join("release/deodar");
    let mut import = Command::new(program);
    let server = format!("http://{}", deodar.address);
    import
        .args(["directory", "import", "--server", &server])
        .arg(&file);
    let started = Instant::now();
    process::succeed(import.stdout(Stdio::null()))?;
    let seconds = started.elapsed().as_secs_f64();
    eprintln!("imported {entities} entities in {seconds:.1} s");
    let rss_mib = deodar.rss_mib()?;

    let mut starts = Vec::new();
    for signal in ["KILL", "TERM"] {
        deodar.end(signal)?;
        let started = Instant::now();
        deodar = stored(policies.path(), &store)?;
        deodar.wait_until_ready()?;
        let seconds = started.elapsed().as_secs_f64();
        starts.push(Start {
            after: format!("SIG{signal}"),
            seconds,
            first_decision_ms: first_decision(&deodar.address)?,
            rss_mib: deodar.rss_mib()?,
        });
        eprintln!("started after SIG{signal} in {seconds:.1} s");
    }
    Ok(Imports {
        devices,
        entities,
        seconds,
        rss_mib,
        starts,
        disk: disk(place.path())?,
    })
}

fn stored(policies: &Path, store: &Path) -> Result<Process, String> {
    let store = store.to_string_lossy();
    process::deodar(policies, &[("DEODAR_DIRECTORY__PATH", &store)])
}

/// Writes the devices to a file, as `cargo xtask devices` does; gives the lines.
fn generate(devices: u64, file: &Path) -> Result<u64, String> {
    let fault = |error: std::io::Error| format!("{}: {error}", file.display());
    let written = File::create(file).map_err(fault)?;
    let program = process::target().join("release/xtask");
    let count = devices.to_string();
    let mut generate = Command::new(program);
    generate.args(["devices", "--count", &count]);
    process::succeed(generate.stdout(written))?;
    let mut lines = 0;
    for line in BufReader::new(File::open(file).map_err(fault)?).split(b'\n') {
        line.map_err(fault)?;
        lines += 1;
    }
    Ok(lines)
}

/// Milliseconds of the first answer, about a device that was imported.
fn first_decision(address: &str) -> Result<f64, String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let mut client = load::connect(address).await?;
        let request = questions::of_generated();
        let asked = Instant::now();
        let answer = client.authorize(request).await;
        let took = asked.elapsed().as_secs_f64() * 1e3;
        let answer = answer.map_err(|status| status.to_string())?.into_inner();
        if answer.cached {
            return Err("the first decision was in the cache".to_owned());
        }
        Ok(took)
    })
}
