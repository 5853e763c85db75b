//! Deodar with its cache and without, and the echo server, under load in turn.

use std::fs;

use prost::Message as _;
use serde::Deserialize;
use serde::Serialize;
use tonic::transport::Channel;

use super::Effort;
use super::load;
use super::load::Load;
use super::load::Measured;
use super::load::Mode;
use super::process;
use super::process::Process;
use super::questions;
use super::v1;
use super::v1::authorization_service_client::AuthorizationServiceClient;

/// The same load on all servers, one after the other.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Turn {
    pub(crate) echo: Measured,
    /// Deodar as it is configured by default.
    pub(crate) cached: Measured,
    /// Deodar as it is, but that it records no decisions.
    pub(crate) unrecorded: Measured,
    /// Deodar without its decision cache.
    pub(crate) uncached: Measured,
}

/// All rounds, by what was asked.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Rounds {
    pub(crate) unary: Vec<Turn>,
    pub(crate) single: Vec<Turn>,
    pub(crate) batch: Vec<Turn>,
    pub(crate) stream: Vec<Turn>,
    pub(crate) answers: Answers,
}

/// What the answers are.
#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Answers {
    /// Bytes of an answer of the mix, on average.
    pub(crate) bytes: usize,
    /// How many of 100 decisions of the server with a cache came from it, of all
    /// that were measured.
    pub(crate) cached_percent: f64,
}

/// The servers.
struct Servers {
    echo: Process,
    cached: Process,
    unrecorded: Process,
    uncached: Process,
}

const UNARY: (Mode, usize, usize) = (Mode::Unary, 4, 8);
const SINGLE: (Mode, usize, usize) = (Mode::Unary, 1, 1);
const BATCH: (Mode, usize, usize) = (Mode::Batch, 2, 2);
const STREAM: (Mode, usize, usize) = (Mode::Stream { window: 256 }, 2, 1);

/// Measures the servers, round by round.
pub(crate) fn measure(effort: Effort) -> Result<Rounds, String> {
    let policies = process::policies()?;
    let cached = process::deodar(policies.path(), &[process::MEMORY])?;
    let unrecorded = process::deodar(policies.path(), &[process::MEMORY, process::NO_AUDIT])?;
    let uncached = process::deodar(policies.path(), &[process::MEMORY, process::NO_CACHE])?;
    let file = policies.path().join("answers.bin");
    let (recorded, bytes) = record(&cached.address)?;
    fs::write(&file, recorded).map_err(|error| error.to_string())?;
    let servers = Servers {
        echo: process::echo(&file)?,
        cached,
        unrecorded,
        uncached,
    };
    let mut rounds = Rounds::default();
    rounds.answers.bytes = bytes;
    for round in 1..=effort.rounds {
        let turn = |what| servers.turn(what, effort);
        rounds.unary.push(turn(UNARY)?);
        rounds.single.push(turn(SINGLE)?);
        rounds.batch.push(turn(BATCH)?);
        rounds.stream.push(turn(STREAM)?);
        for (name, turns) in [
            ("unary", &rounds.unary),
            ("batch", &rounds.batch),
            ("stream", &rounds.stream),
        ] {
            if let Some(turn) = turns.last() {
                let echo = turn.echo.cpu_us;
                let against = |measured: Measured| measured.cpu_us / echo;
                eprintln!(
                    "round {round} {name}: echo {echo:.2} us, cached x {:.2}, not recorded x {:.2}, not cached x {:.2}",
                    against(turn.cached),
                    against(turn.unrecorded),
                    against(turn.uncached)
                );
            }
        }
    }
    let (hits, all) = servers.cached.lookups()?;
    rounds.answers.cached_percent = 100.0 * hits as f64 / all.max(1) as f64;
    if servers.uncached.lookups()?.0 > 0 {
        return Err("the server without a cache gave cached answers".to_owned());
    }
    Ok(rounds)
}

impl Servers {
    fn turn(
        &self,
        (mode, connections, streams): (Mode, usize, usize),
        effort: Effort,
    ) -> Result<Turn, String> {
        let of = |server: &Process| {
            let (warm_seconds, seconds) = (effort.seconds / 4.0, effort.seconds);
            let load = Load {
                mode,
                connections,
                streams,
                warm_seconds,
                seconds,
                pid: server.pid(),
            };
            under(&server.address, load)
        };
        Ok(Turn {
            echo: of(&self.echo)?,
            cached: of(&self.cached)?,
            unrecorded: of(&self.unrecorded)?,
            uncached: of(&self.uncached)?,
        })
    }
}

/// Runs a load, of which no call may fail.
fn under(address: &str, load: Load) -> Result<Measured, String> {
    let measured = load.run(address)?;
    if measured.failed > 0 {
        return Err(format!("{} calls failed", measured.failed));
    }
    Ok(measured)
}

/// The answers that Deodar gives when it is asked again, checked, as the echo
/// server reads them; and how many bytes an answer of the mix has.
fn record(address: &str) -> Result<(Vec<u8>, usize), String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let mut client = load::connect(address).await?;
        ask(&mut client).await?;
        let (mix, batch) = ask(&mut client).await?;
        let bytes = mix.items.iter().filter_map(answer);
        let bytes =
            bytes.map(|answer| answer.encoded_len()).sum::<usize>() / mix.items.len().max(1);
        let recorded = [
            mix.encode_length_delimited_to_vec(),
            batch.encode_length_delimited_to_vec(),
        ];
        Ok((recorded.concat(), bytes))
    })
}

fn answer(item: &v1::BatchAuthorizeItem) -> Option<&v1::AuthorizeResponse> {
    match item.result.as_ref()? {
        v1::batch_authorize_item::Result::Response(answer) => Some(answer),
        v1::batch_authorize_item::Result::Error(_) => None,
    }
}

/// Asks the mix and a batch once.
async fn ask(
    client: &mut AuthorizationServiceClient<Channel>,
) -> Result<(v1::BatchAuthorizeResponse, v1::BatchAuthorizeResponse), String> {
    let mut mix = v1::BatchAuthorizeResponse::default();
    for question in questions::mix() {
        let asked = format!(
            "{:?} {:?}",
            question.request.principal, question.request.action
        );
        let answer = client.authorize(question.request).await;
        let answer = answer.map_err(|status| status.to_string())?.into_inner();
        if (answer.decision() == v1::Decision::Allow) != question.allowed {
            return Err(format!(
                "{asked}: not the decision that the benchmark expects: {answer:?}"
            ));
        }
        let result = Some(v1::batch_authorize_item::Result::Response(answer));
        mix.items.push(v1::BatchAuthorizeItem { result });
    }
    let batch = client.batch_authorize(questions::batch()).await;
    let batch = batch.map_err(|status| status.to_string())?.into_inner();
    Ok((mix, batch))
}
