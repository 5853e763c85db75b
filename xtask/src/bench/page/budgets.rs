//! The budgets, and how far they are kept.

use std::fmt::Write as _;

use super::Results;
use crate::bench::decide::Decides;
use crate::bench::results::median;
use crate::bench::server::Pair;

/// One promise, and what was measured of it.
struct Budget {
    what: &'static str,
    limit: f64,
    measured: f64,
    unit: &'static str,
    /// Whether more is better.
    at_least: bool,
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

/// The median of a ratio that is taken round by round.
pub(super) fn ratio(pairs: &[Pair]) -> f64 {
    median(
        pairs
            .iter()
            .map(|pair| pair.deodar.cpu_us / pair.echo.cpu_us),
    )
}

fn budgets(results: &Results) -> Vec<Budget> {
    let most = |what, limit, unit, measured| Budget {
        what,
        limit,
        measured,
        unit,
        at_least: false,
    };
    let mut budgets = Vec::new();
    if let Some(server) = results.server.as_ref().map(|kept| &kept.measured) {
        let per_decision = |pair: &Pair| pair.deodar.cpu_us / 100.0;
        budgets.push(most(
            "Authorize, not cached, CPU against the echo",
            1.4,
            " x",
            ratio(&server.unary),
        ));
        budgets.push(most(
            "BatchAuthorize of 100, server CPU a decision",
            4.0,
            " us",
            median(server.batch.iter().map(per_decision)),
        ));
        let rounds = server.unary.iter().zip(&server.stream);
        budgets.push(Budget {
            what: "StreamAuthorize, decisions per CPU second against Authorize",
            limit: 3.0,
            measured: median(
                rounds.map(|(unary, stream)| unary.deodar.cpu_us / stream.deodar.cpu_us),
            ),
            unit: " x",
            at_least: true,
        });
    }
    if let Some(decide) = results.decide.as_ref().map(|kept| &kept.measured) {
        let sizes = ["100", "1000", "10000", "100000"];
        let medians = || sizes.iter().filter_map(|size| of(decide, "deodar", size));
        let (least, worst) = (
            medians().fold(f64::MAX, f64::min),
            medians().fold(0.0, f64::max),
        );
        budgets.push(most(
            "a decision in process, the slowest of 100 to 100,000 policies",
            3.0,
            " us",
            worst,
        ));
        budgets.push(most(
            "the slowest of these against the fastest",
            1.5,
            " x",
            worst / least,
        ));
        if let Some(compile) = of(decide, "compile_policies", "10000") {
            budgets.push(most("compiling 10,000 policies", 2.0, " s", compile / 1e6));
        }
    }
    if let Some(reload) = results.reload.as_ref().map(|kept| &kept.measured) {
        budgets.push(most(
            "reloading 10,000 policies under load",
            2.0,
            " s",
            median(reload.seconds.iter().copied()),
        ));
        budgets.push(most(
            "calls that failed or were answered wrong meanwhile",
            0.0,
            "",
            reload.failed_or_wrong as f64,
        ));
        let growth = reload.p99_reloading_us as f64 / reload.p99_quiet_us.max(1) as f64;
        budgets.push(most(
            "p99 while reloading against p99 before",
            2.0,
            " x",
            growth,
        ));
    }
    if let Some(start) = results.start.as_ref().map(|kept| &kept.measured) {
        let milliseconds = median(start.milliseconds.iter().copied());
        budgets.push(most(
            "start to the first answer, reference policies",
            300.0,
            " ms",
            milliseconds,
        ));
        budgets.push(most(
            "resident memory when idle",
            40.0,
            " MiB",
            median(start.rss_mib.iter().copied()),
        ));
    }
    budgets
}

/// The median of one line of divan's.
pub(super) fn of(decide: &Decides, name: &str, argument: &str) -> Option<f64> {
    let mut lines = decide.lines.iter();
    lines
        .find(|line| line.name == name && line.argument == argument)
        .map(|line| line.median_us)
}
