//! What a decision rests on: the entities that it read, there or not.

use rustc_hash::FxHashSet;

use super::named::Named;
use super::scope::Atom;
use super::stored::Second;
use super::stored::Stored;

/// Fewer are looked through one by one: most decisions read no more, and then
/// nothing is hashed.
const FEW: usize = 48;

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
#[derive(Debug, Clone, Default)]
pub struct Footprint {
    /// Each once.
    read: Vec<(Atom, Half)>,
    /// The same, while more is noted than a few.
    seen: FxHashSet<(Atom, Half)>,
    ends: Option<Second>,
}

impl Footprint {
    /// Notes that half of an entity was read, or missed.
    pub fn add(&mut self, atom: Atom, half: Half) {
        let half = (atom, half);
        let is_new = if self.read.len() < FEW {
            !self.read.contains(&half)
        } else {
            if self.seen.is_empty() {
                self.seen.extend(self.read.iter().copied());
            }
            self.seen.insert(half)
        };
        if is_new {
            self.read.push(half);
        }
    }

    /// Lets go of what only noting more needs: cached decisions keep the rest.
    pub(super) fn complete(self) -> Self {
        Self {
            seen: FxHashSet::default(),
            ..self
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

#[cfg(test)]
mod tests {
    use super::FEW;
    use super::Footprint;
    use super::Half;

    fn noted(halves: u64) -> Footprint {
        let mut footprint = Footprint::default();
        for round in 0..3 {
            for number in 0..halves {
                // Again from the start, and again backwards.
                let number = if round == 2 {
                    halves - 1 - number
                } else {
                    number
                };
                let half = if number % 2 == 0 {
                    Half::Place
                } else {
                    Half::Body
                };
                footprint.add(number / 2, half);
            }
        }
        footprint
    }

    #[test]
    fn each_half_is_noted_once_in_the_order_of_reading() {
        let few = FEW as u64;
        for halves in [0, 1, few - 1, few, few + 1, 20_000] {
            let footprint = noted(halves).complete();
            let expected: Vec<_> = (0..halves)
                .map(|number| {
                    (
                        number / 2,
                        if number % 2 == 0 {
                            Half::Place
                        } else {
                            Half::Body
                        },
                    )
                })
                .collect();
            assert_eq!(footprint.read(), expected);
        }
    }

    #[test]
    fn a_set_is_made_for_many_only_and_not_kept() {
        assert_eq!(noted(FEW as u64 - 1).seen.capacity(), 0);
        let many = noted(20_000);
        assert_eq!(many.seen.len(), many.read.len());
        let mut many = many.complete();
        assert_eq!(many.seen.capacity(), 0);
        // Whoever goes on nonetheless gets it back.
        many.add(3, Half::Body);
        many.add(20_000, Half::Body);
        assert_eq!((many.read.len(), many.seen.len()), (20_001, 20_001));
    }
}
