//! Answers written without their messages, from parts that were written before.

use prost::DecodeError;
use prost::Message;
use prost::bytes::BufMut as _;
use prost::bytes::Bytes;
use prost::encode_length_delimiter;
use prost::encoding::WireType;
use prost::encoding::encode_key;
use prost::encoding::encode_varint;
use tonic::Status;

use super::wire;
use crate::engine::Decision;
use crate::engine::explain::Explanation;
use crate::pdp::Answer;
use crate::pdp::state::Active;
use crate::proto::v1;

/// A batch whose questions are not decoded yet.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct SentBatch {
    /// One message; its parts, should it come in several, are one after the other
    /// what it is together.
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub(super) shared: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub(super) items: Vec<Bytes>,
}

/// A question of a stream that is not decoded yet.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct SentQuestion {
    #[prost(uint64, tag = "1")]
    pub(super) correlation_id: u64,
    /// As in a batch.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub(super) request: Vec<Bytes>,
}

impl SentBatch {
    /// Splits a batch, and decodes what its questions share.
    pub(super) fn new(bytes: &Bytes) -> Result<(Self, Bytes, v1::AuthorizeRequest), Status> {
        let mut sent: Self = decoded(bytes.clone())?;
        let shared = joined(&mut sent.shared).unwrap_or_default();
        let request = decoded(shared.clone());
        let request = request.map_err(|status| misread::<v1::BatchAuthorizeRequest>(bytes, status));
        Ok((sent, shared, request?))
    }
}

/// A message of which the parts came one by one; `None` when there are none.
pub(super) fn joined(parts: &mut Vec<Bytes>) -> Option<Bytes> {
    if parts.len() > 1 {
        return Some(parts.concat().into());
    }
    parts.pop()
}

/// The status of a message with a part that cannot be decoded. Decoded as a whole
/// it says in which field that is.
pub(super) fn misread<M: Message + Default>(whole: &Bytes, status: Status) -> Status {
    decoded::<M>(whole.clone()).err().unwrap_or(status)
}

/// Decodes a message; one that cannot be gets the status that tonic gives it.
pub(super) fn decoded<M: Message + Default>(bytes: Bytes) -> Result<M, Status> {
    M::decode(bytes).map_err(|error: DecodeError| Status::internal(error.to_string()))
}

/// What was in force, as each answer of it says.
pub(super) fn revisions(active: &Active) -> Vec<u8> {
    wire::revisions(active).encode_to_vec()
}

/// What of an answer is the same whenever it is given. Allow and deny are not in
/// it: they are written anew from the engine's word.
pub(super) fn lasting(decision: &Decision) -> Vec<u8> {
    let mut into = Vec::with_capacity(512);
    for info in &decision.policies {
        let written = info.written.once(|| wire::policy_ref(info).encode_to_vec());
        text(3, written, &mut into);
    }
    wire::consequences(decision).encode_raw(&mut into);
    into
}

/// Writes an answer around what [`lasting`] wrote.
pub(super) fn answer(answer: &Answer, lasting: &[u8], revisions: &[u8]) -> Vec<u8> {
    let (decision, cause) = wire::outcome(&answer.decision);
    let mut id = [0; 36];
    let mut into = Vec::with_capacity(lasting.len() + revisions.len() + 128);
    number(1, i32::from(decision), &mut into);
    text(2, answer.id.write(&mut id).as_bytes(), &mut into);
    into.put_slice(lasting);
    number(7, i32::from(cause), &mut into);
    text(8, revisions, &mut into);
    if let Some(keep_for) = wire::keep_for(answer) {
        text(9, &keep_for.encode_to_vec(), &mut into);
    }
    number(10, i32::from(answer.cached), &mut into);
    into
}

/// Adds why an answer is as it is.
pub(super) fn explanation(explanation: Explanation, into: &mut Vec<u8>) {
    let written = wire::write_explanation(explanation).encode_to_vec();
    text(11, &written, into);
}

/// What came of a question of a batch or a stream, encoded.
#[derive(Debug)]
pub(super) enum Came {
    Response(Vec<u8>),
    Error(Vec<u8>),
}

impl Came {
    /// A result is a response or an error: two fields of which the first has
    /// this number.
    fn write(&self, first: u32, into: &mut Vec<u8>) {
        match self {
            Self::Response(message) => text(first, message, into),
            Self::Error(message) => text(first + 1, message, into),
        }
    }

    fn len(&self) -> usize {
        let (Self::Response(message) | Self::Error(message)) = self;
        // A key of one byte, the length, the message.
        1 + prost::length_delimiter_len(message.len()) + message.len()
    }
}

/// Adds an item to the items of a batch's answer.
pub(super) fn item(came: &Came, into: &mut Vec<u8>) {
    encode_key(1, WireType::LengthDelimited, into);
    delimiter(came.len(), into);
    came.write(1, into);
}

/// An answer of a stream.
pub(super) fn of_stream(correlation_id: u64, came: &Came) -> Vec<u8> {
    let mut written = Vec::with_capacity(came.len() + 11);
    if correlation_id != 0 {
        encode_key(1, WireType::Varint, &mut written);
        encode_varint(correlation_id, &mut written);
    }
    came.write(2, &mut written);
    written
}

fn text(tag: u32, text: &[u8], into: &mut Vec<u8>) {
    encode_key(tag, WireType::LengthDelimited, into);
    delimiter(text.len(), into);
    into.put_slice(text);
}

fn delimiter(length: usize, into: &mut Vec<u8>) {
    // Only a full buffer has no room; this one grows.
    encode_length_delimiter(length, into).ok();
}

/// Zero is what is read when nothing is there.
fn number(tag: u32, number: i32, into: &mut Vec<u8>) {
    if number != 0 {
        encode_key(tag, WireType::Varint, into);
        encode_varint(i64::from(number).cast_unsigned(), into);
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::Came;
    use super::SentBatch;
    use super::item;
    use super::of_stream;
    use crate::proto::v1;
    use crate::proto::v1::batch_authorize_item::Result as Item;

    #[test]
    fn items_are_those_of_the_message() {
        for bytes in [0, 1, 100, 127, 128, 20_000] {
            let response = v1::AuthorizeResponse {
                decision_id: "x".repeat(bytes),
                ..v1::AuthorizeResponse::default()
            };
            let error = tonic_types::Status {
                message: "y".repeat(bytes),
                ..tonic_types::Status::default()
            };
            let mut written = Vec::new();
            let came = [
                Came::Response(response.encode_to_vec()),
                Came::Error(error.encode_to_vec()),
            ];
            for came in &came {
                item(came, &mut written);
            }
            let results = [Item::Response(response), Item::Error(error)];
            let items = results.map(|result| v1::BatchAuthorizeItem {
                result: Some(result),
            });
            let items = items.into();
            assert_eq!(
                written,
                v1::BatchAuthorizeResponse { items }.encode_to_vec()
            );
        }
    }

    #[test]
    fn answers_of_a_stream_are_those_of_the_message() {
        for correlation_id in [0, 1, u64::MAX] {
            let error = tonic_types::Status {
                message: "no".to_owned(),
                ..tonic_types::Status::default()
            };
            let written = of_stream(correlation_id, &Came::Error(error.encode_to_vec()));
            let answer = v1::StreamAuthorizeResponse {
                correlation_id,
                result: Some(v1::stream_authorize_response::Result::Error(error)),
            };
            assert_eq!(written, answer.encode_to_vec());
        }
    }

    #[test]
    fn a_batch_is_split_into_its_questions() {
        let question = |store: &str| v1::AuthorizeRequest {
            store: store.to_owned(),
            explain: true,
            ..v1::AuthorizeRequest::default()
        };
        let mut batch = v1::BatchAuthorizeRequest {
            shared: Some(question("default")),
            items: vec![question(""), v1::AuthorizeRequest::default()],
        };
        let once = batch.encode_to_vec();
        let (sent, shared, read) = SentBatch::new(&once.clone().into()).unwrap();
        assert_eq!(shared, question("default").encode_to_vec());
        assert_eq!(read, question("default"));
        let items = batch.items.iter().map(v1::AuthorizeRequest::encode_to_vec);
        assert_eq!(sent.items, items.collect::<Vec<_>>());
        // The parts of a message that comes twice are merged.
        batch.shared = Some(question("other"));
        let twice = [once, batch.encode_to_vec()].concat();
        let (sent, _, read) = SentBatch::new(&twice.clone().into()).unwrap();
        let merged = v1::BatchAuthorizeRequest::decode(&*twice).unwrap();
        assert_eq!(Some(read), merged.shared);
        assert_eq!(sent.items.len(), merged.items.len());
    }

    #[test]
    fn what_cannot_be_decoded_is_named_as_in_the_whole() {
        // A shared question whose `store` is no text.
        let bad = [0x0a, 0x03, 0x3a, 0x01, 0xff];
        let status = SentBatch::new(&bad.to_vec().into()).unwrap_err();
        let whole = v1::BatchAuthorizeRequest::decode(&bad[..]).unwrap_err();
        assert_eq!(status.message(), whole.to_string());
    }
}
