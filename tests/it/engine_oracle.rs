//! The engine against Cedar's own `Authorizer`, on generated worlds.
//!
//! `PROPTEST_CASES` raises the number of worlds.

mod cached;
pub(crate) mod changing;
pub(crate) mod dice;
mod expr;
pub(crate) mod loaded;
mod many;
mod reached;
mod typed;
pub(crate) mod world;

use deodar::engine::Cause;
use deodar::engine::access::ContextKeys;
use deodar::engine::query::QueryError;
use proptest::collection::vec;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::proptest;
use proptest::strategy::ValueTree;
use proptest::test_runner::Config;
use proptest::test_runner::FileFailurePersistence;

use dice::Dice;
use loaded::Answer;
use loaded::CEDAR;
use loaded::DENY;
use loaded::Engine;
use loaded::Oracle;
use loaded::core_entity;
use loaded::query;
use reached::Reached;
use world::World;

/// So many cases, unless the environment says otherwise; it may also limit
/// shrinking (`PROPTEST_MAX_SHRINK_ITERS`).
pub(crate) fn cases(cases: u32) -> Config {
    Config {
        cases: std::env::var("PROPTEST_CASES")
            .ok()
            .and_then(|cases| cases.parse().ok())
            .unwrap_or(cases),
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource(
            "proptest-regressions",
        ))),
        ..Config::default()
    }
}

pub(crate) fn throws() -> impl Strategy<Value = Dice> {
    vec(any::<u16>(), 1500..3000).prop_map(Dice::new)
}

proptest! {
    #![proptest_config(cases(120))]

    /// Decision, reasons, errors and their messages are Cedar's.
    #[test]
    fn the_engine_decides_as_cedar_does(mut dice in throws(), has_schema: bool) {
        let world = World::new(&mut dice, has_schema, 8, false);
        let (engine, oracle) = (Engine::new(&world, CEDAR), Oracle::new(&world));
        let entities = oracle.entities(&world.things);
        for ask in &world.asks {
            prop_assert_eq!(engine.answer(&query(ask)), oracle.answer(ask, &entities), "{:#?}", world);
        }
    }

    /// With `errors = "deny"`, an allow is one of Cedar's with no forbid among
    /// the errors, and nothing else is a deny that Cedar allows.
    #[test]
    fn an_erroring_forbid_denies(mut dice in throws(), has_schema: bool) {
        let world = World::new(&mut dice, has_schema, 8, false);
        let (engine, oracle) = (Engine::new(&world, DENY), Oracle::new(&world));
        let entities = oracle.entities(&world.things);
        for ask in &world.asks {
            let (decision, cedar) = (engine.decide(&query(ask)).unwrap(), oracle.answer(ask, &entities));
            let forbid_failed = decision
                .errors
                .iter()
                .any(|error| error.policy.effect == cedar_policy::Effect::Forbid);
            prop_assert_eq!(decision.is_allow(), cedar.allow && !forbid_failed, "{:#?}", world);
            let ours = Answer::from(&decision);
            prop_assert_eq!(&ours.errors, &cedar.errors);
            if decision.cause() == Some(Cause::ForbidFailed) {
                prop_assert!(forbid_failed && ours.reasons.is_empty());
            } else {
                prop_assert_eq!(ours.reasons, cedar.reasons);
            }
        }
    }

    /// The same files in another order are the same snapshot.
    #[test]
    fn the_order_of_files_does_not_matter(mut dice in throws(), has_schema: bool) {
        let world = World::new(&mut dice, has_schema, 3, false);
        let mut list = loaded::file_list(&world, CEDAR);
        let first = Engine::of_files(&deodar::engine::Files::new(list.clone()));
        for at in 1..list.len() {
            list.swap(at, dice.below(at + 1));
        }
        let second = Engine::of_files(&deodar::engine::Files::new(list));
        prop_assert_eq!(first.snapshot.digest(), second.snapshot.digest());
        prop_assert_eq!(first.view.revision(), second.view.revision());
        let ids = |engine: &Engine| {
            let rules = (engine.snapshot.rules(), engine.view.links());
            rules.0.iter().chain(rules.1.iter()).map(|policy| policy.info.id.clone()).collect::<Vec<_>>()
        };
        prop_assert_eq!(ids(&first), ids(&second));
        for ask in &world.asks {
            let (one, two) = (first.decide(&query(ask)).unwrap(), second.decide(&query(ask)).unwrap());
            prop_assert_eq!(format!("{one:?}"), format!("{two:?}"));
        }
    }
}

proptest! {
    #![proptest_config(cases(80))]

    /// Entities that a request carries count as if they had been merged into
    /// the store, and a cycle is refused.
    #[test]
    fn carried_entities_are_as_if_stored(mut dice in throws(), has_schema: bool) {
        let world = World::new(&mut dice, has_schema, 6, true);
        let (engine, oracle) = (Engine::new(&world, CEDAR), Oracle::new(&world));
        for ask in &world.asks {
            let merged = world.merged(ask);
            let answered = engine.decide(&query(ask));
            if world::has_cycle(&merged) {
                prop_assert!(matches!(answered, Err(QueryError::Cycle(_))), "{:#?} {:#?}", world, answered);
                continue;
            }
            let entities = oracle.entities(&merged);
            let ours = answered.map(|decision| Answer::from(&decision));
            prop_assert_eq!(ours, Ok(oracle.answer(ask, &entities)), "{:#?} {:#?}", world, ask);
        }
    }

    /// What the projection of an action does not name never changes an answer.
    #[test]
    fn projection_is_all_that_is_read(mut dice in throws(), has_schema: bool, with_carried: bool) {
        let world = World::new(&mut dice, has_schema, 3, with_carried);
        let engine = Engine::new(&world, CEDAR);
        for ask in &world.asks {
            let Ok(before) = engine.decide(&query(ask)) else { continue };
            let before = Answer::from(&before);
            let access = engine.snapshot.projection(&query(ask).action);

            let mut other = ask.clone();
            for key in expr::CONTEXT_KEYS {
                let is_read = match access.context_keys() {
                    ContextKeys::All => true,
                    ContextKeys::Only(keys) => keys.contains(*key),
                };
                prop_assert_eq!(is_read, access.reads_context(key));
                if !is_read && (other.context.remove(*key).is_none() || dice.chance(1, 2)) {
                    let from = dice.pick(expr::CONTEXT_KEYS);
                    other.context.insert((*key).to_owned(), world::attribute(&mut dice, from, false));
                }
            }
            prop_assert_eq!(&engine.answer(&query(&other)), &before, "context\n{:#?}\n{:#?}", world, other);

            let reached = Reached::new(&world, ask, access);
            let mut changed = world.clone();
            reached.change_the_rest(&mut dice, &mut changed.things);
            reached.change_the_rest(&mut dice, &mut other.carried);
            let after = Engine::new(&changed, CEDAR).answer(&query(&other));
            prop_assert_eq!(&after, &before, "attributes\n{:#?}\n{:#?}\n{:#?}", world, other, changed.things);
        }
    }
}

/// The generated worlds are worth asking: all kinds of answers occur.
#[test]
fn worlds_are_worth_asking() {
    let (mut asked, mut allowed, mut reasons, mut errors, mut links) = (0, 0, 0, 0, 0);
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..40 {
        let mut dice = throws().new_tree(&mut runner).unwrap().current();
        let has_schema = dice.chance(1, 2);
        let world = World::new(&mut dice, has_schema, 8, false);
        let engine = Engine::new(&world, CEDAR);
        for answer in world.asks.iter().map(|ask| engine.answer(&query(ask))) {
            asked += 1;
            allowed += usize::from(answer.allow);
            reasons += usize::from(!answer.reasons.is_empty());
            errors += usize::from(!answer.errors.is_empty());
            links += usize::from(answer.reasons.iter().any(|id| id.starts_with('l')));
        }
    }
    let counts = format!(
        "{asked} asked, {allowed} allowed, {reasons} with reasons, {errors} with errors, {links} by links"
    );
    assert!(
        allowed * 8 > asked && reasons * 6 > asked && errors * 10 > asked && links > 0,
        "{counts}"
    );
}

/// A carried entity that is its own parent, and the longest loop there is.
#[test]
fn every_cycle_is_named() {
    let mut world = World::new(&mut Dice::new(Vec::new()), false, 1, false);
    let uid = |id: &str| ("Group".to_owned(), id.to_owned());
    let child_of = |parent: &str| world::Thing {
        parents: [uid(parent)].into(),
        ..world::Thing::default()
    };
    world.things.insert(uid("b"), child_of("c"));
    let engine = Engine::new(&world, CEDAR);
    let carried = |entities: &[(&str, &str)]| {
        let mut query = query(&world.asks[0]);
        query.overlay = entities
            .iter()
            .map(|(id, parent)| core_entity(world::entity_json(&uid(id), &child_of(parent))))
            .collect();
        engine.decide(&query).unwrap_err().to_string()
    };
    assert_eq!(
        carried(&[("a", "a")]),
        r#"`entities` form a cycle: Group::"a" in Group::"a""#
    );
    assert_eq!(
        carried(&[("a", "b"), ("c", "a")]),
        r#"`entities` form a cycle: Group::"a" in Group::"b" in Group::"c" in Group::"a""#
    );
}

/// A loop beside the loop: looking for the way back to where it began, the
/// engine comes past entities that have been visited before.
#[test]
fn a_cycle_beside_a_cycle_is_no_hang() {
    let world = World::new(&mut Dice::new(Vec::new()), false, 1, false);
    let engine = Engine::new(&world, CEDAR);
    let uid = |id: &str| ("Group".to_owned(), id.to_owned());
    let carried = [("a", vec!["b"]), ("b", vec!["c"]), ("c", vec!["a", "b"])];
    // Parents are in a random order, so one try proves nothing.
    for _ in 0..50 {
        let mut query = query(&world.asks[0]);
        let entity = |(id, parents): &(&str, Vec<&str>)| {
            let parents = parents.iter().map(|parent| uid(parent)).collect();
            core_entity(world::entity_json(
                &uid(id),
                &world::Thing {
                    parents,
                    ..world::Thing::default()
                },
            ))
        };
        query.overlay = carried.iter().map(entity).collect();
        let error = engine.decide(&query).unwrap_err().to_string();
        assert_eq!(
            error,
            r#"`entities` form a cycle: Group::"a" in Group::"b" in Group::"c" in Group::"a""#
        );
    }
}

/// What is stored below a carried entity has its new ancestors, in conditions
/// as in scopes.
#[test]
fn a_carried_parent_is_an_ancestor_of_what_is_stored_below() {
    let mut world = World::new(&mut Dice::new(Vec::new()), false, 1, false);
    let uid = |kind: &str, id: &str| (kind.to_owned(), id.to_owned());
    let child_of = |parent| world::Thing {
        parents: [parent].into(),
        ..world::Thing::default()
    };
    let text = "permit(principal, action, resource) when { principal in Group::\"c\" };\n\
                permit(principal in Group::\"c\", action, resource);\n";
    world.files = [("p.cedar".to_owned(), text.to_owned())].into();
    world.things = [(uid("User", "a"), child_of(uid("Group", "b")))].into();
    let mut ask = world.asks[0].clone();
    ask.principal = uid("User", "a");
    let (engine, oracle) = (Engine::new(&world, CEDAR), Oracle::new(&world));
    assert!(engine.answer(&query(&ask)).reasons.is_empty());
    ask.carried = [(uid("Group", "b"), child_of(uid("Group", "c")))].into();
    let answer = engine.answer(&query(&ask));
    assert_eq!(answer.reasons.len(), 2);
    assert_eq!(
        answer,
        oracle.answer(&ask, &oracle.entities(&world.merged(&ask)))
    );
}
