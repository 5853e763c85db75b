//! What a decision costs in process: `cargo bench --bench decide`.
//!
//! Each measured call decides the next of 1,024 different questions, more of them
//! denied than allowed, so that no branch predictor or cache knows the answer.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark may fail"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::LazyLock;

use cedar_policy_core::ast;
use cedar_policy_core::ast::EntityUIDEntry;
use divan::Bencher;
use divan::black_box;
use parking_lot::Mutex;

use deodar::engine::Query;
use deodar::engine::compile;
use deodar::engine::decide;
use deodar::engine::explain;
use world::Shape;
use world::World;

#[path = "world/world.rs"]
mod world;

const SIZES: [usize; 5] = [10, 100, 1_000, 10_000, 100_000];
const QUESTIONS: usize = 1024;

fn main() {
    divan::main();
}

/// Worlds take seconds to make, so each is made once.
fn made(shape: Shape, policies: usize) -> &'static World {
    static WORLDS: LazyLock<Mutex<BTreeMap<(u8, usize), &'static World>>> =
        LazyLock::new(Mutex::default);
    WORLDS
        .lock()
        .entry((shape as u8, policies))
        .or_insert_with(|| Box::leak(Box::new(World::new(shape, policies))))
}

/// Gives out the questions in turn.
fn in_turn<T: Clone>(questions: Vec<T>) -> impl FnMut() -> T {
    let mut next = 0;
    move || {
        next += 1;
        questions[next % questions.len()].clone()
    }
}

fn measure(bencher: Bencher<'_, '_>, world: &World, questions: Vec<Query>) {
    // Every question once: what is measured is a server that runs, not one that starts.
    for query in &questions {
        black_box(decide(&world.snapshot, &world.view, query)).unwrap();
    }
    bencher
        .with_inputs(in_turn(questions))
        .bench_local_refs(|query| decide(&world.snapshot, &world.view, black_box(query)));
}

#[divan::bench(args = SIZES, sample_count = 200, sample_size = 64)]
fn deodar(bencher: Bencher<'_, '_>, policies: usize) {
    let world = made(Shape::Spread, policies);
    measure(bencher, world, world.questions(QUESTIONS));
}

/// Sixteen questions only: their policies and entities stay in the processor's
/// caches. The difference to [`deodar`] is memory, not work.
#[divan::bench(args = SIZES, sample_count = 200, sample_size = 64)]
fn deodar_16_questions(bencher: Bencher<'_, '_>, policies: usize) {
    let world = made(Shape::Spread, policies);
    measure(bencher, world, world.questions(16));
}

#[divan::bench(args = [1_000, 10_000, 100_000], sample_count = 200, sample_size = 64)]
fn deodar_one_team(bencher: Bencher<'_, '_>, policies: usize) {
    let world = made(Shape::OneTeam, policies);
    measure(bencher, world, world.questions(QUESTIONS));
}

#[divan::bench(sample_count = 200, sample_size = 64)]
fn deodar_grid_300_by_300(bencher: Bencher<'_, '_>) {
    let world = made(Shape::Grid, 90_000);
    measure(bencher, world, world.questions(QUESTIONS));
}

#[divan::bench(sample_count = 200, sample_size = 64)]
fn deodar_with_carried_entity(bencher: Bencher<'_, '_>) {
    let world = made(Shape::Spread, 10_000);
    measure(bencher, world, world.questions_with_entity(QUESTIONS));
}

/// Cedar's own, on the same policies, entities and questions.
/// At 100,000 policies a call takes a third of a second, so few are made.
#[divan::bench(args = SIZES, sample_count = 50, max_time = 5)]
fn cedar_authorizer(bencher: Bencher<'_, '_>, policies: usize) {
    let world = made(Shape::Spread, policies);
    let mut set = ast::PolicySet::new();
    for policy in world
        .snapshot
        .rules()
        .iter()
        .chain(world.view.links().iter())
    {
        set.add(policy.cedar.clone()).unwrap();
    }
    let set = cedar_policy::PolicySet::from(set);
    let entities = cedar_policy::Entities::from(world.view.to_cedar(&world.snapshot).unwrap());
    let authorizer = cedar_policy::Authorizer::new();
    let questions = world.questions(QUESTIONS);
    for query in questions.iter().take((100_000 / policies).clamp(8, 64)) {
        let ours = decide(&world.snapshot, &world.view, query)
            .unwrap()
            .is_allow();
        let theirs = authorizer
            .is_authorized(&request(query), &set, &entities)
            .decision();
        assert_eq!(
            ours,
            theirs == cedar_policy::Decision::Allow,
            "the two disagree"
        );
    }
    let requests = questions.iter().map(request).collect();
    bencher
        .with_inputs(in_turn(requests))
        .bench_local_refs(|request| authorizer.is_authorized(black_box(request), &set, &entities));
}

fn request(query: &Query) -> cedar_policy::Request {
    let known = |uid: &Arc<ast::EntityUID>| EntityUIDEntry::Known {
        euid: Arc::clone(uid),
        loc: None,
    };
    ast::Request::new_unchecked(
        known(&query.principal),
        known(&query.action),
        known(&query.resource),
        Some(ast::Context::Value(Arc::clone(&query.context))),
    )
    .into()
}

#[divan::bench(sample_count = 200, sample_size = 64)]
fn query_with_6_context_keys(bencher: Bencher<'_, '_>) {
    let world = made(Shape::Spread, 1_000);
    let parts = world.questions(QUESTIONS);
    let snapshot = &world.snapshot;
    bencher
        .with_inputs(in_turn(parts))
        .bench_local_values(|parts| {
            Query::new(
                snapshot,
                parts.principal,
                parts.action,
                parts.resource,
                parts.context,
                parts.overlay,
            )
        });
}

#[divan::bench(sample_count = 200, sample_size = 64)]
fn explain_10_000(bencher: Bencher<'_, '_>) {
    let world = made(Shape::Spread, 10_000);
    bencher
        .with_inputs(in_turn(world.questions(QUESTIONS)))
        .bench_local_refs(|query| explain(&world.snapshot, &world.view, black_box(query)));
}

#[divan::bench(args = [100, 10_000], sample_count = 5, sample_size = 1)]
fn compile_policies(bencher: Bencher<'_, '_>, policies: usize) {
    let files = world::repository(Shape::Spread, policies);
    bencher.bench_local(|| compile(black_box(&files)).map(|snapshot| snapshot.rules().len()));
}
