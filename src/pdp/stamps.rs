//! When each entity last changed: what makes a cached decision good or not.
//!
//! A stamp is the sequence number of the last transaction that changed half of
//! an entity. There is a fixed number of places for stamps; entities that share
//! one make a cached decision be refused once too often, never once too seldom.
//!
//! ```text
//! writer:  stamps of what changes := n    then    publish the view n     then    acknowledge
//! reader:  pin a view c                   then    find an entry made at e
//!          good, if every stamp of its footprint <= min(c, e)
//! ```
//!
//! Nothing of the footprint changed between the two views then: every change
//! up to `c` was stamped before `c` was published, and every change up to `e`
//! before `e` was, hence before the entry was stored. Whoever has seen the new
//! view therefore cannot get the old answer. Sequence numbers are compared, never
//! times; there is no mark to take back, so a writer that dies half way leaves
//! entries refused, not wrong.

use super::atomic::AtomicU64;
use super::atomic::Ordering;

/// A place for a stamp.
pub type Slot = u32;

/// The stamps of all entities.
#[derive(Debug)]
pub struct Stamps {
    slots: Box<[AtomicU64]>,
    /// Slots less one; their number is a power of two.
    mask: u64,
}

impl Stamps {
    /// So many places, rounded up to a power of two, of 8 bytes each.
    pub fn new(places: u32) -> Self {
        let places = places.clamp(2, 1 << 30).next_power_of_two();
        Self {
            slots: (0..places).map(|_| AtomicU64::new(0)).collect(),
            mask: u64::from(places) - 1,
        }
    }

    /// The place of half (0 or 1) of the entity of this atom.
    pub fn slot(&self, atom: u64, half: u64) -> Slot {
        // The atom is a hash; the multiplication spreads both halves over all bits.
        let mixed = (atom ^ (half << 63 | half)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        u32::try_from((mixed >> 32) & self.mask).unwrap_or_default()
    }

    /// Something changes with the transaction of this number. To be called
    /// before the view that shows it is published.
    pub fn touch(&self, slot: Slot, sequence: u64) {
        if let Some(stamp) = self.slots.get(slot as usize) {
            stamp.fetch_max(sequence, Ordering::Release);
        }
    }

    /// Whether nothing at these places changed after this transaction.
    pub fn unchanged_since(&self, sequence: u64, slots: &[Slot]) -> bool {
        slots.iter().all(|slot| {
            let stamp = self.slots.get(*slot as usize);
            stamp.is_some_and(|stamp| stamp.load(Ordering::Acquire) <= sequence)
        })
    }
}
