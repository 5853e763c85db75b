//! The fuzz targets. Each takes any bytes, and panics only for a fault of ours.

use std::io::Read;
use std::pin::pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::entities::CedarValueJson;
use deodar::cli::directory::split::Splitter;
use deodar::directory::codec;
use deodar::directory::dump;
use deodar::directory::restore::restore;
use deodar::engine::named::Named;
use deodar::engine::packed::Reader;
use deodar::engine::packed::Types;
use deodar::engine::packed::Writer;
use deodar::engine::stored::Ends;
use deodar::engine::stored::Stored;
use deodar::pdp::Pdp;
use deodar::proto::v1;
use deodar::serve::Limits;
use deodar::serve::grpc::authorization::Authorization;
use deodar::serve::grpc::shared::Shared;
use deodar::serve::grpc::value_out::write;
use miette::GraphicalReportHandler;
use prost::Message;
use tonic::Code;
use tonic::Request;
use tonic::Status;

use crate::world;

/// A question and a batch from the wire, through the service, to the wire.
pub fn wire_authorize(input: &[u8]) {
    if let Ok(request) = v1::AuthorizeRequest::decode(input) {
        answer_twice(&world::HOME, &request);
        answer_twice(&world::BARE, &request);
    }
    if let Ok(mut batch) = v1::BatchAuthorizeRequest::decode(input) {
        batch.items.truncate(20);
        let asked = batch.items.len();
        match at_once(service(&world::HOME).batch_authorize(Request::new(batch))) {
            Ok(answers) => {
                let answers = answers.into_inner();
                assert_eq!(answers.items.len(), asked, "an item without an answer");
                survives_the_wire(&answers);
            }
            Err(status) => is_the_callers_fault(&status),
        }
    }
}

/// Text as the context of a question, with and without a schema.
pub fn context_json(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    for (kind, id) in [
        ("Home::Action", "open"),
        ("Home::Action", "use"),
        ("Home::Action", "dance"),
    ] {
        let request = question(
            (kind, id),
            v1::Context {
                cedar_json: text.to_owned(),
                ..v1::Context::default()
            },
        );
        answer_twice(&world::HOME, &request);
        answer_twice(&world::BARE, &request);
    }
}

/// Text as files of a policy repository: a letter for the file that it
/// replaces, its text, and after byte 0x1e another one.
pub fn policy_text(input: &[u8]) {
    let replaced: Vec<(&str, &[u8])> = input
        .split(|byte| *byte == 0x1e)
        .filter_map(|part| {
            let (letter, text) = part.split_first()?;
            Some((world::path(*letter)?, text))
        })
        .collect();
    match world::serving(&world::files(&replaced)) {
        Ok(pdp) => {
            for action in ["open", "use"] {
                let request = question(("Home::Action", action), v1::Context::default());
                answer_twice(&pdp, &request);
            }
        }
        Err(faults) => {
            assert!(!faults.is_empty(), "refused without a reason");
            for fault in &faults {
                let mut drawn = String::new();
                GraphicalReportHandler::new()
                    .render_report(&mut drawn, &fault.drawn())
                    .expect("a fault that can be drawn");
                assert!(
                    drawn.contains(&fault.file),
                    "a fault without its file: {drawn}"
                );
            }
        }
    }
}

/// Typed values are the values that Cedar writes of them as JSON.
pub fn value(input: &[u8]) {
    let Ok(value) = v1::Value::decode(input) else {
        return;
    };
    let pinned = world::BARE.pin().expect("something is in force");
    let limits = Limits::default();
    let read = |context| {
        Shared::default().parts(
            pinned.snapshot(),
            &limits,
            question(("Action", "a"), context),
        )
    };
    let typed = v1::Context {
        values: [("value".to_owned(), value)].into(),
        ..v1::Context::default()
    };
    let Ok(typed) = read(typed) else {
        return;
    };
    let typed = typed.context.get("value").expect("one was given").clone();
    let written = v1::Context {
        values: [("value".to_owned(), write(&typed))].into(),
        ..v1::Context::default()
    };
    match read(written) {
        Ok(parts) => assert_eq!(parts.context.get("value"), Some(&typed), "not as written"),
        Err(refusal) => panic!("a written value is refused: {typed}: {refusal:?}"),
    }
    // Records with the keys that Cedar's JSON has for itself cannot be written.
    let Ok(json) = CedarValueJson::from_value(typed.clone()) else {
        return;
    };
    let text = serde_json::json!({ "value": json }).to_string();
    let from_json = v1::Context {
        cedar_json: text.clone(),
        ..v1::Context::default()
    };
    match read(from_json) {
        Ok(parts) => assert_eq!(parts.context.get("value"), Some(&typed), "{text}"),
        Err(refusal) => panic!("a typed value is refused as JSON: {text}: {refusal:?}"),
    }
}

/// Text as a file to import: what is split off are the objects that a parser of
/// the whole finds, however the bytes come.
pub fn import_split(input: &[u8]) {
    let at_once = split(input);
    let byte_by_byte = split(OneByOne(input));
    assert_eq!(at_once, byte_by_byte, "depends on how it is read");
    let whole: Result<Vec<serde_json::Map<String, serde_json::Value>>, _> =
        serde_json::from_slice(input);
    let lines: Result<Vec<serde_json::Map<String, serde_json::Value>>, _> =
        serde_json::Deserializer::from_slice(input)
            .into_iter()
            .collect();
    let parse = |texts: &[String]| {
        let parsed = texts.iter().map(|text| serde_json::from_str(text));
        parsed.collect::<Result<Vec<_>, _>>().ok()
    };
    for whole in [whole.ok(), lines.ok()].into_iter().flatten() {
        let found = at_once.as_ref().expect("objects, which are split");
        assert_eq!(parse(found), Some(whole));
    }
}

/// A reader that gives one byte at a time.
struct OneByOne<'a>(&'a [u8]);

impl Read for OneByOne<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let Some((first, rest)) = self.0.split_first() else {
            return Ok(0);
        };
        into[0] = *first;
        self.0 = rest;
        Ok(1)
    }
}

fn split(input: impl Read) -> Result<Vec<String>, String> {
    let mut splitter = Splitter::new(input);
    let mut texts = Vec::new();
    let mut number = 0;
    while let Some(element) = splitter.next_element().map_err(|error| error.to_string())? {
        number += 1;
        assert_eq!(element.number, number);
        texts.push(element.text);
    }
    Ok(texts)
}

/// A packed value, and packed attributes and tags: refused, or read as they
/// would be written.
pub fn packed(input: &[u8]) {
    let types = Types::default();
    let mut reader = Reader::new(input);
    if let Ok(value) = reader.value(&types) {
        let mut writer = Writer::default();
        writer.value(&value);
        let bytes = writer.into_bytes();
        let again = Reader::new(&bytes).value(&types);
        assert_eq!(again.as_ref(), Ok(&value), "{bytes:?}");
    }
    let name = EntityUID::with_eid_and_type("User", "fuzz").expect("it is a name");
    let name = Named::new(Arc::new(name));
    let stored = Stored::of_packed(name, 1, Vec::new(), Ends::default(), input);
    // An extension value may still fail to be made.
    if let Ok(stored) = stored
        && let Ok((attributes, _)) = stored.unpack(&types)
    {
        for (name, _) in attributes {
            let packed = stored.packed_attribute(&name).expect("it was read once");
            assert!(packed.is_some(), "`{name}` is not found");
        }
    }
}

/// A transaction of the log, and a chunk of a snapshot: refused, or read as they
/// would be written.
pub fn transaction(input: &[u8]) {
    let types = Types::default();
    if let Ok(transaction) = codec::decode(1, input, &types) {
        let bytes = codec::encode(&transaction);
        let again = codec::decode(1, &bytes, &types);
        assert_eq!(again.as_ref(), Ok(&transaction), "{bytes:?}");
        let steps = codec::steps(input, &types).expect("it was read once");
        assert_eq!(steps.len(), transaction.operations.len());
    }
    if let Ok(state) = restore(std::iter::once(Ok(input.to_vec())), &types) {
        let again = restore(dump::dump(&state).map(Ok), &types);
        let again = again.expect("what was written can be read");
        assert_eq!(dump::digest(&again), dump::digest(&state));
    }
}

fn question(action: (&str, &str), context: v1::Context) -> v1::AuthorizeRequest {
    let entity = |(kind, id): (&str, &str)| {
        Some(v1::EntityRef {
            r#type: kind.to_owned(),
            id: id.to_owned(),
        })
    };
    v1::AuthorizeRequest {
        principal: entity(("Home::Person", "ann")),
        action: entity(action),
        resource: entity(("Home::Door", "front")),
        context: Some(context),
        explain: true,
        ..v1::AuthorizeRequest::default()
    }
}

fn service(pdp: &Arc<Pdp>) -> Authorization {
    Authorization::new(Arc::clone(pdp), Limits::default(), 0)
}

/// The same question has the same answer, and every answer makes sense.
fn answer_twice(pdp: &Arc<Pdp>, request: &v1::AuthorizeRequest) {
    let once = answer(pdp, request);
    let again = answer(pdp, request);
    let decided = |answer: Option<v1::AuthorizeResponse>| {
        answer.map(|answer| (answer.decision, answer.cause, answer.policies))
    };
    assert_eq!(decided(once), decided(again), "{request:?}");
}

fn answer(pdp: &Arc<Pdp>, request: &v1::AuthorizeRequest) -> Option<v1::AuthorizeResponse> {
    let answer = match at_once(service(pdp).authorize(Request::new(request.clone()))) {
        Ok(answer) => answer.into_inner(),
        Err(status) => {
            is_the_callers_fault(&status);
            return None;
        }
    };
    survives_the_wire(&answer);
    let permits = answer
        .policies
        .iter()
        .all(|policy| policy.effect() == v1::Effect::Permit);
    match answer.decision() {
        v1::Decision::Allow => {
            assert!(
                permits && !answer.policies.is_empty(),
                "allowed by no permit: {answer:?}"
            );
            assert_eq!(answer.cause(), v1::DenyCause::Unspecified, "{answer:?}");
        }
        v1::Decision::Deny => assert_ne!(answer.cause(), v1::DenyCause::Unspecified, "{answer:?}"),
        v1::Decision::Unspecified => panic!("no decision: {answer:?}"),
    }
    Some(answer)
}

fn survives_the_wire<M: Message + Default + PartialEq + std::fmt::Debug>(message: &M) {
    let bytes = message.encode_to_vec();
    let decoded = M::decode(&*bytes).expect("what was encoded can be decoded");
    assert!(decoded == *message, "changed on the wire: {message:?}");
}

fn is_the_callers_fault(status: &Status) {
    let known = [
        Code::InvalidArgument,
        Code::NotFound,
        Code::ResourceExhausted,
    ];
    assert!(known.contains(&status.code()), "{status:?}");
    assert!(!status.message().is_empty(), "{status:?}");
}

/// Single questions and batches are answered without waiting for anything; a batch
/// lets others go on now and then.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    for _ in 0..TURNS_MAX {
        if let Poll::Ready(answer) = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            return answer;
        }
    }
    panic!("an answer that waits");
}

/// How often a batch may let others go on: once an item.
const TURNS_MAX: usize = 32;
