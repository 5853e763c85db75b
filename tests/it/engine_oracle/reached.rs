//! Which attributes of which entities the access paths lead to, found by a
//! walk of the test's own.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use deodar::engine::access::Access;
use deodar::engine::access::Reads;
use deodar::engine::access::Root;
use serde_json::Value as Json;

use super::dice::Dice;
use super::world::Ask;
use super::world::Thing;
use super::world::Uid;
use super::world::World;
use super::world::attribute;

/// Attribute and tag names that are read, by entity; all tags at once are `""`.
#[derive(Debug, Default)]
pub struct Reached {
    read: BTreeSet<(Uid, String)>,
}

impl Reached {
    pub fn new(world: &World, ask: &Ask, access: &Access) -> Self {
        let things = world.merged(ask);
        let mut reached = Self::default();
        for (root, reads) in access.roots() {
            let starts: Vec<Uid> = match root {
                Root::Principal => vec![ask.principal.clone()],
                Root::Action => vec![ask.action.clone()],
                Root::Resource => vec![ask.resource.clone()],
                Root::Entity(uid) => vec![(
                    uid.entity_type().to_string(),
                    uid.eid().escaped().to_string(),
                )],
                Root::PrincipalSlot => world
                    .links
                    .iter()
                    .filter_map(|link| link.principal.clone())
                    .collect(),
                Root::ResourceSlot => world
                    .links
                    .iter()
                    .filter_map(|link| link.resource.clone())
                    .collect(),
                Root::Context => {
                    for (name, reads) in &reads.attributes {
                        if let Some(value) = ask.context.get(name.as_str()) {
                            reached.value(&things, value, reads);
                        }
                    }
                    continue;
                }
            };
            for uid in &starts {
                reached.entity(&things, uid, reads);
            }
        }
        reached
    }

    fn entity(&mut self, things: &BTreeMap<Uid, Thing>, uid: &Uid, reads: &Reads) {
        let thing = things.get(uid);
        for (name, reads) in &reads.attributes {
            self.read.insert((uid.clone(), name.to_string()));
            if let Some(value) = thing.and_then(|thing| thing.attrs.get(name.as_str())) {
                self.value(things, value, reads);
            }
        }
        if let Some(reads) = &reads.tags {
            self.read.insert((uid.clone(), String::new()));
            for value in thing.into_iter().flat_map(|thing| thing.tags.values()) {
                self.value(things, value, reads);
            }
        }
    }

    fn value(&mut self, things: &BTreeMap<Uid, Thing>, value: &Json, reads: &Reads) {
        if let Some(uid) = value.get("__entity") {
            let text = |key: &str| uid[key].as_str().unwrap().to_owned();
            self.entity(things, &(text("type"), text("id")), reads);
        } else if let Json::Object(fields) = value {
            for (name, reads) in &reads.attributes {
                if let Some(value) = fields.get(name.as_str()) {
                    self.value(things, value, reads);
                }
            }
        }
    }

    /// Removes, changes and adds what is not read.
    pub fn change_the_rest(&self, dice: &mut Dice, things: &mut BTreeMap<Uid, Thing>) {
        for (uid, thing) in things.iter_mut().filter(|(uid, _)| uid.0 != "Action") {
            for name in [
                "flag", "level", "name", "owner", "peers", "labels", "info", "addr", "score",
                "born", "ttl",
            ] {
                let is_read = self.read.contains(&(uid.clone(), name.to_owned()));
                if !is_read && (thing.attrs.remove(name).is_none() || dice.chance(1, 2)) {
                    thing
                        .attrs
                        .insert(name.to_owned(), attribute(dice, name, true));
                }
            }
            if !self.read.contains(&(uid.clone(), String::new())) && dice.chance(1, 2) {
                thing.tags.clear();
            }
        }
    }
}
