//! Cedar values made without Cedar's expression parser.
//!
//! A context built through restricted expressions costs tens of microseconds;
//! built from values directly, well below one.

use std::cell::RefCell;
use std::sync::LazyLock;

use cedar_policy_core::ast::ExtensionFunction;
use cedar_policy_core::ast::Name;
use cedar_policy_core::ast::Value;
use chrono::DateTime;
use chrono::Datelike as _;
use chrono::Timelike as _;
use chrono::Utc;
use thiserror::Error;

use super::extensions::extensions;

/// A value of an extension type whose text Cedar does not accept.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not {kind}: {reason}")]
pub struct ExtensionError {
    text: String,
    kind: &'static str,
    reason: String,
}

/// The extension types of Cedar 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extension {
    /// `ipaddr`: an IPv4 or IPv6 address or range.
    Ip,
    /// `decimal`: four digits after the point.
    Decimal,
    /// `datetime`: milliseconds since 1970, written as in ISO 8601.
    Datetime,
    /// `duration`: written as `1d2h3m4s5ms`.
    Duration,
}

impl Extension {
    /// Parses the text that the constructor of this type takes.
    ///
    /// # Errors
    /// Names the text and what Cedar says of it.
    pub fn parse(self, text: &str) -> Result<Value, ExtensionError> {
        let error = |reason: String| ExtensionError {
            text: text.to_owned(),
            kind: self.article_and_name(),
            reason,
        };
        let function = self
            .constructor()
            .ok_or_else(|| error("this build of Cedar lacks it".to_owned()))?;
        let value = function
            .call(&[Value::from(text)])
            .map_err(|fault| error(fault.to_string()))?;
        Value::try_from(value).map_err(|fault| error(fault.to_string()))
    }

    fn article_and_name(self) -> &'static str {
        match self {
            Self::Ip => "an ip address or range",
            Self::Decimal => "a decimal",
            Self::Datetime => "a datetime",
            Self::Duration => "a duration",
        }
    }

    fn constructor(self) -> Option<&'static ExtensionFunction> {
        static CONSTRUCTORS: LazyLock<[Option<&'static ExtensionFunction>; 4]> =
            LazyLock::new(|| ["ip", "decimal", "datetime", "duration"].map(function));
        let [ip, decimal, datetime, duration] = *CONSTRUCTORS;
        match self {
            Self::Ip => ip,
            Self::Decimal => decimal,
            Self::Datetime => datetime,
            Self::Duration => duration,
        }
    }
}

fn function(name: &str) -> Option<&'static ExtensionFunction> {
    let name = Name::parse_unqualified_name(name).ok()?;
    extensions().func(&name).ok()
}

static OFFSET: LazyLock<Option<&'static ExtensionFunction>> = LazyLock::new(|| function("offset"));

/// How many times a thread keeps.
const TIMES_KEPT: usize = 64;

thread_local! {
    /// A place for each second, more or less; a newcomer takes the place of what
    /// was there.
    static TIMES: RefCell<[Option<(i64, Value)>; TIMES_KEPT]> =
        const { RefCell::new([const { None }; TIMES_KEPT]) };
}

/// A `datetime` from milliseconds since 1970-01-01T00:00:00Z.
///
/// The same times come back: the end of a login is in every question of a
/// session. So each thread keeps the last ones.
///
/// # Errors
/// When Cedar cannot represent it.
pub fn datetime_from_millis(millis: i64) -> Result<Value, ExtensionError> {
    let place = (millis / 1000 + millis % 1000).rem_euclid(64);
    let place = usize::try_from(place).unwrap_or_default();
    TIMES.with_borrow_mut(|times| match times.get_mut(place) {
        Some(Some((of, value))) if *of == millis => Ok(value.clone()),
        Some(kept) => {
            let value = make_datetime(millis)?;
            *kept = Some((millis, value.clone()));
            Ok(value)
        }
        None => make_datetime(millis),
    })
}

/// It is made from its text, so that explanations show the time as people
/// write it; only times outside the years 0 to 9999, which have no text, are
/// made from an offset.
fn make_datetime(millis: i64) -> Result<Value, ExtensionError> {
    let written = DateTime::from_timestamp_millis(millis)
        .filter(|time| (0..=9999).contains(&time.year()))
        .map(iso_8601);
    if let Some(text) = written {
        return Extension::Datetime.parse(&text);
    }
    let epoch = Extension::Datetime.parse("1970-01-01")?;
    let offset = Extension::Duration.parse(&format!("{millis}ms"))?;
    let error = |reason: String| ExtensionError {
        text: millis.to_string(),
        kind: Extension::Datetime.article_and_name(),
        reason,
    };
    let value = OFFSET
        .ok_or_else(|| error("this build of Cedar lacks it".to_owned()))?
        .call(&[epoch, offset])
        .map_err(|fault| error(fault.to_string()))?;
    Value::try_from(value).map_err(|fault| error(fault.to_string()))
}

/// Written by hand: a format string would be parsed for every value.
fn iso_8601(time: DateTime<Utc>) -> String {
    let (year, month, day) = (time.year(), time.month(), time.day());
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    let millis = time.timestamp_subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// How deep a value is nested: a scalar is 1.
pub fn depth(value: &Value) -> usize {
    use cedar_policy_core::ast::ValueKind;
    1 + match value.value_kind() {
        ValueKind::Set(set) => set.iter().map(depth).max().unwrap_or(0),
        ValueKind::Record(fields) => fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::Extension;
    use super::datetime_from_millis;
    use super::make_datetime;

    #[test]
    fn time_in_milliseconds_is_the_time_as_text() {
        let text = Extension::Datetime
            .parse("2026-11-22T03:12:00.250Z")
            .unwrap();
        assert_eq!(datetime_from_millis(1_795_317_120_250).unwrap(), text);
        let early = Extension::Datetime.parse("1969-12-31T23:59:59Z").unwrap();
        assert_eq!(datetime_from_millis(-1000).unwrap(), early);
        for millis in [i64::MIN, -1, 0, 1, 999, 1000, 64_000, i64::MAX] {
            let [first, again] = [(); 2].map(|()| datetime_from_millis(millis));
            assert_eq!(first, again);
            assert_eq!(first, make_datetime(millis));
        }
    }

    #[test]
    fn bad_text_is_named() {
        let error = Extension::Ip.parse("10.0.0.0/99").unwrap_err().to_string();
        assert!(
            error.starts_with("`10.0.0.0/99` is not an ip address"),
            "{error}"
        );
    }
}
