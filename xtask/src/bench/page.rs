//! `docs/performance.md`, made of what was measured.

use std::fmt::Write as _;
use std::fs;

use super::audit::Audits;
use super::decide::Decides;
use super::decide::Instructions;
use super::directory::Directories;
use super::endurance::Endurance;
use super::import::Imports;
use super::machine::Machine;
use super::reload::Reloads;
use super::replay::Replays;
use super::results;
use super::results::Kept;
use super::root;
use super::server::Rounds;
use super::start::Starts;
use super::telemetry::Telemetry;
use super::tools::Tools;
use super::trouble::Troubles;

mod audit;
mod budgets;
mod directory;
mod endurance;
mod tables;
mod tools;

/// What is known of causes, by hand.
const COMMENTARY: &str = include_str!("page/commentary.md");

/// The last result of every section.
pub(super) struct Results {
    pub(super) decide: Option<Kept<Decides>>,
    pub(super) instructions: Option<Kept<Instructions>>,
    pub(super) server: Option<Kept<Rounds>>,
    pub(super) start: Option<Kept<Starts>>,
    pub(super) reload: Option<Kept<Reloads>>,
    pub(super) directory: Option<Kept<Directories>>,
    pub(super) import: Option<Kept<Imports>>,
    pub(super) audit: Option<Kept<Audits>>,
    pub(super) telemetry: Option<Kept<Telemetry>>,
    pub(super) trouble: Option<Kept<Troubles>>,
    pub(super) endurance: Option<Kept<Endurance>>,
    pub(super) tools: Option<Kept<Tools>>,
    pub(super) replay: Option<Kept<Replays>>,
}

/// Writes the page anew.
pub(crate) fn write() -> Result<(), String> {
    let results = Results {
        decide: results::read("decide"),
        instructions: results::read("instructions"),
        server: results::read("server"),
        start: results::read("start"),
        reload: results::read("reload"),
        directory: results::read("directory"),
        import: results::read("import"),
        audit: results::read("audit"),
        telemetry: results::read("telemetry"),
        trouble: results::read("trouble"),
        endurance: results::read("endurance"),
        tools: results::read("tools"),
        replay: results::read("replay"),
    };
    let path = root().join("docs/performance.md");
    fs::create_dir_all(root().join("docs")).map_err(|error| error.to_string())?;
    fs::write(&path, page(&results)).map_err(|error| format!("{}: {error}", path.display()))?;
    eprintln!("wrote docs/performance.md");
    Ok(())
}

fn page(results: &Results) -> String {
    let mut page = String::from(HEAD);
    page.push_str(&budgets::table(results));
    if let Some(server) = &results.server {
        page.push_str(&tables::server(&server.measured));
    }
    if let Some(decide) = &results.decide {
        page.push_str(&tables::decide(&decide.measured));
    }
    if let Some(instructions) = &results.instructions {
        page.push_str(&tables::instructions(&instructions.measured));
    }
    if let Some(reload) = &results.reload {
        page.push_str(&tables::reload(&reload.measured));
    }
    if let Some(directory) = &results.directory {
        page.push_str(&directory::directory(&directory.measured));
        page.push_str(&directory::caches(&directory.measured));
    }
    if let Some(import) = &results.import {
        page.push_str(&directory::import(&import.measured));
    }
    if let Some(audit) = &results.audit {
        page.push_str(&audit::audit(&audit.measured));
    }
    if let Some(telemetry) = &results.telemetry {
        page.push_str(&audit::telemetry(&telemetry.measured));
    }
    if let Some(trouble) = &results.trouble {
        page.push_str(&audit::trouble(&trouble.measured));
    }
    if let Some(endurance) = &results.endurance {
        page.push_str(&endurance::endurance(&endurance.measured));
    }
    if let Some(tools) = &results.tools {
        page.push_str(&tools::tools(&tools.measured));
    }
    if let Some(replay) = &results.replay {
        page.push_str(&tools::replay(&replay.measured));
    }
    page.push('\n');
    page.push_str(COMMENTARY);
    page.push_str(&machines(results));
    page
}

const HEAD: &str = "\
# Performance

<!-- Written by `cargo xtask bench`. Change xtask/src/bench/page/, not this file. -->

Every number on this page was measured by `cargo xtask bench`; nothing is typed by hand. Server, load
generator and the server it is compared with are separate processes on one machine. Ratios are medians of
rounds in which the servers took turns, so that a busy machine slows all of them.

The **echo** is a bare tonic server of the same service and the same messages: it decodes the request, clones
an answer that Deodar gave before, and sends it. It decides nothing. CPU is user and system time of the server
process, divided by calls. Deodar runs beside it three times: as it is configured by default, without its audit
log (`audit.path = \"off\"`), and with its decision cache switched off (`cache.bytes_max = 0`). All keep their
directory in memory; nothing is written to it while they are asked.

";

/// Where each section was measured.
fn machines(results: &Results) -> String {
    let sections = [
        ("decide", results.decide.as_ref().map(|kept| &kept.machine)),
        (
            "instructions",
            results.instructions.as_ref().map(|kept| &kept.machine),
        ),
        ("server", results.server.as_ref().map(|kept| &kept.machine)),
        ("start", results.start.as_ref().map(|kept| &kept.machine)),
        ("reload", results.reload.as_ref().map(|kept| &kept.machine)),
        (
            "directory",
            results.directory.as_ref().map(|kept| &kept.machine),
        ),
        ("import", results.import.as_ref().map(|kept| &kept.machine)),
        ("audit", results.audit.as_ref().map(|kept| &kept.machine)),
        (
            "telemetry",
            results.telemetry.as_ref().map(|kept| &kept.machine),
        ),
        (
            "trouble",
            results.trouble.as_ref().map(|kept| &kept.machine),
        ),
        (
            "endurance",
            results.endurance.as_ref().map(|kept| &kept.machine),
        ),
        ("tools", results.tools.as_ref().map(|kept| &kept.machine)),
        ("replay", results.replay.as_ref().map(|kept| &kept.machine)),
    ];
    let mut text = String::from(
        "\n## Where this was measured\n\n| section | date | commit | machine | compiler | load average at the end |\n|---|---|---|---|---|---|\n",
    );
    for (section, machine) in sections {
        let Some(machine) = machine else { continue };
        let Machine {
            cpu,
            cores,
            kernel,
            load_average,
            commit,
            rustc,
            date,
        } = machine;
        writeln!(
            text,
            "| {section} | {date} | `{commit}` | {cpu}, {cores} cores, {kernel} | {rustc} | {load_average} |"
        )
        .ok();
    }
    text.push_str(
        "\nA load average above the number of cores means that something else ran as well.\n",
    );
    text
}
