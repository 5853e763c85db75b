//! What of a record people look for, read from its line without copying it.
//!
//! Records of any kind and of later releases are read: a member of another shape
//! than expected is as if it were not there.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::IgnoredAny;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;

/// The facts of one record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts<'a> {
    /// The name of the decision.
    pub id: Option<Cow<'a, str>>,
    /// The enforcement point that asked.
    pub caller: Option<Cow<'a, str>>,
    /// Who wanted to,
    pub principal: Option<Party<'a>>,
    /// do what,
    pub action: Option<Party<'a>>,
    /// to what.
    pub resource: Option<Party<'a>>,
    /// `allow` or `deny`.
    pub decision: Option<Cow<'a, str>>,
    /// Why it was denied.
    pub cause: Option<Cow<'a, str>>,
    /// The policies that made the decision.
    pub policies: Vec<Cow<'a, str>>,
    /// The policies that could not be evaluated.
    pub failed: Vec<Cow<'a, str>>,
    /// The revision of the policies that decided, came into force or were refused.
    pub policies_revision: Option<Cow<'a, str>>,
    /// The revision of the directory that it was decided on, or that was made.
    pub directory_revision: Option<Cow<'a, str>>,
    /// What the caller named its request.
    pub request: Option<Cow<'a, str>>,
    /// The trace that it is part of.
    pub trace: Option<Cow<'a, str>>,
}

/// A principal, action or resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party<'a> {
    /// Its type.
    pub entity_type: Cow<'a, str>,
    /// Its id; absent where a rule of redaction took it out.
    pub id: Option<Cow<'a, str>>,
}

impl fmt::Display for Party<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.id {
            Some(id) => write!(f, "{}::{id:?}", self.entity_type),
            None => write!(f, "{}::(redacted)", self.entity_type),
        }
    }
}

impl<'a> Facts<'a> {
    /// Reads the line of a record; `None` if it is no JSON object.
    pub fn read(line: &'a str) -> Option<Self> {
        // Members in a list without names would be read by their places.
        let object = line.starts_with('{').then_some(line)?;
        let raw: Raw<'a> = serde_json::from_str(object).ok()?;
        let kind = raw.kind.text();
        let mut facts = Self {
            id: raw.id.text(),
            caller: raw.caller.text(),
            principal: raw.principal.party(),
            action: raw.action.party(),
            resource: raw.resource.party(),
            decision: raw.decision.text(),
            cause: raw.cause.text(),
            policies: raw.policies.list().filter_map(Loose::text).collect(),
            failed: raw
                .errors
                .list()
                .filter_map(|error| error.field("policy").text())
                .collect(),
            policies_revision: raw.revisions.clone().field("policies").text(),
            directory_revision: raw.revisions.field("directory").text(),
            request: raw.request.text(),
            trace: raw.trace.text(),
        };
        // Records of one of both have it by this name.
        match kind.as_deref() {
            Some("activation" | "rejection") => facts.policies_revision = raw.revision.text(),
            Some("directory_write" | "directory_opened") => {
                facts.directory_revision = raw.revision.text();
            }
            _ => {}
        }
        Some(facts)
    }
}

/// The members that are looked at.
#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow, default)]
    kind: Loose<'a>,
    #[serde(borrow, default)]
    id: Loose<'a>,
    #[serde(borrow, default)]
    caller: Loose<'a>,
    #[serde(borrow, default)]
    principal: Loose<'a>,
    #[serde(borrow, default)]
    action: Loose<'a>,
    #[serde(borrow, default)]
    resource: Loose<'a>,
    #[serde(borrow, default)]
    decision: Loose<'a>,
    #[serde(borrow, default)]
    cause: Loose<'a>,
    #[serde(borrow, default)]
    policies: Loose<'a>,
    #[serde(borrow, default)]
    errors: Loose<'a>,
    #[serde(borrow, default)]
    revisions: Loose<'a>,
    #[serde(borrow, default)]
    revision: Loose<'a>,
    #[serde(borrow, default)]
    request: Loose<'a>,
    #[serde(borrow, default)]
    trace: Loose<'a>,
}

/// A value of whatever shape.
#[derive(Clone, Default)]
enum Loose<'a> {
    Text(Cow<'a, str>),
    List(Vec<Self>),
    Record(Vec<(Cow<'a, str>, Self)>),
    #[default]
    Other,
}

impl<'a> Loose<'a> {
    fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    fn list(self) -> impl Iterator<Item = Self> {
        match self {
            Self::List(items) => items.into_iter(),
            _ => Vec::new().into_iter(),
        }
    }

    fn field(self, wanted: &str) -> Self {
        match self {
            // Of several with one name the last counts, as everywhere in JSON.
            Self::Record(fields) => fields
                .into_iter()
                .rfind(|(name, _)| name == wanted)
                .map_or(Self::Other, |(_, value)| value),
            _ => Self::Other,
        }
    }

    fn party(self) -> Option<Party<'a>> {
        Some(Party {
            entity_type: self.clone().field("type").text()?,
            id: self.field("id").text(),
        })
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Loose<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LooseVisitor)
    }
}

struct LooseVisitor;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = Loose<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Loose::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Loose::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Loose::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Loose::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Loose::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Loose::Other)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Loose::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Loose::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut record = Vec::new();
        while let Some(Loose::Text(name)) = fields.next_key()? {
            record.push((name, fields.next_value()?));
        }
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Loose::Record(record))
    }
}

#[cfg(test)]
mod tests {
    use super::Facts;

    #[test]
    fn members_of_another_shape_are_as_if_absent() {
        let line = r#"{"kind":"x","id":7,"caller":null,"principal":"User","action":{"id":"read"},
            "policies":["a",1,{"b":[2]}],"errors":[{"policy":"c"},{"policy":3},"d"],"revisions":[]}"#;
        let facts = Facts::read(line).unwrap();
        let expected = Facts {
            policies: vec!["a".into()],
            failed: vec!["c".into()],
            ..Facts::default()
        };
        assert_eq!(facts, expected);
        assert_eq!(Facts::read("[1]"), None);
        assert_eq!(Facts::read("{"), None);
    }

    #[test]
    fn a_revision_is_that_of_its_kind() {
        let read = |kind: &str| {
            let line = format!(r#"{{"kind":"{kind}","revision":"r1"}}"#);
            let facts = Facts::read(&line).unwrap();
            let text = |revision: Option<std::borrow::Cow<'_, str>>| {
                revision.map(std::borrow::Cow::into_owned)
            };
            (
                text(facts.policies_revision),
                text(facts.directory_revision),
            )
        };
        let some = Some("r1".to_owned());
        assert_eq!(read("activation"), (some.clone(), None));
        assert_eq!(read("directory_write"), (None, some));
        assert_eq!(read("start"), (None, None));
    }
}
