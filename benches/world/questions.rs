//! Questions about a world.

use std::collections::HashSet;
use std::sync::Arc;

use cedar_policy_core::ast::Entity;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::PartialValue;
use cedar_policy_core::ast::Value;
use deodar::engine::Query;
use deodar::engine::query::Context;
use deodar::engine::value::Extension;
use deodar::engine::value::datetime_from_millis;

use super::Shape;
use super::World;
use super::entities::site_of;
use super::policies::ACTIONS;
use super::policies::action;
use super::policies::subject;
use super::spread;

/// Within the badges of all users: 2026-11-22.
const NOW: i64 = 1_795_305_600_000;

/// Question `number`: three of four are about the parties of some policy, the
/// fourth about parties at random; every other one fails the conditions.
pub(super) fn question(world: &World, number: usize) -> Query {
    let (user, device, action) = parties(world, number);
    query(world, user, device, action, context(number), Vec::new())
}

/// The same question with the device in the request: its state as a broker
/// would send it.
pub(super) fn with_entity(world: &World, number: usize) -> Query {
    let (user, device, action) = parties(world, number);
    let carried = Entity::new_with_attr_partial_value(
        uid("Device", &format!("d{device}")),
        [("build".into(), PartialValue::Value(Value::from(7)))],
        HashSet::new(),
        HashSet::from([uid("Site", &format!("s{}", site_of(device, world.size)))]),
        [],
    );
    query(world, user, device, action, context(number), vec![carried])
}

/// Six keys, one of them an address.
fn context(number: usize) -> Context {
    let is_good = number.is_multiple_of(2);
    let address = if is_good {
        format!("10.20.{}.{}", number % 200, number % 250)
    } else {
        "192.0.2.7".to_owned()
    };
    Context::from([
        ("now".into(), datetime_from_millis(NOW).expect("a time")),
        (
            "ip".into(),
            Extension::Ip.parse(&address).expect("an address"),
        ),
        ("mfa".into(), Value::from(number % 4 == 2)),
        (
            "risk".into(),
            Value::from(if number % 8 == 3 { 95 } else { 20 }),
        ),
        ("channel".into(), Value::from("portal")),
        ("purpose".into(), Value::from("maintenance")),
    ])
}

fn parties(world: &World, number: usize) -> (usize, usize, &'static str) {
    let size = world.size;
    let policy = spread(number, 7, size.policies);
    if number % 4 == 3 {
        let action = ACTIONS[spread(number, 8, ACTIONS.len())];
        return (
            spread(number, 9, size.users),
            spread(number, 10, size.devices),
            action,
        );
    }
    let (user, device) = subject(policy, size);
    match size.shape {
        Shape::Spread => (user, device, action(policy)),
        Shape::OneTeam => (user, policy % size.devices, action(policy)),
        Shape::Grid => (user, device, "read"),
    }
}

fn query(
    world: &World,
    user: usize,
    device: usize,
    action: &str,
    context: Context,
    overlay: Vec<Entity>,
) -> Query {
    Query::new(
        &world.snapshot,
        Arc::new(uid("User", &format!("u{user}"))),
        Arc::new(uid("Action", action)),
        Arc::new(uid("Device", &format!("d{device}"))),
        Arc::new(context),
        overlay.into(),
    )
    .expect("the question fits the schema")
}

fn uid(kind: &str, id: &str) -> EntityUID {
    let kind = format!("Bench::{kind}").parse().expect("a type");
    EntityUID::from_components(kind, cedar_policy_core::ast::Eid::new(id), None)
}
