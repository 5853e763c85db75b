//! The load generator: a closed loop over connections and streams.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Deserialize;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::transport::Endpoint;

use super::machine::output;
use super::process::cpu_time;
use super::process::target;
use super::v1::authorization_service_client::AuthorizationServiceClient;

mod callers;

/// How long the last answers may take. Who has none then has failed.
const LAST: Duration = Duration::from_secs(20);

/// What one caller does over and over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Mode {
    /// Authorize.
    Unary,
    /// BatchAuthorize of 100.
    Batch,
    /// StreamAuthorize with this many questions under way.
    Stream { window: usize },
    /// Authorize, so often, whether or not the answers come in time. A call that is
    /// late since the one before took too long counts from when it was due.
    Paced { per_second: u32 },
}

/// A load.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Load {
    pub(crate) mode: Mode,
    pub(crate) connections: usize,
    pub(crate) streams: usize,
    pub(crate) warm_seconds: f64,
    pub(crate) seconds: f64,
    /// The server, whose CPU time is taken.
    pub(crate) pid: u32,
}

/// What came of it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Decisions in the measured time.
    pub(crate) decisions: u64,
    /// Calls that failed, or were never answered.
    pub(crate) failed: u64,
    /// Calls a second.
    pub(crate) calls_per_second: f64,
    /// Server CPU of one call, in microseconds; of a stream, of one decision.
    pub(crate) cpu_us: f64,
    /// How many cores the server kept busy.
    pub(crate) cores: f64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) p999_us: u64,
}

/// What the callers of a load share.
pub(crate) struct Shared {
    measuring: AtomicBool,
    stopped: AtomicBool,
}

/// What one caller saw while it was measured.
pub(crate) struct Seen {
    pub(crate) latencies: Histogram<u64>,
    pub(crate) decisions: u64,
    pub(crate) failed: u64,
}

impl Seen {
    pub(crate) fn new() -> Result<Self, String> {
        // One microsecond to one minute, to three digits.
        let latencies =
            Histogram::new_with_bounds(1, 60_000_000, 3).map_err(|error| error.to_string())?;
        Ok(Self {
            latencies,
            decisions: 0,
            failed: 0,
        })
    }

    fn answered(&mut self, shared: &Shared, asked: Instant, decisions: Option<u64>) {
        if shared.measuring.load(Ordering::Relaxed) {
            self.latencies.saturating_record(micros(asked.elapsed()));
            self.decisions += decisions.unwrap_or(0);
            self.failed += u64::from(decisions.is_none());
        }
    }
}

pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Load {
    /// Runs it against a server, in a process of its own.
    pub(crate) fn run(self, address: &str) -> Result<Measured, String> {
        let load = serde_json::to_string(&self).map_err(|error| error.to_string())?;
        let program = target().join("release/xtask");
        let printed = output(
            &program.to_string_lossy(),
            &["bench", "load", address, &load],
        )?;
        serde_json::from_str(&printed).map_err(|error| error.to_string())
    }
}

/// `bench load ADDRESS LOAD`, both as the caller of [`super::server`] writes
/// them: measures, and prints a [`Measured`] as JSON.
pub(crate) fn command(mut arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let (Some(address), Some(load)) = (arguments.next(), arguments.next()) else {
        return Err("usage: bench load ADDRESS LOAD".to_owned());
    };
    let load: Load = serde_json::from_str(&load).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let measured = runtime
        .map_err(|error| error.to_string())?
        .block_on(run(&address, load))?;
    println!(
        "{}",
        serde_json::to_string(&measured).map_err(|error| error.to_string())?
    );
    Ok(())
}

/// Connects, waiting for a server that is still starting.
pub(crate) async fn connect(address: &str) -> Result<AuthorizationServiceClient<Channel>, String> {
    let endpoint =
        Endpoint::from_shared(format!("http://{address}")).map_err(|error| error.to_string())?;
    let give_up = Instant::now() + Duration::from_secs(20);
    loop {
        match endpoint.connect().await {
            Ok(channel) => return Ok(AuthorizationServiceClient::new(channel)),
            Err(error) if Instant::now() > give_up => return Err(format!("{address}: {error}")),
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

async fn run(address: &str, load: Load) -> Result<Measured, String> {
    let shared = Arc::new(Shared {
        measuring: AtomicBool::new(false),
        stopped: AtomicBool::new(false),
    });
    let mut callers = JoinSet::new();
    for _ in 0..load.connections {
        let client = connect(address).await?;
        for number in 0..load.streams {
            callers.spawn(callers::call(
                load.mode,
                client.clone(),
                Arc::clone(&shared),
                number,
            ));
        }
    }
    tokio::time::sleep(Duration::from_secs_f64(load.warm_seconds)).await;
    let (started, cpu) = (Instant::now(), cpu_time(load.pid)?);
    shared.measuring.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs_f64(load.seconds)).await;
    shared.measuring.store(false, Ordering::Relaxed);
    let (took, cpu) = (
        started.elapsed().as_secs_f64(),
        cpu_time(load.pid)?.saturating_sub(cpu).as_secs_f64(),
    );
    shared.stopped.store(true, Ordering::Relaxed);

    let mut all = Seen::new()?;
    let give_up = Instant::now() + LAST;
    loop {
        let seen = match tokio::time::timeout_at(give_up, callers.join_next()).await {
            Ok(Some(seen)) => seen,
            Ok(None) => break,
            Err(_) => {
                all.failed += callers.len() as u64;
                break;
            }
        };
        let seen = seen.map_err(|error| error.to_string())??;
        all.latencies
            .add(&seen.latencies)
            .map_err(|error| error.to_string())?;
        all.decisions += seen.decisions;
        all.failed += seen.failed;
    }
    let calls = all.latencies.len().max(1) as f64;
    Ok(Measured {
        decisions: all.decisions,
        failed: all.failed,
        calls_per_second: calls / took,
        cpu_us: cpu * 1e6 / calls,
        cores: cpu / took,
        p50_us: all.latencies.value_at_quantile(0.5),
        p99_us: all.latencies.value_at_quantile(0.99),
        p999_us: all.latencies.value_at_quantile(0.999),
    })
}
