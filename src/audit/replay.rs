//! A recorded question, asked again.

use std::sync::Arc;

use cedar_policy_core::ast::Eid;
use cedar_policy_core::ast::EntityType;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::Value;
use serde::Deserialize as _;
use serde_json::Value as Json;
use thiserror::Error;

use super::line::millis_of;
use crate::engine::Decision;
use crate::engine::Query;
use crate::engine::Snapshot;
use crate::engine::access::ContextKeys;
use crate::engine::json::JsonError;
use crate::engine::json::JsonLimits;
use crate::engine::json::context_from_json;
use crate::engine::json::entities_from_json;
use crate::engine::query::Context;
use crate::engine::value::datetime_from_millis;

/// What is recorded was taken once: no further limits.
const LIMITS: JsonLimits = JsonLimits {
    depth_max: 128,
    values_max: usize::MAX,
    entities_max: usize::MAX,
};

/// A record that cannot be decided again.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// It is not the record of a decision.
    #[error("the record is not one of a decision: `{0}` is missing")]
    NoDecision(&'static str),
    /// Something was taken out of it, or left out.
    #[error("the record is not whole: {0}")]
    Redacted(&'static str),
    /// These policies read what those of then could not, so that it was left out.
    #[error("the record is not whole: these policies read context that was not recorded")]
    Unrecorded,
    /// Its values do not read as they would have been written.
    #[error(transparent)]
    Json(#[from] JsonError),
}

/// The question of a record, for policies of these types.
///
/// # Errors
/// When the record has not all of it, or its values do not read.
pub fn question(snapshot: &Snapshot, record: &Json) -> Result<Query, ReplayError> {
    if record["redacted"] == true {
        return Err(ReplayError::Redacted("a rule took something out"));
    }
    if record["shortened"] == true {
        return Err(ReplayError::Redacted("it was too long for a line"));
    }
    if record["entities_count"].as_u64().unwrap_or(0) > 0 && record["entities"].is_null() {
        return Err(ReplayError::Redacted("carried entities were only digested"));
    }
    let principal = uid(record, "principal")?;
    let action = uid(record, "action")?;
    let resource = uid(record, "resource")?;
    let left_out = match &record["context_left_out"] {
        Json::Null => Vec::new(),
        names => Vec::<String>::deserialize(names).map_err(|_| ReplayError::Unrecorded)?,
    };
    if is_unrecorded(snapshot, &action, &left_out) {
        return Err(ReplayError::Unrecorded);
    }
    let mut context = context_from_json(snapshot, &action, record["context"].clone(), &LIMITS)?;
    if is_now_missing(snapshot, &action, &context) {
        let now = asked_at(record).ok_or(ReplayError::Unrecorded)?;
        context.insert("now".into(), now);
    }
    let overlay = match &record["entities"] {
        Json::Null => Vec::new(),
        carried => entities_from_json(snapshot, carried.clone(), &LIMITS)?,
    };
    // Not checked against the schema as a whole: what no policy can read was left
    // out of the record, be it required.
    Ok(Query {
        principal,
        action,
        resource,
        context: Arc::new(context),
        overlay: overlay.into(),
    })
}

/// Whether policies read something of the context that is only named in a record.
pub fn is_unrecorded(snapshot: &Snapshot, action: &EntityUID, left_out: &[String]) -> bool {
    !left_out.is_empty()
        && match snapshot.context_keys(action) {
            ContextKeys::All => true,
            ContextKeys::Only(keys) => left_out.iter().any(|name| keys.contains(name.as_str())),
        }
}

/// Whether policies read a time that no caller gives: a server fills it in. It is not
/// in a record when the schema of then did not declare it.
pub fn is_now_missing(snapshot: &Snapshot, action: &EntityUID, context: &Context) -> bool {
    let is_read = || match snapshot.context_keys(action) {
        ContextKeys::All => true,
        ContextKeys::Only(keys) => keys.contains("now"),
    };
    let declared = || snapshot.schema()?.action(action);
    !context.contains_key("now") && is_read() && declared().is_some_and(|action| action.takes_now)
}

/// When the question was asked.
fn asked_at(record: &Json) -> Option<Value> {
    let millis = millis_of(record["time"].as_str()?)?;
    datetime_from_millis(millis).ok()
}

/// Whether a decision is what was recorded: allow or deny, why, by which
/// policies, with which failing. What differs is told by its name.
pub fn differs(record: &Json, decision: &Decision) -> Option<&'static str> {
    let ids = |json: &Json| -> Vec<String> {
        let items = json.as_array().map_or(&[][..], Vec::as_slice);
        let id = |item: &Json| item.as_str().map(str::to_owned);
        items.iter().filter_map(id).collect()
    };
    let (allow, cause) = match decision.cause() {
        None => ("allow", None),
        Some(cause) => ("deny", Some(cause.as_str())),
    };
    if record["decision"] != allow {
        return Some("decision");
    }
    if record["cause"].as_str() != cause {
        return Some("cause");
    }
    let policies = decision.policies.iter().map(|policy| policy.id.to_string());
    if ids(&record["policies"]) != policies.collect::<Vec<_>>() {
        return Some("policies");
    }
    let failed = record["errors"].as_array().map_or(&[][..], Vec::as_slice);
    let failed = failed
        .iter()
        .map(|error| error["policy"].as_str().unwrap_or_default());
    let errors = decision.errors.iter().map(|error| &*error.policy.id);
    (!failed.eq(errors)).then_some("errors")
}

fn uid(record: &Json, part: &'static str) -> Result<Arc<EntityUID>, ReplayError> {
    let party = record.get(part).and_then(party);
    party.map(Arc::new).ok_or(ReplayError::NoDecision(part))
}

/// A principal, action or resource as records have it: `{"type": .., "id": ..}`.
pub fn party(json: &Json) -> Option<EntityUID> {
    let name = |member: &str| json.get(member)?.as_str();
    let entity_type = EntityType::from_normalized_str(name("type")?).ok()?;
    let id = Eid::new(name("id")?);
    Some(EntityUID::from_components(entity_type, id, None))
}
