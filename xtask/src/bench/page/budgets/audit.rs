//! The budgets of the audit log and of telemetry.

use super::Budget;
use super::least;
use super::most;
use crate::bench::audit;
use crate::bench::audit::Audits;
use crate::bench::endurance::Endurance;
use crate::bench::endurance::KEEP_BYTES;
use crate::bench::endurance::SEGMENT_BYTES;
use crate::bench::load::Measured;
use crate::bench::page::audit::per_round;
use crate::bench::page::audit::slower;
use crate::bench::page::directory::number;
use crate::bench::page::endurance::per_million;
use crate::bench::results::median;
use crate::bench::telemetry::Telemetry;
use crate::bench::trouble::Trouble;
use crate::bench::trouble::Troubles;

/// The callers of mode `sync` that the budget is about.
const WAITING: usize = 128;
/// What is taken for unchanged, on a machine that does other things as well.
const UNCHANGED: f64 = 1.2;
/// The same of resident memory.
const FLAT: f64 = 1.05;

/// A slow disk, and every answer waits for it.
pub(super) fn audit(audits: &Audits) -> Vec<Budget> {
    let meant = audits.synced.iter().filter(|synced| {
        let is_slow = synced.sync_millis == audit::SYNC_MILLIS;
        is_slow && !synced.is_stream && synced.waiting == WAITING
    });
    let budget = meant.map(|synced| {
        let what = format!(
            "`audit.mode = \"sync\"`, a sync slower by {} ms, {WAITING} callers: decisions",
            synced.sync_millis
        );
        let rates = synced.rounds.iter().map(|round| round.calls_per_second);
        least(what, 5000.0, " a second", median(rates))
    });
    budget.collect()
}

/// Every call traced.
pub(super) fn telemetry(telemetry: &Telemetry) -> Vec<Budget> {
    let cpu = |measured: &Measured| measured.cpu_us;
    let others = telemetry.servers.iter().enumerate();
    let others = others.filter(|(index, told)| told.against != *index);
    let budget = others.filter_map(|(_, told)| {
        let without = telemetry.servers.get(told.against)?;
        let what = format!(
            "Authorize, cache hit, CPU, {}, against the CPU without",
            told.what
        );
        Some(most(
            what,
            2.0,
            " x",
            per_round(&told.rounds, &without.rounds, cpu),
        ))
    });
    budget.collect()
}

/// Nobody who asks notices.
pub(super) fn trouble(troubles: &Troubles) -> Vec<Budget> {
    let p99 = |measured: &Measured| measured.p99_us as f64;
    let Some((without, others)) = troubles.servers.split_first() else {
        return Vec::new();
    };
    let mut budgets: Vec<Budget> = others
        .iter()
        .map(|trouble| {
            let what = format!("p99 against that without trouble: {}", trouble.what);
            most(
                what,
                UNCHANGED,
                " x",
                slower(&trouble.rounds, &without.rounds, p99),
            )
        })
        .collect();
    let of_all = |of: fn(&Trouble) -> u64| troubles.servers.iter().map(of).sum::<u64>() as f64;
    let failed = of_all(|trouble| trouble.rounds.iter().map(|round| round.failed).sum());
    budgets.push(most("calls of these that failed", 0.0, "", failed));
    budgets.push(most(
        "decisions of these that have no record and were not counted as missing",
        0.0,
        "",
        of_all(Trouble::vanished),
    ));
    budgets.push(most(
        "spans of these that were neither sent nor counted as dropped, nor can be waiting",
        0.0,
        "",
        of_all(Trouble::spans_vanished),
    ));
    budgets
}

/// Millions of decisions, and their log.
pub(super) fn endurance(endurance: &Endurance) -> Vec<Budget> {
    let samples = &endurance.asked.samples;
    let mut budgets = Vec::new();
    // By then the cache is full, and the allocator has its pages.
    let half = samples.len().div_ceil(2).saturating_sub(1);
    if let (Some(early), Some(last)) = (samples.get(half), samples.last()) {
        let what = format!(
            "resident memory after {} decisions against that after {}",
            number(last.decisions),
            number(early.decisions)
        );
        budgets.push(most(what, FLAT, " x", last.rss_mib / early.rss_mib));
    }
    budgets.push(most(
        "decisions of these that failed, or have no record",
        0.0,
        "",
        (endurance.asked.failed + endurance.missing) as f64,
    ));
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    budgets.push(most(
        "files of the audit log meanwhile, at most: `audit.keep_bytes`, a segment, and what another is compressed to",
        mib(KEEP_BYTES + 2 * SEGMENT_BYTES),
        " MiB",
        mib(endurance.asked.disk_bytes_max),
    ));
    budgets.extend(endurance.reads.iter().map(|read| {
        let what = format!("{}, for each million records of the log", read.what);
        most(what, 10.0, " s", per_million(endurance, read))
    }));
    budgets
}
