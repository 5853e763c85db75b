//! `@cache_ttl("30s")`: how long callers may keep an answer that a policy made.

use std::time::Duration;

/// Callers keep nothing longer than this.
const LONGEST: Duration = Duration::from_hours(24);

/// Reads a whole number with one of the units `ms`, `s`, `m`, `h`, up to a day.
pub fn parse(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let millis = match unit {
        "ms" => number,
        "s" => number.checked_mul(1000)?,
        "m" => number.checked_mul(60_000)?,
        "h" => number.checked_mul(3_600_000)?,
        _ => return None,
    };
    Some(Duration::from_millis(millis)).filter(|kept| *kept <= LONGEST)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::parse;

    #[test]
    fn a_number_and_a_unit() {
        assert_eq!(parse("0s"), Some(Duration::ZERO));
        assert_eq!(parse("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse("24h"), Some(Duration::from_hours(24)));
        for bad in [
            "",
            "s",
            "5",
            "25h",
            "-1s",
            "1 s",
            "1.5s",
            "99999999999999999999ms",
            "1d",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
