//! The budgets, and how far they are kept.

use std::fmt::Write as _;

use super::Results;
use crate::bench::decide::Decides;
use crate::bench::load::Measured;
use crate::bench::reload::Reloads;
use crate::bench::results::median;
use crate::bench::server::Rounds;
use crate::bench::server::Turn;
use crate::bench::start::Starts;

mod audit;
mod directory;

/// One promise, and what was measured of it.
pub(super) struct Budget {
    pub(super) what: String,
    pub(super) limit: f64,
    pub(super) measured: f64,
    pub(super) unit: &'static str,
    /// Whether more is better.
    pub(super) at_least: bool,
}

/// A promise that something is not more than a limit.
pub(super) fn most(
    what: impl Into<String>,
    limit: f64,
    unit: &'static str,
    measured: f64,
) -> Budget {
    Budget {
        what: what.into(),
        limit,
        measured,
        unit,
        at_least: false,
    }
}

/// A promise that something is not less than a limit.
pub(super) fn least(
    what: impl Into<String>,
    limit: f64,
    unit: &'static str,
    measured: f64,
) -> Budget {
    Budget {
        at_least: true,
        ..most(what, limit, unit, measured)
    }
}

/// The table of budgets.
pub(super) fn table(results: &Results) -> String {
    let mut text =
        String::from("## Budgets\n\n| what | budget | measured | |\n|---|---|---|---|\n");
    for Budget {
        what,
        limit,
        measured,
        unit,
        at_least,
    } in budgets(results)
    {
        let is_met = if at_least {
            measured >= limit
        } else {
            measured <= limit
        };
        let off = if at_least {
            limit / measured
        } else {
            measured / limit
        };
        let verdict = if is_met {
            "met".to_owned()
        } else {
            format!("**missed** by {:.0} %", (off - 1.0) * 100.0)
        };
        let sign = if at_least { "at least" } else { "at most" };
        writeln!(
            text,
            "| {what} | {sign} {limit}{unit} | {}{unit} | {verdict} |",
            short(measured)
        )
        .ok();
    }
    text
}

/// Three digits are as many as a busy machine gives.
pub(super) fn short(number: f64) -> String {
    match number.abs() {
        n if n >= 100.0 => format!("{number:.0}"),
        n if n >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

/// The median of a server's CPU against the echo's, taken round by round.
pub(super) fn ratio(turns: &[Turn], of: impl Fn(&Turn) -> Measured) -> f64 {
    median(turns.iter().map(|turn| of(turn).cpu_us / turn.echo.cpu_us))
}

fn budgets(results: &Results) -> Vec<Budget> {
    let mut budgets = Vec::new();
    if let Some(rounds) = &results.server {
        budgets.extend(server(&rounds.measured));
    }
    if let Some(kept) = &results.decide {
        budgets.extend(decide(&kept.measured));
    }
    if let Some(kept) = &results.reload {
        budgets.extend(reload(&kept.measured));
    }
    if let Some(kept) = &results.start {
        budgets.extend(start(&kept.measured));
    }
    if let Some(kept) = &results.directory {
        budgets.extend(directory::directory(&kept.measured));
    }
    if let Some(kept) = &results.import {
        budgets.extend(directory::import(&kept.measured));
    }
    if let Some(kept) = &results.audit {
        budgets.extend(audit::audit(&kept.measured));
    }
    if let Some(kept) = &results.telemetry {
        budgets.extend(audit::telemetry(&kept.measured));
    }
    if let Some(kept) = &results.trouble {
        budgets.extend(audit::trouble(&kept.measured));
    }
    if let Some(kept) = &results.endurance {
        budgets.extend(audit::endurance(&kept.measured));
    }
    if let Some(kept) = &results.tools {
        budgets.extend(super::tools::budgets(&kept.measured));
    }
    if let Some(kept) = &results.replay {
        budgets.extend(super::tools::replay_budgets(&kept.measured));
    }
    budgets
}

fn server(rounds: &Rounds) -> Vec<Budget> {
    let cached = |turn: &Turn| turn.cached;
    let uncached = |turn: &Turn| turn.uncached;
    let anew = ratio(&rounds.unary, uncached);
    let per_decision = |of: fn(&Turn) -> Measured| {
        let turns = rounds.batch.iter();
        median(turns.map(|turn| of(turn).cpu_us / 100.0))
    };
    let streamed = |of: fn(&Turn) -> Measured| {
        let turns = rounds.unary.iter().zip(&rounds.stream);
        median(turns.map(|(unary, stream)| of(unary).cpu_us / of(stream).cpu_us))
    };
    vec![
        most(
            "Authorize, cache hit, CPU against the echo",
            1.25,
            " x",
            ratio(&rounds.unary, cached),
        ),
        most(
            "Authorize, cache hit, CPU with the audit log against the CPU without",
            1.2,
            " x",
            median(
                rounds
                    .unary
                    .iter()
                    .map(|turn| turn.cached.cpu_us / turn.unrecorded.cpu_us),
            ),
        ),
        most(
            "Authorize, not cached, CPU against the echo: as promised for the policies alone",
            1.4,
            " x",
            anew,
        ),
        most(
            "the same: as promised with the directory and the cache",
            1.45,
            " x",
            anew,
        ),
        most(
            "BatchAuthorize of 100, cached, server CPU a decision",
            1.0,
            " us",
            per_decision(cached),
        ),
        most(
            "BatchAuthorize of 100, not cached, server CPU a decision",
            4.0,
            " us",
            per_decision(uncached),
        ),
        least(
            "StreamAuthorize, cached, decisions per CPU second against Authorize",
            3.0,
            " x",
            streamed(cached),
        ),
        least(
            "StreamAuthorize, not cached, decisions per CPU second against Authorize",
            3.0,
            " x",
            streamed(uncached),
        ),
    ]
}

fn decide(decide: &Decides) -> Vec<Budget> {
    let sizes = ["100", "1000", "10000", "100000"];
    let medians = || sizes.iter().filter_map(|size| of(decide, "deodar", size));
    let (fastest, slowest) = (
        medians().fold(f64::MAX, f64::min),
        medians().fold(0.0, f64::max),
    );
    let mut budgets = vec![
        most(
            "a decision in process, the slowest of 100 to 100,000 policies",
            3.0,
            " us",
            slowest,
        ),
        most(
            "the slowest of these against the fastest",
            1.5,
            " x",
            slowest / fastest,
        ),
    ];
    if let Some(compile) = of(decide, "compile_policies", "10000") {
        budgets.push(most("compiling 10,000 policies", 2.0, " s", compile / 1e6));
    }
    budgets
}

fn reload(reload: &Reloads) -> Vec<Budget> {
    let growth = reload.p99_reloading_us as f64 / reload.p99_quiet_us.max(1) as f64;
    vec![
        most(
            "reloading 10,000 policies under load",
            2.0,
            " s",
            median(reload.seconds.iter().copied()),
        ),
        most(
            "calls that failed or were answered wrong meanwhile",
            0.0,
            "",
            reload.failed_or_wrong as f64,
        ),
        most("p99 while reloading against p99 before", 2.0, " x", growth),
    ]
}

fn start(start: &Starts) -> Vec<Budget> {
    vec![
        most(
            "start to the first answer, reference policies",
            300.0,
            " ms",
            median(start.milliseconds.iter().copied()),
        ),
        most(
            "resident memory when idle",
            40.0,
            " MiB",
            median(start.rss_mib.iter().copied()),
        ),
    ]
}

/// The median of one line of divan's.
pub(super) fn of(decide: &Decides, name: &str, argument: &str) -> Option<f64> {
    let mut lines = decide.lines.iter();
    lines
        .find(|line| line.name == name && line.argument == argument)
        .map(|line| line.median_us)
}
