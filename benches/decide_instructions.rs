//! What a decision costs in instructions, which do not depend on how busy the
//! machine is: `cargo bench --bench decide_instructions`. Needs valgrind and
//! `gungraun-runner` of the version in `Cargo.lock`.

#![expect(
    unused_qualifications,
    clippy::exit,
    clippy::disallowed_methods,
    reason = "what gungraun generates"
)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark may fail"
)]

use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;
use std::time::UNIX_EPOCH;

use gungraun::library_benchmark;
use gungraun::library_benchmark_group;
use gungraun::main;
use prost::Message as _;
use tonic::Request;

use deodar::engine::Decision;
use deodar::engine::Query;
use deodar::engine::decide;
use deodar::pdp::Pdp;
use deodar::pdp::Settings;
use deodar::pdp::cache::CacheSettings;
use deodar::pdp::state::Active;
use deodar::pdp::state::Policies;
use deodar::proto::v1;
use deodar::serve::Limits;
use deodar::serve::grpc::authorization::Authorization;
use deodar::telemetry::Counters;
use world::Shape;
use world::World;

#[expect(dead_code, reason = "the other benchmark uses the rest")]
#[path = "world/world.rs"]
mod world;

/// A world and 64 questions, one of which is no measure: how many policies
/// concern it depends on the world. The world is not freed: that would be
/// measured.
fn asked(policies: usize) -> (&'static World, Vec<Query>) {
    let world: &'static World = Box::leak(Box::new(World::new(Shape::Spread, policies)));
    let questions = world.questions(64);
    for query in &questions {
        decide(&world.snapshot, &world.view, query).unwrap();
    }
    (world, questions)
}

#[library_benchmark(setup = asked)]
#[bench::of_10(10)]
#[bench::of_1000(1_000)]
#[bench::of_10000(10_000)]
fn decide_64((world, questions): (&'static World, Vec<Query>)) -> (Vec<Decision>, Vec<Query>) {
    let mut decisions = Vec::with_capacity(questions.len());
    for query in &questions {
        decisions.push(decide(&world.snapshot, &world.view, black_box(query)).unwrap());
    }
    (decisions, questions)
}

fn parts(policies: usize) -> (&'static World, Query) {
    let (world, mut questions) = asked(policies);
    (world, questions.pop().unwrap())
}

#[library_benchmark(setup = parts)]
#[bench::with_6_context_keys(1_000)]
fn build_query((world, parts): (&'static World, Query)) -> Query {
    let Query {
        principal,
        action,
        resource,
        context,
        overlay,
    } = parts;
    Query::new(
        &world.snapshot,
        principal,
        action,
        resource,
        context,
        overlay,
    )
    .unwrap()
}

/// A decision point without a cache, and an encoded question.
fn served(policies: usize) -> (&'static Authorization, Vec<u8>) {
    served_with(
        policies,
        &CacheSettings {
            bytes_max: 0,
            ..CacheSettings::default()
        },
    )
}

/// A decision point that has been asked the question before.
fn remembered(policies: usize) -> (&'static Authorization, Vec<u8>) {
    served_with(policies, &CacheSettings::default())
}

fn served_with(policies: usize, cache: &CacheSettings) -> (&'static Authorization, Vec<u8>) {
    let World { snapshot, view, .. } = World::new(Shape::Spread, policies);
    let counters = Arc::new(Counters::default());
    let settings = Settings {
        trust_caller_time: true,
        ..Settings::default()
    };
    let pdp = Arc::new(Pdp::new(settings, cache, counters));
    pdp.state().publish(Active {
        policies: Arc::new(Policies::new(
            snapshot,
            "bench".to_owned(),
            UNIX_EPOCH + Duration::from_secs(1),
        )),
        view,
    });
    let question = question().encode_to_vec();
    let service = Authorization::new(pdp, Limits::default(), 0);
    let service: &'static Authorization = Box::leak(Box::new(service));
    for _ in 0..16 {
        drop(wire_to_response((service, question.clone())));
    }
    (service, question)
}

fn question() -> v1::AuthorizeRequest {
    let entity = |kind: &str, id: &str| {
        Some(v1::EntityRef {
            r#type: format!("Bench::{kind}"),
            id: id.to_owned(),
        })
    };
    let value = |kind| v1::Value { kind: Some(kind) };
    let text = |text: &str| text.to_owned();
    v1::AuthorizeRequest {
        principal: entity("User", "u1"),
        action: entity("Action", "read"),
        resource: entity("Device", "d1"),
        context: Some(v1::Context {
            values: [
                (
                    text("now"),
                    value(v1::value::Kind::DatetimeMillis(1_795_305_600_000)),
                ),
                (text("ip"), value(v1::value::Kind::Ip(text("10.20.1.2")))),
                (text("mfa"), value(v1::value::Kind::Bool(true))),
                (text("risk"), value(v1::value::Kind::Long(20))),
                (
                    text("channel"),
                    value(v1::value::Kind::String(text("portal"))),
                ),
                (
                    text("purpose"),
                    value(v1::value::Kind::String(text("maintenance"))),
                ),
            ]
            .into(),
            cedar_json: String::new(),
        }),
        ..v1::AuthorizeRequest::default()
    }
}

/// Everything between the bytes of a question and the bytes of its answer but
/// the transport.
fn wire_to_response((service, question): (&'static Authorization, Vec<u8>)) -> Vec<u8> {
    let answer = service.authorize_bytes(Request::new(question.into()));
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(answer) = pin!(answer).poll(&mut context) else {
        panic!("waits for something");
    };
    answer.unwrap().into_inner()
}

#[library_benchmark(setup = served)]
#[bench::of_1000(1_000)]
fn wire_to_wire(input: (&'static Authorization, Vec<u8>)) -> Vec<u8> {
    wire_to_response(black_box(input))
}

#[library_benchmark(setup = remembered)]
#[bench::of_1000(1_000)]
fn wire_to_wire_cached(input: (&'static Authorization, Vec<u8>)) -> Vec<u8> {
    wire_to_response(black_box(input))
}

library_benchmark_group!(
    name = decisions;
    benchmarks = decide_64, build_query, wire_to_wire, wire_to_wire_cached
);
main!(library_benchmark_groups = decisions);
