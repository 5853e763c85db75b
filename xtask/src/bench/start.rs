//! How long a start takes, and what an idle server holds.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;
use tokio::time::Instant;

use super::Effort;
use super::load;
use super::process;
use super::questions;

/// Starts on the reference policies.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Starts {
    /// From starting the process to the first answer, each time.
    pub(crate) milliseconds: Vec<f64>,
    /// Resident memory a second later.
    pub(crate) rss_mib: Vec<f64>,
}

/// Starts Deodar over and over.
pub(crate) fn measure(effort: Effort) -> Result<Starts, String> {
    let policies = process::policies()?;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let mut starts = Starts {
        milliseconds: Vec::new(),
        rss_mib: Vec::new(),
    };
    for _ in 0..effort.repetitions {
        let started = Instant::now();
        let deodar = process::deodar(policies.path(), &[process::MEMORY])?;
        runtime.block_on(answered(&deodar.address))?;
        starts
            .milliseconds
            .push(started.elapsed().as_secs_f64() * 1e3);
        std::thread::sleep(Duration::from_secs(1));
        starts.rss_mib.push(deodar.rss_mib()?);
    }
    Ok(starts)
}

async fn answered(address: &str) -> Result<(), String> {
    let mut client = load::connect(address).await?;
    let question = questions::mix().swap_remove(0).request;
    client
        .authorize(question)
        .await
        .map(drop)
        .map_err(|status| status.to_string())
}
