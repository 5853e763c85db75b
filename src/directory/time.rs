//! What the time is, for endings.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

/// The system's time, or one that a test sets.
#[derive(Debug, Clone, Default)]
pub enum Time {
    /// The system's.
    #[default]
    System,
    /// Milliseconds since 1970, set from outside.
    Set(Arc<AtomicI64>),
}

impl Time {
    /// Milliseconds since 1970.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is where the directory takes the time"
    )]
    pub fn millis(&self) -> i64 {
        match self {
            Self::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| {
                    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
                }),
            Self::Set(millis) => millis.load(Ordering::Relaxed),
        }
    }
}
