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
        let state = state(headers).unwrap_or_default();
        Self { ids, state }
    }
}

/// `tracestate`, which may be told in parts; `None` when it is too long.
fn state(headers: &HeaderMap) -> Option<String> {
    let mut state = String::new();
    for part in headers.get_all("tracestate") {
        if !state.is_empty() {
            state.push(',');
        }
        state.push_str(part.to_str().ok()?);
        if state.len() > STATE_BYTES_MAX {
            return None;
        }
    }
    Some(state)
}

/// The caller's span; `None` when there is none, or several, or it cannot be read.
pub fn ids(headers: &HeaderMap) -> Option<Ids> {
    let mut told = headers.get_all("traceparent").iter();
    let (Some(parent), None) = (told.next(), told.next()) else {
        return None;
    };
    read(parent.as_bytes())
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
    use http::HeaderMap;

    use super::Parent;
    use super::STATE_BYTES_MAX;
    use super::ids;
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
    fn a_state_in_parts_is_one_and_two_parents_are_none() {
        let mut headers = HeaderMap::new();
        let mut add = |name: &'static str, value: &[u8]| {
            headers.append(name, http::HeaderValue::from_bytes(value).unwrap());
            let ids = ids(&headers);
            let parent = ids.map(|ids| Parent::new(ids, &headers));
            parent.map(|parent| parent.state)
        };
        assert_eq!(add("tracestate", b"a=1"), None);
        assert_eq!(add("traceparent", TRACE.as_bytes()).unwrap(), "a=1");
        assert_eq!(add("tracestate", b"b=2,c=3").unwrap(), "a=1,b=2,c=3");
        let long = "x".repeat(STATE_BYTES_MAX - "a=1,b=2,c=3,".len());
        let whole = add("tracestate", long.as_bytes()).unwrap();
        assert_eq!(whole.len(), STATE_BYTES_MAX);
        assert_eq!(add("tracestate", b"\xff").unwrap(), "");
        assert_eq!(add("traceparent", TRACE.as_bytes()), None);
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
