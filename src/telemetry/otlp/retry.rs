//! Whether a batch that was not taken is sent again, and when.

use std::time::Duration;

use chrono::DateTime;
use http::HeaderMap;
use http::StatusCode;
use tonic::Code;
use tonic::Status;
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::telemetry::trace::nanos_now;

/// A batch is sent so often at the most.
pub(super) const TRIES_MAX: u32 = 5;
/// The pause after the first try; each later one is twice as long.
const PAUSE: Duration = Duration::from_millis(500);
/// Receivers may say much, and the log is not theirs.
const REASON_CHARS_MAX: usize = 200;

/// Why a batch was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// The reason.
    pub(super) why: String,
    /// Whether to try again.
    pub(super) again: Again,
}

/// Whether to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// It would fail again.
    Never,
    /// After a pause.
    Soon,
    /// When the receiver says so.
    After(Duration),
}

impl Failure {
    /// There was no answer: the way there is broken, or the receiver is too slow.
    pub(super) fn of_the_way(why: &dyn std::error::Error) -> Self {
        let mut text = why.to_string();
        let mut inner = why.source();
        // The outer ones say that it failed, the innermost says why.
        while let Some(error) = inner {
            text = format!("{text}: {error}");
            inner = error.source();
        }
        Self {
            why: short(&text),
            again: Again::Soon,
        }
    }

    /// The receiver answered with a status of gRPC that is not OK.
    pub(super) fn of_grpc(status: &Status) -> Self {
        if let Some(error) = std::error::Error::source(status) {
            return Self::of_the_way(error);
        }
        let told = status
            .get_details_retry_info()
            .and_then(|info| info.retry_delay);
        let is_passing = matches!(
            status.code(),
            Code::Cancelled
                | Code::DeadlineExceeded
                | Code::Aborted
                | Code::OutOfRange
                | Code::Unavailable
                | Code::DataLoss
        );
        let again = match (status.code(), told) {
            (Code::ResourceExhausted, Some(after)) => Again::After(after),
            (_, Some(after)) if is_passing => Again::After(after),
            (_, None) if is_passing => Again::Soon,
            // What is exhausted stays so, unless it is told when that is over.
            _ => Again::Never,
        };
        let why = format!("{:?}: {}", status.code(), status.message());
        Self {
            why: short(&why),
            again,
        }
    }

    /// The receiver answered with a status of HTTP that is no success.
    pub(super) fn of_http(status: StatusCode, headers: &HeaderMap) -> Self {
        let is_passing = matches!(status.as_u16(), 429 | 502 | 503 | 504);
        let again = match (is_passing, retry_after(headers)) {
            (false, _) => Again::Never,
            (true, None) => Again::Soon,
            (true, Some(after)) => Again::After(after),
        };
        Self {
            why: format!("the receiver answers {status}"),
            again,
        }
    }

    /// How long to wait after so many tries; `None` when it is no use.
    pub(super) fn pause(&self, tries: u32) -> Option<Duration> {
        match self.again {
            _ if tries >= TRIES_MAX => None,
            Again::Never => None,
            Again::Soon => Some(pause(tries, random())),
            Again::After(told) => Some(told),
        }
    }
}

/// A text of the receiver, cut.
pub(super) fn short(text: &str) -> String {
    text.chars().take(REASON_CHARS_MAX).collect()
}

/// `Retry-After`, in seconds or as a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("retry-after")?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = DateTime::parse_from_rfc2822(text).ok()?;
    let at = Duration::from_secs(u64::try_from(at.timestamp()).ok()?);
    Some(at.saturating_sub(Duration::from_nanos(nanos_now())))
}

/// Half of it is by chance, so that many that failed together do not return together.
fn pause(tries: u32, chance: f64) -> Duration {
    let whole = PAUSE.saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1)));
    whole.mul_f64(0.5 + chance / 2.0)
}

/// From 0 to 1.
fn random() -> f64 {
    let [a, b, c, d, ..] = Uuid::new_v4().into_bytes();
    f64::from(u32::from_be_bytes([a, b, c, d])) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderMap;
    use http::StatusCode;
    use tonic::Code;
    use tonic::Status;
    use tonic_types::ErrorDetails;
    use tonic_types::StatusExt as _;

    use super::Again;
    use super::Failure;
    use super::pause;

    #[test]
    fn what_passes_is_tried_again_and_what_stays_is_not() {
        for (code, again) in [
            (Code::Unavailable, Again::Soon),
            (Code::DeadlineExceeded, Again::Soon),
            (Code::ResourceExhausted, Again::Never),
            (Code::InvalidArgument, Again::Never),
            (Code::Unimplemented, Again::Never),
            (Code::Unauthenticated, Again::Never),
        ] {
            let failure = Failure::of_grpc(&Status::new(code, "why"));
            assert_eq!(failure.again, again, "{code:?}");
            assert_eq!(failure.why, format!("{code:?}: why"));
        }
        let after = Duration::from_secs(7);
        for (code, again) in [
            (Code::ResourceExhausted, Again::After(after)),
            (Code::Unavailable, Again::After(after)),
            (Code::InvalidArgument, Again::Never),
        ] {
            let details = ErrorDetails::with_retry_info(Some(after));
            let status = Status::with_error_details(code, "why", details);
            assert_eq!(Failure::of_grpc(&status).again, again, "{code:?}");
        }
        for (status, after, again) in [
            (429, None, Again::Soon),
            (502, Some("soon"), Again::Soon),
            (503, Some(" 3 "), Again::After(Duration::from_secs(3))),
            (504, Some("-1"), Again::Soon),
            (400, Some("3"), Again::Never),
            (500, None, Again::Never),
            (
                503,
                Some("Wed, 21 Oct 2015 07:28:00 GMT"),
                Again::After(Duration::ZERO),
            ),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(after) = after {
                headers.insert("retry-after", after.parse().unwrap());
            }
            let status = StatusCode::from_u16(status).unwrap();
            let failure = Failure::of_http(status, &headers);
            assert_eq!(failure.again, again, "{status} {after:?}");
        }
        let mut headers = HeaderMap::new();
        let later = "Fri, 21 Oct 2191 07:28:00 GMT";
        headers.insert("retry-after", later.parse().unwrap());
        let failure = Failure::of_http(StatusCode::SERVICE_UNAVAILABLE, &headers);
        let Again::After(after) = failure.again else {
            panic!("{failure:?}");
        };
        assert!(after > Duration::from_hours(24 * 365));
    }

    #[test]
    fn pauses_grow_and_end() {
        assert_eq!(pause(1, 0.0), Duration::from_millis(250));
        assert_eq!(pause(1, 1.0), Duration::from_millis(500));
        assert_eq!(pause(4, 1.0), Duration::from_secs(4));
        let failure = Failure::of_grpc(&Status::unavailable(""));
        let pauses = (1..9).map_while(|tries| failure.pause(tries));
        let pauses: Vec<_> = pauses.collect();
        assert_eq!(pauses.len(), 4);
        assert!(pauses.iter().sum::<Duration>() <= Duration::from_millis(7500));
        assert!(pauses[3] > pauses[0], "{pauses:?}");
    }
}
