//! Times as people and other systems write them.

use cedar_policy_core::ast::Value;

use super::value::Extension;

/// Parses a time as RFC 3339 writes it, or a date, into a Cedar `datetime`.
///
/// Cedar takes no colon in the offset and milliseconds or nothing after the
/// seconds, so both are brought into its form; digits past the milliseconds
/// are dropped.
///
/// # Errors
/// When it is no time.
pub fn parse(text: &str) -> Result<Value, String> {
    let problem = || {
        format!("`{text}` is not a time such as 2026-11-22T03:12:00Z or 2026-11-22T04:12:00+01:00")
    };
    Extension::Datetime
        .parse(&in_cedar_form(text))
        .map_err(|_| problem())
}

fn in_cedar_form(text: &str) -> String {
    let Some((date, time)) = text.split_once(['T', 't', ' ']) else {
        return text.to_owned();
    };
    let at = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
    let (clock, offset) = time.split_at_checked(at).unwrap_or((time, ""));
    let clock = match clock.split_once('.') {
        Some((clock, fraction)) if fraction.bytes().all(|byte| byte.is_ascii_digit()) => {
            let millis: String = fraction.chars().chain("000".chars()).take(3).collect();
            format!("{clock}.{millis}")
        }
        _ => clock.to_owned(),
    };
    let offset = offset.replace(':', "").to_uppercase();
    format!("{date}T{clock}{offset}")
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn every_way_to_write_one_time_is_the_same_time() {
        let time = parse("2026-11-22T03:12:00Z").unwrap();
        for text in [
            "2026-11-22t03:12:00z",
            "2026-11-22 03:12:00Z",
            "2026-11-22T04:12:00+01:00",
            "2026-11-22T04:12:00+0100",
            "2026-11-22T03:12:00.0Z",
            "2026-11-22T03:12:00.000999Z",
        ] {
            assert_eq!(parse(text).unwrap(), time, "{text}");
        }
        for text in [
            "",
            "now",
            "2026-13-01",
            "2026-11-22T03:12:00",
            "2026-11-22T03:12:00.xZ",
            "T",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("2026-11-22").is_ok());
    }
}
