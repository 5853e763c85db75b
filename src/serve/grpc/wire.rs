//! Protobuf questions to [`Parts`](crate::pdp::Parts), answers to protobuf. Nothing past this file
//! sees a protobuf type.

use std::collections::HashSet;
use std::sync::Arc;

use cedar_policy_core::ast::Effect;
use cedar_policy_core::ast::Entity;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::PartialValue;

use super::status::Refusal;
use super::status::WireError;
use super::value::Path;
use super::value::Reader;
use crate::engine::Cause;
use crate::engine::Decision;
use crate::engine::Outcome;
use crate::engine::Permit;
use crate::engine::Snapshot;
use crate::engine::explain::Explanation;
use crate::engine::explain::NearMiss;
use crate::engine::json::JsonLimits;
use crate::engine::json::context_from_json;
use crate::engine::json::entities_from_json;
use crate::engine::policy::PolicyInfo;
use crate::engine::query::Context;
use crate::pdp::Answer;
use crate::pdp::state::Active;
use crate::proto::v1;
use crate::serve::limits::Limits;

/// The one store there is.
const STORE: &str = "default";

/// Reads a context: typed values, and Cedar JSON beside them.
pub(super) fn context(
    reader: &mut Reader<'_>,
    snapshot: &Snapshot,
    limits: &Limits,
    action: &EntityUID,
    given: Option<v1::Context>,
) -> Result<Context, WireError> {
    let Some(given) = given else {
        return Ok(Context::new());
    };
    let mut context = reader.fields(&Path::root("context"), given.values, 1)?;
    if !given.cedar_json.is_empty() {
        let json = parse_json("context.cedar_json", &given.cedar_json)?;
        for (name, value) in context_from_json(snapshot, action, json, &json_limits(limits))? {
            if context.insert(name.clone(), value).is_some() {
                let message = "is in `values` and in `cedar_json`";
                let hint = "leave it out of one of them";
                return Err(WireError::new(format!("context.{name}"), message, hint));
            }
        }
    }
    Ok(context)
}

pub(super) fn parse_json(field: &str, text: &str) -> Result<serde_json::Value, WireError> {
    serde_json::from_str(text)
        .map_err(|error| WireError::new(field, format!("is not JSON: {error}"), "write Cedar JSON"))
}

pub(super) fn json_limits(limits: &Limits) -> JsonLimits {
    JsonLimits {
        depth_max: limits.depth_max,
        values_max: limits.values_max,
        entities_max: limits.entities_max,
    }
}

/// Whether a store is the one that is there.
///
/// # Errors
/// When it is not.
pub fn store(store: &str) -> Result<(), Refusal> {
    if store.is_empty() || store == STORE {
        Ok(())
    } else {
        Err(Refusal::NoStore(store.chars().take(64).collect()))
    }
}

/// Reads carried entities: typed ones, and Cedar JSON beside them.
pub(super) fn overlay(
    reader: &mut Reader<'_>,
    snapshot: &Snapshot,
    limits: &Limits,
    typed: Vec<v1::Entity>,
    json: &str,
) -> Result<Arc<[Entity]>, WireError> {
    let mut entities = if json.is_empty() {
        Vec::new()
    } else {
        let json = parse_json("entities_cedar_json", json)?;
        entities_from_json(snapshot, json, &json_limits(limits))?
    };
    if entities.len() + typed.len() > limits.entities_max {
        let limit = limits.entities_max;
        return Err(WireError::too_much(
            "entities",
            "entities",
            limit,
            "entities_max",
        ));
    }
    for (at, given) in typed.into_iter().enumerate() {
        entities.push(entity(
            reader,
            limits,
            &Path::root("entities").index(at),
            given,
        )?);
    }
    Ok(entities.into())
}

fn entity(
    reader: &mut Reader<'_>,
    limits: &Limits,
    field: &Path<'_>,
    given: v1::Entity,
) -> Result<Entity, WireError> {
    let uid = reader.uid(&field.name("uid"), given.uid)?;
    if given.parents.len() > limits.entities_max {
        let field = field.name("parents").to_string();
        return Err(WireError::too_much(
            field,
            "parents",
            limits.entities_max,
            "entities_max",
        ));
    }
    let parents = given
        .parents
        .into_iter()
        .enumerate()
        .map(|(at, parent)| {
            let parent = reader.uid(&field.name("parents").index(at), Some(parent))?;
            Ok(Arc::unwrap_or_clone(parent))
        })
        .collect::<Result<HashSet<_>, WireError>>()?;
    let whole = |(name, value)| (name, PartialValue::Value(value));
    let attributes = reader.fields(&field.name("attributes"), given.attributes, 1)?;
    let tags = reader.fields(&field.name("tags"), given.tags, 1)?;
    Ok(Entity::new_with_attr_partial_value(
        Arc::unwrap_or_clone(uid),
        attributes.into_iter().map(whole),
        HashSet::new(),
        parents,
        tags.into_iter().map(whole),
    ))
}

/// Allow or deny, and why.
pub(super) fn outcome(decision: &Decision) -> (v1::Decision, v1::DenyCause) {
    match decision.outcome() {
        Outcome::Allow(permit) => (allow(permit), v1::DenyCause::Unspecified),
        Outcome::Deny(cause) => (v1::Decision::Deny, deny_cause(*cause)),
    }
}

/// What was in force.
pub(super) fn revisions(active: &Active) -> v1::Revisions {
    v1::Revisions {
        policy: active.policies.revision.clone(),
        directory: active.view.revision().to_string(),
    }
}

/// How long the caller may keep an answer, if it may.
pub(super) fn keep_for(answer: &Answer) -> Option<prost_types::Duration> {
    (!answer.keep_for.is_zero())
        .then(|| prost_types::Duration::try_from(answer.keep_for).ok())
        .flatten()
}

/// The part of an answer that says what follows from the policies that made it,
/// without them.
pub(super) fn consequences(decision: &Decision) -> v1::AuthorizeResponse {
    v1::AuthorizeResponse {
        errors: decision
            .errors
            .iter()
            .map(|error| v1::PolicyError {
                policy: Some(policy_ref(&error.policy)),
                message: error.message.clone(),
            })
            .collect(),
        obligations: decision
            .obligations()
            .map(|(name, policy)| v1::Obligation {
                name: name.to_owned(),
                policy_id: policy.id.to_string(),
            })
            .collect(),
        advice: decision.advice().map(str::to_owned).collect(),
        ..v1::AuthorizeResponse::default()
    }
}

/// The only place that writes "allow", and it takes the engine's word for it.
fn allow(_: &Permit) -> v1::Decision {
    v1::Decision::Allow
}

fn deny_cause(cause: Cause) -> v1::DenyCause {
    match cause {
        Cause::Forbidden => v1::DenyCause::Forbidden,
        Cause::NoPermit => v1::DenyCause::NoPermit,
        Cause::ForbidFailed => v1::DenyCause::ForbidFailed,
        Cause::UnknownPrincipal => v1::DenyCause::UnknownPrincipal,
        Cause::UnknownAction => v1::DenyCause::UnknownAction,
        Cause::UnknownResource => v1::DenyCause::UnknownResource,
        Cause::NotApplicable => v1::DenyCause::NotApplicable,
    }
}

/// Writes what people know a policy by.
pub fn policy_ref(info: &PolicyInfo) -> v1::PolicyRef {
    v1::PolicyRef {
        id: info.id.to_string(),
        effect: match info.effect {
            Effect::Permit => v1::Effect::Permit,
            Effect::Forbid => v1::Effect::Forbid,
        }
        .into(),
        annotations: info
            .annotations
            .iter()
            .map(|(name, text)| (name.to_string(), text.to_string()))
            .collect(),
        file: info.file.to_string(),
        line: count(info.line),
        template_id: info
            .template
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
    }
}

pub(super) fn write_explanation(explanation: Explanation) -> v1::Explanation {
    let near_miss = |miss: NearMiss| v1::NearMiss {
        policy: Some(policy_ref(&miss.policy)),
        condition: miss.condition,
        line: count(miss.line),
        values: miss
            .values
            .into_iter()
            .map(|read| v1::ReadValue {
                expression: read.expression,
                value: read.value,
            })
            .collect(),
        error: miss.error.unwrap_or_default(),
    };
    v1::Explanation {
        near_misses: explanation.near_misses.into_iter().map(near_miss).collect(),
        left_out: count(explanation.left_out),
    }
}

/// Lines and counts as the wire has them.
pub fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
