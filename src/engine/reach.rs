//! What can be reached from a query: entities of the view, with those that the
//! request carries laid over them. Everything looked up is noted in the footprint.

use std::sync::Arc;

use cedar_policy_core::ast::EntityUID;
use rustc_hash::FxHashSet;
use smallvec::SmallVec;

use super::footprint::Footprint;
use super::footprint::Half;
use super::named::Named;
use super::named::Probe;
use super::overlay::Overlay;
use super::query::QueryError;
use super::snapshot::Snapshot;
use super::stored::Stored;
use super::view::View;

/// An entity with more ancestors than this is not decided about.
pub const ANCESTORS_MAX: usize = 4096;
/// Fewer are looked through one by one.
const FEW: usize = 24;

/// The ancestors of an entity, direct and indirect, each once.
pub(super) type Walked<'a> = SmallVec<[&'a Named; 16]>;

/// Entities as one query sees them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) view: &'a View,
    pub(super) overlay: Option<&'a Overlay>,
}

impl<'a> Reach<'a> {
    /// Whether an entity is stored or carried.
    pub(super) fn knows(&self, probe: Probe<'_>, footprint: &mut Footprint) -> bool {
        let stored = self.stored(probe, footprint).is_some();
        stored || self.overlay.is_some_and(|overlay| overlay.carries(probe))
    }

    /// The ancestors of an entity; none for one that is not known.
    pub(super) fn ancestors(
        &self,
        start: Probe<'_>,
        footprint: &mut Footprint,
    ) -> Result<Walked<'a>, QueryError> {
        let mut walked = Walked::new();
        if self.snapshot.schema().is_some() && start.uid.is_action() {
            walked.extend(self.action_ancestors(start.uid));
            return Ok(walked);
        }
        let mut seen: FxHashSet<&Named> = FxHashSet::default();
        let mut add = |walked: &mut Walked<'a>, parents: &'a [Named]| {
            for parent in parents {
                let is_new = if walked.len() < FEW {
                    !walked.contains(&parent)
                } else {
                    if seen.is_empty() {
                        seen.extend(walked.iter().copied());
                    }
                    seen.insert(parent)
                };
                if is_new {
                    walked.push(parent);
                }
            }
        };
        add(&mut walked, self.parents(start, footprint));
        let mut next = 0;
        while let Some(ancestor) = walked.get(next).copied() {
            if next >= ANCESTORS_MAX {
                return Err(QueryError::Ancestors {
                    uid: start.uid.to_string(),
                    limit: ANCESTORS_MAX,
                });
            }
            add(&mut walked, self.parents(ancestor.probe(), footprint));
            next += 1;
        }
        Ok(walked)
    }

    /// A stored entity.
    pub(super) fn stored(
        &self,
        probe: Probe<'_>,
        footprint: &mut Footprint,
    ) -> Option<&'a Arc<Stored>> {
        let stored = self.view.get(probe);
        footprint.place(probe.atom, stored.map(|stored| &**stored));
        stored
    }

    /// A stored entity whose attributes or tags are read.
    pub(super) fn body(
        &self,
        probe: Probe<'_>,
        footprint: &mut Footprint,
    ) -> Option<&'a Arc<Stored>> {
        footprint.add(probe.atom, Half::Body);
        self.stored(probe, footprint)
    }

    fn parents(&self, probe: Probe<'_>, footprint: &mut Footprint) -> &'a [Named] {
        let stored = self.stored(probe, footprint);
        match self.overlay.and_then(|overlay| overlay.parents(probe)) {
            Some(carried) => carried,
            None => stored.map_or(&[], |stored| &stored.parents),
        }
    }

    fn action_ancestors(&self, uid: &EntityUID) -> &'a [Named] {
        let action = self.snapshot.schema().and_then(|schema| schema.action(uid));
        action.map_or(&[], |action| &action.ancestors)
    }
}
