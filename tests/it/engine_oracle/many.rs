//! Many policies: the index finds all that match, and they are what Cedar finds.

use std::sync::Arc;

use cedar_policy_core::ast::EntityUID;
use deodar::engine::index::Index;
use deodar::engine::named::Named;
use deodar::engine::named::Probe;
use deodar::engine::scope::Parties;
use deodar::engine::scope::Party;
use deodar::engine::scope::Scope;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::proptest;

use super::cases;
use super::dice::Dice;
use super::loaded::CEDAR;
use super::loaded::Engine;
use super::loaded::Oracle;
use super::loaded::query;
use super::throws;
use super::world::TYPES;
use super::world::Uid;
use super::world::World;
use super::world::literal;
use super::world::uid;

/// Scopes crowd: most name one of two entities on one side.
fn crowded(d: &mut Dice, variable: &str) -> String {
    let target = literal(&skewed(d, variable));
    match d.below(8) {
        0 => variable.to_owned(),
        1 => format!("{variable} is {}", d.pick(TYPES)),
        2 => format!("{variable} is {} in {target}", d.pick(TYPES)),
        3 | 4 => format!("{variable} == {target}"),
        _ => format!("{variable} in {target}"),
    }
}

fn skewed(d: &mut Dice, variable: &str) -> Uid {
    if d.chance(1, 3) {
        return uid(d);
    }
    let (kind, id) = match variable {
        "principal" => ("Group", d.pick(&["c", "c", "a"])),
        _ => ("Hub::Folder", d.pick(&["b", "b", "c"])),
    };
    (kind.to_owned(), id.to_owned())
}

fn policies(d: &mut Dice, count: usize) -> String {
    let mut text = String::new();
    for _ in 0..count {
        let (principal, resource) = (crowded(d, "principal"), crowded(d, "resource"));
        let action = d.pick(&[
            "action",
            "action == Action::\"read\"",
            "action in Action::\"rw\"",
            "action in [Action::\"read\", Action::\"all\"]",
        ]);
        text.push_str(&format!("permit({principal}, {action}, {resource});\n"));
    }
    text
}

proptest! {
    #![proptest_config(cases(16))]

    /// All are permits without conditions, so Cedar's reasons are all the
    /// policies that match.
    #[test]
    fn the_index_misses_nothing(mut dice in throws(), more in throws(), has_schema: bool, count in 100usize..300) {
        let mut world = World::new(&mut dice, has_schema, 10, false);
        world.links.clear();
        // The dice are too few for so many policies: each is thrown anew.
        let mut more = more;
        let text = (0..count).map(|_| policies(&mut more, 1)).collect::<String>();
        world.files = [("many.cedar".to_owned(), text)].into();
        check(&world)?;
    }
}

fn check(world: &World) -> Result<(), proptest::test_runner::TestCaseError> {
    let (engine, oracle) = (Engine::new(world, CEDAR), Oracle::new(world));
    let entities = oracle.entities(&world.things);
    let scopes: Vec<Scope> = engine
        .snapshot
        .rules()
        .iter()
        .map(|policy| policy.scope.clone())
        .collect();
    let index = Index::new(&scopes);
    for ask in &world.asks {
        let query = query(ask);
        prop_assert_eq!(engine.answer(&query), oracle.answer(ask, &entities));
        let above = |uid: &EntityUID| -> Vec<Named> {
            let core: &cedar_policy_core::entities::Entities = entities.as_ref();
            let entity = core.iter().find(|entity| entity.uid() == uid);
            entity
                .into_iter()
                .flat_map(cedar_policy_core::ast::Entity::ancestors)
                .map(|uid| Named::new(Arc::new(uid.clone())))
                .collect()
        };
        let above = [&query.principal, &query.action, &query.resource].map(|uid| above(uid));
        let ancestors = above
            .each_ref()
            .map(|named| named.iter().collect::<Vec<&Named>>());
        let parties = Parties {
            principal: Party::new(Probe::new(&query.principal), &ancestors[0]),
            action: Party::new(Probe::new(&query.action), &ancestors[1]),
            resource: Party::new(Probe::new(&query.resource), &ancestors[2]),
        };
        let mut found = Vec::new();
        index.candidates(&parties, &mut found);
        prop_assert!(found.is_sorted_by(|a, b| a < b), "{found:?}");
        let missed: Vec<_> = (0u32..)
            .zip(&scopes)
            .filter(|(number, scope)| scope.holds(&parties) && !found.contains(number))
            .collect();
        prop_assert!(missed.is_empty(), "{missed:?}");
    }
    Ok(())
}

/// A crowded bucket is split: who is in all groups of one crowd and in one
/// folder gets the few policies of that folder looked at, not the crowd.
#[test]
fn a_crowd_is_split_by_the_other_party() {
    let text: String = (0..300)
        .map(|n| {
            format!(
                "permit(principal in Group::\"{}\", action, resource in Hub::Folder::\"{}\");\n",
                n % 10,
                n / 10
            )
        })
        .collect();
    let mut world = World::new(&mut Dice::new(Vec::new()), false, 0, false);
    world.files = [("many.cedar".to_owned(), text)].into();
    let engine = Engine::new(&world, CEDAR);
    let scopes: Vec<Scope> = engine
        .snapshot
        .rules()
        .iter()
        .map(|policy| policy.scope.clone())
        .collect();
    let index = Index::new(&scopes);
    let named = |kind: &str, id: &str| super::loaded::core_uid(&(kind.to_owned(), id.to_owned()));
    let (group, folder, action) = (
        named("Group", "3"),
        named("Hub::Folder", "7"),
        named("Action", "read"),
    );
    let parties = Parties {
        principal: Party::new(Probe::new(&group), &[]),
        action: Party::new(Probe::new(&action), &[]),
        resource: Party::new(Probe::new(&folder), &[]),
    };
    let mut found = Vec::new();
    index.candidates(&parties, &mut found);
    assert_eq!(found.len(), 1, "one of 300 matches, so one is looked at");
}
