//! Reloading 10,000 policies under load.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Deserialize;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Effort;
use super::load;
use super::load::Seen;
use super::machine::output;
use super::process;
use super::questions;
use super::v1;
use super::v1::policy_service_client::PolicyServiceClient;

const POLICIES: usize = 10_000;
/// Where the callers write what they see.
const QUIET: usize = 0;
const RELOADING: usize = 1;
const BETWEEN: usize = 2;
const STOPPED: usize = 3;
/// Questions under way: few, so that latency is not queueing.
const CALLERS: usize = 4;

/// What was seen.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Reloads {
    /// From saving the file to the first status that has it in force.
    pub(crate) seconds: Vec<f64>,
    pub(crate) calls: u64,
    pub(crate) calls_while_reloading: u64,
    pub(crate) failed_or_wrong: u64,
    pub(crate) p99_quiet_us: u64,
    pub(crate) p99_reloading_us: u64,
    pub(crate) rss_mib: f64,
}

/// Measures in a process of its own.
pub(crate) fn measure(effort: Effort) -> Result<Reloads, String> {
    let policies = process::policies()?;
    process::put(policies.path(), "policies/generated.cedar", &text(0))?;
    let deodar = process::deodar(policies.path(), &[process::MEMORY])?;
    let program = process::target().join("release/xtask");
    let repetitions = effort.repetitions.min(5).to_string();
    let path = policies.path().to_string_lossy();
    let printed = output(
        &program.to_string_lossy(),
        &["bench", "reload-load", &deodar.address, &path, &repetitions],
    )?;
    let mut reloads: Reloads = serde_json::from_str(&printed).map_err(|error| error.to_string())?;
    reloads.rss_mib = deodar.rss_mib()?;
    Ok(reloads)
}

/// Policies about people and devices that the questions do not name.
fn text(generation: usize) -> String {
    let mut text = String::new();
    for number in 0..POLICIES {
        writeln!(
            text,
            "@id(\"generated-{number}\") @title(\"Generation {generation}\")\n\
             permit (principal == Org::User::\"person-{number}\", action == Iot::Action::\"read\", \
             resource == Iot::Device::\"device-{number}\")\n\
             when {{ context has session.ip && context.session.ip.isInRange(ip(\"10.{}.0.0/16\")) }}\n\
             when {{ context.now > datetime(\"2026-01-01\") && principal has site && resource in principal.site }};",
            number % 250,
        )
        .ok();
    }
    text
}

/// `bench reload-load ADDRESS POLICIES REPETITIONS`: prints [`Reloads`].
pub(crate) fn command(mut arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let mut next = || {
        arguments
            .next()
            .ok_or("usage: bench reload-load ADDRESS POLICIES REPETITIONS")
    };
    let (address, policies, repetitions) = (next()?, next()?, next()?);
    let repetitions = repetitions.parse().map_err(|_| "REPETITIONS is a number")?;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let reloads = runtime.block_on(run(&address, Path::new(&policies), repetitions))?;
    println!(
        "{}",
        serde_json::to_string(&reloads).map_err(|error| error.to_string())?
    );
    Ok(())
}

async fn run(address: &str, policies: &Path, repetitions: usize) -> Result<Reloads, String> {
    let phase = Arc::new(AtomicUsize::new(BETWEEN));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        callers.spawn(call(address.to_owned(), Arc::clone(&phase)));
    }
    wait_until(address, 1).await?;
    phase.store(QUIET, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(3)).await;
    phase.store(BETWEEN, Ordering::Relaxed);
    let mut seconds = Vec::new();
    for generation in 1..=repetitions {
        let text = text(generation);
        phase.store(RELOADING, Ordering::Relaxed);
        let started = Instant::now();
        process::put(policies, "policies/generated.cedar", &text)?;
        wait_until(address, 1 + generation as u64).await?;
        seconds.push(started.elapsed().as_secs_f64());
        phase.store(BETWEEN, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    phase.store(STOPPED, Ordering::Relaxed);
    let mut quiet = Seen::new()?;
    let mut reloading = Seen::new()?;
    while let Some(seen) = callers.join_next().await {
        let [first, second, between] = seen.map_err(|error| error.to_string())??;
        for (all, seen) in [(&mut quiet, first), (&mut reloading, second)] {
            add(&mut all.latencies, &seen.latencies)?;
            all.failed += seen.failed;
        }
        quiet.failed += between.failed;
    }
    Ok(Reloads {
        seconds,
        calls: quiet.latencies.len() + reloading.latencies.len(),
        calls_while_reloading: reloading.latencies.len(),
        failed_or_wrong: quiet.failed + reloading.failed,
        p99_quiet_us: quiet.latencies.value_at_quantile(0.99),
        p99_reloading_us: reloading.latencies.value_at_quantile(0.99),
        rss_mib: 0.0,
    })
}

fn add(all: &mut Histogram<u64>, more: &Histogram<u64>) -> Result<(), String> {
    all.add(more).map_err(|error| error.to_string())
}

/// Asks the mix over and over, and looks at every answer.
async fn call(address: String, phase: Arc<AtomicUsize>) -> Result<[Seen; 3], String> {
    let mut client = load::connect(&address).await?;
    let mut seen = [Seen::new()?, Seen::new()?, Seen::new()?];
    for question in questions::mix().iter().cycle() {
        let asked = Instant::now();
        let answer = client.authorize(question.request.clone()).await;
        let Some(seen) = seen.get_mut(phase.load(Ordering::Relaxed)) else {
            break;
        };
        seen.latencies
            .saturating_record(load::micros(asked.elapsed()));
        let expected = if question.allowed {
            v1::Decision::Allow
        } else {
            v1::Decision::Deny
        };
        let is_right = answer.is_ok_and(|answer| answer.get_ref().decision() == expected);
        seen.failed += u64::from(!is_right);
    }
    Ok(seen)
}

/// Waits until this many revisions were taken.
async fn wait_until(address: &str, activations: u64) -> Result<(), String> {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}"));
    let endpoint = endpoint.map_err(|error| error.to_string())?;
    let mut client = PolicyServiceClient::new(endpoint.connect_lazy());
    let give_up = Instant::now() + Duration::from_secs(60);
    while Instant::now() < give_up {
        let status = client.get_status(v1::GetStatusRequest::default()).await;
        if let Ok(status) = status {
            let status = status.into_inner();
            if let Some(rejected) = status.rejected {
                return Err(format!(
                    "the policies are refused: {:?}",
                    rejected.faults.first()
                ));
            }
            if status.activations >= activations {
                return Ok(());
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Err("the policies never came in force".to_owned())
}
