//! The tables of the audit log and of telemetry.

use std::fmt::Write as _;

use super::budgets::short;
use super::directory::number;
use crate::bench::audit::Audits;
use crate::bench::audit::Synced;
use crate::bench::load::Measured;
use crate::bench::results::median;
use crate::bench::telemetry::Telemetry;
use crate::bench::trouble::CALLERS;
use crate::bench::trouble::PER_SECOND;
use crate::bench::trouble::Trouble;
use crate::bench::trouble::Troubles;

/// One value against that of another server, round by round.
pub(super) fn per_round(
    rounds: &[Measured],
    without: &[Measured],
    value: impl Fn(&Measured) -> f64,
) -> f64 {
    let pairs = rounds.iter().zip(without);
    median(pairs.map(|(round, without)| value(round) / value(without)))
}

/// The same of a latency. Whoever gave less than half of the answers that were asked for
/// is infinitely slow: what is not answered has no latency.
pub(super) fn slower(
    rounds: &[Measured],
    without: &[Measured],
    value: impl Fn(&Measured) -> f64,
) -> f64 {
    let asked = f64::from(PER_SECOND) * CALLERS as f64;
    per_round(rounds, without, |round| {
        if round.calls_per_second < asked / 2.0 {
            f64::INFINITY
        } else {
            value(round)
        }
    })
}

fn middle(rounds: &[Measured], value: fn(&Measured) -> f64) -> String {
    short(median(rounds.iter().map(value)))
}

/// Every answer waits for the disk.
pub(super) fn audit(audits: &Audits) -> String {
    let rounds = audits.synced.iter().map(|synced| synced.rounds.len());
    let mut text = format!(
        "\n## When every answer waits for the disk\n\n`audit.mode = \"sync\"`, the log on {}. A library that is loaded before the C library makes each \
         `fsync` and `fdatasync` wait, and then does the real one. Authorize over 4 connections, StreamAuthorize over 2 streams; the mix, cached. \
         Syncs and records are of the whole load. Medians of {} rounds.\n\n\
         | under way | each sync waits ms | decisions a second | p50 us | p99 us | syncs | records a sync |\n\
         |---|---|---|---|---|---|---|\n",
        audits.disk,
        rounds.max().unwrap_or(0),
    );
    for Synced {
        waiting,
        is_stream,
        sync_millis,
        rounds,
        syncs,
        records,
    } in &audits.synced
    {
        let kind = if *is_stream { "streamed" } else { "calls" };
        writeln!(
            text,
            "| {waiting} {kind} | {sync_millis} | {} | {} | {} | {} | {} |",
            middle(rounds, |round| round.calls_per_second),
            middle(rounds, |round| round.p50_us as f64),
            middle(rounds, |round| round.p99_us as f64),
            number(*syncs),
            short(*records as f64 / (*syncs).max(1) as f64),
        )
        .ok();
    }
    text
}

/// What sending costs.
pub(super) fn telemetry(telemetry: &Telemetry) -> String {
    let rounds = telemetry.servers.iter().map(|told| told.rounds.len());
    let mut text = format!(
        "\n## What telemetry costs\n\nAuthorize over 4 connections with 8 calls each; the mix, cached. `OTEL_EXPORTER_OTLP_ENDPOINT` \
         names a collector in another process that reads all and answers at once; its CPU is not counted. Metrics are sent every second \
         instead of every minute. A span that finds no room is dropped, and costs less than one that is sent: shares are of all calls. What is counted \
         for `/metrics` is counted in every row, since nothing switches it off. Medians of {} rounds, in turn.\n\n\
         | server | CPU us a call | against the one without | calls a second | p50 us | p99 us | spans sent | dropped |\n\
         |---|---|---|---|---|---|---|---|\n",
        rounds.max().unwrap_or(0),
    );
    for (index, told) in telemetry.servers.iter().enumerate() {
        let without = telemetry.servers.get(told.against);
        let against = without.filter(|_| told.against != index).map(|without| {
            let ratio = per_round(&told.rounds, &without.rounds, |round| round.cpu_us);
            format!("{} x", short(ratio))
        });
        let share = |spans: u64| {
            let calls = told.counted.decisions.max(1);
            format!("{} %", short(100.0 * spans as f64 / calls as f64))
        };
        writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            told.what,
            middle(&told.rounds, |round| round.cpu_us),
            against.unwrap_or_default(),
            middle(&told.rounds, |round| round.calls_per_second),
            middle(&told.rounds, |round| round.p50_us as f64),
            middle(&told.rounds, |round| round.p99_us as f64),
            share(told.counted.spans_sent),
            share(told.counted.spans_full + told.counted.spans_failed),
        )
        .ok();
    }
    text
}

/// Collectors and disks in trouble.
pub(super) fn trouble(troubles: &Troubles) -> String {
    let rounds = troubles.servers.iter().map(|trouble| trouble.rounds.len());
    let mut text = format!(
        "\n## When the collector or the disk is in trouble\n\n`audit.mode = \"batched\"`. {CALLERS} callers ask {PER_SECOND} times a second each, {} in all, whether or not answers are \
         late; one that is late since the one before it took too long counts from when it was due. Every call is traced where there is a collector. The disk is made \
         slow, or stuck, as above; as many records as may wait do so before the stuck one is measured. Medians of {} rounds, in turn.\n\n\
         | server | p50 us | p99 us | p99.9 us | p50 against the first | p99 against the first | failed | `/readyz` |\n\
         |---|---|---|---|---|---|---|---|\n",
        number(u64::from(PER_SECOND) * CALLERS as u64),
        rounds.max().unwrap_or(0),
    );
    let without: &[Measured] = troubles
        .servers
        .first()
        .map_or(&[], |without| &without.rounds);
    for Trouble {
        what,
        rounds,
        is_ready,
        ..
    } in &troubles.servers
    {
        let against = |value: fn(&Measured) -> f64| short(slower(rounds, without, value));
        writeln!(
            text,
            "| {what} | {} | {} | {} | {} x | {} x | {} | {} |",
            middle(rounds, |round| round.p50_us as f64),
            middle(rounds, |round| round.p99_us as f64),
            middle(rounds, |round| round.p999_us as f64),
            against(|round| round.p50_us as f64),
            against(|round| round.p99_us as f64),
            rounds.iter().map(|round| round.failed).sum::<u64>(),
            if *is_ready { "ready" } else { "not ready" },
        )
        .ok();
    }
    text.push_str(
        "\nWhat became of records and spans. Spans and late syncs are what `/metrics` says at the end of the last round, in trouble still; then the trouble ends, \
         what waits is written, the server is ended, and the decisions in its log are counted.\n\n\
         | server | decisions | in the log | counted as missing | neither | `gap` records | late syncs | spans sent | no room | not sent |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for trouble in &troubles.servers {
        writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            trouble.what,
            number(trouble.decided),
            number(trouble.recorded),
            number(trouble.missing),
            number(trouble.vanished()),
            trouble.gaps,
            trouble.counted.late,
            number(trouble.counted.spans_sent),
            number(trouble.counted.spans_full),
            number(trouble.counted.spans_failed),
        )
        .ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::slower;
    use crate::bench::load::Measured;

    fn round(calls_per_second: f64, p99_us: u64) -> Measured {
        Measured {
            decisions: 0,
            failed: 0,
            calls_per_second,
            cpu_us: 1.0,
            cores: 1.0,
            p50_us: 1,
            p99_us,
            p999_us: 1,
        }
    }

    #[test]
    fn who_does_not_answer_is_not_fast() {
        let p99 = |round: &Measured| round.p99_us as f64;
        let (without, slow, silent) = (round(4000.0, 10), round(3900.0, 15), round(100.0, 1));
        assert_eq!(slower(&[slow; 3], &[without; 3], p99), 1.5);
        assert_eq!(slower(&[silent; 3], &[without; 3], p99), f64::INFINITY);
    }
}
