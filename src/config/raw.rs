//! Settings as written, wherever they were written.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Serialize;
use toml::de::DeTable;
use toml::de::DeValue;

use super::closest::closest;
use super::fault::ConfigFault;
use super::fault::Origin;
use super::keys::KEYS;
use super::keys::find;
use crate::engine::fault::Lines;

/// A value as written. Variables and flags are text, which is read as the key
/// asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// `true`, `false`
    Flag(bool),
    /// A whole number.
    Number(u64),
    /// Text.
    Text(String),
    /// Texts.
    List(Vec<String>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
            Self::List(items) => f.write_str(&items.join(", ")),
        }
    }
}

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The value.
    pub value: Value,
    /// Where.
    pub origin: Origin,
}

/// What one source sets, by the path of the key.
pub type Raw = BTreeMap<String, Written>;

/// Reads the text of a configuration file.
///
/// The table is walked by hand instead of by serde, which stops at the first
/// unknown key and forgets the lines.
pub fn from_file(path: &Path, text: &str, faults: &mut Vec<ConfigFault>) -> Raw {
    let mut file = File {
        path,
        lines: Lines::new(text),
        faults,
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let at = error.span().map_or(0, |span| span.start);
        file.fault(
            String::new(),
            at,
            error.message(),
            "the file is TOML: `[section]`, then `key = value` lines",
        );
    }
    let mut raw = Raw::new();
    for (section, value) in table.get_ref() {
        let at = section.span().start;
        let section: &str = section.get_ref();
        let sections = || KEYS.iter().map(|key| key.section);
        let known = sections().any(|known| known == section);
        match (known, value.get_ref()) {
            (true, DeValue::Table(keys)) => {
                for (name, value) in keys {
                    let path = format!("{section}.{}", name.get_ref());
                    file.setting(path, name.span().start, value.get_ref(), &mut raw);
                }
            }
            (true, _) => file.fault(
                section.to_owned(),
                at,
                "is a section",
                &format!("write `[{section}]`, then its keys"),
            ),
            (false, value) if !value.is_table() => {
                let hint = unknown_key_hint(section);
                file.fault(section.to_owned(), at, "is not a section", &hint);
            }
            (false, _) => {
                let hint = closest(section, sections()).map_or_else(
                    || "see `deodar config keys`".to_owned(),
                    |close| format!("did you mean `[{close}]`?"),
                );
                file.fault(section.to_owned(), at, "is not a section", &hint);
            }
        }
    }
    raw
}

struct File<'a> {
    path: &'a Path,
    lines: Lines,
    faults: &'a mut Vec<ConfigFault>,
}

impl File<'_> {
    fn setting(&mut self, path: String, at: usize, value: &DeValue<'_>, raw: &mut Raw) {
        if find(&path).is_none() {
            let hint = unknown_key_hint(&path);
            self.fault(path, at, "is not a key", &hint);
            return;
        }
        if let Some(value) = plain(value) {
            let origin = self.origin(at);
            raw.insert(path, Written { value, origin });
        } else {
            let reason = format!("cannot be {}", article(value.type_str()));
            let hint = "write text, a whole number from 0, `true`, `false`, or a list of texts";
            self.fault(path, at, &reason, hint);
        }
    }

    fn origin(&self, at: usize) -> Origin {
        Origin::File {
            path: self.path.to_owned(),
            line: self.lines.line(at),
        }
    }

    fn fault(&mut self, key: String, at: usize, reason: &str, hint: &str) {
        let origin = self.origin(at);
        self.faults.push(ConfigFault {
            key,
            value: None,
            origin,
            reason: reason.to_owned(),
            hint: hint.to_owned(),
        });
    }
}

fn article(kind: &str) -> String {
    let vowel = kind.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {kind}", if vowel { "an" } else { "a" })
}

/// The values that keys take; `None` for others, such as dates.
fn plain(value: &DeValue<'_>) -> Option<Value> {
    match value {
        DeValue::String(text) => Some(Value::Text(text.to_string())),
        DeValue::Boolean(flag) => Some(Value::Flag(*flag)),
        DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix())
            .ok()
            .map(Value::Number),
        DeValue::Array(items) => {
            let texts = items
                .iter()
                .map(|item| item.get_ref().as_str().map(str::to_owned));
            texts.collect::<Option<_>>().map(Value::List)
        }
        _ => None,
    }
}

/// What was probably meant by a key that does not exist.
pub fn unknown_key_hint(path: &str) -> String {
    let paths: Vec<String> = KEYS.iter().map(super::keys::Key::path).collect();
    let same_name = || {
        let name = path.rsplit('.').next()?;
        KEYS.iter()
            .find(|key| key.name == name)
            .map(super::keys::Key::path)
    };
    closest(path, paths.iter().map(String::as_str))
        .map(str::to_owned)
        .or_else(same_name)
        .map_or_else(
            || "see `deodar config keys`".to_owned(),
            |close| format!("did you mean `{close}`?"),
        )
}
