//! `traceparent` and `tracestate` of W3C, as callers send them.

use http::HeaderMap;

/// Longer ones are not passed on.
const STATE_BYTES_MAX: usize = 512;

/// The span of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    /// Its trace.
    pub trace_id: [u8; 16],
    /// Itself.
    pub span_id: [u8; 8],
    /// Whether the caller traces it.
    pub is_sampled: bool,
}

/// The span of a caller with what its tracing system wants passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// The span.
    pub ids: Ids,
    /// `tracestate`.
    pub state: String,
}

impl Parent {
    pub(super) fn new(ids: Ids, headers: &HeaderMap) -> Self {
        let state = headers
            .get("tracestate")
            .and_then(|text| text.to_str().ok());
        let state = state.filter(|text| text.len() <= STATE_BYTES_MAX);
        Self {
            ids,
            state: state.unwrap_or_default().to_owned(),
        }
    }
}

/// The caller's span; `None` when there is none, or it cannot be read.
pub fn ids(headers: &HeaderMap) -> Option<Ids> {
    read(headers.get("traceparent")?.as_bytes())
}

fn read(text: &[u8]) -> Option<Ids> {
    let (version, rest) = hex::<1>(text)?;
    let (trace_id, rest) = hex::<16>(rest.strip_prefix(b"-")?)?;
    let (span_id, rest) = hex::<8>(rest.strip_prefix(b"-")?)?;
    let ([flags], rest) = hex::<1>(rest.strip_prefix(b"-")?)?;
    let is_whole = match version {
        [0xff] => false,
        [0] => rest.is_empty(),
        // Later versions may have more.
        _ => rest.is_empty() || rest.starts_with(b"-"),
    };
    let is_valid = is_whole && trace_id != [0; 16] && span_id != [0; 8];
    is_valid.then_some(Ids {
        trace_id,
        span_id,
        is_sampled: flags & 1 == 1,
    })
}

/// So many bytes, each two lower-case digits.
fn hex<const N: usize>(text: &[u8]) -> Option<([u8; N], &[u8])> {
    let (digits, rest) = text.split_at_checked(2 * N)?;
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        for digit in pair {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            *byte = *byte << 4 | value;
        }
    }
    Some((bytes, rest))
}

#[cfg(test)]
mod tests {
    use super::read;

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_caller_s_span_is_read() {
        let ids = read(TRACE.as_bytes()).unwrap();
        assert_eq!(ids.trace_id[..2], [0x4b, 0xf9]);
        assert_eq!(ids.span_id[7], 0xb7);
        assert!(ids.is_sampled);
        assert!(
            !read(TRACE.replace("-01", "-00").as_bytes())
                .unwrap()
                .is_sampled
        );
        let later = format!("cc{}-more", TRACE.strip_prefix("00").unwrap());
        assert_eq!(read(later.as_bytes()), Some(ids));
    }

    #[test]
    fn what_is_no_span_begins_a_new_trace() {
        for bad in [
            String::new(),
            TRACE.to_uppercase(),
            TRACE.replace("00-4", "ff-4"),
            TRACE.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            TRACE.replace("00f067aa0ba902b7", &"0".repeat(16)),
            format!("{TRACE}-more"),
            TRACE.replace("-01", ""),
            TRACE.replace("-01", "-0g"),
        ] {
            assert_eq!(read(bad.as_bytes()), None, "{bad}");
        }
    }
}
