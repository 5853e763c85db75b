//! The time, as policies see it.

use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use arc_swap::ArcSwapOption;
use cedar_policy_core::ast::Value;

use crate::engine::value::datetime_from_millis;

/// Tells the time at a fixed resolution.
///
/// Making a `datetime` costs more than a decision, so the value is made once a
/// tick and shared.
#[derive(Debug)]
pub struct Clock {
    resolution_millis: i64,
    tick: ArcSwapOption<Tick>,
}

#[derive(Debug)]
struct Tick {
    millis: i64,
    value: Value,
}

impl Clock {
    /// A clock of this resolution; less than a millisecond counts as one.
    pub fn new(resolution: Duration) -> Self {
        let millis = i64::try_from(resolution.as_millis()).unwrap_or(i64::MAX);
        Self {
            resolution_millis: millis.max(1),
            tick: ArcSwapOption::empty(),
        }
    }

    /// Milliseconds since 1970, unrounded.
    #[expect(clippy::disallowed_methods, reason = "this is where the time is taken")]
    pub fn millis(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        })
    }

    /// How long [`Clock::tick`] stays the same.
    pub fn left_of_tick(&self) -> Duration {
        let gone = self.millis().rem_euclid(self.resolution_millis);
        Duration::from_millis(u64::try_from(self.resolution_millis - gone).unwrap_or(0))
    }

    /// The time in milliseconds, rounded down to the resolution.
    pub fn tick(&self) -> i64 {
        let millis = self.millis();
        millis - millis.rem_euclid(self.resolution_millis)
    }

    /// The time of a tick as a Cedar `datetime`.
    ///
    /// # Errors
    /// When Cedar cannot represent it.
    pub fn at(&self, millis: i64) -> Result<Value, String> {
        if let Some(tick) = &*self.tick.load()
            && tick.millis == millis
        {
            return Ok(tick.value.clone());
        }
        let value = datetime_from_millis(millis).map_err(|error| error.to_string())?;
        let tick = Tick {
            millis,
            value: value.clone(),
        };
        self.tick.store(Some(Arc::new(tick)));
        Ok(value)
    }
}
