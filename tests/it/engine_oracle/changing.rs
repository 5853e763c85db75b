//! A world that changes: a directory that is written to, with the decision point
//! in front of it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;

use cedar_policy_core::ast;
use deodar::directory;
use deodar::directory::Directory;
use deodar::directory::Options;
use deodar::directory::fit::Activation;
use deodar::directory::fit::OnConflict;
use deodar::directory::log::Log;
use deodar::directory::operation::Draft;
use deodar::directory::operation::Membership;
use deodar::directory::operation::Operation;
use deodar::directory::operation::Patch;
use deodar::directory::operation::Put;
use deodar::directory::operation::PutLink;
use deodar::directory::time::Time;
use deodar::engine::compile;
use deodar::pdp::Pdp;
use deodar::pdp::Settings;
use deodar::pdp::cache::CacheSettings;
use deodar::pdp::state::Active;
use deodar::pdp::state::Policies;
use deodar::telemetry::Counters;
use serde_json::json;
use smol_str::SmolStr;
use tokio::runtime::Runtime;

use super::dice::Dice;
use super::loaded::core_entity;
use super::loaded::core_uid;
use super::loaded::files;
use super::world::World;
use super::world::attribute;
use super::world::entity_json;
use super::world::thing;
use super::world::uid;

/// Late enough that the decision point's own clock never passes an ending.
pub const START: i64 = 4_000_000_000;

/// A decision point over a directory.
pub struct Changing {
    pub pdp: Arc<Pdp>,
    pub directory: Directory,
    pub runtime: Runtime,
    time: Arc<AtomicI64>,
    has_schema: bool,
}

impl Changing {
    pub fn new(world: &World, manifest: &str, log: Arc<dyn Log>, cache: &CacheSettings) -> Self {
        let pdp = Arc::new(Pdp::new(
            Settings::default(),
            cache,
            Arc::new(Counters::default()),
        ));
        let time = Arc::new(AtomicI64::new(START * 1000));
        let options = Options {
            time: Time::Set(Arc::clone(&time)),
            ..Options::default()
        };
        let published = Arc::clone(&pdp);
        let publish = move |view, changes: &[_]| published.advance(view, changes);
        let changing = Self {
            pdp,
            directory: Directory::on(log, options, Box::new(publish)).unwrap(),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
            time,
            has_schema: world.has_schema,
        };
        changing.activate(world, manifest, true);
        changing
    }

    /// Puts the policies of a world in force.
    pub fn activate(&self, world: &World, manifest: &str, seed: bool) {
        let files = files(world, manifest);
        let snapshot = compile(&files).unwrap();
        let seed = if seed {
            let view = directory::load(&snapshot, &files).unwrap();
            let seed = directory::load::seed(&snapshot, &view).unwrap();
            // Generated links may name entities that are not there.
            let there: BTreeSet<_> = view
                .iter()
                .map(|(named, _)| Arc::clone(named.uid()))
                .collect();
            let is_whole = |operation: &Operation| match operation {
                Operation::PutLink(link) => [&link.principal, &link.resource]
                    .into_iter()
                    .flatten()
                    .all(|uid| there.contains(uid)),
                _ => true,
            };
            seed.into_iter().filter(is_whole).collect()
        } else {
            Vec::new()
        };
        let policies = Arc::new(Policies::new(snapshot, String::new(), UNIX_EPOCH));
        let (pdp, published) = (Arc::clone(&self.pdp), Arc::clone(&policies));
        let activated = self.directory.activate(Activation {
            snapshot: Arc::clone(&policies.snapshot),
            seed,
            on_conflict: OnConflict::Activate,
            publish: Box::new(move |view| {
                pdp.state().publish(Active {
                    policies: published,
                    view,
                });
            }),
        });
        activated.unwrap();
    }

    /// One transaction of a few random operations; whether it was taken.
    pub fn write(&self, dice: &mut Dice) -> bool {
        let count = 1 + dice.below(3);
        let operations = (0..count)
            .map(|_| operation(dice, self.has_schema))
            .collect();
        let draft = Draft {
            actor: SmolStr::new_static("test"),
            preconditions: Vec::new(),
            operations,
        };
        self.runtime.block_on(self.directory.write(draft)).is_ok()
    }

    /// Lets some seconds pass.
    pub fn wait(&self, dice: &mut Dice) {
        let millis = 500 * i64::try_from(dice.below(8)).unwrap();
        self.time.fetch_add(millis, Ordering::Relaxed);
        self.runtime.block_on(self.directory.tick());
    }
}

/// A random operation on the few entities that worlds have.
pub fn operation(dice: &mut Dice, has_schema: bool) -> Operation {
    let target = uid(dice);
    let named = core_uid(&target);
    match dice.below(10) {
        0..=2 => Operation::Put(put(dice, has_schema)),
        3 | 4 => {
            let name = dice.pick(&["flag", "level", "name", "owner", "info"]);
            let value = attribute(dice, name, has_schema);
            let json =
                json!({"uid": {"type": "User", "id": "a"}, "attrs": {name: value}, "parents": []});
            let entity = core_entity(json);
            let (set, unset) = if dice.chance(1, 3) {
                (BTreeMap::new(), BTreeSet::from([SmolStr::new(name)]))
            } else {
                (whole(entity.attrs()), BTreeSet::new())
            };
            Operation::Patch(Patch {
                uid: named,
                set,
                unset,
                set_tags: BTreeMap::new(),
                unset_tags: BTreeSet::new(),
                expires: dice.chance(1, 4).then(|| expiry(dice)),
            })
        }
        5 => Operation::Delete {
            uid: named,
            detach_members: dice.chance(1, 2),
        },
        6 => Operation::AddParent {
            uid: named,
            parent: Membership {
                uid: core_uid(&uid(dice)),
                expires: expiry(dice),
            },
        },
        7 => Operation::RemoveParent {
            uid: named,
            parent: core_uid(&uid(dice)),
        },
        8 => Operation::PutLink(PutLink {
            id: SmolStr::new(dice.pick(&["k0", "k1", "k2"])),
            template: format!("p{}", dice.below(9)).into(),
            principal: dice.chance(2, 3).then(|| core_uid(&uid(dice))),
            resource: dice.chance(1, 2).then_some(named),
            expires: expiry(dice),
        }),
        _ => Operation::RemoveLink {
            id: SmolStr::new(dice.pick(&["k0", "k1", "k2"])),
        },
    }
}

fn put(dice: &mut Dice, has_schema: bool) -> Put {
    let target = uid(dice);
    let entity = core_entity(entity_json(
        &target,
        &thing(dice, &target, has_schema, true),
    ));
    let mut parents: Vec<ast::EntityUID> = entity.parents().cloned().collect();
    parents.sort_unstable();
    Put {
        uid: core_uid(&target),
        attributes: whole(entity.attrs()),
        tags: whole(entity.tags()),
        parents: parents
            .into_iter()
            .map(|parent| Membership {
                uid: Arc::new(parent),
                expires: expiry(dice),
            })
            .collect(),
        expires: expiry(dice),
    }
}

fn expiry(dice: &mut Dice) -> Option<i64> {
    dice.chance(1, 4)
        .then(|| START + 1 + i64::try_from(dice.below(12)).unwrap())
}

fn whole<'a>(
    fields: impl Iterator<Item = (&'a SmolStr, &'a ast::PartialValue)>,
) -> BTreeMap<SmolStr, ast::Value> {
    fields
        .map(|(name, value)| match value {
            ast::PartialValue::Value(value) => (name.clone(), value.clone()),
            ast::PartialValue::Residual(_) => panic!("a residual"),
        })
        .collect()
}
