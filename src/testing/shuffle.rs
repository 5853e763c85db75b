//! An order that a seed makes: the same for the same seed, on every machine.

/// A stream of numbers: `SplitMix64`, Steele et al., "Fast Splittable Pseudorandom
/// Number Generators", 2014.
struct Numbers {
    state: u64,
}

impl Numbers {
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below this one, which is at least 1. Barely not even, which is
    /// good enough for an order.
    fn below(&mut self, end: usize) -> usize {
        let end = end.max(1) as u64;
        usize::try_from(self.next() % end).unwrap_or_default()
    }
}

/// Shuffles suites, and the cases of each.
pub(super) fn shuffle<S, C>(groups: &mut [(S, Vec<C>)], seed: u64) {
    let mut numbers = Numbers { state: seed };
    shuffle_one(groups, &mut numbers);
    for (_, items) in groups {
        shuffle_one(items, &mut numbers);
    }
}

/// Fisher and Yates.
fn shuffle_one<T>(items: &mut [T], numbers: &mut Numbers) {
    for last in (1..items.len()).rev() {
        items.swap(last, numbers.below(last + 1));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::shuffle;

    fn shuffled(seed: u64) -> Vec<(usize, Vec<usize>)> {
        let mut groups: Vec<(usize, Vec<usize>)> =
            (0..4).map(|group| (group, (0..5).collect())).collect();
        shuffle(&mut groups, seed);
        groups
    }

    #[test]
    fn a_seed_makes_an_order_of_all() {
        let orders: BTreeSet<_> = (0..50).map(shuffled).collect();
        assert!(orders.len() > 45, "{}", orders.len());
        assert_eq!(shuffled(7), shuffled(7));
        for mut groups in orders {
            groups.sort();
            for (at, (group, mut items)) in groups.into_iter().enumerate() {
                items.sort_unstable();
                assert_eq!((group, items), (at, (0..5).collect()));
            }
        }
    }
}
