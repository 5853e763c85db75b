//! Constants that are a little off.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use chrono::DateTime;
use chrono::NaiveDate;
use chrono::NaiveTime;
use chrono::TimeDelta;

/// What stands in the place of the text that a constructor takes: `duration`,
/// `datetime`, `decimal` or `ip`. None for another function, or what cannot be
/// read.
pub fn neighbours(constructor: &str, text: &str) -> Vec<String> {
    match constructor {
        "duration" => durations(text),
        "datetime" => datetimes(text),
        "decimal" => decimals(text),
        "ip" => network(text).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// The numbers one above and one below.
pub fn numbers(text: &str) -> Vec<String> {
    let Ok(number) = text.parse::<i64>() else {
        return Vec::new();
    };
    let off = [number.checked_add(1), number.checked_sub(1)];
    off.into_iter()
        .flatten()
        .map(|number| number.to_string())
        // The sign is a token of its own.
        .filter(|text| !text.starts_with('-'))
        .collect()
}

/// In milliseconds, the largest first.
const UNITS: [(&str, u32); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

const MINUTE_MS: i64 = 60_000;

fn durations(text: &str) -> Vec<String> {
    let Some(millis) = millis(text) else {
        return Vec::new();
    };
    let off = [millis.checked_add(MINUTE_MS), millis.checked_sub(MINUTE_MS)];
    off.into_iter().flatten().map(duration).collect()
}

fn millis(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let mut sum: i64 = 0;
    while !rest.is_empty() {
        let is_digit = |letter: char| letter.is_ascii_digit();
        let digits = rest.find(|letter: char| !is_digit(letter))?;
        let number: i64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let letters = rest.find(is_digit).unwrap_or(rest.len());
        let name = rest.get(..letters)?;
        let (_, factor) = UNITS.iter().find(|(unit, _)| *unit == name)?;
        rest = rest.get(letters..)?;
        sum = sum.checked_add(number.checked_mul((*factor).into())?)?;
    }
    Some(sum * sign)
}

/// As people write it, the largest units first.
fn duration(millis: i64) -> String {
    let sign = if millis < 0 { "-" } else { "" };
    let mut left = millis.unsigned_abs();
    let mut text = sign.to_owned();
    for (unit, size) in UNITS {
        let size = u64::from(size);
        if left >= size {
            write!(text, "{}{unit}", left / size).ok();
            left %= size;
        }
    }
    if millis == 0 {
        text.push_str("0s");
    }
    text
}

fn datetimes(text: &str) -> Vec<String> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .map(|date| date.and_time(NaiveTime::MIN).and_utc());
    // Cedar writes zones without a colon, which this takes as well.
    let time =
        || DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%#z").map(|time| time.to_utc());
    let Ok(time) = date.or_else(|_| time()) else {
        return Vec::new();
    };
    let format = if time.timestamp_subsec_millis() == 0 {
        "%Y-%m-%dT%H:%M:%SZ"
    } else {
        "%Y-%m-%dT%H:%M:%S%.3fZ"
    };
    [1, -1]
        .into_iter()
        .filter_map(|minutes| time.checked_add_signed(TimeDelta::minutes(minutes)))
        .map(|time| time.format(format).to_string())
        .collect()
}

fn decimals(text: &str) -> Vec<String> {
    let digits: String = text.chars().filter(|letter| *letter != '.').collect();
    let places = text
        .split_once('.')
        .map_or(0, |(_, fraction)| fraction.len());
    // A decimal has one digit after the point at least, and four at most.
    let step = 10_i64.checked_pow(u32::try_from(places).unwrap_or(u32::MAX).wrapping_sub(1));
    let (Ok(number), Some(step)) = (digits.parse::<i64>(), step) else {
        return Vec::new();
    };
    let write = |number: i64| {
        let sign = if number < 0 { "-" } else { "" };
        let digits = format!("{:0>width$}", number.unsigned_abs(), width = places + 1);
        let point = digits.len() - places;
        let (whole, fraction) = digits.split_at_checked(point)?;
        Some(format!("{sign}{whole}.{fraction}"))
    };
    let off = [number.checked_add(step), number.checked_sub(step)];
    off.into_iter().flatten().filter_map(write).collect()
}

/// The network beside this one; of an address, the address beside it.
fn network(text: &str) -> Option<String> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix.parse::<u32>().ok()?)),
        None => (text, None),
    };
    let shown = |address: IpAddr| match prefix {
        Some(prefix) => format!("{address}/{prefix}"),
        None => address.to_string(),
    };
    match address.parse::<IpAddr>().ok()? {
        IpAddr::V4(address) => {
            let bit = 32_u32.checked_sub(prefix.unwrap_or(32))?;
            let flipped = address.to_bits() ^ 1_u32.checked_shl(bit)?;
            Some(shown(IpAddr::V4(Ipv4Addr::from_bits(flipped))))
        }
        IpAddr::V6(address) => {
            let bit = 128_u32.checked_sub(prefix.unwrap_or(128))?;
            let flipped = address.to_bits() ^ 1_u128.checked_shl(bit)?;
            Some(shown(IpAddr::V6(Ipv6Addr::from_bits(flipped))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::neighbours;
    use super::numbers;

    #[test]
    fn constants_are_a_little_off() {
        let table: [(&str, &str, &[&str]); 14] = [
            ("duration", "24h", &["1d1m", "23h59m"]),
            ("duration", "-1m", &["0s", "-2m"]),
            ("duration", "1d2h3m4s5ms", &["1d2h4m4s5ms", "1d2h2m4s5ms"]),
            ("duration", "x", &[]),
            (
                "datetime",
                "2026-01-01",
                &["2026-01-01T00:01:00Z", "2025-12-31T23:59:00Z"],
            ),
            (
                "datetime",
                "2026-01-01T10:00:00.250+0100",
                &["2026-01-01T09:01:00.250Z", "2026-01-01T08:59:00.250Z"],
            ),
            ("datetime", "soon", &[]),
            ("decimal", "0.05", &["0.15", "-0.05"]),
            ("decimal", "1.0", &["1.1", "0.9"]),
            ("decimal", "1", &[]),
            ("ip", "10.0.0.0/8", &["11.0.0.0/8"]),
            ("ip", "10.0.0.1", &["10.0.0.0"]),
            ("ip", "::1/128", &["::/128"]),
            ("ip", "0.0.0.0/0", &[]),
        ];
        for (constructor, text, wanted) in table {
            assert_eq!(
                neighbours(constructor, text),
                wanted,
                "{constructor} {text}"
            );
        }
        assert_eq!(numbers("5"), ["6", "4"]);
        assert_eq!(numbers("0"), ["1"]);
        assert_eq!(numbers("9223372036854775807"), ["9223372036854775806"]);
    }
}
