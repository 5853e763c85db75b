//! New policies and the state that is there: do the two fit?

use std::sync::Arc;

use super::apply::anchor;
use super::check::Check;
use super::check::EntityLimits;
use super::error::WriteError;
use super::log::LogError;
use super::operation::Operation;
use super::state::State;
use crate::engine::Fault;
use crate::engine::Snapshot;
use crate::engine::View;
use crate::engine::footprint::Half;
use crate::engine::links::Links;
use crate::engine::scope::Atom;

/// So many misfits are named; the rest are counted.
const NAMED_MAX: usize = 20;

/// What to do with policies whose schema or templates the stored data does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnConflict {
    /// The policies that are in force stay.
    #[default]
    Reject,
    /// The new policies come into force. Links that do not fit have no effect
    /// until they do.
    Activate,
}

/// Policies that are to come into force.
pub struct Activation {
    /// The policies.
    pub snapshot: Arc<Snapshot>,
    /// What a directory that nothing was ever written to begins with.
    pub seed: Vec<Operation>,
    /// What to do when the stored data does not fit.
    pub on_conflict: OnConflict,
    /// Puts them in force with the view that was fitted to them.
    pub publish: Box<dyn FnOnce(View) + Send>,
}

impl std::fmt::Debug for Activation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Activation")
            .field("seed", &self.seed.len())
            .finish_non_exhaustive()
    }
}

/// Stored data that does not fit.
#[derive(Debug, Clone, Default)]
pub struct Misfits {
    /// The first of them.
    pub faults: Vec<Fault>,
    /// How many there are.
    pub count: usize,
    /// How many entities were looked at: none when all are known to fit.
    pub checked: usize,
    /// How many of the misfits are entities.
    entities: usize,
    /// Nothing comes into force with these, whatever is configured.
    is_fatal: bool,
}

impl Misfits {
    /// Whether policies may come into force all the same.
    pub fn may_activate(&self, on_conflict: OnConflict) -> bool {
        self.count == 0 || (on_conflict == OnConflict::Activate && !self.is_fatal)
    }

    /// Whether all entities fit; links may not.
    pub fn all_entities_fit(&self) -> bool {
        self.entities == 0
    }

    /// The first entities of the directory cannot be written.
    pub fn of_seed(error: &WriteError) -> Self {
        let faults = match error {
            WriteError::Refused(faults) | WriteError::Precondition(faults) => faults
                .iter()
                .take(NAMED_MAX)
                .map(|fault| {
                    Fault::of_file("entities", &fault.message).with_hint(fault.hint.clone())
                })
                .collect(),
            WriteError::Store { message, hint, .. } => {
                vec![Fault::of_file("directory", message).with_hint(hint.clone())]
            }
            WriteError::Busy => vec![Fault::of_file("entities", error.to_string())],
        };
        Self {
            count: faults.len(),
            faults,
            is_fatal: true,
            ..Self::default()
        }
    }

    /// The store of the directory failed.
    pub fn of_store(error: &LogError) -> Self {
        let fault = Fault::of_file("directory", error.to_string()).with_hint(error.hint());
        Self {
            faults: vec![fault],
            count: 1,
            is_fatal: true,
            ..Self::default()
        }
    }

    /// What is told of them.
    pub fn into_faults(mut self) -> Vec<Fault> {
        let more = self.count - self.faults.len();
        if more > 0 {
            let message = format!("{more} more stored entities or links do not fit");
            self.faults
                .push(Fault::of_file("directory", message).with_hint(
                    "change them first, or set `directory.on_schema_conflict = \"activate\"`",
                ));
        }
        self.faults
    }

    fn add(&mut self, wrong: super::apply::Wrong) {
        self.count += 1;
        if self.faults.len() < NAMED_MAX {
            let fault = wrong.at("directory");
            self.faults
                .push(Fault::of_file("directory", fault.message).with_hint(fault.hint));
        }
    }
}

/// Fits a state to policies: compiles its links, indexes what the manifest
/// marks, and looks whether entities fit the schema, unless they are known to
/// ([`fitted`](super::fitted)).
pub fn fit(
    state: &mut State,
    snapshot: &Snapshot,
    limits: &EntityLimits,
    is_known: bool,
) -> Misfits {
    state.index_attributes(&snapshot.manifest().indexed);
    let mut misfits = link_all(state, snapshot, limits);
    if !is_known && snapshot.schema().is_some() {
        let check = Check { snapshot, limits };
        for named in state.ordered() {
            let Some(stored) = state.view.get(named.probe()) else {
                continue;
            };
            misfits.checked += 1;
            if let Err(wrong) = check.whole(named.uid(), stored) {
                misfits.entities += 1;
                misfits.add(wrong);
            }
        }
    }
    misfits
}

/// Compiles all links; those that do not fit are left out and told.
pub fn link_all(state: &mut State, snapshot: &Snapshot, limits: &EntityLimits) -> Misfits {
    let mut misfits = Misfits::default();
    let mut links = Links::default();
    let check = Check { snapshot, limits };
    for row in state.links().values() {
        match check.link(state, &row.link) {
            Ok(policy) => links.put(Arc::new(policy)),
            Err(wrong) => misfits.add(wrong),
        }
    }
    *state.view.links_mut() = links;
    misfits
}

/// What changes when links have an effect in one of two states and not in the
/// other.
pub fn relinked(before: &State, after: &State) -> Vec<(Atom, Half)> {
    let only = |here: &State, there: &State| -> Vec<(Atom, Half)> {
        let links = here.view.links().iter().map(|link| &link.info.id);
        let lone = links.filter(|id| there.view.links().get(id).is_none());
        lone.filter_map(|id| anchor(&here.link(id)?.link)).collect()
    };
    let mut changes = only(before, after);
    changes.append(&mut only(after, before));
    changes
}
