//! Policies with what they decide on.

use crate::engine::Snapshot;
use crate::engine::View;

/// Policies with the entities and links that they decide on.
#[derive(Debug, Clone, Copy)]
pub struct World<'a> {
    /// The policies.
    pub snapshot: &'a Snapshot,
    /// Entities and links.
    pub view: &'a View,
}
