//! Decisions while the collector or the disk of the audit log is in trouble.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;
use tokio::time::Instant;

use super::Effort;
use super::collector;
use super::collector::Collector;
use super::collector::Manner;
use super::load::Measured;
use super::load::Mode;
use super::metrics::Counted;
use super::process;
use super::slow_disk::SlowDisk;
use super::slow_disk::Syncs;
use super::telemetry::INTERVAL;
use super::turns;
use super::turns::Asked;
use super::turns::Server;

/// How long the slow collector takes for a batch.
pub(crate) const COLLECTOR: Duration = Duration::from_secs(2);
/// How long a sync of the slow disk takes, in milliseconds.
pub(crate) const SYNC_MILLIS: u64 = 500;
/// Callers, and how often each of them asks: a load far from what the server can
/// do, so that latency is not queueing.
pub(crate) const CALLERS: usize = 32;
pub(crate) const PER_SECOND: u32 = 125;
/// Spans that may wait, with the batch that is under way.
pub(crate) const SPANS_WAITING: u64 = 2048 + 512;

const CONNECTIONS: usize = 4;
const STUCK: &str = "the disk is stuck: a sync that never returns, `overflow = \"count\"`";

/// What was seen; the first is the one without trouble.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Troubles {
    pub(crate) servers: Vec<Trouble>,
}

/// One server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Trouble {
    pub(crate) what: String,
    pub(crate) is_traced: bool,
    pub(crate) rounds: Vec<Measured>,
    /// Whether it said that it is ready after the last round, in trouble still.
    pub(crate) is_ready: bool,
    /// After the last round, in trouble still.
    pub(crate) counted: Counted,
    /// Records of decisions that its log has, after the trouble was over and the
    /// server was ended; and the decisions and what was counted as missing by then.
    pub(crate) recorded: u64,
    pub(crate) decided: u64,
    pub(crate) missing: u64,
    pub(crate) gaps: u64,
}

impl Trouble {
    /// Decisions without a record, beyond those that were counted.
    pub(crate) fn vanished(&self) -> u64 {
        self.decided.saturating_sub(self.recorded + self.missing)
    }

    /// Spans that were neither sent nor counted as dropped, beyond those that may wait.
    pub(crate) fn spans_vanished(&self) -> u64 {
        let Counted {
            decisions,
            spans_sent,
            spans_full,
            spans_failed,
            ..
        } = self.counted;
        if !self.is_traced {
            return 0;
        }
        decisions.saturating_sub(spans_sent + spans_full + spans_failed + SPANS_WAITING)
    }
}

/// Measures all of them in turn.
pub(crate) fn measure(effort: Effort) -> Result<Troubles, String> {
    let policies = process::policies()?;
    let slow_disk = SlowDisk::compile()?;
    let good = Collector::listen(Manner::TakesAfter(Duration::ZERO))?;
    let slow = Collector::listen(Manner::TakesAfter(COLLECTOR))?;
    let mute = Collector::listen(Manner::Mute)?;
    let late = slow_disk.syncs("late", SYNC_MILLIS);
    let stuck = slow_disk.syncs("stuck", 0);
    let traced = |what, endpoint: &str| {
        let sent = ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
        serve(policies.path(), what, &[sent, INTERVAL])
    };
    let on_disk = |what, syncs: &Syncs, overflow| {
        let mut settings: Vec<_> = syncs.settings().collect();
        settings.push(("DEODAR_AUDIT__OVERFLOW", overflow));
        serve(policies.path(), what, &settings)
    };
    let mut servers = vec![
        serve(policies.path(), "no trouble, no collector", &[])?,
        traced("a collector that answers at once", &good.endpoint())?,
        traced("a collector that takes 2 s for a batch", &slow.endpoint())?,
        traced("a collector that is down", collector::REFUSED)?,
        traced(
            "a collector that accepts and never answers",
            &mute.endpoint(),
        )?,
        on_disk("the disk takes 500 ms for a sync", &late, "block")?,
        on_disk(STUCK, &stuck, "count")?,
    ];
    if let Some(server) = servers.last() {
        stuck.hold()?;
        fill(server)?;
    }
    let asked = Asked {
        mode: Mode::Paced {
            per_second: PER_SECOND,
        },
        connections: CONNECTIONS,
        streams: CALLERS / CONNECTIONS,
        warm_seconds: 0.5,
        seconds: effort.seconds.min(2.0),
    };
    turns::take(&mut servers, effort.rounds.min(5), asked)?;
    let mut troubles = Vec::new();
    for server in servers {
        let is_traced = server.what.starts_with("a collector");
        let is_stuck = server.what == STUCK;
        troubles.push(end(server, is_traced, is_stuck.then_some(&stuck))?);
    }
    Ok(Troubles { servers: troubles })
}

fn serve(policies: &Path, what: &'static str, settings: &[(&str, &str)]) -> Result<Server, String> {
    let settings = [&[process::MEMORY, process::ERRORS], settings].concat();
    Server::new(what, process::deodar(policies, &settings)?)
}

/// Asks until records are lost: as many wait as may.
fn fill(server: &Server) -> Result<(), String> {
    let asked = Asked {
        mode: Mode::Stream { window: 256 },
        connections: 2,
        streams: 1,
        warm_seconds: 0.0,
        seconds: 1.0,
    };
    for _ in 0..20 {
        asked.of(&server.process)?;
        if Counted::of(&server.process.metrics()?).missing > 0 {
            return Ok(());
        }
    }
    Err(format!("`{}`: the queue is never full", server.what))
}

/// Ends a server, after its disk is well again, and looks at what it left.
fn end(mut server: Server, is_traced: bool, stuck: Option<&Syncs>) -> Result<Trouble, String> {
    let (is_ready, counted) = (
        server.process.is_ready(),
        Counted::of(&server.process.metrics()?),
    );
    if let Some(stuck) = stuck {
        stuck.let_go()?;
    }
    let give_up = Instant::now() + Duration::from_secs(20);
    let mut then = counted;
    while then.waiting > 0 && Instant::now() < give_up {
        std::thread::sleep(Duration::from_millis(50));
        then = Counted::of(&server.process.metrics()?);
    }
    server.process.end("TERM")?;
    let mut stats = Command::new(process::target().join("release/deodar"));
    stats
        .args(["audit", "stats", "--format=json", "--path"])
        .arg(server.process.audit()?);
    let printed = process::printed(&mut stats, Duration::from_secs(60))?;
    let stats: serde_json::Value =
        serde_json::from_str(&printed).map_err(|error| format!("audit stats: {error}"))?;
    let of_kind = |kind: &str| {
        let count = stats.pointer(&format!("/kinds/{kind}"));
        count.and_then(serde_json::Value::as_u64).unwrap_or(0)
    };
    Ok(Trouble {
        what: server.what.to_owned(),
        is_traced,
        is_ready,
        rounds: server.rounds,
        counted,
        recorded: of_kind("decision"),
        decided: then.decisions,
        missing: then.missing,
        gaps: of_kind("gap"),
    })
}

#[cfg(test)]
mod tests {
    use super::Counted;
    use super::SPANS_WAITING;
    use super::Trouble;

    #[test]
    fn what_nothing_accounts_for_has_vanished() {
        let counted = Counted {
            decisions: SPANS_WAITING + 10,
            spans_sent: 4,
            spans_full: 2,
            spans_failed: 1,
            ..Counted::default()
        };
        let trouble = Trouble {
            what: String::new(),
            is_traced: true,
            rounds: Vec::new(),
            is_ready: true,
            counted,
            recorded: 5,
            decided: 10,
            missing: 3,
            gaps: 0,
        };
        assert_eq!((trouble.vanished(), trouble.spans_vanished()), (2, 3));
    }
}
