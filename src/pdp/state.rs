//! What is in force: swapped whole, never changed.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use arc_swap::ArcSwapOption;

use crate::engine::Fault;
use crate::engine::Snapshot;
use crate::engine::View;

/// Policies and data that are, or were, in force together.
#[derive(Debug)]
pub struct Active {
    /// The policies.
    pub snapshot: Snapshot,
    /// The entities and links.
    pub view: View,
    /// Where they came from, for people.
    pub origin: String,
    /// Since when they have been in force.
    pub since: SystemTime,
    /// The digest of the policies, as text.
    pub policy_revision: String,
    /// The revision of the directory, as text.
    pub directory_revision: String,
}

impl Active {
    /// Joins policies and data that were made for each other.
    pub fn new(snapshot: Snapshot, view: View, origin: String, since: SystemTime) -> Self {
        Self {
            policy_revision: snapshot.digest().to_string(),
            directory_revision: view.revision().to_string(),
            snapshot,
            view,
            origin,
            since,
        }
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
    /// Puts policies and data in force, at once and together. Whoever pinned
    /// what was in force before keeps it to the end.
    pub fn publish(&self, active: Active) {
        self.active.store(Some(Arc::new(active)));
        self.rejected.store(None);
        self.activations.fetch_add(1, Ordering::Relaxed);
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
