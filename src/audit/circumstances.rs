//! What a decision was made on besides its question: enough of it to tell whether
//! that of two decisions differs.

use std::hash::DefaultHasher;
use std::hash::Hash as _;
use std::hash::Hasher as _;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;

/// Keys of a context that are told apart; the others are one.
const KEYS_MAX: usize = 32;
/// What the others are called.
const OTHERS: &str = "(others)";

/// What a decision was made on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// The revision of the directory.
    pub directory: String,
    /// Something was taken out, so that a difference may not show.
    pub is_redacted: bool,
    /// The keys of the context, each with a hash of its value.
    context: Vec<(String, u64)>,
    /// A hash of what tells of the entities that were carried.
    entities: u64,
}

/// The members that tell.
#[derive(Default, Deserialize)]
struct Told {
    #[serde(default)]
    context: Keys,
    #[serde(default)]
    entities_digest: Print,
    #[serde(default)]
    redacted: Print,
    #[serde(default)]
    shortened: Print,
}

impl Circumstances {
    /// Reads the line of a decision that was made on this revision of the
    /// directory.
    pub fn read(line: &str, directory: &str) -> Self {
        let told: Option<Told> = serde_json::from_str(line).ok();
        let told = told.unwrap_or_default();
        Self {
            directory: directory.to_owned(),
            is_redacted: [told.redacted, told.shortened].contains(&Print::of('b', &true)),
            context: told.context.0,
            entities: told.entities_digest.0,
        }
    }

    /// What differs, by name: `directory`, `entities`, `context.<key>`.
    pub fn differing(&self, other: &Self) -> Vec<String> {
        let mut names = Vec::new();
        if self.directory != other.directory {
            names.push("directory".to_owned());
        }
        if self.entities != other.entities {
            names.push("entities".to_owned());
        }
        let differs = |(key, print): &(String, u64), others: &[(String, u64)]| {
            let same = others.iter().find(|(other, _)| other == key);
            same.is_none_or(|(_, other)| other != print)
        };
        let mut keys: Vec<&str> = Vec::new();
        for (ours, theirs) in [(self, other), (other, self)] {
            let differing = ours.context.iter();
            let differing = differing.filter(|entry| differs(entry, &theirs.context));
            keys.extend(differing.map(|(key, _)| key.as_str()));
        }
        keys.sort_unstable();
        keys.dedup();
        names.extend(keys.into_iter().map(|key| format!("context.{key}")));
        names
    }

    /// Bytes that it takes, roughly.
    pub(super) fn weight(&self) -> usize {
        let keys = self.context.iter().map(|(key, _)| key.len());
        let keys: usize = keys.map(|length| length + size_of::<(String, u64)>()).sum();
        size_of::<Self>() + self.directory.len() + keys
    }
}

/// A hash of a JSON value, whatever its shape.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Print(u64);

impl Print {
    /// Of a value of this shape: none is like one of another.
    fn of(shape: char, value: &impl std::hash::Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        (shape, value).hash(&mut hasher);
        Self(hasher.finish())
    }
}

impl<'de> Deserialize<'de> for Print {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PrintVisitor)
    }
}

struct PrintVisitor;

impl<'de> Visitor<'de> for PrintVisitor {
    type Value = Print;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Print, E> {
        Ok(Print::of('b', &value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Print, E> {
        Ok(Print::of('i', &value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Print, E> {
        Ok(Print::of('u', &value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Print, E> {
        Ok(Print::of('f', &value.to_bits()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Print, E> {
        Ok(Print::of('s', &value))
    }

    fn visit_unit<E>(self) -> Result<Print, E> {
        Ok(Print::of('n', &()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Print, A::Error> {
        let mut prints: Vec<u64> = Vec::new();
        while let Some(Print(item)) = items.next_element()? {
            prints.push(item);
        }
        Ok(Print::of('l', &prints))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Print, A::Error> {
        // In the order in which they are written, which is one for equal values.
        let mut prints: Vec<(u64, u64)> = Vec::new();
        while let Some((Print(name), Print(value))) = fields.next_entry()? {
            prints.push((name, value));
        }
        Ok(Print::of('m', &prints))
    }
}

/// The members of an object.
#[derive(Debug, Default)]
struct Keys(Vec<(String, u64)>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(KeysVisitor)
    }
}

struct KeysVisitor;

impl<'de> Visitor<'de> for KeysVisitor {
    type Value = Keys;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Keys, A::Error> {
        let mut keys = Vec::new();
        let mut others = DefaultHasher::new();
        while let Some((name, Print(value))) = fields.next_entry::<String, Print>()? {
            if keys.len() < KEYS_MAX {
                keys.push((name, value));
            } else {
                (name, value).hash(&mut others);
            }
        }
        if keys.len() == KEYS_MAX {
            keys.push((OTHERS.to_owned(), others.finish()));
        }
        Ok(Keys(keys))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Circumstances;

    fn read(record: &serde_json::Value) -> Circumstances {
        Circumstances::read(&record.to_string(), "d-1")
    }

    #[test]
    fn what_differs_is_named() {
        let record = json!({
            "context": {"ip": {"__extn": {"fn": "ip", "arg": "10.0.0.1"}}, "n": 1, "s": [1, "a", null]},
            "entities_digest": "sha256:aa",
        });
        let one = read(&record);
        assert!(one.differing(&one).is_empty());
        let with = |path: &str, value| {
            let mut changed = record.clone();
            *changed.pointer_mut(path).unwrap() = value;
            one.differing(&read(&changed))
        };
        assert_eq!(
            with("/context/ip/__extn/arg", json!("10.0.0.2")),
            ["context.ip"]
        );
        assert_eq!(with("/context/n", json!("1")), ["context.n"]);
        assert_eq!(with("/context/n", json!(-1)), ["context.n"]);
        assert_eq!(with("/context/s/1", json!("b")), ["context.s"]);
        assert_eq!(with("/context/s/2", json!([])), ["context.s"]);
        assert_eq!(
            with("/context", json!({"n": 1, "m": 2.5})),
            ["context.ip", "context.m", "context.s"]
        );
        assert_eq!(with("/entities_digest", json!("sha256:ab")), ["entities"]);
        let other = Circumstances::read(&record.to_string(), "d-2");
        assert_eq!(one.differing(&other), ["directory"]);
    }

    #[test]
    fn a_context_of_many_keys_takes_little_room() {
        let many = |last: u64| {
            let keys = (0..100).map(|key| (format!("k{key:03}"), if key == 99 { last } else { 0 }));
            read(&json!({"context": keys.collect::<std::collections::BTreeMap<_, _>>()}))
        };
        assert!(many(0).weight() < 4096, "{}", many(0).weight());
        assert_eq!(many(0).differing(&many(1)), ["context.(others)"]);
    }

    #[test]
    fn redaction_is_known() {
        assert!(read(&json!({"redacted": true})).is_redacted);
        assert!(!read(&json!({"redacted": "true"})).is_redacted);
        assert_eq!(read(&json!({"context": 3})), read(&json!({})));
    }
}
