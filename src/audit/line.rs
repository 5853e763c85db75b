//! One record as a line: the head that every line has, written and read.
//!
//! ```text
//! {"v":1,"seq":7,"time":"2026-01-31T12:00:00.000Z","prev":"<64 hex>","durable":"200ms",<members>}
//! ```
//!
//! The head is read by its bytes, not as JSON, so that there is one way to write
//! it and a line that was changed to something equal is found.

use std::fmt;

use chrono::DateTime;
use chrono::NaiveDate;
use sha2::Digest as _;
use sha2::Sha256;

/// The version of the format.
pub const VERSION: u64 = 1;

/// The longest line, in bytes, with its newline.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// What [`parse`] says of a line that a later release wrote.
pub const LATER: &str = "is of a version that this release does not know";

/// The last millisecond of the year 9999: what RFC 3339 can say.
const MILLIS_MAX: i64 = 253_402_300_799_999;

/// SHA-256 over the bytes of a line without its newline, or of a file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Hash([u8; 32]);

impl Hash {
    /// What the first record of a log states as `prev`: all zeros.
    pub const BEFORE_FIRST: Self = Self([0; 32]);

    /// The hash of a line without its newline.
    pub fn of(line: &[u8]) -> Self {
        Self(Sha256::digest(line).into())
    }

    /// The hash that these bytes are.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The raw 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// From 64 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
        // Without branches: every line has one.
        let values = digits.map(value_of);
        if values.iter().fold(0, |all, value| all | value) > 15 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(values.chunks_exact(2)) {
            let &[high, low] = pair else { return None };
            *byte = high << 4 | low;
        }
        Some(Self(bytes))
    }

    fn push(&self, into: &mut Vec<u8>) {
        let digit = |nibble: u8| {
            if nibble < 10 {
                b'0' + nibble
            } else {
                b'a' - 10 + nibble
            }
        };
        let mut text = [0; 64];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        into.extend_from_slice(&text);
    }
}

/// Of a hexadecimal digit; more than 15 for anything else.
fn value_of(digit: u8) -> u8 {
    let number = digit.wrapping_sub(b'0');
    let letter = digit.wrapping_sub(b'a');
    if number < 10 {
        number
    } else if letter < 6 {
        letter + 10
    } else {
        u8::MAX
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The time of records as text. Records come many in a second, so the date is
/// made once for each.
#[derive(Debug, Default)]
pub(super) struct Stamp {
    second: Option<i64>,
    text: String,
}

impl Stamp {
    /// Milliseconds since 1970 as RFC 3339 in UTC; what is out of its range is
    /// told as the nearest that is not.
    pub(super) fn push(&mut self, millis: i64, into: &mut Vec<u8>) {
        let millis = millis.clamp(0, MILLIS_MAX);
        let second = millis / 1000;
        if self.second != Some(second) {
            let time = DateTime::from_timestamp(second, 0).unwrap_or_default();
            self.text = time.format("%Y-%m-%dT%H:%M:%S").to_string();
            self.second = Some(second);
        }
        into.extend_from_slice(self.text.as_bytes());
        let [.., a, b, c] = (millis % 1000 + 1000).to_string().into_bytes()[..] else {
            return;
        };
        into.extend_from_slice(&[b'.', a, b, c, b'Z']);
    }
}

/// A time as text.
pub(super) fn rfc3339(millis: i64) -> String {
    let mut text = Vec::new();
    Stamp::default().push(millis, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

/// The other way round: only what is written exactly so is a time.
pub(super) fn millis_of(time: &str) -> Option<i64> {
    let text: &[u8; 24] = time.as_bytes().try_into().ok()?;
    for (at, separator) in [
        (4, b'-'),
        (7, b'-'),
        (10, b'T'),
        (13, b':'),
        (16, b':'),
        (19, b'.'),
    ] {
        if text.get(at) != Some(&separator) {
            return None;
        }
    }
    let number = |from: usize, to: usize| {
        let digits = text.get(from..to)?.iter();
        digits.copied().try_fold(0, |number: u32, digit| {
            let value = char::from(digit).to_digit(10)?;
            Some(number * 10 + value)
        })
    };
    let year = i32::try_from(number(0, 4)?).ok()?;
    let date = NaiveDate::from_ymd_opt(year, number(5, 7)?, number(8, 10)?)?;
    let clock = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let time = date.and_hms_milli_opt(clock.0, clock.1, clock.2, number(20, 23)?)?;
    let millis = time.and_utc().timestamp_millis();
    (millis >= 0 && text.ends_with(b"Z")).then_some(millis)
}

/// Writes the head of a line, up to its members.
pub(super) fn push_head(
    into: &mut Vec<u8>,
    (seq, millis): (u64, i64),
    stamp: &mut Stamp,
    prev: &Hash,
    durable: &str,
) {
    into.extend_from_slice(b"{\"v\":1,\"seq\":");
    into.extend_from_slice(seq.to_string().as_bytes());
    into.extend_from_slice(b",\"time\":\"");
    stamp.push(millis, into);
    into.extend_from_slice(b"\",\"prev\":\"");
    prev.push(into);
    into.extend_from_slice(b"\",\"durable\":\"");
    into.extend_from_slice(durable.as_bytes());
    into.extend_from_slice(b"\",");
}

/// What every line begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head<'a> {
    /// The number of the record: the first of a log is 1, and there are no holes.
    pub seq: u64,
    /// When it was submitted, in milliseconds since 1970.
    pub millis: i64,
    /// The hash of the line before.
    pub prev: Hash,
    /// `sync`, or within what time it was to be durable, such as `200ms`.
    pub durable: &'a str,
    /// The rest, without the closing brace: `"kind":...`.
    pub members: &'a str,
}

/// Reads the head of a line without its newline.
///
/// # Errors
/// What is wrong with it, as the end of a sentence that begins with the line.
pub fn parse(line: &[u8]) -> Result<Head<'_>, &'static str> {
    parse_text(str::from_utf8(line).map_err(|_| "is not UTF-8")?)
}

/// The same of a line that is known to be text.
///
/// # Errors
/// As [`parse`].
pub fn parse_text(line: &str) -> Result<Head<'_>, &'static str> {
    let (version, rest) = version(line)?;
    if version != "1" {
        return Err(LATER);
    }
    let rest = rest.strip_prefix("\"seq\":").ok_or("has no `seq`")?;
    let (seq, rest) = rest.split_once(',').ok_or("is cut short")?;
    let number: u64 = seq.parse().map_err(|_| "has a `seq` that is no number")?;
    // `u64` reads a sign and zeros in front, too.
    if !seq.starts_with(|digit: char| matches!(digit, '1'..='9')) || number == u64::MAX {
        return Err("has a `seq` that is not as we write it");
    }
    let rest = rest.strip_prefix("\"time\":\"").ok_or("has no `time`")?;
    let (time, rest) = rest.split_once('"').ok_or("is cut short")?;
    let millis = millis_of(time).ok_or("has a `time` that is not as we write it")?;
    let rest = rest.strip_prefix(",\"prev\":\"").ok_or("has no `prev`")?;
    let (prev, rest) = rest.split_once('"').ok_or("is cut short")?;
    let rest = rest
        .strip_prefix(",\"durable\":\"")
        .ok_or("has no `durable`")?;
    let prev = Hash::parse(prev).ok_or("has a `prev` that is no hash")?;
    let (durable, rest) = rest.split_once("\",").ok_or("has no members")?;
    let members = rest.strip_suffix('}').ok_or("does not end in a brace")?;
    if !members.starts_with("\"kind\":\"") {
        return Err("has no `kind`");
    }
    Ok(Head {
        seq: number,
        millis,
        prev,
        durable,
        members,
    })
}

/// The version of a line, and what follows its comma.
fn version(line: &str) -> Result<(&str, &str), &'static str> {
    let rest = line.strip_prefix("{\"v\":").ok_or("has no `v`")?;
    rest.split_once(',').ok_or("is cut short")
}

/// The version of a line that is [`LATER`], if it is another number.
pub fn later(line: &str) -> Option<u64> {
    let number = version(line).ok()?.0.parse().ok();
    number.filter(|number| *number != VERSION)
}

impl Head<'_> {
    /// What kind of record it is.
    pub fn kind(&self) -> &str {
        let rest = self.members.strip_prefix("\"kind\":\"");
        rest.and_then(|rest| rest.split_once('"'))
            .map_or("", |(kind, _)| kind)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Hash;
    use super::MILLIS_MAX;
    use super::Stamp;
    use super::millis_of;
    use super::parse;
    use super::push_head;
    use super::rfc3339;

    fn line(seq: u64, millis: i64, prev: Hash) -> Vec<u8> {
        let mut line = Vec::new();
        push_head(
            &mut line,
            (seq, millis),
            &mut Stamp::default(),
            &prev,
            "200ms",
        );
        line.extend_from_slice(b"\"kind\":\"start\",\"a\":1}");
        line
    }

    #[test]
    fn a_line_is_as_documented() {
        let text = String::from_utf8(line(7, 1_769_860_800_042, Hash::of(b"abc"))).unwrap();
        assert_eq!(
            text,
            "{\"v\":1,\"seq\":7,\"time\":\"2026-01-31T12:00:00.042Z\",\"prev\":\
             \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\",\
             \"durable\":\"200ms\",\"kind\":\"start\",\"a\":1}"
        );
    }

    proptest! {
        /// Seen to fail when milliseconds are not padded.
        #[test]
        fn a_head_is_read_as_it_was_written(seq in 1..u64::MAX, millis in 0..=MILLIS_MAX, prev: [u8; 32]) {
            let line = line(seq, millis, Hash::from_bytes(prev));
            let head = parse(&line).unwrap();
            prop_assert_eq!((head.seq, head.millis), (seq, millis));
            prop_assert_eq!(head.prev.as_bytes(), &prev);
            prop_assert_eq!((head.durable, head.kind()), ("200ms", "start"));
            prop_assert_eq!(head.members, "\"kind\":\"start\",\"a\":1");
        }

        /// What chrono makes of a time and writes back the same way is a time, and
        /// nothing else is. Seen to fail when any byte may end it.
        #[test]
        fn a_time_is_read_as_it_is_written(
            millis in 0..=MILLIS_MAX,
            at in 0_usize..24,
            byte in prop::sample::select(b"0123456789-+:.TZ z".to_vec()),
        ) {
            let mut text = rfc3339(millis).into_bytes();
            text[at] = byte;
            let text = String::from_utf8(text).unwrap();
            let read = chrono::DateTime::parse_from_rfc3339(&text).ok();
            let read = read.map(|time| time.timestamp_millis());
            let read = read.filter(|millis| rfc3339(*millis) == text);
            prop_assert_eq!(millis_of(&text), read, "{}", text);
        }

        #[test]
        fn what_is_cut_is_refused(seq: u64, millis in 0..=MILLIS_MAX, cut in 0_usize..190) {
            let line = line(seq, millis, Hash::BEFORE_FIRST);
            prop_assert!(parse(&line[..cut.min(line.len() - 1)]).is_err());
        }
    }

    #[test]
    fn a_number_is_read_as_it_is_written() {
        let text = String::from_utf8(line(7, 0, Hash::BEFORE_FIRST)).unwrap();
        for (seq, is_good) in [
            ("7", true),
            ("18446744073709551614", true),
            ("0", false),
            ("07", false),
            ("+7", false),
            ("-7", false),
            ("", false),
            // There is none behind it.
            ("18446744073709551615", false),
            ("18446744073709551616", false),
        ] {
            let text = text.replace("\"seq\":7", &format!("\"seq\":{seq}"));
            assert_eq!(parse(text.as_bytes()).is_ok(), is_good, "{seq}");
        }
    }

    #[test]
    fn times_out_of_range_are_told_as_the_nearest() {
        for (millis, told) in [
            (-5, 0),
            (MILLIS_MAX + 1, MILLIS_MAX),
            (i64::MAX, MILLIS_MAX),
        ] {
            let line = line(1, millis, Hash::BEFORE_FIRST);
            assert_eq!(parse(&line).unwrap().millis, told);
        }
    }
}
