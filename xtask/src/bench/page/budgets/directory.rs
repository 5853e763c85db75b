//! The budgets of the directory and the decision cache.

use super::Budget;
use super::least;
use super::most;
use crate::bench::directory::Directories;
use crate::bench::import::Imports;
use crate::bench::page::directory::number;

/// How much of what the cores could give is asked of threads.
const SCALING: f64 = 0.8;

/// In process.
pub(super) fn directory(directory: &Directories) -> Vec<Budget> {
    let (small, large) = directory.sizes();
    let of = |name: &str| directory.of(name, large);
    let (few, many) = (number(small), number(large));
    let mut budgets = Vec::new();
    if let Some(mib) = of("resident memory") {
        // A MiB has 1.048576 MB.
        let what = format!("{many} devices, resident memory of the process");
        budgets.push(most(what, 700.0, " MB", mib * 1.048_576));
    }
    if let (Some(at_many), Some(at_few)) = (of("decide"), directory.of("decide", small)) {
        let what = format!("a decision, not cached, at {many} devices against {few}");
        budgets.push(most(what, 1.5, " x", at_many / at_few));
    }
    if let Some(hit) = of("authorize, cache hit") {
        let what = format!("a cache hit in process, {many} devices");
        budgets.push(most(what, 0.5, " us", hit));
    }
    let threads = of("threads of that");
    if let (Some(threads), Some(times)) = (
        threads,
        of("cache hits, a thread for each core against one"),
    ) {
        let what = format!(
            "cache hits of {threads} threads against one, at least {SCALING} of a thread each"
        );
        budgets.push(least(what, threads * SCALING, " x", times));
    }
    if let (Some(write), Some(sync)) = (
        of("one durable write until it is visible, p99"),
        of("a bare sync of 256 appended bytes, p99"),
    ) {
        let what = "one durable write until it is visible, its p99 less the p99 of a bare sync";
        budgets.push(most(what, 5.0, " ms", write - sync));
    }
    if let Some(many) = of("durable writes, each a transaction, many waiting") {
        let what = "durable writes, each a transaction, many waiting";
        budgets.push(least(what, 20_000.0, " a second", many));
    }
    if let Some(moved) =
        of("a group of 100,000 moved, until the first decision that sees it, slowest of 20")
    {
        let what = "a group of 100,000 moved, until the first decision that sees it, slowest of 20";
        budgets.push(most(what, 10.0, " ms", moved));
    }
    if let Some(open) = of("open and put in force") {
        let what = format!("opening {many} devices from a snapshot, in process");
        budgets.push(most(what, 10.0, " s", open));
    }
    let ours = directory
        .caches
        .iter()
        .filter(|line| line.cache == "Deodar");
    let stale: u64 = ours.map(|line| line.stale).sum();
    let what = "stale answers of the decision cache while devices change";
    budgets.push(most(what, 0.0, "", stale as f64));
    budgets
}

/// Over gRPC.
pub(super) fn import(import: &Imports) -> Vec<Budget> {
    let mut budgets = vec![most(
        format!("importing {} entities", number(import.entities)),
        30.0,
        " s",
        import.seconds,
    )];
    for start in &import.starts {
        let what = format!("start with them, ready, after {}", start.after);
        budgets.push(most(what, 10.0, " s", start.seconds));
    }
    budgets
}
