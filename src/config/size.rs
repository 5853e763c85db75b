//! Sizes in bytes as people write them: `1MiB`, `64KiB`, `8192`.

use super::fault::Refusal;

const UNITS: [(&str, u64); 7] = [
    ("", 1),
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1000),
    ("MB", 1_000_000),
];

/// Parses a whole number of bytes, with or without a unit.
///
/// # Errors
/// When the unit is unknown or the number is not a whole one.
pub fn parse(text: &str) -> Result<u64, Refusal> {
    let refusal = || {
        Refusal::new(
            "is not a size",
            "write bytes, or a whole number and a unit: `8192`, `64KiB`, `1MiB`",
        )
    };
    let digits = text.chars().take_while(char::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).unwrap_or((text, ""));
    let number: u64 = number.parse().map_err(|_| refusal())?;
    UNITS
        .iter()
        .find(|(name, _)| *name == unit.trim_start())
        .and_then(|(_, bytes)| number.checked_mul(*bytes))
        .ok_or_else(refusal)
}

/// The shortest exact way to write a size.
pub fn shown(bytes: u64) -> String {
    let binary = UNITS.get(2..5).unwrap_or_default();
    let fits = binary
        .iter()
        .rev()
        .find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit));
    fits.map_or_else(
        || bytes.to_string(),
        |(name, unit)| format!("{}{name}", bytes / unit),
    )
}

#[cfg(test)]
mod tests {
    use super::parse;
    use super::shown;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes) in [
            ("0", 0),
            ("8191", 8191),
            ("64KiB", 65_536),
            ("1MiB", 1 << 20),
            ("2GiB", 2 << 30),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
            assert_eq!(shown(bytes), text);
        }
        assert_eq!(parse("1 MB"), Ok(1_000_000));
        for text in ["", "MiB", "-1", "1.5MiB", "1mib", "99999999999GiB"] {
            assert_eq!(parse(text).unwrap_err().reason, "is not a size", "{text}");
        }
    }
}
