//! Protobuf questions to [`Parts`], answers to protobuf. Nothing past this file
//! sees a protobuf type.

use std::collections::HashSet;
use std::sync::Arc;

use cedar_policy_core::ast::Effect;
use cedar_policy_core::ast::Entity;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::PartialValue;

use super::status::Refusal;
use super::status::WireError;
use super::value::Reader;
use crate::engine::Cause;
use crate::engine::Outcome;
use crate::engine::Permit;
use crate::engine::Snapshot;
use crate::engine::explain::Explanation;
use crate::engine::explain::NearMiss;
use crate::engine::json;
use crate::engine::policy::PolicyInfo;
use crate::engine::query::Context;
use crate::pdp::Answer;
use crate::pdp::Parts;
use crate::pdp::state::Active;
use crate::proto::v1;
use crate::serve::limits::Limits;

/// The one store there is.
const STORE: &str = "default";

/// Reads a question.
///
/// # Errors
/// The first field that is missing, too long, too deep or of an unknown type.
pub fn parts(
    snapshot: &Snapshot,
    limits: &Limits,
    request: v1::AuthorizeRequest,
) -> Result<Parts, Refusal> {
    Shared::default().parts(snapshot, limits, request)
}

/// What the items of a batch share, read once for all of them. What cannot be
/// read is an error of each item that uses it.
#[derive(Debug, Default)]
pub struct Shared {
    principal: Option<Result<Arc<EntityUID>, WireError>>,
    action: Option<Result<Arc<EntityUID>, WireError>>,
    resource: Option<Result<Arc<EntityUID>, WireError>>,
    context: Option<v1::Context>,
    /// The context as read, and its values; absent if that takes the action of
    /// an item.
    read: Option<Result<(Arc<Context>, usize), WireError>>,
    entities: Vec<v1::Entity>,
}

impl Shared {
    /// Reads what is shared.
    pub fn new(snapshot: &Snapshot, limits: &Limits, request: v1::AuthorizeRequest) -> Self {
        let mut reader = Reader::new(snapshot, limits);
        let uid = |field, entity: Option<v1::EntityRef>| entity.map(|entity| reader.uid(field, Some(entity)));
        let principal = uid("principal", request.principal);
        let action = uid("action", request.action);
        let resource = uid("resource", request.resource);
        let shared = request.context.as_ref().filter(|given| given.cedar_json.is_empty());
        let read = shared.map(|given| {
            let context = reader.fields("context", given.values.clone(), 1)?;
            Ok((Arc::new(context), reader.values()))
        });
        Self {
            principal,
            action,
            resource,
            context: request.context,
            read,
            entities: request.entities,
        }
    }

    /// Reads an item, with the shared parts that it has not of its own.
    ///
    /// # Errors
    /// As [`parts`].
    pub fn parts(
        &self,
        snapshot: &Snapshot,
        limits: &Limits,
        item: v1::AuthorizeRequest,
    ) -> Result<Parts, Refusal> {
        store(&item.store)?;
        let mut reader = Reader::new(snapshot, limits);
        let action = uid(&reader, "action", item.action, self.action.as_ref())?;
        let context = match &self.read {
            Some(read) if item.context.is_none() => {
                let (context, values) = read.clone()?;
                reader = Reader::after(snapshot, limits, values);
                context
            }
            _ => match item.context.or_else(|| self.context.clone()) {
                Some(given) => Arc::new(context(&mut reader, snapshot, limits, &action, given)?),
                None => Arc::default(),
            },
        };
        let entities = if item.entities.is_empty() { self.entities.clone() } else { item.entities };
        Ok(Parts {
            principal: uid(&reader, "principal", item.principal, self.principal.as_ref())?,
            resource: uid(&reader, "resource", item.resource, self.resource.as_ref())?,
            action,
            context,
            overlay: overlay(&mut reader, limits, entities)?,
        })
    }
}

/// An entity of an item's own, else the shared one.
fn uid(
    reader: &Reader<'_>,
    field: &str,
    own: Option<v1::EntityRef>,
    shared: Option<&Result<Arc<EntityUID>, WireError>>,
) -> Result<Arc<EntityUID>, WireError> {
    match (own, shared) {
        (None, Some(shared)) => shared.clone(),
        (own, _) => reader.uid(field, own),
    }
}

fn context(
    reader: &mut Reader<'_>,
    snapshot: &Snapshot,
    limits: &Limits,
    action: &EntityUID,
    given: v1::Context,
) -> Result<Context, WireError> {
    let mut context = reader.fields("context", given.values, 1)?;
    if !given.cedar_json.is_empty() {
        let parsed = json::context(snapshot, action, &given.cedar_json, limits.depth_max, limits.values_max)
            .map_err(|error| {
                let hint = "write a Cedar JSON object that fits the schema";
                WireError::new("context.cedar_json", format!("is bad: {error}"), hint)
            })?;
        for (name, value) in parsed {
            if context.insert(name.clone(), value).is_some() {
                let field = format!("context.{name}");
                let message = "is in `values` and in `cedar_json`";
                return Err(WireError::new(field, message, "leave it out of one of them"));
            }
        }
    }
    Ok(context)
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

fn overlay(
    reader: &mut Reader<'_>,
    limits: &Limits,
    entities: Vec<v1::Entity>,
) -> Result<Arc<[Entity]>, Refusal> {
    if entities.len() > limits.entities_max {
        let limit = limits.entities_max;
        return Err(WireError::too_much("entities", "entities", limit, "entities_max").into());
    }
    entities
        .into_iter()
        .enumerate()
        .map(|(at, given)| entity(reader, limits, &format!("entities[{at}]"), given))
        .collect()
}

fn entity(
    reader: &mut Reader<'_>,
    limits: &Limits,
    field: &str,
    given: v1::Entity,
) -> Result<Entity, Refusal> {
    let uid = reader.uid(&format!("{field}.uid"), given.uid)?;
    if given.parents.len() > limits.entities_max {
        let field = format!("{field}.parents");
        return Err(WireError::too_much(field, "parents", limits.entities_max, "entities_max").into());
    }
    let parents = given
        .parents
        .into_iter()
        .enumerate()
        .map(|(at, parent)| {
            let parent = reader.uid(&format!("{field}.parents[{at}]"), Some(parent))?;
            Ok(Arc::unwrap_or_clone(parent))
        })
        .collect::<Result<HashSet<_>, WireError>>()?;
    let whole = |(name, value)| (name, PartialValue::Value(value));
    let attributes = reader.fields(&format!("{field}.attributes"), given.attributes, 1)?;
    let tags = reader.fields(&format!("{field}.tags"), given.tags, 1)?;
    Ok(Entity::new_with_attr_partial_value(
        Arc::unwrap_or_clone(uid),
        attributes.into_iter().map(whole),
        HashSet::new(),
        parents,
        tags.into_iter().map(whole),
    ))
}

/// Writes an answer.
pub fn response(
    active: &Active,
    answer: &Answer,
    explanation: Option<Explanation>,
) -> v1::AuthorizeResponse {
    let decision = &answer.decision;
    let (written, cause) = match decision.outcome() {
        Outcome::Allow(permit) => (allow(permit), v1::DenyCause::Unspecified),
        Outcome::Deny(cause) => (v1::Decision::Deny, deny_cause(*cause)),
    };
    v1::AuthorizeResponse {
        decision: written.into(),
        decision_id: answer.id.to_string(),
        policies: decision.policies.iter().map(|info| policy_ref(info)).collect(),
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
        cause: cause.into(),
        revisions: Some(v1::Revisions {
            policy: active.policy_revision.clone(),
            directory: active.directory_revision.clone(),
        }),
        keep_for: (!answer.keep_for.is_zero())
            .then(|| prost_types::Duration::try_from(answer.keep_for).ok())
            .flatten(),
        cached: false,
        explanation: explanation.map(write_explanation),
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
        template_id: info.template.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

fn write_explanation(explanation: Explanation) -> v1::Explanation {
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
