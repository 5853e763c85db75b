//! Counts in fixed buckets: two atomic additions a value, no lock, nothing allocated.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;

/// More bounds than this are never looked at.
const BOUNDS_MAX: usize = 16;

const MICRO: u64 = 1_000;
const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

/// Bounds for calls: 25 us to 10 s.
pub static OF_CALLS: &[u64] = &[
    25 * MICRO,
    50 * MICRO,
    100 * MICRO,
    250 * MICRO,
    500 * MICRO,
    MILLI,
    2_500 * MICRO,
    5 * MILLI,
    10 * MILLI,
    25 * MILLI,
    50 * MILLI,
    100 * MILLI,
    250 * MILLI,
    SECOND,
    2_500 * MILLI,
    10 * SECOND,
];

/// Bounds for decisions: 1 us to 100 ms.
pub static OF_DECISIONS: &[u64] = &[
    MICRO,
    2_500,
    5 * MICRO,
    10 * MICRO,
    25 * MICRO,
    50 * MICRO,
    100 * MICRO,
    250 * MICRO,
    500 * MICRO,
    MILLI,
    5 * MILLI,
    25 * MILLI,
    100 * MILLI,
];

/// Bounds for reloads: 1 ms to 60 s.
pub static OF_RELOADS: &[u64] = &[
    MILLI,
    5 * MILLI,
    10 * MILLI,
    50 * MILLI,
    100 * MILLI,
    500 * MILLI,
    SECOND,
    5 * SECOND,
    10 * SECOND,
    60 * SECOND,
];

/// Counts of durations.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    counts: [AtomicU64; BOUNDS_MAX + 1],
    nanos: AtomicU64,
    /// The last traced value of each bucket; empty until there is one.
    exemplars: Mutex<Vec<Option<Exemplar>>>,
}

/// A value that was traced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exemplar {
    /// The value in seconds.
    pub seconds: f64,
    /// When, in nanoseconds since 1970.
    pub at: u64,
    /// Its trace.
    pub trace_id: [u8; 16],
    /// Its span.
    pub span_id: [u8; 8],
}

/// What a histogram held when it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
    /// The upper bounds of all buckets but the last, in seconds.
    pub bounds: Vec<f64>,
    /// How many values each bucket has.
    pub counts: Vec<u64>,
    /// All values together, in seconds.
    pub sum: f64,
    /// The last value of each bucket that was traced, where there is one.
    pub exemplars: Vec<Exemplar>,
}

impl Histogram {
    /// Empty buckets between bounds in nanoseconds, which are in order.
    pub fn new(bounds: &'static [u64]) -> Self {
        Self {
            bounds: bounds.get(..BOUNDS_MAX).unwrap_or(bounds),
            counts: Default::default(),
            nanos: AtomicU64::new(0),
            exemplars: Mutex::default(),
        }
    }

    /// Counts a duration.
    pub fn observe(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get(self.bucket(nanos)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Keeps a traced value as the example of its bucket; skipped when another is
    /// being kept.
    pub fn exemplify(&self, exemplar: Exemplar) {
        let Some(mut places) = self.exemplars.try_lock() else {
            return;
        };
        if places.is_empty() {
            places.resize(self.bounds.len() + 1, None);
        }
        let took = Duration::try_from_secs_f64(exemplar.seconds).unwrap_or(Duration::MAX);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        if let Some(place) = places.get_mut(self.bucket(nanos)) {
            *place = Some(exemplar);
        }
    }

    fn bucket(&self, nanos: u64) -> usize {
        self.bounds.partition_point(|bound| *bound < nanos)
    }

    /// What it holds now.
    pub fn read(&self) -> Spread {
        let counts = self.counts.iter().take(self.bounds.len() + 1);
        Spread {
            bounds: self.bounds.iter().map(|bound| seconds(*bound)).collect(),
            counts: counts.map(|count| count.load(Ordering::Relaxed)).collect(),
            sum: seconds(self.nanos.load(Ordering::Relaxed)),
            exemplars: self.exemplars.lock().iter().copied().flatten().collect(),
        }
    }
}

fn seconds(nanos: u64) -> f64 {
    Duration::from_nanos(nanos).as_secs_f64()
}

impl Spread {
    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Exemplar;
    use super::Histogram;
    use super::OF_CALLS;
    use super::OF_DECISIONS;
    use super::OF_RELOADS;

    #[test]
    fn a_value_falls_into_the_bucket_whose_bound_it_does_not_exceed() {
        let histogram = Histogram::new(OF_CALLS);
        histogram.observe(Duration::from_micros(25));
        histogram.observe(Duration::from_nanos(25_001));
        histogram.observe(Duration::from_hours(1));
        let read = histogram.read();
        assert_eq!((read.counts[0], read.counts[1], read.counts[16]), (1, 1, 1));
        assert_eq!(read.count(), 3);
        assert!((read.sum - 3_600.000_050_001).abs() < 1e-6, "{}", read.sum);
    }

    #[test]
    fn a_bucket_keeps_its_last_example() {
        let histogram = Histogram::new(OF_RELOADS);
        assert_eq!(histogram.read().exemplars, []);
        for (seconds, span) in [(2.0, 1), (0.0005, 2), (2.5, 3), (1e9, 4), (f64::NAN, 5)] {
            histogram.exemplify(Exemplar {
                seconds,
                at: 0,
                trace_id: [1; 16],
                span_id: [span; 8],
            });
        }
        let spans = histogram.read().exemplars;
        let spans: Vec<_> = spans.iter().map(|exemplar| exemplar.span_id[0]).collect();
        assert_eq!(spans, [2, 3, 5]);
    }

    #[test]
    fn bounds_are_in_order_and_few() {
        for bounds in [OF_CALLS, OF_DECISIONS, OF_RELOADS] {
            assert!(bounds.is_sorted() && bounds.len() <= super::BOUNDS_MAX);
        }
    }
}
