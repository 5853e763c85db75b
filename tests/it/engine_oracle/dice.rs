//! Choices made from generated numbers.
//!
//! Worlds are written by plain code that throws dice; proptest generates, and
//! shrinks, what the dice show. Zero, which is also what exhausted dice show,
//! is always the simplest choice.

/// A finite series of throws.
#[derive(Clone)]
pub struct Dice {
    throws: std::vec::IntoIter<u16>,
}

/// Short: the numbers say nothing to a reader, the world made of them does.
impl std::fmt::Debug for Dice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} throws", self.throws.len())
    }
}

impl Dice {
    /// Dice that will show these numbers.
    pub fn new(throws: Vec<u16>) -> Self {
        Self {
            throws: throws.into_iter(),
        }
    }

    /// A number below `sides`.
    pub fn below(&mut self, sides: usize) -> usize {
        usize::from(self.throws.next().unwrap_or(0)) % sides
    }

    /// True so many times out of so many; false when exhausted.
    pub fn chance(&mut self, times: usize, out_of: usize) -> bool {
        self.below(out_of) + times >= out_of
    }

    /// One of these.
    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}
