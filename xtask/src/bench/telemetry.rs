//! What it costs to send telemetry to a collector.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use super::Effort;
use super::collector::Collector;
use super::collector::Manner;
use super::load::Measured;
use super::load::Mode;
use super::metrics::Counted;
use super::process;
use super::turns;
use super::turns::Asked;
use super::turns::Server;

/// More often than the default, so that metrics are sent in each measurement.
pub(crate) const INTERVAL: (&str, &str) = ("OTEL_METRIC_EXPORT_INTERVAL", "1000");
/// Room for all spans of a measurement that is not idle for a second.
const ROOMY: (&str, &str) = ("OTEL_BSP_MAX_QUEUE_SIZE", "65536");

/// What was seen.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Telemetry {
    pub(crate) servers: Vec<Told>,
}

/// One server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) what: String,
    /// The one of [`Telemetry::servers`] that it is compared with: without telemetry.
    pub(crate) against: usize,
    pub(crate) rounds: Vec<Measured>,
    pub(crate) counted: Counted,
}

/// What it is called, which one it is compared with, and how it is configured.
type Candidate<'a> = (&'static str, usize, &'a [(&'a str, &'a str)]);

/// Measures all of them in turn.
pub(crate) fn measure(effort: Effort) -> Result<Telemetry, String> {
    let policies = process::policies()?;
    let collector = Collector::listen(Manner::TakesAfter(Duration::ZERO))?;
    let endpoint = collector.endpoint();
    let sent = ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str());
    let unsampled = ("OTEL_TRACES_SAMPLER", "always_off");
    let quiet = process::NO_AUDIT;
    let candidates: [Candidate<'_>; 6] = [
        ("no telemetry is sent", 0, &[]),
        ("every call is traced", 0, &[sent, INTERVAL]),
        (
            "every call is traced, 65,536 spans may wait",
            0,
            &[sent, INTERVAL, ROOMY],
        ),
        (
            "no call is traced, metrics and log lines are sent",
            0,
            &[sent, INTERVAL, unsampled],
        ),
        ("no telemetry is sent, no audit log", 4, &[quiet]),
        (
            "every call is traced, no audit log",
            4,
            &[quiet, sent, INTERVAL],
        ),
    ];
    let mut servers = Vec::new();
    for (what, _, settings) in candidates {
        let settings = [&[process::MEMORY], settings].concat();
        servers.push(Server::new(
            what,
            process::deodar(policies.path(), &settings)?,
        )?);
    }
    let asked = Asked {
        mode: Mode::Unary,
        connections: 4,
        streams: 8,
        warm_seconds: 0.5,
        seconds: effort.seconds.min(1.5),
    };
    turns::take(&mut servers, effort.rounds.min(5), asked)?;
    let told = servers.into_iter().zip(candidates);
    let told = told.map(|(server, (_, against, _))| {
        Ok(Told {
            what: server.what.to_owned(),
            against,
            rounds: server.rounds,
            counted: Counted::of(&server.process.metrics()?),
        })
    });
    Ok(Telemetry {
        servers: told.collect::<Result<_, String>>()?,
    })
}
