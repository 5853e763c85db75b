//! What the log says, and what refusals say, taken literally.

use deodar::directory::operation::Membership;
use deodar::directory::operation::Operation;

use super::plain::Plain;
use super::plain::Thing;
use super::plain::Uid;
use super::plain::key;

/// What a log says, taken literally.
pub fn apply(facts: &mut Plain, operation: &Operation) {
    let version = facts.sequence;
    match operation {
        Operation::Put(put) => {
            let parents = put.parents.iter();
            let thing = Thing {
                version,
                attributes: put.attributes.clone(),
                tags: put.tags.clone(),
                parents: parents
                    .map(|Membership { uid, expires }| (key(uid), *expires))
                    .collect(),
                expires: put.expires,
            };
            facts.things.insert(key(&put.uid), thing);
        }
        Operation::Patch(patch) => {
            let thing = facts.things.get_mut(&key(&patch.uid)).unwrap();
            thing.version = version;
            thing
                .attributes
                .retain(|name, _| !patch.unset.contains(name));
            thing.attributes.extend(patch.set.clone());
            thing
                .tags
                .retain(|name, _| !patch.unset_tags.contains(name));
            thing.tags.extend(patch.set_tags.clone());
            thing.expires = patch.expires.unwrap_or(thing.expires);
        }
        Operation::Delete { uid, .. } => {
            facts.things.remove(&key(uid)).unwrap();
        }
        Operation::AddParent { uid, parent } => {
            let thing = facts.things.get_mut(&key(uid)).unwrap();
            thing.version = version;
            thing.parents.insert(key(&parent.uid), parent.expires);
        }
        Operation::RemoveParent { uid, parent } => {
            let thing = facts.things.get_mut(&key(uid)).unwrap();
            thing.version = version;
            thing.parents.remove(&key(parent)).unwrap();
        }
        Operation::PutLink(link) => {
            facts
                .links
                .insert(link.id.to_string(), (link.clone(), version));
        }
        Operation::RemoveLink { id } => {
            facts.links.remove(id.as_str()).unwrap();
        }
    }
}

/// A refusal for a cycle shows one that would be there.
pub fn is_a_cycle(message: &str, trial: &Plain) {
    let Some(chain) = message.strip_prefix("makes a cycle: ") else {
        return;
    };
    let chain: Vec<Uid> = chain
        .split(" in ")
        .map(|shown| {
            let (kind, id) = shown.trim_end_matches('"').split_once("::\"").unwrap();
            (kind.to_owned(), id.to_owned())
        })
        .collect();
    assert!(
        chain.len() >= 2 && chain.first() == chain.last(),
        "{message}"
    );
    for step in chain.windows(2) {
        let thing = trial.things.get(&step[0]);
        assert!(
            thing.is_some_and(|thing| thing.parents.contains_key(&step[1])),
            "{message}"
        );
    }
}
