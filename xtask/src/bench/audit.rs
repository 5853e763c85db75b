//! The audit log when every answer waits for the disk, and the disk is slow.

use serde::Deserialize;
use serde::Serialize;

use super::Effort;
use super::load::Measured;
use super::load::Mode;
use super::machine::disk;
use super::process;
use super::slow_disk::SlowDisk;
use super::slow_disk::Syncs;
use super::turns;
use super::turns::Asked;

/// How long a sync takes that the budget is about, in milliseconds.
pub(crate) const SYNC_MILLIS: u64 = 4;
/// The connections of all loads but the stream's.
const CONNECTIONS: usize = 4;

/// What was seen.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Audits {
    pub(crate) synced: Vec<Synced>,
    /// What the logs were on.
    pub(crate) disk: String,
}

/// One load in mode `sync`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Synced {
    /// Questions under way at once.
    pub(crate) waiting: usize,
    pub(crate) is_stream: bool,
    /// By how much each sync is slower than the disk; not at all in the first.
    pub(crate) sync_millis: u64,
    pub(crate) rounds: Vec<Measured>,
    /// Syncs, and the records that they made durable, of the whole load.
    pub(crate) syncs: u64,
    pub(crate) records: u64,
}

/// Measures all loads on two servers.
pub(crate) fn measure(effort: Effort) -> Result<Audits, String> {
    let policies = process::policies()?;
    let slow_disk = SlowDisk::compile()?;
    let mut synced = Vec::new();
    for (name, millis) in [("as-it-is", 0), ("slow", SYNC_MILLIS)] {
        let syncs = slow_disk.syncs(name, millis);
        let mut settings = vec![process::MEMORY, ("DEODAR_AUDIT__MODE", "sync")];
        settings.extend(syncs.settings());
        let process = process::deodar(policies.path(), &settings)?;
        let mut server = turns::Server::new(name, process)?;
        for (callers, is_stream) in [(32, false), (128, false), (512, false), (512, true)] {
            if millis == 0 && (callers, is_stream) != (128, false) {
                continue;
            }
            let of_load = load(&mut server, &syncs, (callers, is_stream), effort)?;
            // What is answered before its sync would be faster than the disk.
            let fastest = of_load.rounds.iter().map(|round| round.p50_us).min();
            if fastest.unwrap_or(0) < millis * 1000 {
                return Err(format!(
                    "answers are faster than a sync of {millis} ms: {of_load:?}"
                ));
            }
            synced.push(Synced {
                sync_millis: millis,
                ..of_load
            });
        }
    }
    Ok(Audits {
        synced,
        disk: disk(&process::target())?,
    })
}

fn load(
    server: &mut turns::Server,
    syncs: &Syncs,
    (callers, is_stream): (usize, bool),
    effort: Effort,
) -> Result<Synced, String> {
    let (mode, connections, streams) = if is_stream {
        let window = callers / 2;
        (Mode::Stream { window }, 2, 1)
    } else {
        (Mode::Unary, CONNECTIONS, callers / CONNECTIONS)
    };
    let asked = Asked {
        mode,
        connections,
        streams,
        warm_seconds: 0.5,
        seconds: effort.seconds.min(1.5),
    };
    let records = |server: &turns::Server| {
        let metrics = server.process.metrics()?;
        Ok::<_, String>(metrics.sum("deodar_audit_records_total", &[]))
    };
    let before = (syncs.count()?, records(server)?);
    eprintln!("{callers} under way, a stream: {is_stream}");
    turns::take(std::slice::from_mut(server), effort.rounds.min(3), asked)?;
    Ok(Synced {
        waiting: callers,
        is_stream,
        sync_millis: 0,
        rounds: std::mem::take(&mut server.rounds),
        syncs: syncs.count()? - before.0,
        records: records(server)? - before.1,
    })
}
