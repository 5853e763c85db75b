//! The smallest change of a question's world that turns its decision.
//!
//! ```text
//! question, entities --World--> steps that a clause asks for --set--> next worlds
//!     ^                             propose.rs                            |
//!     +------------------ fewest changes first, decided anew -------------+
//! ```
//!
//! Best effort: steps are guessed from the conditions that stand in the way, one at
//! a time, so a change that no condition points to is not found. Every change that
//! is told was made and decided by the engine. Attributes, context keys and parents
//! change; principal, action, resource, policies and links stay.

mod propose;
mod sample;
mod scalar;
mod scope;
mod solve;
pub mod world;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::Value;

use crate::engine::Query;
use crate::engine::Snapshot;
use crate::engine::View;
use crate::engine::decide;
use propose::proposals;
use world::Place;
use world::World;

/// More changes than this are no small change.
pub const CHANGES_MAX: usize = 3;
/// A change may take several steps: first there is something, then the right one.
const STEPS_MAX: usize = 7;
/// So many worlds are decided on before giving up.
const TRIES_MAX: usize = 1500;
/// So many worlds wait for their turn.
const WAITING_MAX: usize = 6000;

/// What may be changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spot {
    /// A context key or attribute, or a field of one.
    Value(Place),
    /// A membership; the last says whether it is new.
    Parent(Arc<EntityUID>, Arc<EntityUID>, bool),
}

/// A change of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Of what.
    pub spot: Spot,
    /// What it is; `None` when there is nothing, and for memberships.
    pub from: Option<Value>,
    /// What it becomes; `None` likewise.
    pub to: Option<Value>,
}

/// What turns a decision.
#[derive(Debug, Clone)]
pub struct Turn {
    /// All together, in no order.
    pub changes: Vec<Change>,
}

/// What the search found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The smallest change that was found, if any.
    pub turn: Option<Turn>,
    /// How many changes were decided on.
    pub tried: usize,
    /// Whether there was more to try.
    pub is_cut: bool,
}

/// One step towards another decision.
#[derive(Debug, Clone)]
struct Step {
    spot: Spot,
    to: Option<Value>,
}

/// A world on the way, by what is changed in it.
struct State {
    world: World,
    changed: BTreeSet<Spot>,
    steps: usize,
}

/// Looks for the smallest change that makes an allow of a deny, or a deny of an
/// allow.
///
/// There is none for what is denied before any policy is asked, such as an unknown
/// principal.
pub fn turn(snapshot: &Snapshot, view: &View, query: &Query) -> Found {
    let mut search = Search::default();
    let world = World::new(snapshot, view, query);
    let Ok(decision) = decide(snapshot, &world.view, &world.query) else {
        return search.found;
    };
    let wanted = !decision.is_allow();
    let start = State {
        world: world.clone(),
        changed: BTreeSet::new(),
        steps: 0,
    };
    search.wait(start, String::new());
    while let Some((_, state)) = search.waiting.pop_first() {
        if search.found.tried >= TRIES_MAX {
            search.found.is_cut = true;
            break;
        }
        // The first is what was asked.
        search.found.tried += usize::from(state.steps > 0);
        let (view, query) = (&state.world.view, &state.world.query);
        if decide(snapshot, view, query).is_ok_and(|decision| decision.is_allow() == wanted) {
            search.found.turn = Some(Turn {
                changes: changes(snapshot, &world, &state),
            });
            break;
        }
        let steps = proposals(snapshot, &state.world, wanted);
        if state.steps == STEPS_MAX {
            search.found.is_cut |= !steps.is_empty();
            continue;
        }
        for step in steps {
            search.step(snapshot, &state, step);
        }
    }
    search.found
}

#[derive(Default)]
struct Search {
    /// By number of changes, of steps, and order of arrival.
    waiting: BTreeMap<(usize, usize, usize), State>,
    seen: BTreeSet<String>,
    arrived: usize,
    found: Found,
}

impl Search {
    fn step(&mut self, snapshot: &Snapshot, from: &State, step: Step) {
        let Some(world) = applied(snapshot, &from.world, &step) else {
            return;
        };
        let mut changed = from.changed.clone();
        add(&mut changed, step.spot);
        if changed.len() > CHANGES_MAX {
            self.found.is_cut = true;
            return;
        }
        let name = name(snapshot, &world, &changed);
        let state = State {
            world,
            changed,
            steps: from.steps + 1,
        };
        self.wait(state, name);
    }

    /// A world that is the same as another is not waited for again.
    fn wait(&mut self, state: State, name: String) {
        if !self.seen.insert(name) {
            return;
        }
        if self.waiting.len() >= WAITING_MAX {
            self.found.is_cut = true;
            return;
        }
        self.arrived += 1;
        let key = (state.changed.len(), state.steps, self.arrived);
        self.waiting.insert(key, state);
    }
}

fn applied(snapshot: &Snapshot, world: &World, step: &Step) -> Option<World> {
    match &step.spot {
        Spot::Value(place) => world.set(snapshot, place, step.to.as_ref()),
        Spot::Parent(uid, parent, is_added) => world.set_parent(snapshot, [uid, parent], *is_added),
    }
}

/// A change within something that is changed already is none of its own.
fn add(changed: &mut BTreeSet<Spot>, spot: Spot) {
    let Spot::Value(place) = &spot else {
        changed.insert(spot);
        return;
    };
    let is_within = changed.iter().any(|known| match known {
        Spot::Value(known) => known.holds(place),
        Spot::Parent(..) => false,
    });
    if !is_within {
        changed.retain(|known| match known {
            Spot::Value(known) => !place.holds(known),
            Spot::Parent(..) => true,
        });
        changed.insert(spot);
    }
}

fn name(snapshot: &Snapshot, world: &World, changed: &BTreeSet<Spot>) -> String {
    changed
        .iter()
        .map(|spot| match spot {
            Spot::Value(place) => {
                let value = world.get(snapshot, place);
                let value = value.map(|value| value.to_string());
                format!("{place:?} {value:?}\n")
            }
            Spot::Parent(uid, parent, is_added) => format!("{uid} {parent} {is_added}\n"),
        })
        .collect()
}

fn changes(snapshot: &Snapshot, before: &World, state: &State) -> Vec<Change> {
    // On the way something may have been changed and changed back.
    let is_other = |spot: &&Spot| match spot {
        Spot::Value(place) => before.get(snapshot, place) != state.world.get(snapshot, place),
        Spot::Parent(uid, parent, is_added) => {
            let has = |world: &World| {
                let parents = world.parents(uid);
                parents.iter().any(|named| named.uid() == parent)
            };
            has(before) != *is_added && has(&state.world) == *is_added
        }
    };
    let changed = state.changed.iter();
    changed
        .filter(is_other)
        .map(|spot| {
            let value = |world: &World| match spot {
                Spot::Value(place) => world.get(snapshot, place),
                Spot::Parent(..) => None,
            };
            Change {
                from: value(before),
                to: value(&state.world),
                spot: spot.clone(),
            }
        })
        .collect()
}
