//! The record of a decision: who asked what, what was answered and by what, and
//! enough to decide it again.
//!
//! What it says is written down in docs/audit-record.md and, for programs, in
//! docs/audit-record.schema.json.

use std::sync::Arc;

use cedar_policy_core::ast::Entity;
use cedar_policy_core::ast::PartialValue;
use cedar_policy_core::ast::Value;
use sha2::Digest as _;
use sha2::Sha256;
use smol_str::SmolStr;
use uuid::Uuid;

use super::json::JsonText;
use super::redact::Redaction;
use super::weight;
use crate::engine::Decision;
use crate::engine::Query;
use crate::engine::Snapshot;
use crate::engine::access::ContextKeys;
use crate::identity::Caller;

/// The engine that decided: to decide it again exactly takes the same one.
pub const ENGINE: &str = concat!("deodar ", env!("CARGO_PKG_VERSION"), ", cedar 4.14.1");

/// What a question and its decision take beside context and entities, roughly.
const QUERY_BYTES: usize = 256;

/// Policies, obligations and the like that a shortened record has of each.
const SHORT_LIST_MAX: usize = 100;

/// A decision as it is kept until it is written: nothing is copied for it.
#[derive(Debug, Clone)]
pub struct DecisionRecord {
    /// Its name.
    pub id: Uuid,
    /// The enforcement point that asked.
    pub caller: Caller,
    /// What was asked and answered.
    pub what: What,
    /// Under which policies.
    pub snapshot: Arc<Snapshot>,
    /// The revision of the directory that it was made on.
    pub directory: Arc<str>,
    /// Whether the decision had been made before.
    pub cached: bool,
    /// How long it took, in nanoseconds.
    pub nanos: u64,
    /// What the caller names its request.
    pub request: Option<SmolStr>,
    /// The trace that it is part of: 32 hexadecimal digits (W3C trace context).
    pub trace: Option<SmolStr>,
    /// What the operator decides about records.
    pub content: Arc<Content>,
}

/// What was asked and answered.
#[derive(Debug, Clone)]
pub enum What {
    /// As it was read and decided.
    Made {
        /// What was asked.
        query: Query,
        /// What was answered.
        decision: Arc<Decision>,
    },
    /// As [`written`] wrote it before.
    Written(Arc<[u8]>),
}

/// What the operator decides about the content of records.
#[derive(Debug, Clone, Default)]
pub struct Content {
    /// What is taken out.
    pub redaction: Redaction,
    /// Context keys that are recorded although no policy can read them.
    pub context_keys: Vec<SmolStr>,
    /// Whether entities that requests carry are only counted and digested.
    pub digests_entities: bool,
}

impl Content {
    /// Whether a context key is recorded although no policy can read it.
    pub fn tells(&self, key: &str) -> bool {
        self.context_keys.iter().any(|told| told == key)
    }
}

impl DecisionRecord {
    /// Appends the members of the record, without braces.
    pub fn encode(&self, into: &mut Vec<u8>) {
        self.members(Length::Whole, into);
    }

    /// The same without context and entities, for a line that would be too long
    /// with them: what was asked and answered is recorded however much came with
    /// the question.
    pub(super) fn encode_shortened(&self, into: &mut Vec<u8>) {
        self.members(Length::Shortened, into);
    }

    fn members(&self, length: Length, into: &mut Vec<u8>) {
        let redaction = &self.content.redaction;
        let mut json = JsonText::new(into, redaction);
        let mut id = [0; uuid::fmt::Hyphenated::LENGTH];
        json.raw("\"kind\":\"decision\",\"id\":\"");
        json.raw(self.id.hyphenated().encode_lower(&mut id));
        json.raw("\"");
        json.raw(",\"caller\":");
        json.treated(redaction.caller(), &self.caller.to_string());
        json.print(format_args!(
            ",\"cached\":{},\"latency_us\":{}.{}",
            self.cached,
            self.nanos / 1000,
            self.nanos % 1000 / 100
        ));
        for (name, text) in [("request", &self.request), ("trace", &self.trace)] {
            if let Some(text) = text {
                json.print(format_args!(",\"{name}\":"));
                json.text(text);
            }
        }
        json.print(format_args!(
            ",\"revisions\":{{\"policies\":\"{}\",\"directory\":\"{}\"}},\"engine\":\"{ENGINE}\"",
            self.snapshot.digest(),
            self.directory,
        ));
        match &self.what {
            What::Made { query, decision } => {
                Members {
                    query,
                    decision,
                    snapshot: &self.snapshot,
                    content: &self.content,
                    length,
                }
                .write(into);
            }
            What::Written(members) => into.extend_from_slice(members),
        }
    }

    /// Bytes that it takes while it waits, roughly.
    pub fn weight(&self) -> usize {
        let what = match &self.what {
            What::Made { query, .. } => {
                let carried = query.overlay.iter().map(weight::of_entity);
                weight::of_fields(query.context.iter()) + carried.sum::<usize>() + QUERY_BYTES
            }
            What::Written(members) => members.len(),
        };
        size_of::<Self>() + what
    }
}

/// What of a record is the same whenever the same question has the same answer,
/// to be kept with the answer.
pub fn written(
    query: &Query,
    decision: &Decision,
    snapshot: &Snapshot,
    content: &Content,
) -> Vec<u8> {
    let mut into = Vec::with_capacity(512);
    let members = Members {
        query,
        decision,
        snapshot,
        content,
        length: Length::Whole,
    };
    members.write(&mut into);
    into
}

/// The lasting members of a record.
struct Members<'a> {
    query: &'a Query,
    decision: &'a Decision,
    snapshot: &'a Snapshot,
    content: &'a Content,
    length: Length,
}

/// How much of a record is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Whole,
    Shortened,
}

impl Length {
    /// Members of a list that are written.
    fn list_max(self) -> usize {
        match self {
            Self::Whole => usize::MAX,
            Self::Shortened => SHORT_LIST_MAX,
        }
    }
}

impl Members<'_> {
    fn write(&self, into: &mut Vec<u8>) {
        let mut json = JsonText::new(into, &self.content.redaction);
        json.is_redacted = json.redaction().caller().is_some();
        json.raw(",\"principal\":");
        json.uid(&self.query.principal);
        json.raw(",\"action\":");
        json.uid(&self.query.action);
        json.raw(",\"resource\":");
        json.uid(&self.query.resource);
        self.outcome(&mut json);
        match self.length {
            Length::Whole => self.context(&mut json),
            Length::Shortened => json.raw(",\"context\":{},\"shortened\":true"),
        }
        self.entities(&mut json);
        if json.is_redacted {
            json.raw(",\"redacted\":true");
        }
    }

    fn outcome(&self, json: &mut JsonText<'_>) {
        let decision = self.decision;
        match decision.cause() {
            None => json.raw(",\"decision\":\"allow\""),
            Some(cause) => json.print(format_args!(
                ",\"decision\":\"deny\",\"cause\":\"{}\"",
                cause.as_str()
            )),
        }
        let most = self.length.list_max();
        let ids = decision
            .policies
            .iter()
            .map(|policy| &*policy.id)
            .take(most);
        list(json, "policies", ids);
        if !decision.errors.is_empty() {
            json.raw(",\"errors\":[");
            for (at, error) in decision.errors.iter().take(most).enumerate() {
                json.raw(if at > 0 {
                    ",{\"policy\":"
                } else {
                    "{\"policy\":"
                });
                json.text(&error.policy.id);
                // Cedar's messages name entities and values.
                if json.redaction().hides_texts() {
                    json.is_redacted = true;
                } else if self.length == Length::Whole {
                    json.raw(",\"message\":");
                    json.text(&error.message);
                }
                json.raw("}");
            }
            json.raw("]");
        }
        list(
            json,
            "obligations",
            decision.obligations().map(|(name, _)| name).take(most),
        );
        list(json, "advice", decision.advice().take(most));
    }

    /// What policies for this action can read, and what the operator allows.
    fn context(&self, json: &mut JsonText<'_>) {
        let content = self.content;
        let keys = self.snapshot.context_keys(&self.query.action);
        let is_written = |name: &SmolStr| match keys {
            ContextKeys::All => true,
            ContextKeys::Only(keys) => keys.contains(name) || content.tells(name),
        };
        json.raw(",\"context\":");
        let context = self.query.context.iter();
        let written = context.clone().filter(|(name, _)| is_written(name));
        json.fields(written, content.redaction.part("context"));
        let left_out = context.filter(|(name, _)| !is_written(name));
        list(json, "context_left_out", left_out.map(|(name, _)| &**name));
    }

    /// The entities that the request carried, with a digest that tells equal
    /// ones: the SHA-256 of what is written of them when nothing is redacted.
    fn entities(&self, json: &mut JsonText<'_>) {
        let content = self.content;
        let carried = &self.query.overlay;
        if carried.is_empty() {
            return;
        }
        let mut plain = Vec::new();
        entities(
            carried,
            &mut JsonText::new(&mut plain, &Redaction::default()),
        );
        let digest = Sha256::digest(&plain);
        json.print(format_args!(",\"entities_count\":{}", carried.len()));
        // A plain digest of few values can be tried out.
        if content.redaction.hides_texts() {
            json.raw(",\"entities_digest\":");
            let hash = content.redaction.hash(&plain);
            json.text(&hash);
        } else {
            json.raw(",\"entities_digest\":\"sha256:");
            for byte in digest {
                json.print(format_args!("{byte:02x}"));
            }
            json.raw("\"");
        }
        if !content.digests_entities && self.length == Length::Whole {
            json.raw(",\"entities\":");
            entities(carried, json);
        }
    }
}

fn entities(carried: &[Entity], json: &mut JsonText<'_>) {
    let rules = json.redaction().part("entities");
    json.raw("[");
    for (at, entity) in carried.iter().enumerate() {
        json.raw(if at > 0 { ",{\"uid\":" } else { "{\"uid\":" });
        json.uid(entity.uid());
        json.raw(",\"attrs\":");
        json.fields(whole(entity.attrs()), rules);
        json.raw(",\"parents\":[");
        let mut parents: Vec<_> = entity.parents().collect();
        parents.sort_unstable();
        for (at, parent) in parents.into_iter().enumerate() {
            json.raw(if at > 0 { "," } else { "" });
            json.uid(parent);
        }
        json.raw("]");
        if entity.tags_len() > 0 {
            json.raw(",\"tags\":");
            json.fields(whole(entity.tags()), rules);
        }
        json.raw("}");
    }
    json.raw("]");
}

/// Carried values are whole: a residual is refused where requests are read.
fn whole<'a>(
    fields: impl Iterator<Item = (&'a SmolStr, &'a PartialValue)>,
) -> impl Iterator<Item = (&'a SmolStr, &'a Value)> {
    // In order, so that equal entities have equal digests.
    let mut fields: Vec<_> = fields
        .filter_map(|(name, value)| match value {
            PartialValue::Value(value) => Some((name, value)),
            PartialValue::Residual(_) => None,
        })
        .collect();
    fields.sort_unstable_by_key(|(name, _)| *name);
    fields.into_iter()
}

/// A member that is a list of texts; left out when there is none.
fn list<'t>(json: &mut JsonText<'_>, name: &str, texts: impl Iterator<Item = &'t str>) {
    let mut is_empty = true;
    for text in texts {
        if std::mem::take(&mut is_empty) {
            json.print(format_args!(",\"{name}\":["));
        } else {
            json.raw(",");
        }
        json.text(text);
    }
    if !is_empty {
        json.raw("]");
    }
}
