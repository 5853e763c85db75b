//! What of a record's line is looked at, without reading it as a whole.
//!
//! A record is written in one way: first what differs from one asking to the next,
//! then, from `principal` on, what is the same whenever the same question has the
//! same answer. Who recognises that has the rest without work. A line that is
//! written in any other way is read as JSON like any other.

use memchr::memchr2;

/// Values nested deeper are left to who reads them as JSON.
const DEPTH_MAX: usize = 32;

/// What may be before the lasting members, and nothing else: a member that has to do
/// with the question would count there, too.
const PASSING: [&str; 14] = [
    "v",
    "seq",
    "time",
    "prev",
    "durable",
    "kind",
    "id",
    "caller",
    "cached",
    "latency_us",
    "revisions",
    "engine",
    "request",
    "trace",
];

/// The lasting part of a line that is valid JSON, `,"principal":...}`; `None` when it
/// is not written as records are.
pub fn lasting(line: &str) -> Option<&str> {
    let mut members = Members::new(line);
    let mut seen = 0_u32;
    loop {
        let here = members.rest;
        let (name, _) = members.next()??;
        if name == "principal" {
            return here.starts_with(',').then_some(here);
        }
        let place = PASSING.iter().position(|passing| *passing == name)?;
        if seen & 1 << place != 0 {
            return None;
        }
        seen |= 1 << place;
    }
}

/// The lasting members, as they are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lasting<'a> {
    /// An object.
    pub principal: &'a str,
    /// An object.
    pub action: &'a str,
    /// An object.
    pub resource: &'a str,
    /// An object.
    pub context: &'a str,
    /// An array of names; empty when it is not there.
    pub context_left_out: &'a str,
    /// An array; empty when it is not there.
    pub entities: &'a str,
    /// A text.
    pub decision: &'a str,
    /// A text; empty when it is not there.
    pub cause: &'a str,
    /// An array; empty when it is not there.
    pub policies: &'a str,
    /// An array; empty when it is not there.
    pub errors: &'a str,
}

impl<'a> Lasting<'a> {
    /// Of valid JSON; `None` when a member is there twice, something was taken out,
    /// or it is not written as records are.
    pub fn read(lasting: &'a str) -> Option<Self> {
        let mut found = Self::default();
        let mut is_counted = false;
        for member in Members::new(lasting) {
            let (name, value) = member?;
            let place = match name {
                "principal" => &mut found.principal,
                "action" => &mut found.action,
                "resource" => &mut found.resource,
                "context" => &mut found.context,
                "context_left_out" => &mut found.context_left_out,
                "entities" => &mut found.entities,
                "decision" => &mut found.decision,
                "cause" => &mut found.cause,
                "policies" => &mut found.policies,
                "errors" => &mut found.errors,
                "entities_count" => {
                    is_counted = true;
                    continue;
                }
                "redacted" | "shortened" => return None,
                _ => continue,
            };
            if !place.is_empty() {
                return None;
            }
            *place = value;
        }
        let is_whole = [found.principal, found.action, found.resource, found.context]
            .iter()
            .all(|value| value.starts_with('{'));
        // Counted and not there: they were digested.
        let is_carried = found.entities.starts_with('[');
        let is_sound = is_carried || (found.entities.is_empty() && !is_counted);
        (is_whole && is_sound && !found.decision.is_empty()).then_some(found)
    }
}

/// The members of an object that is valid JSON without spaces: names and values as
/// they are written. Begins at any byte before the first name. Ends with `None` where
/// it is written in another way.
#[derive(Debug)]
pub struct Members<'a> {
    rest: &'a str,
    is_done: bool,
}

impl<'a> Members<'a> {
    /// Of `{...}`, or of `,...}`.
    pub fn new(object: &'a str) -> Self {
        Self {
            rest: object,
            is_done: object == "{}",
        }
    }

    fn advance(&mut self) -> Option<(&'a str, &'a str)> {
        // A brace, or the comma after the member before.
        let rest = self.rest.get(1..)?.strip_prefix('"')?;
        let (name, rest) = rest.split_once('"')?;
        if name.contains('\\') {
            return None;
        }
        let rest = rest.strip_prefix(':')?;
        let (value, rest) = rest.split_at_checked(length(rest.as_bytes())?)?;
        self.rest = rest;
        self.is_done = rest == "}";
        Some((name, value))
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Option<(&'a str, &'a str)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let member = self.advance();
        self.is_done |= member.is_none();
        Some(member)
    }
}

/// Bytes of the value that these begin with.
fn length(bytes: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    loop {
        let byte = *bytes.get(at)?;
        match byte {
            b'"' => {
                at += text_length(bytes.get(at..)?)?;
                if depth == 0 {
                    return Some(at);
                }
                continue;
            }
            b'{' | b'[' => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return None;
                }
            }
            b'}' | b']' | b',' if depth == 0 => return (at > 0).then_some(at),
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            b' ' | b'\t' | b'\r' | b'\n' => return None,
            _ => {}
        }
        at += 1;
    }
}

/// Bytes of the text that these begin with, its quotes with it; `None` when it has a
/// code point by its number, of which not all are valid.
fn text_length(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
        match bytes.get(at..)? {
            [b'"', ..] => return Some(at + 1),
            [_, b'u', ..] => return None,
            _ => at += 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value as Json;

    use super::Lasting;
    use super::Members;
    use super::lasting;

    fn json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Json::from),
            any::<bool>().prop_map(Json::from),
            Just(Json::Null),
            "[a\"\\\\{}\\[\\],: \u{e4}\n]{0,6}".prop_map(Json::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
                prop::collection::btree_map("[a-c\\\\\"]{0,3}", inner, 0..4)
                    .prop_map(|fields| Json::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn members_are_those_of_the_object(fields in prop::collection::btree_map("[a-c]{1,3}", json(), 0..5)) {
            let object = Json::Object(fields.clone().into_iter().collect());
            let text = object.to_string();
            let read: Option<Vec<(String, Json)>> = Members::new(&text)
                .map(|member| {
                    let (name, value) = member?;
                    Some((name.to_owned(), serde_json::from_str(value).unwrap()))
                })
                .collect();
            let mut expected: Vec<(String, Json)> = fields.into_iter().collect();
            let mut read = read.unwrap();
            expected.sort_by(|a, b| a.0.cmp(&b.0));
            read.sort_by(|a, b| a.0.cmp(&b.0));
            prop_assert_eq!(read, expected);
        }

        /// Whatever it is given, it comes to an end.
        #[test]
        fn any_text_is_taken(text in "[{}\\[\\]\":,\\\\a1 ]{0,40}") {
            prop_assert!(Members::new(&text).count() <= 41);
            lasting(&text);
            Lasting::read(&text);
        }
    }

    #[test]
    fn a_line_is_taken_apart_where_the_question_begins() {
        let line = r#"{"v":1,"seq":2,"kind":"decision","caller":",\"principal\":","engine":"x","principal":{},"action":{}}"#;
        assert_eq!(lasting(line), Some(r#","principal":{},"action":{}}"#));
        // A member that belongs to the question, one that is there twice, none, and one
        // that is within another.
        for bad in [
            r#"{"v":1,"redacted":true,"principal":{}}"#,
            r#"{"v":1,"v":2,"principal":{}}"#,
            r#"{"v":1,"revisions":{"a":1,"principal":{}}}"#,
            r#"{"v":1,"seq":2}"#,
            r#"{"principal":{},"v":1}"#,
        ] {
            assert_eq!(lasting(bad), None, "{bad}");
        }
        let nested = r#"{"v":1,"revisions":{"a":1,"principal":{}},"principal":3}"#;
        assert_eq!(lasting(nested), Some(r#","principal":3}"#));
    }

    #[test]
    fn a_text_ends_where_it_ends() {
        for (text, length) in [
            (r#""","#, Some(2)),
            (r#""a","#, Some(3)),
            (r#""\"","#, Some(4)),
            (r#""\\","#, Some(4)),
            (r#""\\\"a\\","#, Some(9)),
            // Half a pair is no text.
            (r#""\ud800","#, None),
            (r#""a"#, None),
            (r#""\"#, None),
        ] {
            assert_eq!(super::length(text.as_bytes()), length, "{text}");
        }
    }
}
