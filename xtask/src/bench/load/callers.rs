//! One caller of the load generator, by mode.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use super::Mode;
use super::Seen;
use super::Shared;
use crate::bench::questions;
use crate::bench::v1;
use crate::bench::v1::authorization_service_client::AuthorizationServiceClient;

type Client = AuthorizationServiceClient<Channel>;

/// Calls until the load is stopped.
pub(super) async fn call(
    mode: Mode,
    client: Client,
    shared: Arc<Shared>,
    number: usize,
) -> Result<Seen, String> {
    match mode {
        Mode::Unary => unary(client, &shared, number).await,
        Mode::Batch => batch(client, &shared).await,
        Mode::Stream { window } => stream(client, &shared, window).await,
        Mode::Paced { per_second } => paced(client, &shared, number, per_second).await,
    }
}

async fn unary(mut client: Client, shared: &Shared, number: usize) -> Result<Seen, String> {
    let mut seen = Seen::new()?;
    // Callers start at different questions, so that they do not march in step.
    let mix: Vec<_> = questions::mix()
        .into_iter()
        .map(|question| question.request)
        .collect();
    for request in mix.iter().cycle().skip(number) {
        if shared.stopped.load(Ordering::Relaxed) {
            break;
        }
        let asked = Instant::now();
        let answer = client.authorize(request.clone()).await;
        seen.answered(shared, asked, answer.ok().map(|_| 1));
    }
    Ok(seen)
}

async fn paced(
    mut client: Client,
    shared: &Shared,
    number: usize,
    per_second: u32,
) -> Result<Seen, String> {
    let mut seen = Seen::new()?;
    let pause = Duration::from_secs(1) / per_second.max(1);
    // Callers do not march in step.
    let mut due = Instant::now() + pause.mul_f64((number % 16) as f64 / 16.0);
    let mix = questions::mix();
    for question in mix.iter().cycle().skip(number) {
        if shared.stopped.load(Ordering::Relaxed) {
            break;
        }
        // A timer that wakes late is no fault of the server.
        let asked = if Instant::now() < due {
            tokio::time::sleep_until(due).await;
            Instant::now()
        } else {
            due
        };
        let answer = client.authorize(question.request.clone()).await;
        seen.answered(shared, asked, answer.ok().map(|_| 1));
        due += pause;
    }
    Ok(seen)
}

async fn batch(mut client: Client, shared: &Shared) -> Result<Seen, String> {
    let mut seen = Seen::new()?;
    let request = questions::batch();
    while !shared.stopped.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let answer = client.batch_authorize(request.clone()).await;
        let decisions = answer
            .ok()
            .map(|answer| answer.into_inner().items.len() as u64);
        seen.answered(shared, asked, decisions);
    }
    Ok(seen)
}

async fn stream(mut client: Client, shared: &Shared, window: usize) -> Result<Seen, String> {
    let mut seen = Seen::new()?;
    let mix: Vec<_> = questions::mix()
        .into_iter()
        .map(|question| question.request)
        .collect();
    let mut mix = mix.iter().cycle();
    let (questions, receiver) = mpsc::channel(window);
    let mut under_way: HashMap<u64, Instant> = HashMap::with_capacity(window);
    let mut next = 0;
    let mut question = |under_way: &mut HashMap<u64, Instant>| {
        next += 1;
        under_way.insert(next, Instant::now());
        v1::StreamAuthorizeRequest {
            correlation_id: next,
            request: mix.next().cloned(),
        }
    };
    for _ in 0..window {
        questions
            .send(question(&mut under_way))
            .await
            .map_err(|error| error.to_string())?;
    }
    let answers = client.stream_authorize(ReceiverStream::new(receiver)).await;
    let mut answers = answers.map_err(|error| error.to_string())?.into_inner();
    while let Some(answer) = answers.message().await.map_err(|error| error.to_string())? {
        let is_response = matches!(
            answer.result,
            Some(v1::stream_authorize_response::Result::Response(_))
        );
        let asked = under_way
            .remove(&answer.correlation_id)
            .ok_or("an answer to no question")?;
        seen.answered(shared, asked, is_response.then_some(1));
        if shared.stopped.load(Ordering::Relaxed) {
            break;
        }
        questions
            .send(question(&mut under_way))
            .await
            .map_err(|error| error.to_string())?;
    }
    Ok(seen)
}
