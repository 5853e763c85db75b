//! What is recorded: its members, as they stand in a line of the log.

use serde_json::Map;
use serde_json::Value;

use super::decision::DecisionRecord;

/// One record, as it is submitted.
#[derive(Debug, Clone)]
pub enum Record {
    /// A decision.
    Decision(Box<DecisionRecord>),
    /// Something happened that is no decision.
    Event(EventRecord),
}

/// Something that happened: a start or stop, an activation, a write, a gap.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRecord {
    /// What happened, such as `start`. `segment`, `gap`, `repair` and
    /// `retention` are the log's own.
    pub kind: &'static str,
    /// What is told of it. No name may be one of the line's own: `v`, `seq`,
    /// `time`, `prev`, `durable`, `kind`.
    pub fields: Map<String, Value>,
}

impl EventRecord {
    /// An event with these members.
    pub fn new<const N: usize>(kind: &'static str, fields: [(&str, Value); N]) -> Self {
        let fields = fields.map(|(name, value)| (name.to_owned(), value));
        Self {
            kind,
            fields: fields.into_iter().collect(),
        }
    }
}

/// Equal is what is written the same.
impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        let written = |record: &Self| {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            bytes
        };
        written(self) == written(other)
    }
}

impl From<EventRecord> for Record {
    fn from(event: EventRecord) -> Self {
        Self::Event(event)
    }
}

impl Record {
    /// Appends its members, such as `"kind":"start","version":"1"`, without
    /// braces. A line feed within a text is escaped, as JSON has it.
    pub fn encode(&self, into: &mut Vec<u8>) {
        match self {
            Self::Decision(decision) => decision.encode(into),
            Self::Event(event) => {
                into.extend_from_slice(b"\"kind\":");
                text(event.kind, into);
                for (name, value) in &event.fields {
                    into.push(b',');
                    text(name, into);
                    into.push(b':');
                    // Writing a value to memory cannot fail.
                    serde_json::to_writer(&mut *into, value).ok();
                }
            }
        }
    }

    /// As [`Record::encode`], without what callers can make as long as they like.
    pub(super) fn encode_shortened(&self, into: &mut Vec<u8>) {
        match self {
            Self::Decision(decision) => decision.encode_shortened(into),
            Self::Event(_) => self.encode(into),
        }
    }

    /// Roughly how many bytes of memory it takes.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Decision(decision) => size_of::<Self>() + decision.weight(),
            Self::Event(event) => {
                let fields = event.fields.iter();
                let fields = fields.map(|(name, value)| name.len() + 64 + weight(value));
                size_of::<Self>() + fields.sum::<usize>()
            }
        }
    }
}

fn text(text: &str, into: &mut Vec<u8>) {
    // As above.
    serde_json::to_writer(into, text).ok();
}

fn weight(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(values) => values
            .iter()
            .map(|value| size_of::<Value>() + weight(value))
            .sum(),
        Value::Object(fields) => {
            let fields = fields.iter();
            fields
                .map(|(name, value)| name.len() + 64 + weight(value))
                .sum()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    use super::EventRecord;
    use super::Record;

    #[test]
    fn members_are_json_in_one_line() {
        let event = EventRecord::new("start", [("a\"b", json!("x\ny")), ("n", json!([1, null]))]);
        let record = Record::from(event);
        let mut bytes = b"{".to_vec();
        record.encode(&mut bytes);
        bytes.push(b'}');
        assert!(!bytes.contains(&b'\n'));
        let read: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(
            read,
            json!({"kind": "start", "a\"b": "x\ny", "n": [1, null]})
        );
        assert!(record.weight() >= bytes.len() / 2);
    }
}
