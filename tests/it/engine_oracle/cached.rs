//! A cached decision is exactly what would be decided now, whatever is written,
//! ends, or is reloaded meanwhile, and by however many at once.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use cedar_policy_core::ast;
use cedar_policy_core::ast::EntityUIDEntry;
use deodar::directory::log::Memory;
use deodar::engine::Query;
use deodar::engine::decide;
use deodar::identity::Caller;
use deodar::pdp::Pinned;
use deodar::pdp::Question;
use deodar::pdp::cache::CacheSettings;
use deodar::pdp::words::Words;
use proptest::prop_assert_eq;
use proptest::proptest;

use super::cases;
use super::changing::Changing;
use super::dice::Dice;
use super::loaded::Answer;
use super::loaded::query;
use super::throws;
use super::world::World;

/// Unknown entities are denied, so that their absence is something to depend on.
const STRICT: &str = "errors = \"deny\"\nvalidate = \"off\"\n";
const LOOSE: &str = "errors = \"cedar\"\nunknown = \"cedar\"\nvalidate = \"off\"\n";

fn small(stamps: u32) -> CacheSettings {
    CacheSettings {
        stamps,
        ..CacheSettings::default()
    }
}

/// The cached answer and the one that is made of what is pinned, if the question
/// can be asked. It is cached by its words, if it was asked in these before.
fn both(pinned: &Pinned<'_>, query: &Query, words: usize) -> Option<(Answer, Answer)> {
    let made = decide(pinned.snapshot(), pinned.view(), query).ok()?;
    let words = words.to_be_bytes();
    let words = Words {
        shared: None,
        own: &words,
    };
    if let Some(recalled) = pinned.recall(&Caller::Local, words) {
        let decision = recalled.answer.decision;
        return Some((Answer::from(&*decision), Answer::from(&made)));
    }
    let cached = pinned.authorize(&Caller::Local, query).unwrap();
    let question = Question {
        query: query.clone(),
        tick: None,
    };
    pinned.remember(words, &question, &cached, Vec::new());
    Some((Answer::from(&*cached.decision), Answer::from(&made)))
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn cached_is_uncached(mut dice in throws(), has_schema: bool, few_stamps: bool, is_strict: bool) {
        let world = World::new(&mut dice, has_schema, 6, false);
        let other = World::new(&mut dice, has_schema, 0, false);
        let carrying = World::new(&mut dice, has_schema, 2, true).asks;
        let manifest = if is_strict { STRICT } else { LOOSE };
        let cache = small(if few_stamps { 8 } else { 1 << 16 });
        let changing = Changing::new(&world, manifest, Arc::new(Memory::default()), &cache);
        let queries: Vec<Query> = world.asks.iter().chain(&carrying).map(query).collect();
        for _ in 0..40 {
            match dice.below(12) {
                0..=6 => { changing.write(&mut dice); }
                7 | 8 => changing.wait(&mut dice),
                9 => changing.activate(&world, manifest, false),
                10 => changing.activate(&other, manifest, false),
                _ => {}
            }
            let pinned = changing.pdp.pin().unwrap();
            for _ in 0..4 {
                let words = dice.below(queries.len());
                let query = &queries[words];
                if let Some((cached, made)) = both(&pinned, query, words) {
                    prop_assert_eq!(&cached, &made);
                    if query.overlay.is_empty() && !is_strict {
                        prop_assert_eq!(&made, &by_cedar(&pinned, query));
                    }
                }
            }
        }
    }
}

/// Cedar's own answer on the same view: that the directory's indexes and links
/// are what its entities say.
fn by_cedar(pinned: &Pinned<'_>, query: &Query) -> Answer {
    let (snapshot, view) = (pinned.snapshot(), pinned.view());
    let mut policies = ast::PolicySet::new();
    for policy in snapshot.rules().iter().chain(view.links().iter()) {
        policies.add(policy.cedar.clone()).unwrap();
    }
    let known = |uid: &Arc<ast::EntityUID>| EntityUIDEntry::Known {
        euid: Arc::clone(uid),
        loc: None,
    };
    let request = ast::Request::new_unchecked(
        known(&query.principal),
        known(&query.action),
        known(&query.resource),
        Some(ast::Context::Value(Arc::clone(&query.context))),
    );
    let response = cedar_policy::Authorizer::new().is_authorized(
        &request.into(),
        &policies.into(),
        &view.to_cedar(snapshot).unwrap().into(),
    );
    let name = |id: &cedar_policy::PolicyId| {
        let ids = snapshot.rules().iter().chain(view.links().iter());
        let found = ids
            .filter(|policy| policy.cedar.id().to_string() == id.to_string())
            .map(|policy| policy.info.id.to_string());
        found.last().unwrap()
    };
    Answer {
        allow: response.decision() == cedar_policy::Decision::Allow,
        reasons: response.diagnostics().reason().map(name).collect(),
        errors: response
            .diagnostics()
            .errors()
            .map(|error| match error {
                cedar_policy::AuthorizationError::PolicyEvaluationError(error) => {
                    (name(error.policy_id()), error.inner().to_string())
                }
            })
            .collect(),
    }
}

/// Several ask while one writes: each compares on what it pinned.
#[test]
fn cached_is_uncached_under_concurrent_writes() {
    for seed in 0..8u16 {
        let throw = move |n: u16| n.wrapping_mul(40_503).wrapping_add(seed.wrapping_mul(977)) >> 3;
        let mut dice = Dice::new((0..30_000).map(throw).collect());
        let world = World::new(&mut dice, seed % 2 == 0, 8, false);
        let manifest = if seed % 4 < 2 { STRICT } else { LOOSE };
        let cache = small(1 << 12);
        let changing = Changing::new(&world, manifest, Arc::new(Memory::default()), &cache);
        let queries: Vec<Query> = world.asks.iter().map(query).collect();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for reader in 0..3usize {
                let (pdp, queries, is_over) = (&changing.pdp, &queries, &is_over);
                scope.spawn(move || {
                    let mut at = reader;
                    while !is_over.load(Ordering::Relaxed) {
                        let pinned = pdp.pin().unwrap();
                        for _ in 0..8 {
                            at += 1;
                            let words = at % queries.len();
                            if let Some((cached, made)) = both(&pinned, &queries[words], words) {
                                assert_eq!(cached, made, "seed {seed}");
                            }
                        }
                    }
                });
            }
            let wrote = (0..300).filter(|_| changing.write(&mut dice)).count();
            is_over.store(true, Ordering::Relaxed);
            assert!(wrote > 10, "only {wrote} writes were taken");
        });
        let (hits, misses) = changing.pdp.counters().cache().hits_and_misses();
        assert!(hits > 0 && misses > 0, "{hits} hits, {misses} misses");
    }
}
