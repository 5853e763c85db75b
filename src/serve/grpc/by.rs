//! By whom a call is made, and what it is known by.

use smol_str::SmolStr;
use tonic::Extensions;
use tonic::metadata::MetadataMap;

use crate::identity::Caller;
use crate::pdp::recording::Call;
use crate::telemetry;

/// Longer names of requests are cut.
const REQUEST_BYTES_MAX: usize = 128;

/// Who calls, and what records say of the call.
#[derive(Debug, Clone)]
pub(super) struct By {
    pub(super) caller: Caller,
    pub(super) call: Call,
}

impl By {
    /// Reads the connection, `x-request-id` and `traceparent` (W3C trace context);
    /// the latter is not here when callers' traces are ignored.
    pub(super) fn of(metadata: &MetadataMap, extensions: &Extensions) -> Self {
        let text = |name: &str| metadata.get(name)?.to_str().ok();
        let request = text("x-request-id").filter(|text| !text.is_empty());
        Self {
            caller: caller(extensions),
            call: Call {
                request: request.map(|text| text.chars().take(REQUEST_BYTES_MAX).collect()),
                trace: own_trace().or_else(|| text("traceparent").and_then(trace)),
            },
        }
    }
}

/// The trace of the call's own span, if it has one.
fn own_trace() -> Option<SmolStr> {
    let (trace, _) = telemetry::trace::ids()?;
    Some(format!("{:032x}", u128::from_be_bytes(trace)).into())
}

/// Who calls, by the connection.
pub(super) fn caller(extensions: &Extensions) -> Caller {
    extensions.get().cloned().unwrap_or(Caller::Local)
}

/// The trace id of `version-trace-parent-flags`; zeros are none.
fn trace(traceparent: &str) -> Option<SmolStr> {
    let mut parts = traceparent.split('-');
    let (version, trace) = (parts.next()?, parts.next()?);
    let is_hex = |text: &str| {
        text.bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_whole = version.len() == 2 && trace.len() == 32 && is_hex(version) && is_hex(trace);
    let is_some = version != "ff" && trace.bytes().any(|byte| byte != b'0');
    (is_whole && is_some).then(|| trace.into())
}

#[cfg(test)]
mod tests {
    use super::trace;

    #[test]
    fn a_trace_is_read_as_the_w3c_has_it() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let parent = format!("00-{id}-00f067aa0ba902b7-01");
        assert_eq!(trace(&parent).as_deref(), Some(id));
        for bad in [
            "",
            "00",
            id,
            &format!("ff-{id}-00f067aa0ba902b7-01"),
            &format!("0-{id}-00f067aa0ba902b7-01"),
            &format!("00-{}-00f067aa0ba902b7-01", id.to_uppercase()),
            &format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
        ] {
            assert_eq!(trace(bad), None, "{bad}");
        }
    }
}
