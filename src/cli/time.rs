//! The time, for `context.now`.

use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use cedar_policy_core::ast::Value;

pub use crate::engine::datetime::parse;
use crate::engine::value::datetime_from_millis;

/// The time on this machine's clock, rounded down to a multiple of the
/// resolution, as the server fills it in.
///
/// # Errors
/// When the clock shows a time that Cedar cannot represent.
pub fn now(resolution: Duration) -> Result<Value, String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the command line is where the clock is read for a local check"
    )]
    let now = SystemTime::now();
    let millis = now
        .duration_since(UNIX_EPOCH)
        .map_err(|error| error.to_string())?
        .as_millis();
    let step = resolution.as_millis().max(1);
    let millis = i64::try_from(millis - millis % step).map_err(|error| error.to_string())?;
    datetime_from_millis(millis).map_err(|error| error.to_string())
}
