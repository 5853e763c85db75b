//! The tables of millions of decisions and of reading their log.

use std::fmt::Write as _;

use super::budgets::short;
use super::directory::number;
use crate::bench::endurance::Endurance;
use crate::bench::endurance::KEEP_BYTES;
use crate::bench::endurance::Read;

/// Seconds that a command takes for each million records of the log.
pub(super) fn per_million(endurance: &Endurance, read: &Read) -> f64 {
    read.seconds * 1e6 / endurance.records.max(1) as f64
}

/// Memory and disk over time, and reading.
pub(super) fn endurance(endurance: &Endurance) -> String {
    let mib = |bytes: u64| short(bytes as f64 / f64::from(1 << 20));
    let decisions = endurance.asked.samples.last();
    let mut text = format!(
        "\n## Millions of decisions\n\n{} decisions on two streams, as fast as they are answered: the mix, of which every fourth question is asked from an address that was \
         not seen before, so that the decision cache, of {} MiB in the end, removed {} decisions for want of room. The audit log is on {}, keeps {} MiB, and took \
         {} MiB at the most. {} answers were errors, {} records are missing.\n\n\
         | decisions | after s | resident memory MiB | files of the log MiB |\n|---|---|---|---|\n",
        number(decisions.map_or(0, |sample| sample.decisions)),
        short(endurance.cache_mib),
        number(endurance.removed_from_cache),
        endurance.disk,
        mib(KEEP_BYTES),
        mib(endurance.asked.disk_bytes_max),
        endurance.asked.failed,
        endurance.missing,
    );
    for sample in &endurance.asked.samples {
        writeln!(
            text,
            "| {} | {} | {} | {} |",
            number(sample.decisions),
            short(sample.seconds),
            short(sample.rss_mib),
            mib(sample.disk_bytes),
        )
        .ok();
    }
    write!(
        text,
        "\nThe log that this left has {} records, {} MiB, {} MiB on the disk; most of it is in the memory of the system when it is read. MB/s are of the \
         records as they were written, before they were packed.\n\n\
         | command | s | MB/s | s for a million records | lines printed |\n|---|---|---|---|---|\n",
        number(endurance.records),
        mib(endurance.bytes),
        mib(endurance.disk_bytes),
    )
    .ok();
    for read in &endurance.reads {
        writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            read.what,
            short(read.seconds),
            short(endurance.bytes as f64 / 1e6 / read.seconds),
            short(per_million(endurance, read)),
            number(read.lines),
        )
        .ok();
    }
    text
}
