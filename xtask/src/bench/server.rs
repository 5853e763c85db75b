//! Deodar and the echo server under load, in turn.

use std::fs;

use prost::Message as _;
use serde::Deserialize;
use serde::Serialize;

use super::Effort;
use super::load;
use super::load::Load;
use super::load::Measured;
use super::load::Mode;
use super::machine::output;
use super::process;
use super::process::Process;
use super::questions;
use super::v1;

/// The same load on both servers, one after the other.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Pair {
    pub(crate) echo: Measured,
    pub(crate) deodar: Measured,
}

/// All rounds, by what was asked.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Rounds {
    pub(crate) unary: Vec<Pair>,
    pub(crate) single: Vec<Pair>,
    pub(crate) batch: Vec<Pair>,
    pub(crate) stream: Vec<Pair>,
    /// Bytes of an answer of the mix, on average.
    pub(crate) answer_bytes: usize,
}

const UNARY: (Mode, usize, usize) = (Mode::Unary, 4, 8);
const SINGLE: (Mode, usize, usize) = (Mode::Unary, 1, 1);
const BATCH: (Mode, usize, usize) = (Mode::Batch, 2, 2);
const STREAM: (Mode, usize, usize) = (Mode::Stream { window: 256 }, 2, 1);

/// Measures both servers, round by round.
pub(crate) fn measure(effort: Effort) -> Result<Rounds, String> {
    let policies = process::policies()?;
    let deodar = process::deodar(policies.path())?;
    let answers = policies.path().join("answers.bin");
    let (recorded, answer_bytes) = record(&deodar.address)?;
    fs::write(&answers, recorded).map_err(|error| error.to_string())?;
    let echo = process::echo(&answers)?;
    let mut rounds = Rounds {
        answer_bytes,
        ..Rounds::default()
    };
    for round in 1..=effort.rounds {
        rounds.unary.push(pair(&echo, &deodar, UNARY, effort)?);
        rounds.single.push(pair(&echo, &deodar, SINGLE, effort)?);
        rounds.batch.push(pair(&echo, &deodar, BATCH, effort)?);
        rounds.stream.push(pair(&echo, &deodar, STREAM, effort)?);
        for (name, pairs) in [
            ("unary", &rounds.unary),
            ("batch", &rounds.batch),
            ("stream", &rounds.stream),
        ] {
            if let Some(Pair { echo, deodar }) = pairs.last() {
                let (echo, deodar) = (echo.cpu_us, deodar.cpu_us);
                eprintln!(
                    "round {round} {name}: echo {echo:.2} us, deodar {deodar:.2} us, x {:.2}",
                    deodar / echo
                );
            }
        }
    }
    Ok(rounds)
}

fn pair(
    echo: &Process,
    deodar: &Process,
    (mode, connections, streams): (Mode, usize, usize),
    effort: Effort,
) -> Result<Pair, String> {
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
    Ok(Pair {
        echo: of(echo)?,
        deodar: of(deodar)?,
    })
}

/// Runs the load generator in a process of its own.
fn under(address: &str, load: Load) -> Result<Measured, String> {
    let load = serde_json::to_string(&load).map_err(|error| error.to_string())?;
    let program = process::target().join("release/xtask");
    let printed = output(
        &program.to_string_lossy(),
        &["bench", "load", address, &load],
    )?;
    let measured: Measured = serde_json::from_str(&printed).map_err(|error| error.to_string())?;
    if measured.failed > 0 {
        return Err(format!("{} calls failed", measured.failed));
    }
    Ok(measured)
}

/// The answers that Deodar gives, checked, as the echo server reads them.
fn record(address: &str) -> Result<(Vec<u8>, usize), String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let mut client = load::connect(address).await?;
        let mut mix = v1::BatchAuthorizeResponse::default();
        let mut bytes = 0;
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
            bytes += answer.encoded_len();
            let result = Some(v1::batch_authorize_item::Result::Response(answer));
            mix.items.push(v1::BatchAuthorizeItem { result });
        }
        let batch = client.batch_authorize(questions::batch()).await;
        let batch = batch.map_err(|status| status.to_string())?.into_inner();
        let bytes = bytes / mix.items.len().max(1);
        Ok((
            [
                mix.encode_length_delimited_to_vec(),
                batch.encode_length_delimited_to_vec(),
            ]
            .concat(),
            bytes,
        ))
    })
}
