//! One recorded question, decided again and compared.
//!
//! Most records repeat: the same question with the same answer, of which the same
//! comes again; else the same entities and the same values of the context. What was
//! made of them is kept, by its bytes and within bounds.

use std::collections::HashMap;
use std::sync::Arc;

use cedar_policy_core::ast::Entity;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::Value;
use foldhash::fast::RandomState;
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::Map;
use serde_json::Value as Json;
use smol_str::SmolStr;

use super::Baseline;
use super::Options;
use super::record;
use super::record::Lasting;
use super::record::Members;
use crate::analysis::flip::Answer;
use crate::analysis::flip::Key;
use crate::analysis::world::World;
use crate::audit::filter::Filter;
use crate::audit::line::Head;
use crate::audit::read::Line;
use crate::audit::replay;
use crate::audit::replay::ReplayError;
use crate::engine::Decision;
use crate::engine::Query;
use crate::engine::Snapshot;
use crate::engine::decide;
use crate::engine::json::JsonLimits;
use crate::engine::json::context_from_json;
use crate::engine::json::entities_from_json;
use crate::engine::query::Context;
use crate::engine::value::Extension;

/// Bytes of questions that all threads together remember.
const QUESTIONS_BYTES: usize = 256 << 20;
/// Bytes of entities, and of values of the context, that a thread remembers.
const PARTS_BYTES: usize = 16 << 20;
/// So many questions are remembered before it is looked whether that pays,
const TRIED: u32 = 8192;
/// which it does when at least one of so many was known.
const KNOWN_OF: u32 = 20;
/// What remembering takes besides the bytes.
const ENTRY_BYTES: usize = 96;
/// A value takes so many times the bytes of its text at the most, about.
const VALUE_FACTOR: usize = 16;

/// What is recorded was taken once: no further limits.
const LIMITS: JsonLimits = JsonLimits {
    depth_max: 128,
    values_max: usize::MAX,
    entities_max: usize::MAX,
};

/// Why a record cannot be decided again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftOut {
    /// A rule of redaction took something out of it.
    Redacted,
    /// It was too long for a line, and written without context and entities.
    Shortened,
    /// The entities that the request carried were only digested.
    Digested,
    /// The policies read context that was not recorded: those of then could not.
    Unrecorded,
    /// Its principal, action or resource is missing.
    Incomplete,
    /// Its context or carried entities do not read as the schema declares them.
    Misfit,
}

impl LeftOut {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Redacted => "a rule of redaction took something out",
            Self::Shortened => "too long for a line, so recorded without context",
            Self::Digested => "carried entities were only digested",
            Self::Unrecorded => "these policies read context that was not recorded",
            Self::Incomplete => "no principal, action or resource",
            Self::Misfit => "context or carried entities do not fit the schema",
        }
    }
}

/// What came of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is decided as it was, for the same reason.
    Same,
    /// It is decided as it was, for another reason: `cause`, `policies`, `errors`.
    Changed(&'static str),
    /// It is decided the other way.
    Flipped(Arc<Flip>),
    /// It cannot be decided again.
    Left(LeftOut),
    /// The line is not JSON.
    NotJson,
}

impl Outcome {
    /// Bytes that it takes outside of itself.
    fn bytes(&self) -> usize {
        let Self::Flipped(flip) = self else {
            return 0;
        };
        let texts = [&flip.principal, &flip.action, &flip.resource];
        let lists = [&flip.key.policies].into_iter().chain(
            [&flip.before, &flip.after]
                .into_iter()
                .flat_map(|answer| [&answer.policies, &answer.errors]),
        );
        let ids = lists.flatten().map(|id| size_of::<SmolStr>() + id.len());
        size_of::<Flip>() + texts.map(String::len).iter().sum::<usize>() + ids.sum::<usize>()
    }
}

/// A question that is answered the other way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flip {
    /// The group of it.
    pub key: Key,
    /// Who,
    pub principal: String,
    /// what,
    pub action: String,
    /// to what.
    pub resource: String,
    /// The answer before,
    pub before: Answer,
    /// and after.
    pub after: Answer,
}

/// Decides records again, on one thread.
#[derive(Debug)]
pub struct Judge<'a> {
    candidate: Side<'a>,
    baseline: Option<Side<'a>>,
    filter: Option<Filter>,
    questions: Memo<Outcome>,
    tried: u32,
    known: u32,
    uids: Memo<Arc<EntityUID>>,
}

impl<'a> Judge<'a> {
    /// With nothing remembered.
    pub fn new(candidate: World<'a>, baseline: Baseline<'a>, options: &Options) -> Self {
        Self {
            candidate: Side::new(candidate),
            baseline: match baseline {
                Baseline::Recorded => None,
                Baseline::Policies(world) => Some(Side::new(world)),
            },
            filter: Some(&options.filter)
                .filter(|filter| **filter != Filter::default())
                .cloned(),
            questions: Memo::new(QUESTIONS_BYTES / options.threads.max(1)),
            tried: 0,
            known: 0,
            uids: Memo::new(PARTS_BYTES),
        }
    }

    /// Whether the record of this line is asked for.
    pub fn is_meant(&self, head: &Head<'_>, line: &str) -> bool {
        let Some(filter) = &self.filter else {
            return true;
        };
        filter.matches(&Line {
            seq: head.seq,
            millis: head.millis,
            kind: head.kind().to_owned(),
            text: line.to_owned(),
        })
    }

    /// Decides the record of this line again.
    pub fn judge(&mut self, line: &str) -> Outcome {
        if serde_json::from_str::<IgnoredAny>(line).is_err() {
            return Outcome::NotJson;
        }
        let Some(lasting) = record::lasting(line) else {
            return self.slowly(line);
        };
        if !self.remembers() {
            return self.anew(line, lasting).0;
        }
        if let Some(outcome) = self.questions.get(lasting) {
            self.known += 1;
            return outcome.clone();
        }
        let (outcome, is_lasting) = self.anew(line, lasting);
        if is_lasting {
            let bytes = outcome.bytes();
            self.questions.put(lasting, outcome.clone(), bytes);
        }
        outcome
    }

    /// Whether the same questions come again: where each has a time of its own,
    /// remembering them costs and finds nothing.
    fn remembers(&mut self) -> bool {
        if self.tried < TRIED {
            self.tried += 1;
            if self.tried == TRIED && self.known < TRIED / KNOWN_OF {
                self.questions = Memo::new(0);
            }
        }
        self.questions.bytes_max > 0
    }

    /// With whether it is so whenever the lasting members are these.
    fn anew(&mut self, line: &str, lasting: &str) -> (Outcome, bool) {
        match self.quickly(lasting) {
            Some(outcome) => (outcome, true),
            None => self.plainly(line),
        }
    }

    /// By the few members that count; `None` when it has to be read as JSON.
    fn quickly(&mut self, lasting: &str) -> Option<Outcome> {
        let record = Lasting::read(lasting)?;
        let mut uid = |text: &str| self.uids.get_or_make(text, || uid(text));
        let parties = [
            uid(record.principal)?,
            uid(record.action)?,
            uid(record.resource)?,
        ];
        let left_out: Vec<String> = if record.context_left_out.is_empty() {
            Vec::new()
        } else {
            serde_json::from_str(record.context_left_out).ok()?
        };
        let asked = self.candidate.asked(&record, &parties, &left_out)?;
        let (query, decision) = match asked {
            Ok(asked) => asked,
            Err(left) => return Some(Outcome::Left(left)),
        };
        if let Some(baseline) = &mut self.baseline {
            return Some(match baseline.asked(&record, &parties, &left_out)? {
                Ok((query, before)) => compared(&query, &before, &decision),
                Err(left) => Outcome::Left(left),
            });
        }
        if is_as_recorded(&record, &decision) {
            return Some(Outcome::Same);
        }
        let mut recorded = Map::new();
        for (name, text) in [
            ("decision", record.decision),
            ("cause", record.cause),
            ("policies", record.policies),
            ("errors", record.errors),
        ] {
            if !text.is_empty() {
                recorded.insert(name.to_owned(), serde_json::from_str(text).ok()?);
            }
        }
        Some(outcome(&query, &Json::Object(recorded), &decision))
    }

    /// As JSON like any other: this is what the other way has to agree with.
    pub fn slowly(&self, line: &str) -> Outcome {
        self.plainly(line).0
    }

    /// With whether it is so whenever the lasting members are these: not where the
    /// time of the record was taken for `context.now`.
    fn plainly(&self, line: &str) -> (Outcome, bool) {
        let Ok(record) = serde_json::from_str::<Json>(line) else {
            return (Outcome::NotJson, false);
        };
        let has_now = record.pointer("/context/now").is_some();
        let mut is_lasting = true;
        let mut asked = |side: &Side<'_>| {
            let World { snapshot, view } = side.world;
            let query = replay::question(snapshot, &record).map_err(|error| {
                is_lasting &= !matches!(error, ReplayError::Unrecorded);
                left(&record, &error)
            })?;
            is_lasting &= has_now || !query.context.contains_key("now");
            let decision = decide(snapshot, view, &query).map_err(|_| LeftOut::Misfit)?;
            Ok((query, decision))
        };
        let outcome = match (asked(&self.candidate), self.baseline.as_ref()) {
            (Err(left), _) => Outcome::Left(left),
            (Ok((query, decision)), None) => outcome(&query, &record, &decision),
            (Ok((_, decision)), Some(baseline)) => match asked(baseline) {
                Ok((query, before)) => compared(&query, &before, &decision),
                Err(left) => Outcome::Left(left),
            },
        };
        (outcome, is_lasting)
    }
}

/// The first of the reasons that [`replay::question`] looks for.
fn left(record: &Json, error: &ReplayError) -> LeftOut {
    match error {
        ReplayError::NoDecision(_) => LeftOut::Incomplete,
        ReplayError::Json(_) => LeftOut::Misfit,
        ReplayError::Unrecorded => LeftOut::Unrecorded,
        ReplayError::Redacted(_) if record["redacted"] == true => LeftOut::Redacted,
        ReplayError::Redacted(_) if record["shortened"] == true => LeftOut::Shortened,
        ReplayError::Redacted(_) => LeftOut::Digested,
    }
}

/// What is recorded, compared with what is decided now.
fn outcome(query: &Query, record: &Json, decision: &Decision) -> Outcome {
    match replay::differs(record, decision) {
        None => Outcome::Same,
        Some("decision") => flipped(query, recorded(record), Answer::of(decision)),
        Some(what) => Outcome::Changed(what),
    }
}

fn compared(query: &Query, before: &Decision, after: &Decision) -> Outcome {
    let (before, after) = (Answer::of(before), Answer::of(after));
    if before.allow != after.allow {
        flipped(query, before, after)
    } else if before.cause != after.cause {
        Outcome::Changed("cause")
    } else if before.policies != after.policies {
        Outcome::Changed("policies")
    } else if before.errors != after.errors {
        Outcome::Changed("errors")
    } else {
        Outcome::Same
    }
}

fn flipped(query: &Query, before: Answer, after: Answer) -> Outcome {
    let principal_type = query.principal.entity_type().to_string();
    match Key::new(&before, &after, principal_type, None) {
        Some(key) => Outcome::Flipped(Arc::new(Flip {
            key,
            principal: query.principal.to_string(),
            action: query.action.to_string(),
            resource: query.resource.to_string(),
            before,
            after,
        })),
        // Recorded as neither allow nor deny.
        None => Outcome::Changed("decision"),
    }
}

fn recorded(record: &Json) -> Answer {
    let ids = |list: &Json, id: fn(&Json) -> Option<&str>| {
        let items = list.as_array().map_or(&[][..], Vec::as_slice);
        items.iter().filter_map(id).map(SmolStr::from).collect()
    };
    Answer {
        allow: record["decision"] == "allow",
        cause: record["cause"].as_str().map(SmolStr::from),
        policies: ids(&record["policies"], Json::as_str),
        errors: ids(&record["errors"], |error| error["policy"].as_str()),
    }
}

/// Whether a decision is what was recorded, told by the bytes. `false` may still be
/// the same, written in another way.
fn is_as_recorded(record: &Lasting<'_>, decision: &Decision) -> bool {
    let is_text = |text: &str, wanted: &str| {
        let text = text
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'));
        text == Some(wanted)
    };
    let is_outcome = match decision.cause() {
        None => is_text(record.decision, "allow") && record.cause.is_empty(),
        Some(cause) => is_text(record.decision, "deny") && is_text(record.cause, cause.as_str()),
    };
    if !is_outcome || !record.errors.is_empty() || !decision.errors.is_empty() {
        return false;
    }
    let mut rest = record.policies;
    for (at, policy) in decision.policies.iter().enumerate() {
        let opening = if at == 0 { "[\"" } else { ",\"" };
        let next = rest.strip_prefix(opening);
        let next = next.and_then(|rest| rest.strip_prefix(policy.id.as_str()));
        let Some(next) = next.and_then(|rest| rest.strip_prefix('"')) else {
            return false;
        };
        rest = next;
    }
    rest == "]" || (rest.is_empty() && decision.policies.is_empty())
}

fn uid(text: &str) -> Option<Arc<EntityUID>> {
    let json: Json = serde_json::from_str(text).ok()?;
    replay::party(&json).map(Arc::new)
}

/// Policies with what was made for them.
#[derive(Debug)]
struct Side<'a> {
    world: World<'a>,
    values: Memo<Value>,
    carried: Memo<Arc<[Entity]>>,
    key: String,
}

impl<'a> Side<'a> {
    fn new(world: World<'a>) -> Self {
        Self {
            world,
            values: Memo::new(PARTS_BYTES),
            carried: Memo::new(PARTS_BYTES),
            key: String::new(),
        }
    }

    fn asked(
        &mut self,
        record: &Lasting<'_>,
        parties: &[Arc<EntityUID>; 3],
        left_out: &[String],
    ) -> Option<Result<(Query, Decision), LeftOut>> {
        let World { snapshot, view } = self.world;
        let [_, action, _] = parties;
        if replay::is_unrecorded(snapshot, action, left_out) {
            return Some(Err(LeftOut::Unrecorded));
        }
        let query = self.query(record, parties)?;
        let decision = decide(snapshot, view, &query).ok()?;
        Some(Ok((query, decision)))
    }

    fn query(&mut self, record: &Lasting<'_>, parties: &[Arc<EntityUID>; 3]) -> Option<Query> {
        let [principal, action, resource] = parties;
        let snapshot = self.world.snapshot;
        let carried = || -> Option<Arc<[Entity]>> {
            let carried = serde_json::from_str(record.entities).ok()?;
            Some(entities_from_json(snapshot, carried, &LIMITS).ok()?.into())
        };
        let overlay = if record.entities.is_empty() {
            Arc::default()
        } else {
            self.carried.get_or_make(record.entities, carried)?
        };
        let mut context = Context::new();
        for member in Members::new(record.context) {
            let (name, text) = member?;
            // The schema tells of each action what a text is.
            self.key.clear();
            for part in [record.action, "\n", name, "\n", text] {
                self.key.push_str(part);
            }
            let made = || value(snapshot, action, name, text);
            let value = self.values.get_or_make(&self.key, made)?;
            if context.insert(name.into(), value).is_some() {
                return None;
            }
        }
        // Which takes the time of the record.
        if replay::is_now_missing(snapshot, action, &context) {
            return None;
        }
        Some(Query {
            principal: Arc::clone(principal),
            action: Arc::clone(action),
            resource: Arc::clone(resource),
            context: Arc::new(context),
            overlay,
        })
    }
}

fn value(snapshot: &Snapshot, action: &EntityUID, name: &str, text: &str) -> Option<Value> {
    let declared = || snapshot.schema()?.action(action);
    // The one value that hardly ever comes again.
    if name == "now"
        && let Some(time) = datetime(text)
        && declared().is_some_and(|action| action.takes_now)
    {
        return Extension::Datetime.parse(time).ok();
    }
    let json: Json = serde_json::from_str(text).ok()?;
    let context = Json::Object(Map::from_iter([(name.to_owned(), json)]));
    let context = context_from_json(snapshot, action, context, &LIMITS).ok()?;
    context.into_values().next()
}

/// The time of `{"__extn":{"fn":"datetime","arg":"<time>"}}`, as records write it.
fn datetime(text: &str) -> Option<&str> {
    let time = text.strip_prefix(r#"{"__extn":{"fn":"datetime","arg":""#)?;
    let time = time.strip_suffix(r#""}}"#)?;
    (!time.contains(['"', '\\'])).then_some(time)
}

/// What was made of texts, forgotten all at once when there is no room for more.
#[derive(Debug)]
struct Memo<V> {
    made: HashMap<Box<str>, V, RandomState>,
    bytes: usize,
    bytes_max: usize,
}

impl<V: Clone> Memo<V> {
    fn new(bytes_max: usize) -> Self {
        Self {
            made: HashMap::default(),
            bytes: 0,
            bytes_max,
        }
    }

    fn get(&self, text: &str) -> Option<&V> {
        self.made.get(text)
    }

    /// `bytes` are those that the value takes besides its entry.
    fn put(&mut self, text: &str, value: V, bytes: usize) {
        let bytes = text.len() + ENTRY_BYTES + bytes;
        self.bytes += bytes;
        if self.bytes > self.bytes_max {
            self.made.clear();
            self.bytes = bytes;
        }
        self.made.insert(text.into(), value);
    }

    fn get_or_make(&mut self, text: &str, make: impl FnOnce() -> Option<V>) -> Option<V> {
        if let Some(value) = self.made.get(text) {
            return Some(value.clone());
        }
        let value = make()?;
        self.put(text, value.clone(), text.len() * VALUE_FACTOR);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use smol_str::SmolStr;

    use super::ENTRY_BYTES;
    use super::Flip;
    use super::Memo;
    use super::Outcome;
    use crate::analysis::flip::Answer;
    use crate::analysis::flip::Key;

    #[test]
    fn a_flip_weighs_what_its_texts_do() {
        let answer = |count: usize| Answer {
            policies: vec![SmolStr::from("p".repeat(100)); count],
            ..Answer::default()
        };
        let no_permit = Answer {
            cause: Some("no_permit".into()),
            ..Answer::default()
        };
        let allow = |count| Answer {
            allow: true,
            ..answer(count)
        };
        let flip = |count: usize| {
            Outcome::Flipped(Arc::new(Flip {
                key: Key::new(&no_permit, &allow(count), "User", None).unwrap(),
                principal: "u".repeat(1000),
                action: String::new(),
                resource: String::new(),
                before: no_permit.clone(),
                after: allow(count),
            }))
        };
        assert!(flip(1).bytes() > 1200);
        // In the answer, and in the key of the group.
        assert!(flip(11).bytes() - flip(1).bytes() > 2000);
        assert_eq!(Outcome::Same.bytes(), 0);
    }

    #[test]
    fn what_is_remembered_has_a_limit() {
        let mut memo = Memo::new(10 * (100 + ENTRY_BYTES));
        for number in 0..1000 {
            let text = format!("{number:0100}");
            memo.put(&text, number, 0);
            assert!(memo.made.len() <= 10 && memo.bytes <= memo.bytes_max);
            assert_eq!(memo.get(&text), Some(&number));
        }
        // What is remembered outside of the entries counts, too.
        for number in 0..1000 {
            memo.put(&format!("{number:0100}"), number, 4 * (100 + ENTRY_BYTES));
            assert!(memo.made.len() <= 2, "{}", memo.made.len());
        }
        assert_eq!(memo.get_or_make("a", || Some(7)), Some(7));
        assert_eq!(memo.get_or_make("a", || None), Some(7));
    }
}
