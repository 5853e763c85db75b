//! Random transactions, right and wrong ones.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::Value;
use deodar::directory::operation::Draft;
use deodar::directory::operation::Membership;
use deodar::directory::operation::Operation;
use deodar::directory::operation::Patch;
use deodar::directory::operation::Precondition;
use deodar::directory::operation::Put;
use deodar::directory::operation::PutLink;
use serde_json::json;
use smol_str::SmolStr;

use super::plain::Plain;
use super::plain::Uid;
use super::plain::key;
use super::site::START;
use super::site::draft as draft_of;
use super::site::link;
use super::site::put as put_of;
use super::site::uid;
use crate::engine_oracle::dice::Dice;

pub const TYPES: &[&str] = &["Group", "User", "Doc"];
pub const IDS: &[&str] = &["a", "b", "c", "d"];
pub const LINKS: &[&str] = &["k", "l", "m"];

pub fn draft(dice: &mut Dice, plain: &Plain) -> Draft {
    let operations = match dice.below(40) {
        0 => 0,
        1 => 7,
        _ => 1 + dice.below(3),
    };
    let preconditions = if dice.chance(1, 3) {
        1 + dice.below(2)
    } else {
        0
    };
    Draft {
        actor: SmolStr::new(dice.pick(&["ann", "bo"])),
        preconditions: (0..preconditions)
            .map(|_| precondition(dice, plain))
            .collect(),
        operations: (0..operations).map(|_| operation(dice, plain)).collect(),
    }
}

/// What a directory begins with: much of everything.
pub fn first() -> Vec<Draft> {
    let put = |name: &String, parents: &[&str]| put_of(name, &json!({}), parents);
    let all = TYPES
        .iter()
        .flat_map(|kind| IDS.iter().map(move |id| format!("{kind}::{id}")));
    let puts = all.map(|name| match name.as_str() {
        "Group::a" => put(&name, &["Group::b"]),
        "Group::c" | "Group::b" | "Group::d" => put(&name, &[]),
        _ => put(&name, &["Group::a", "Group::c"]),
    });
    let links = [
        link("k", None, "Doc::a", None),
        link("l", Some("User::a"), "Group::a", None),
    ];
    let operations: Vec<_> = puts.chain(links).collect();
    operations
        .chunks(3)
        .map(|some| draft_of(some.to_vec()))
        .collect()
}

fn precondition(dice: &mut Dice, plain: &Plain) -> Precondition {
    let named = some_uid(dice);
    let thing = plain.things.get(&key(&named));
    // Mostly what is right.
    let is_right = dice.chance(7, 8);
    let link = SmolStr::new(dice.pick(LINKS));
    match dice.below(4) {
        0 if thing.is_some() == is_right => Precondition::Present(named),
        0 => Precondition::Absent(named),
        1 if plain.links.contains_key(link.as_str()) == is_right => Precondition::LinkPresent(link),
        1 => Precondition::LinkAbsent(link),
        _ => match thing {
            None => Precondition::Absent(named),
            Some(thing) => Precondition::Version(named, thing.version + u64::from(!is_right)),
        },
    }
}

fn operation(dice: &mut Dice, plain: &Plain) -> Operation {
    match dice.below(14) {
        0..=3 => Operation::Put(put(dice)),
        4 | 5 => Operation::Patch(patch(dice, plain)),
        6 => Operation::Delete {
            uid: known(dice, plain),
            detach_members: dice.chance(2, 3),
        },
        7..=9 => Operation::AddParent {
            uid: known(dice, plain),
            parent: membership(dice),
        },
        10 => {
            let uid = known(dice, plain);
            let thing = plain.things.get(&key(&uid));
            let parents = thing.into_iter().flat_map(|thing| thing.parents.keys());
            let parents: Vec<&Uid> = parents.collect();
            let parent = if parents.is_empty() || dice.chance(1, 10) {
                group(dice)
            } else {
                uid_of(parents[dice.below(parents.len())])
            };
            Operation::RemoveParent { uid, parent }
        }
        11 | 12 => Operation::PutLink(put_link(dice, plain)),
        _ => Operation::RemoveLink {
            id: plain
                .links
                .keys()
                .next()
                .map_or_else(|| "k".into(), SmolStr::new),
        },
    }
}

/// Mostly one that is there.
fn known(dice: &mut Dice, plain: &Plain) -> Arc<EntityUID> {
    if plain.things.is_empty() || dice.chance(1, 16) {
        return some_uid(dice);
    }
    let at = dice.below(plain.things.len());
    uid_of(plain.things.keys().nth(at).unwrap())
}

fn uid_of((kind, id): &Uid) -> Arc<EntityUID> {
    uid(&format!("{kind}::{id}"))
}

fn put(dice: &mut Dice) -> Put {
    let uid = some_uid(dice);
    let parents = (0..dice.below(3)).map(|_| membership(dice)).collect();
    Put {
        attributes: attributes(dice, &uid),
        tags: tags(dice, &uid),
        parents,
        expires: expiry(dice),
        uid,
    }
}

fn patch(dice: &mut Dice, plain: &Plain) -> Patch {
    let uid = known(dice, plain);
    let names = ["level", "name", "boss"].map(SmolStr::new_static);
    Patch {
        set: attributes(dice, &uid),
        unset: names.into_iter().filter(|_| dice.chance(1, 3)).collect(),
        set_tags: tags(dice, &uid),
        unset_tags: BTreeSet::from([SmolStr::new(dice.pick(&["t", "u"]))]),
        expires: dice.chance(1, 3).then(|| expiry(dice)),
        uid,
    }
}

fn put_link(dice: &mut Dice, plain: &Plain) -> PutLink {
    let template = if dice.chance(1, 16) {
        "readers"
    } else {
        dice.pick(&["one", "both"])
    };
    let id = if dice.chance(1, 16) {
        dice.pick(&["", "one", "longlonglong"])
    } else {
        dice.pick(LINKS)
    };
    let has_principal = (template == "both") != dice.chance(1, 20);
    PutLink {
        id: SmolStr::new(id),
        template: SmolStr::new(template),
        principal: has_principal.then(|| known(dice, plain)),
        resource: dice.chance(15, 16).then(|| known(dice, plain)),
        expires: expiry(dice),
    }
}

fn attributes(dice: &mut Dice, of: &EntityUID) -> BTreeMap<SmolStr, Value> {
    let long = |dice: &mut Dice| Value::from(i64::try_from(dice.below(3)).unwrap());
    let mut attributes = BTreeMap::new();
    if dice.chance(1, 2) {
        attributes.insert(SmolStr::new_static("level"), long(dice));
    }
    let other = match of.entity_type().to_string().as_str() {
        "User" => dice.pick(&["name", "boss"]),
        "Doc" => "owner",
        _ => "level",
    };
    let value = match other {
        "name" => Value::from(dice.pick(&["", "x"])),
        "level" => long(dice),
        _ => Value::new(uid(dice.pick(&["User::a", "User::b"])), None),
    };
    match dice.below(48) {
        0..=23 => {}
        24..=44 => {
            attributes.insert(SmolStr::new(other), value);
        }
        // What no schema declares, too many, and another kind.
        45 => {
            attributes.insert(SmolStr::new_static("odd"), long(dice));
        }
        46 => attributes.extend(["level", "name", "boss"].map(|name| (name.into(), value.clone()))),
        _ => {
            attributes.insert(SmolStr::new_static("level"), Value::from("text"));
        }
    }
    attributes
}

fn tags(dice: &mut Dice, of: &EntityUID) -> BTreeMap<SmolStr, Value> {
    let is_user = of.entity_type().to_string() == "User";
    let count = usize::from((is_user && dice.chance(1, 3)) || dice.chance(1, 80));
    let count = if dice.chance(1, 80) { 2 } else { count };
    let names = ["t", "u"].into_iter().take(count);
    names
        .map(|name| (SmolStr::new(name), Value::from(dice.pick(&["", "y"]))))
        .collect()
}

fn membership(dice: &mut Dice) -> Membership {
    Membership {
        uid: group(dice),
        expires: expiry(dice),
    }
}

fn group(dice: &mut Dice) -> Arc<EntityUID> {
    if dice.chance(1, 50) {
        return uid(dice.pick(&["User::a", "Group::longlonglong"]));
    }
    uid(&format!("Group::{}", dice.pick(IDS)))
}

fn some_uid(dice: &mut Dice) -> Arc<EntityUID> {
    if dice.chance(1, 50) {
        return uid(dice.pick(&["Nope::a", "User::longlonglong", "Action::read"]));
    }
    uid(&format!("{}::{}", dice.pick(TYPES), dice.pick(IDS)))
}

/// Some in the past.
fn expiry(dice: &mut Dice) -> Option<i64> {
    dice.chance(1, 6)
        .then(|| START - 1 + i64::try_from(dice.below(14)).unwrap())
}
