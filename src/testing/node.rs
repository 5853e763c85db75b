//! YAML and JSON as a tree that knows its places, so that every fault can be
//! shown where it is.

use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;
use serde_json::Number;
use serde_saphyr::Location;
use serde_saphyr::Options;
use serde_saphyr::Spanned;
use serde_saphyr::options::DuplicateKeyPolicy;

/// A range of bytes of a file's text.
pub(super) type Place = Range<usize>;

/// Lists and maps in one another.
const DEPTH_MAX: usize = 64;
/// Values of one file, those that aliases repeat among them.
const NODES_MAX: usize = 1_000_000;
/// Those of them that aliases may repeat.
const REPEATED_MAX: usize = 300_000;

/// A value and its place.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) place: Place,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// Something is wrong with it, which has been told.
    Faulty,
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    /// In order of the file; keys may be there twice.
    Map(Vec<(Key, Node)>),
}

/// Why a text is not taken as YAML.
#[derive(Debug)]
pub(super) struct NotYaml {
    pub(super) message: String,
    pub(super) hint: &'static str,
    pub(super) place: Option<Place>,
}

impl NotYaml {
    /// Says what the parser says. It speaks to programmers of some of its limits, and
    /// of what has no name.
    fn new(parser: &str, place: Option<Place>) -> Self {
        let is = |start: &str| parser.starts_with(start);
        let (message, hint) = if is("budget breached: Documents") {
            let message = "there is more than one document in the file".to_owned();
            (message, "take `---` away, or make several files of it")
        } else if is("budget breached: Depth") || is("recursion limit") {
            let message = format!("lists and objects nest deeper than {DEPTH_MAX}");
            (message, "write it flatter")
        } else if is("alias replay") || is("alias expansion") || is("budget breached: Alias") {
            let message = format!("aliases repeat more than {REPEATED_MAX} values");
            (message, "use fewer aliases, or make several files of it")
        } else if is("budget breached") {
            let message = format!("the file is too large: at most {NODES_MAX} values are taken");
            (message, "make several files of it")
        } else if is("cannot deserialize null into string") {
            let message = "not YAML: a member has no name".to_owned();
            (
                message,
                "write the name before the colon, `null` and `~` in quotation marks",
            )
        } else {
            let hint = "see the place that is marked, and the lines before it";
            (format!("not YAML: {parser}"), hint)
        };
        Self {
            message,
            hint,
            place,
        }
    }
}

/// A key of a map and its place.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) place: Place,
}

impl Node {
    /// Parses YAML.
    ///
    /// # Errors
    /// When it is none: what is wrong, and where.
    pub(super) fn from_yaml(text: &str) -> Result<Self, NotYaml> {
        serde_saphyr::from_str_with_options(text, options()).map_err(|error| {
            let place = error.location().map(|location| error_place(text, location));
            let message = error.without_snippet().to_string();
            // The place is told beside it.
            let end = message.find(" at line ").unwrap_or(message.len());
            NotYaml::new(message.get(..end).unwrap_or_default(), place)
        })
    }

    /// Parses JSON, without places.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn from_json(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text).map(|Unplaced(value)| value.nowhere())
    }

    /// Takes a member out of a map.
    pub(super) fn remove(&mut self, name: &str) -> Option<Self> {
        let Value::Map(entries) = &mut self.value else {
            return None;
        };
        let at = entries.iter().position(|(key, _)| key.name == name)?;
        Some(entries.remove(at).1)
    }

    /// Gives a member of a map another value, or adds it.
    pub(super) fn put(&mut self, key: Key, node: Self) {
        if let Value::Map(entries) = &mut self.value {
            entries.retain(|(other, _)| other.name != key.name);
            entries.push((key, node));
        }
    }

    /// Puts this node and all within it at one place, where nothing better is
    /// known.
    pub(super) fn place_all(&mut self, place: &Place) {
        self.place = place.clone();
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|item| item.place_all(place)),
            Value::Map(entries) => {
                for (key, node) in entries {
                    key.place = place.clone();
                    node.place_all(place);
                }
            }
            _ => {}
        }
    }

    /// About how many bytes it takes, with all within.
    pub(super) fn weight(&self) -> usize {
        let own = size_of::<Self>();
        own + match &self.value {
            Value::Text(text) => text.len(),
            Value::List(items) => items.iter().map(Self::weight).sum(),
            Value::Map(entries) => {
                let weights = entries.iter();
                weights
                    .map(|(key, node)| size_of::<Key>() + key.name.len() + node.weight())
                    .sum()
            }
            _ => 0,
        }
    }

    /// What kind of value it is, for people.
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null | Value::Faulty => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "an object",
        }
    }
}

fn options() -> Options {
    let mut options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            max_nodes: NODES_MAX,
            max_events: NODES_MAX * 4,
            max_documents: 1,
            // One anchor may well be used by every case.
            enforce_alias_anchor_ratio: false,
        },
        // They are all told, with their places, when the tree is there.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
    };
    options.alias_limits.max_total_replayed_events = REPEATED_MAX;
    options
}

/// The place of an error, which may come without its bytes.
fn error_place(text: &str, location: Location) -> Place {
    if location.span().byte_offset().is_some() {
        return place_of(location);
    }
    let number = |number: u64| {
        usize::try_from(number)
            .unwrap_or(usize::MAX)
            .saturating_sub(1)
    };
    let lines = text.split_inclusive('\n');
    let before: usize = lines.take(number(location.line())).map(str::len).sum();
    let line = text.get(before..).unwrap_or_default().lines().next();
    let column = line
        .unwrap_or_default()
        .chars()
        .take(number(location.column()));
    let start = before + column.map(char::len_utf8).sum::<usize>();
    start..start
}

fn place_of(location: Location) -> Place {
    let number = |number: Option<u64>| number.and_then(|number| usize::try_from(number).ok());
    let span = location.span();
    let start = number(span.byte_offset()).unwrap_or_default();
    start..start + number(span.byte_len()).unwrap_or_default()
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found: Spanned<Value> = Spanned::deserialize(deserializer)?;
        Ok(Self {
            value: found.value,
            place: place_of(found.referenced),
        })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor { is_placed: true })
    }
}

impl Value {
    fn nowhere(self) -> Node {
        Node {
            value: self,
            place: 0..0,
        }
    }
}

/// A value of a format that tells no places.
struct Unplaced(Value);

impl<'de> Deserialize<'de> for Unplaced {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let visitor = ValueVisitor { is_placed: false };
        deserializer.deserialize_any(visitor).map(Self)
    }
}

struct ValueVisitor {
    is_placed: bool,
}

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value);
        Ok(number.map_or_else(|| Value::Text(value.to_string()), Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        if self.is_placed {
            while let Some(item) = items.next_element()? {
                list.push(item);
            }
        } else {
            while let Some(Unplaced(item)) = items.next_element()? {
                list.push(item.nowhere());
            }
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        if self.is_placed {
            while let Some(key) = entries.next_key::<Spanned<String>>()? {
                let key = Key {
                    name: key.value,
                    place: place_of(key.referenced),
                };
                map.push((key, entries.next_value()?));
            }
        } else {
            while let Some(name) = entries.next_key()? {
                let key = Key { name, place: 0..0 };
                let Unplaced(value) = entries.next_value()?;
                map.push((key, value.nowhere()));
            }
        }
        Ok(Value::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::Node;
    use super::NotYaml;
    use super::Place;
    use super::Value;

    fn shown(text: &str, node: &Node, into: &mut String) {
        let at = |place: &Place| text.get(place.clone()).unwrap();
        match &node.value {
            Value::List(items) => {
                writeln!(into, "list at {:?}", node.place).unwrap();
                for item in items {
                    shown(text, item, into);
                }
            }
            Value::Map(entries) => {
                writeln!(into, "map at {:?}", node.place).unwrap();
                for (key, node) in entries {
                    write!(into, "{} at {:?}: ", key.name, at(&key.place)).unwrap();
                    shown(text, node, into);
                }
            }
            other => writeln!(into, "{other:?} at {:?}", at(&node.place)).unwrap(),
        }
    }

    #[test]
    fn every_value_has_its_place() {
        let text = "ä: &x {b: 1, b: yes}\nlist:\n  - 2026-11-22T03:12:00Z\n  - 007\n  - \"${a}\"\n  - ${b}\n  - *x\n  - ~\n  - -5\n  - 1.5\n  - true\n<<: *x\n1: 99999999999999999999\n";
        let node = Node::from_yaml(text).unwrap();
        let mut into = String::new();
        shown(text, &node, &mut into);
        insta::assert_snapshot!(into, @r#"
        map at 0..0
        ä at "ä": map at 7..8
        b at "b": Number(Number(1)) at "1"
        b at "b": Text("yes") at "yes"
        list at "list": list at 30..30
        Text("2026-11-22T03:12:00Z") at "2026-11-22T03:12:00Z"
        Text("007") at "007"
        Text("${a}") at "\"${a}\""
        Text("${b}") at "${b}"
        map at 85..87
        b at "*x": Number(Number(1)) at "*x"
        b at "*x": Text("yes") at "*x"
        Null at "~"
        Number(Number(-5)) at "-5"
        Number(Number(1.5)) at "1.5"
        Bool(true) at "true"
        1 at "1": Number(Number(1e+20)) at "99999999999999999999"
        b at "*x": Number(Number(1)) at "*x"
        "#);
    }

    #[test]
    fn what_is_not_yaml_is_refused() {
        let deep = "[".repeat(100_000);
        let many = format!(
            "a: &a [{}]\nb: &b [{}]\nc: [{}]\n",
            "1,".repeat(700),
            "*a,".repeat(700),
            "*b,".repeat(700)
        );
        let texts = [
            "a: [",
            "a: 1\n b: 2\n",
            "\t",
            "",
            "a: *no",
            "--- 1\n--- 2\n",
            "a: !x 1",
            "a: .nan",
            "a: {~: 1}",
            "{ : }",
            "a: !!binary x",
            &deep,
            &many,
        ];
        let mut shown = String::new();
        for text in texts {
            let start: String = text.chars().take(12).collect();
            match Node::from_yaml(text) {
                Ok(node) => writeln!(shown, "{start:?}: {:?}", node.value).unwrap(),
                Err(NotYaml { message, place, .. }) => {
                    writeln!(shown, "{start:?}: {place:?} {message}").unwrap();
                }
            }
        }
        insta::assert_snapshot!(shown, @r#"
        "a: [": Some(3..3) not YAML: unclosed bracket '['
        "a: 1\n b: 2\n": Some(7..7) not YAML: mapping values are not allowed in this context
        "\t": Null
        "": Null
        "a: *no": Some(3..3) not YAML: alias references unknown anchor
        "--- 1\n--- 2\n": Some(6..9) there is more than one document in the file
        "a: !x 1": Some(6..7) not YAML: unsupported tag `!x`
        "a: .nan": Some(3..7) not YAML: non-finite float `.nan` rejected by the configured policy
        "a: {~: 1}": Some(4..5) not YAML: a member has no name
        "{ : }": Some(2..2) not YAML: a member has no name
        "a: !!binary ": Some(12..13) not YAML: invalid !!binary base64
        "[[[[[[[[[[[[": Some(255..255) lists and objects nest deeper than 64
        "a: &a [1,1,1": Some(2697..2699) aliases repeat more than 300000 values
        "#);
    }

    #[test]
    fn json_is_read_as_json() {
        let json = r#"{"a": [1, {"b": "\ud83d\ude00"}], "a": null}"#;
        let node = Node::from_json(json).unwrap();
        let Value::Map(entries) = node.value else {
            panic!("{node:?}");
        };
        let shown: Vec<String> = entries
            .iter()
            .map(|(key, node)| format!("{} {:?}", key.name, node.value))
            .collect();
        insta::assert_snapshot!(shown.join("\n"), @r#"
        a List([Node { value: Number(Number(1)), place: 0..0 }, Node { value: Map([(Key { name: "b", place: 0..0 }, Node { value: Text("😀"), place: 0..0 })]), place: 0..0 }])
        a Null
        "#);
    }
}
