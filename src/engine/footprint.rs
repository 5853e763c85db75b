//! What a decision rests on: the entities that it read, there or not.

use super::named::Named;
use super::scope::Atom;
use super::stored::Second;
use super::stored::Stored;

/// Which half of an entity was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Half {
    /// Whether it is there, what it is a member of, and the links that name it.
    Place = 0,
    /// Its attributes and tags.
    Body = 1,
}

/// The entities that a decision read, by atom.
///
/// A change of anything that is not in it cannot change the decision: that is
/// what the decision cache rests on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Footprint {
    read: Vec<(Atom, Half)>,
    ends: Option<Second>,
}

impl Footprint {
    /// Notes that half of an entity was read, or missed.
    pub fn add(&mut self, atom: Atom, half: Half) {
        if !self.read.contains(&(atom, half)) {
            self.read.push((atom, half));
        }
    }

    /// Notes when something that was read ends.
    pub fn ends(&mut self, second: Option<Second>) {
        self.ends = match (self.ends, second) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }

    /// Notes an entity that was looked up.
    pub(super) fn place(&mut self, atom: Atom, stored: Option<&Stored>) {
        self.add(atom, Half::Place);
        self.ends(stored.and_then(Stored::first_end));
    }

    /// What was read.
    pub fn read(&self) -> &[(Atom, Half)] {
        &self.read
    }

    /// When the first thing that was read ends by itself.
    pub fn first_end(&self) -> Option<Second> {
        self.ends
    }

    /// Whether half of an entity is in it.
    pub fn has(&self, named: &Named, half: Half) -> bool {
        self.read.contains(&(named.atom(), half))
    }
}
