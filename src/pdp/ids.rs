//! Names for decisions.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use uuid::Builder;
use uuid::Uuid;

/// The name of a decision: a UUID of version 7 (RFC 9562), so that names sort
/// by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DecisionId(Uuid);

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl DecisionId {
    /// The name as text, written into `place`.
    pub fn write<'a>(&self, place: &'a mut [u8; 36]) -> &'a str {
        self.0.hyphenated().encode_lower(place)
    }
}

/// Makes names: time, a random part that tells processes apart, and a counter.
///
/// A counter in place of fresh randomness costs nanoseconds and cannot collide
/// within a process.
#[derive(Debug)]
pub struct DecisionIds {
    process: [u8; 5],
    count: AtomicU64,
}

impl Default for DecisionIds {
    fn default() -> Self {
        let [p0, p1, p2, p3, p4, ..] = Uuid::new_v4().into_bytes();
        Self {
            process: [p0, p1, p2, p3, p4],
            count: AtomicU64::new(0),
        }
    }
}

impl DecisionIds {
    /// The next name, at this time in milliseconds since 1970.
    pub fn next(&self, millis: i64) -> DecisionId {
        let [_, _, _, c0, c1, c2, c3, c4] =
            self.count.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let [p0, p1, p2, p3, p4] = self.process;
        let rest = [p0, p1, p2, p3, p4, c0, c1, c2, c3, c4];
        let millis = u64::try_from(millis).unwrap_or(0);
        DecisionId(Builder::from_unix_timestamp_millis(millis, &rest).into_uuid())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::DecisionIds;

    #[test]
    fn names_are_unique_and_sort_by_time() {
        let ids = DecisionIds::default();
        let many: HashSet<_> = (0..100_000).map(|_| ids.next(7)).collect();
        assert_eq!(many.len(), 100_000);
        assert!(ids.next(8) > ids.next(7));
        assert_eq!(ids.next(8).0.get_version_num(), 7);
    }
}
