//! What of a record's line is looked at, without reading it as a whole.
//!
//! A record is written in one way: first what differs from one asking to the next,
//! then, from `principal` on, what is the same whenever the same question has the
//! same answer. Who recognises that has the rest without work. A line that is
//! written in any other way is read as JSON like any other.

use serde::Deserialize;
use serde::de::IgnoredAny;

/// Where the lasting members begin.
const LASTING: &str = ",\"principal\":";

/// Values nested deeper are left to who reads them as JSON.
const DEPTH_MAX: usize = 32;

/// A line in its two parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts<'a> {
    /// `{"v":1,...`, without what closes it.
    pub passing: &'a str,
    /// `,"principal":...}`
    pub lasting: &'a str,
}

/// What the passing part may have, and nothing else: a member that has to do with
/// the question would count there, too.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "they are only allowed")]
struct Passing {
    v: Option<IgnoredAny>,
    seq: Option<IgnoredAny>,
    time: Option<IgnoredAny>,
    prev: Option<IgnoredAny>,
    durable: Option<IgnoredAny>,
    kind: Option<IgnoredAny>,
    id: Option<IgnoredAny>,
    caller: Option<IgnoredAny>,
    cached: Option<IgnoredAny>,
    latency_us: Option<IgnoredAny>,
    request: Option<IgnoredAny>,
    trace: Option<IgnoredAny>,
    revisions: Option<IgnoredAny>,
    engine: Option<IgnoredAny>,
}

/// Takes a line apart; `None` when it is not written as records are. The line is
/// valid JSON if `{` and the lasting part without its comma are. `scratch` is room.
pub fn parts<'a>(line: &'a str, scratch: &mut String) -> Option<Parts<'a>> {
    // Within a text the quotes would be escaped.
    let at = line.find(LASTING)?;
    let (passing, lasting) = line.split_at_checked(at)?;
    scratch.clear();
    scratch.push_str(passing);
    scratch.push('}');
    serde_json::from_str::<Passing>(scratch).ok()?;
    Some(Parts { passing, lasting })
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
    let mut is_text = false;
    let mut is_escaped = false;
    for (at, byte) in bytes.iter().enumerate() {
        if is_text {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => {
                    is_text = false;
                    if depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => is_text = true,
            b'{' | b'[' => depth += 1,
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
        if depth > DEPTH_MAX {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value as Json;

    use super::Lasting;
    use super::Members;
    use super::parts;

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
            parts(&text, &mut String::new());
            Lasting::read(&text);
        }
    }

    #[test]
    fn a_line_is_taken_apart_where_the_question_begins() {
        let line = r#"{"v":1,"seq":2,"kind":"decision","caller":",\"principal\":","engine":"x","principal":{},"action":{}}"#;
        let found = parts(line, &mut String::new()).unwrap();
        assert_eq!(found.lasting, r#","principal":{},"action":{}}"#);
        // A member that belongs to the question, one that is there twice, none.
        for bad in [
            r#"{"v":1,"redacted":true,"principal":{}}"#,
            r#"{"v":1,"v":2,"principal":{}}"#,
            r#"{"v":1,"revisions":{"a":1,"principal":{}}}"#,
            r#"{"v":1,"seq":2}"#,
        ] {
            assert_eq!(parts(bad, &mut String::new()), None, "{bad}");
        }
    }
}
