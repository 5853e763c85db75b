//! A time, as people say it.

use std::str::FromStr;

use chrono::DateTime;
use chrono::NaiveDate;
use chrono::NaiveDateTime;
use chrono::NaiveTime;

const SECOND: i64 = 1000;
const DAY: i64 = 86_400 * SECOND;

/// A time, some of them told from now. All are UTC unless they say otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Milliseconds since 1970.
    At(i64),
    /// So many milliseconds ago.
    Ago(i64),
    /// The beginning of the day so many days ago.
    Day(i64),
    /// The last time that the clock showed this, in milliseconds since midnight.
    Clock(i64),
}

impl When {
    /// In milliseconds since 1970, when it is `now`.
    pub fn resolve(self, now: i64) -> i64 {
        let midnight = now - now.rem_euclid(DAY);
        match self {
            Self::At(millis) => millis,
            Self::Ago(millis) => now.saturating_sub(millis),
            Self::Day(ago) => midnight - ago * DAY,
            Self::Clock(millis) if midnight + millis <= now => midnight + millis,
            Self::Clock(millis) => midnight - DAY + millis,
        }
    }
}

impl When {
    /// As [`When::resolve`], for the end of what began at `since`: by the clock, from
    /// 23:50 until 00:10 is 20 minutes, and from 03:10 until 03:15 is meant at 03:12,
    /// too.
    pub fn resolve_after(self, since: Option<Self>, now: i64) -> i64 {
        let millis = self.resolve(now);
        match (self, since) {
            (Self::Clock(_), Some(since @ Self::Clock(_))) if millis <= since.resolve(now) => {
                millis + DAY
            }
            _ => millis,
        }
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "now" => return Ok(Self::Ago(0)),
            "today" => return Ok(Self::Day(0)),
            "yesterday" => return Ok(Self::Day(1)),
            _ => {}
        }
        ago(text)
            .or_else(|| clock(text))
            .or_else(|| date(text))
            .ok_or_else(|| {
                "not a time such as 2h, 7d, 03:12, yesterday, 2026-11-22, 2026-11-22T03:12 or \
                 2026-11-22T04:12:00+01:00"
                    .to_owned()
            })
    }
}

fn ago(text: &str) -> Option<When> {
    let unit = text.chars().next_back()?;
    let number: i64 = text.strip_suffix(unit)?.parse().ok()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return None,
    };
    let millis = number.checked_mul(seconds * SECOND)?;
    (number >= 0).then_some(When::Ago(millis))
}

fn clock(text: &str) -> Option<When> {
    let formats = ["%H:%M", "%H:%M:%S"];
    let time = formats
        .iter()
        .find_map(|format| NaiveTime::parse_from_str(text, format).ok())?;
    let since = time.signed_duration_since(NaiveTime::MIN);
    Some(When::Clock(since.num_milliseconds()))
}

fn date(text: &str) -> Option<When> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(When::At(time.timestamp_millis()));
    }
    let bare = text.strip_suffix('Z').unwrap_or(text).replace(' ', "T");
    let formats = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S%.f"];
    let time = formats
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(&bare, format).ok());
    let day = || {
        NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .ok()?
            .and_hms_opt(0, 0, 0)
    };
    let time = time.or_else(day)?;
    Some(When::At(time.and_utc().timestamp_millis()))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::When;

    /// Seen to fail when the end of a time is the last time that the clock showed it.
    #[test]
    fn a_time_ends_after_its_beginning() {
        for (now, since, until, minutes) in [
            ("03:12", "03:10", "03:15", 5),
            ("04:00", "03:10", "03:15", 5),
            ("23:55", "23:50", "00:10", 20),
            ("00:05", "23:50", "00:10", 20),
            ("01:00", "23:50", "00:10", 20),
            ("03:12", "03:12", "03:12", 24 * 60),
            ("03:12", "today", "03:10", 190),
            ("03:12", "1h", "02:00", -12),
            ("03:12", "2d", "03:00", 2 * 24 * 60 - 12),
        ] {
            let now = DateTime::parse_from_rfc3339(&format!("2026-11-22T{now}:00Z")).unwrap();
            let now = now.timestamp_millis();
            let [since, until] = [since, until].map(|text| text.parse::<When>().unwrap());
            let from = since.resolve(now);
            let until = until.resolve_after(Some(since), now);
            assert_eq!(until - from, minutes * 60_000, "{since:?} {until}");
        }
        let until: When = "03:00".parse().unwrap();
        assert_eq!(until.resolve_after(None, 0), until.resolve(0));
    }

    #[test]
    fn times_are_read_as_people_say_them() {
        let now = DateTime::parse_from_rfc3339("2026-11-22T03:12:30Z").unwrap();
        for (text, expected) in [
            ("now", "2026-11-22T03:12:30Z"),
            ("90s", "2026-11-22T03:11:00Z"),
            ("2h", "2026-11-22T01:12:30Z"),
            ("1w", "2026-11-15T03:12:30Z"),
            ("today", "2026-11-22T00:00:00Z"),
            ("yesterday", "2026-11-21T00:00:00Z"),
            ("03:12", "2026-11-22T03:12:00Z"),
            ("03:12:31", "2026-11-21T03:12:31Z"),
            ("2026-11-01", "2026-11-01T00:00:00Z"),
            ("2026-11-01 03:10", "2026-11-01T03:10:00Z"),
            ("2026-11-01T03:10:05", "2026-11-01T03:10:05Z"),
            ("2026-11-01T03:10Z", "2026-11-01T03:10:00Z"),
            ("2026-11-01T04:10:00+01:00", "2026-11-01T03:10:00Z"),
        ] {
            let when: When = text.parse().unwrap();
            let millis = when.resolve(now.timestamp_millis());
            let expected = DateTime::parse_from_rfc3339(expected).unwrap();
            assert_eq!(millis, expected.timestamp_millis(), "{text}");
        }
        for bad in [
            "",
            "h",
            "-2h",
            "2x",
            "25:00",
            "tomorrow",
            "2026-13-01",
            "\u{e4}",
        ] {
            assert!(bad.parse::<When>().is_err(), "{bad}");
        }
    }
}
