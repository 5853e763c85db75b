//! What is in force: swapped whole, never changed.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use arc_swap::ArcSwapOption;

use crate::engine::Fault;
use crate::engine::Snapshot;
use crate::engine::View;
use crate::engine::schema::Schema;
use crate::telemetry::metrics::actions::Actions;
use crate::telemetry::metrics::actions::ByAction;

/// Policies that are, or were, in force.
#[derive(Debug)]
pub struct Policies {
    /// The policies.
    pub snapshot: Arc<Snapshot>,
    /// Where they came from, for people.
    pub origin: String,
    /// Since when they have been in force.
    pub since: SystemTime,
    /// Their digest, as text.
    pub revision: String,
    /// Which they are of all that were in force, from 1. The digest does not
    /// tell: links and indexes are made anew with each.
    generation: u64,
    /// Where decisions are counted by action; nowhere apart until told.
    by_action: ByAction,
}

impl Policies {
    /// Policies that are to be put in force.
    pub fn new(snapshot: Snapshot, origin: String, since: SystemTime) -> Self {
        Self {
            revision: snapshot.digest().to_string(),
            snapshot: Arc::new(snapshot),
            origin,
            since,
            generation: GENERATIONS.fetch_add(1, Ordering::Relaxed) + 1,
            by_action: ByAction::default(),
        }
    }

    /// The same, with decisions counted by declared action.
    #[must_use]
    pub fn counted_by(mut self, actions: &Actions) -> Self {
        let declared = self.snapshot.schema().into_iter().flat_map(Schema::actions);
        self.by_action = actions.places(declared.map(|action| &*action.uid));
        self
    }

    /// Where decisions are counted by action.
    pub fn by_action(&self) -> &ByAction {
        &self.by_action
    }
}

static GENERATIONS: AtomicU64 = AtomicU64::new(0);

/// Policies and data that are, or were, in force together.
#[derive(Debug)]
pub struct Active {
    /// The policies.
    pub policies: Arc<Policies>,
    /// The entities and links.
    pub view: View,
}

impl Active {
    /// The policies.
    pub fn snapshot(&self) -> &Snapshot {
        &self.policies.snapshot
    }

    /// Which policies these are, of all that were in force.
    pub fn generation(&self) -> u64 {
        self.policies.generation
    }
}

/// A change that was refused.
#[derive(Debug)]
pub struct Rejected {
    /// When.
    pub at: SystemTime,
    /// The digest of the refused policies; empty if they could not be read.
    pub policy_revision: String,
    /// Why.
    pub faults: Vec<Fault>,
}

/// What is in force, and how changes went.
#[derive(Debug, Default)]
pub struct State {
    active: ArcSwapOption<Active>,
    rejected: ArcSwapOption<Rejected>,
    activations: AtomicU64,
    rejections: AtomicU64,
}

impl State {
    /// Puts policies in force together with the data that was fitted to them.
    /// Whoever pinned what was in force before keeps it to the end.
    pub fn publish(&self, active: Active) {
        self.active.store(Some(Arc::new(active)));
        self.rejected.store(None);
        self.activations.fetch_add(1, Ordering::Relaxed);
    }

    /// Puts the next state of the data in force, under the same policies.
    pub fn advance(&self, active: Active) {
        self.active.store(Some(Arc::new(active)));
    }

    /// Records a refused change; what is in force stays.
    pub fn reject(&self, rejected: Rejected) {
        self.rejected.store(Some(Arc::new(rejected)));
        self.rejections.fetch_add(1, Ordering::Relaxed);
    }

    /// What is in force.
    pub fn load_full(&self) -> Option<Arc<Active>> {
        self.active.load_full()
    }

    /// The last change, if it was refused.
    pub fn rejected(&self) -> Option<Arc<Rejected>> {
        self.rejected.load_full()
    }

    /// How many changes were taken.
    pub fn activations(&self) -> u64 {
        self.activations.load(Ordering::Relaxed)
    }

    /// How many changes were refused.
    pub fn rejections(&self) -> u64 {
        self.rejections.load(Ordering::Relaxed)
    }
}
