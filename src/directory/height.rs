//! How much is above an entity: levels, and ancestors, each of which is looked at
//! once.
//!
//! What is below it is not looked at, since a group may have a million members:
//! an entity can come to have more above it than this lets it be put under.
//! Decisions have a limit of their own.

use std::slice::Iter;

use cedar_policy_core::ast::EntityUID;
use rustc_hash::FxHashMap;

use super::apply::Wrong;
use super::state::State;
use crate::engine::ANCESTORS_MAX;
use crate::engine::named::Named;

/// An entity on the way up.
struct Rung<'a> {
    /// None is the one that it is about.
    named: Option<&'a Named>,
    /// Parents that were not looked at yet.
    parents: Iter<'a, Named>,
    /// Levels above it, as far as known.
    levels: usize,
}

/// Looks whether an entity may have these parents. That it is among its own
/// ancestors is for others to tell.
///
/// # Errors
/// When more than so many levels would be above it, or more ancestors than are
/// decided about.
pub fn check(
    state: &State,
    uid: &EntityUID,
    parents: &[Named],
    levels_max: usize,
) -> Result<(), Wrong> {
    let mut known: FxHashMap<&Named, usize> = FxHashMap::default();
    let mut way = vec![Rung {
        named: None,
        parents: parents.iter(),
        levels: 0,
    }];
    while let Some(rung) = way.last_mut() {
        let Some(parent) = rung.parents.next() else {
            let levels = rung.levels;
            known.extend(rung.named.map(|named| (named, levels)));
            way.pop();
            match way.last_mut() {
                Some(below) => below.levels = below.levels.max(levels + 1),
                None if levels > levels_max => return Err(too_high(uid, levels_max)),
                None => {}
            }
            continue;
        };
        if **parent.uid() == *uid {
            continue;
        }
        if let Some(levels) = known.get(parent) {
            rung.levels = rung.levels.max(levels + 1);
            continue;
        }
        if way.len() > levels_max {
            return Err(too_high(uid, levels_max));
        }
        if known.len() + way.len() > ANCESTORS_MAX {
            return Err(too_many(uid));
        }
        let stored = state.view.get(parent.probe());
        way.push(Rung {
            named: Some(parent),
            parents: stored.map_or(&[][..], |stored| &stored.parents).iter(),
            levels: 0,
        });
    }
    Ok(())
}

fn too_high(uid: &EntityUID, max: usize) -> Wrong {
    Wrong::new(
        format!("`{uid}` has more than {max} levels of ancestors"),
        "make the groups flatter, or raise `directory.depth_max`",
    )
}

fn too_many(uid: &EntityUID) -> Wrong {
    Wrong::new(
        format!("`{uid}` has more than {ANCESTORS_MAX} ancestors"),
        "put it into fewer groups: nothing is decided about an entity with more",
    )
}
