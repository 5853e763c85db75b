//! A batch: every item answered on one snapshot, a slice at a time.

use std::sync::Arc;
use std::time::Duration;

use prost::bytes::Bytes;
use tokio::time::Instant;

use super::asked::Asked;
use super::asked::Basis;
use super::asked::Made;
use super::asked::came;
use super::by::By;
use super::shared::Shared;
use super::status::Refusal;
use super::status::WireError;
use super::wire;
use super::written;
use super::written::Came;
use super::written::SentBatch;
use crate::pdp::words::Recalled;
use crate::pdp::words::Words;
use crate::proto::v1;
use crate::serve::deadline::Deadline;

/// How long a batch may keep others from being answered.
const SLICE: Duration = Duration::from_millis(1);

/// The clock is read after each item that was decided, and after so many that
/// were recalled.
const RECALLED_MAX: usize = 16;

/// Answers a `BatchAuthorizeRequest` with a `BatchAuthorizeResponse`, both encoded.
pub(super) async fn answered(
    asked: &Asked,
    by: &By,
    deadline: Option<Deadline>,
    message: &Bytes,
) -> Result<Made, Refusal> {
    let (sent, words, shared) = SentBatch::new(message).map_err(Refusal::Undecoded)?;
    if !shared.at_least.is_empty() {
        asked.reached(&shared.at_least, deadline).await?;
    }
    let limit = asked.limits.batch_items_max;
    if sent.items.len() > limit {
        return Err(WireError::too_much("items", "items", limit, "batch_items_max").into());
    }
    wire::store(&shared.store)?;
    let mut batch = Batch {
        asked,
        by,
        basis: Basis::of(asked.pdp.pin()?.for_call(by.call.clone())),
        answers: Vec::with_capacity(sent.items.len() * 512),
        items: sent.items.into_iter(),
        words: Arc::from(&*words),
        explain: shared.explain,
        unread: Some(shared),
        read: None,
    };
    loop {
        // A batch is the one call that can take long without waiting.
        if let Some(deadline) = deadline {
            deadline.check().map_err(Refusal::Late)?;
        }
        let is_done = batch.go_on().map_err(|refusal| match refusal {
            Refusal::Undecoded(status) => Refusal::Undecoded(written::misread::<
                v1::BatchAuthorizeRequest,
            >(message, status)),
            other => other,
        })?;
        if is_done {
            return Ok((batch.answers, batch.basis.pinned.take_pending()));
        }
        tokio::task::yield_now().await;
    }
}

/// A batch under way.
struct Batch<'a> {
    asked: &'a Asked,
    by: &'a By,
    basis: Basis<'a>,
    items: std::vec::IntoIter<Bytes>,
    words: Arc<[u8]>,
    explain: bool,
    /// What the items share, until one of them has to be read.
    unread: Option<v1::AuthorizeRequest>,
    read: Option<Shared>,
    answers: Vec<u8>,
}

impl Batch<'_> {
    /// Answers items until the slice is over; whether all are answered.
    fn go_on(&mut self) -> Result<bool, Refusal> {
        let started = Instant::now();
        let mut recalled = 0;
        while let Some(own) = self.items.next() {
            if self.answer(&own)? {
                recalled += 1;
            } else {
                recalled = RECALLED_MAX;
            }
            if recalled >= RECALLED_MAX {
                recalled = 0;
                if started.elapsed() >= SLICE {
                    break;
                }
            }
        }
        Ok(self.items.len() == 0)
    }

    /// Answers an item; whether it had been asked in these words before.
    fn answer(&mut self, own: &Bytes) -> Result<bool, Refusal> {
        let words = (!self.explain).then_some(Words {
            shared: Some(&self.words),
            own,
        });
        let Basis { pinned, revisions } = &self.basis;
        let recalled = words.and_then(|words| pinned.recall(&self.by.caller, words));
        if let Some(Recalled { answer, written }) = &recalled {
            let answer = written::answer(answer, written, revisions);
            written::item(&Came::Response(answer), &mut self.answers);
            return Ok(true);
        }
        let limits = &self.asked.limits;
        let shared = self.read.get_or_insert_with(|| {
            let unread = self.unread.take().unwrap_or_default();
            Shared::new(pinned.snapshot(), limits, unread)
        });
        let decoded = written::decoded(own.clone());
        let mut item: v1::AuthorizeRequest = decoded.map_err(Refusal::Undecoded)?;
        item.explain |= self.explain;
        let answered = self.asked.item(&self.basis, self.by, shared, words, item);
        written::item(&came(answered), &mut self.answers);
        Ok(false)
    }
}
