//! Durations as people write them: `200ms`, `10s`, `30m`, `1h`.

use std::time::Duration;

use super::fault::Refusal;

const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// Parses a whole number with its unit.
///
/// # Errors
/// When the unit is missing or unknown, or the number is not a whole one.
pub fn parse(text: &str) -> Result<Duration, Refusal> {
    let refusal = |reason: &str| {
        Refusal::new(
            reason,
            "write a whole number and a unit: `200ms`, `10s`, `30m`, `1h`, `1d`",
        )
    };
    let digits = text.chars().take_while(char::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).unwrap_or((text, ""));
    if unit.is_empty() && !number.is_empty() {
        return Err(refusal("has no unit"));
    }
    let number: u64 = number.parse().map_err(|_| refusal("is not a duration"))?;
    UNITS
        .iter()
        .find(|(name, _)| *name == unit.trim_start())
        .and_then(|(_, millis)| number.checked_mul(*millis))
        .map(Duration::from_millis)
        .ok_or_else(|| refusal("is not a duration"))
}

/// The shortest way to write a number of milliseconds.
pub fn shown(millis: u64) -> String {
    if millis == 0 {
        return "0s".to_owned();
    }
    let fits = UNITS
        .iter()
        .rev()
        .find(|(_, unit)| millis.is_multiple_of(*unit));
    let (name, unit) = fits.unwrap_or(&("ms", 1));
    format!("{}{name}", millis / unit)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::parse;
    use super::shown;

    #[test]
    fn every_unit_is_read_and_written() {
        for (text, millis) in [
            ("0s", 0),
            ("200ms", 200),
            ("10s", 10_000),
            ("30m", 1_800_000),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
            assert_eq!(shown(millis), text);
        }
        assert_eq!(parse("10 s"), Ok(Duration::from_secs(10)));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        assert_eq!(parse("10").unwrap_err().reason, "has no unit");
        for text in [
            "",
            "s",
            "-1s",
            "1.5s",
            "10 seconds",
            "1s ",
            "99999999999999999999s",
            "9999999999999999999d",
            "١s",
        ] {
            assert_eq!(
                parse(text).unwrap_err().reason,
                "is not a duration",
                "{text}"
            );
        }
    }
}
