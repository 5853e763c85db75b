//! Deciding from a policy directory on this machine.

use std::path::Path;
use std::sync::Arc;

use cedar_policy::EntityUid;
use cedar_policy_core::ast::Effect as PolicyEffect;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::Value;

use super::question::Question;
use crate::cli::Failure;
use crate::cli::answer::Answer;
use crate::cli::answer::Effect;
use crate::cli::answer::NearMiss;
use crate::cli::answer::Obligation;
use crate::cli::answer::PolicyError;
use crate::cli::answer::PolicyRef;
use crate::cli::answer::ReadValue;
use crate::cli::answer::Revisions;
use crate::cli::answer::once;
use crate::cli::answer::sentence;
use crate::cli::failure::Message;
use crate::cli::time;
use crate::config::Config;
use crate::directory;
use crate::engine::Decision;
use crate::engine::Query;
use crate::engine::Snapshot;
use crate::engine::View;
use crate::engine::compile;
use crate::engine::decide;
use crate::engine::explain;
use crate::engine::json::JsonLimits;
use crate::engine::json::context_from_json;
use crate::engine::json::entities_from_json;
use crate::engine::policy::PolicyInfo;
use crate::engine::query::Context;
use crate::engine::query::entity_type;
use crate::source;

/// Decides as a server with this configuration and these policies would.
///
/// # Errors
/// When the directory cannot be read or is invalid, or the question does not
/// fit its schema.
pub fn ask(path: &Path, config: &Config, question: Question) -> Result<Answer, Failure> {
    let files = source::read(path, &config.policies.limits)?;
    let snapshot = compile(&files)?;
    let view = directory::load(&snapshot, &files)?;
    let query = query(&snapshot, config, question)?;
    let decision = decide(&snapshot, &view, &query)?;
    let explanation = if decision.is_allow() {
        explain::Explanation::default()
    } else {
        explain(&snapshot, &view, &query)?
    };
    Ok(answer(&snapshot, &view, &decision, explanation))
}

/// The question as a server with this configuration would take it.
///
/// # Errors
/// When it does not fit the schema or the limits.
pub fn query(snapshot: &Snapshot, config: &Config, question: Question) -> Result<Query, Failure> {
    let uids = [
        ("principal", &question.principal),
        ("action", &question.action),
        ("resource", &question.resource),
    ];
    for (field, uid) in uids {
        let uid: &EntityUID = uid.as_ref();
        entity_type(snapshot, &field, &uid.entity_type().to_string())?;
        let (bytes, bytes_max) = (uid.eid().escaped().len(), config.limits.id_bytes_max);
        if bytes > bytes_max {
            let message = format!("the id of `{field}` has {bytes} bytes, more than {bytes_max}");
            return Err(Failure::Usage(Message::new(
                message,
                "raise `limits.id_bytes_max`",
            )));
        }
    }
    let limits = JsonLimits {
        depth_max: config.limits.depth_max,
        values_max: config.limits.values_max,
        entities_max: config.limits.entities_max,
    };
    let mut context = context_from_json(
        snapshot,
        question.action.as_ref(),
        question.context,
        &limits,
    )?;
    let overlay = entities_from_json(snapshot, question.entities, &limits)?;
    fill_now(
        snapshot,
        config,
        question.action.as_ref(),
        question.now,
        &mut context,
    )?;
    let shared = |uid: EntityUid| Arc::new(EntityUID::from(uid));
    let (principal, action, resource) = (question.principal, question.action, question.resource);
    let query = Query::new(
        snapshot,
        shared(principal),
        shared(action),
        shared(resource),
        Arc::new(context),
        overlay.into(),
    )?;
    Ok(query)
}

/// Fills `context.now` where the schema declares it, as the server does, from
/// `--now` or else the clock.
fn fill_now(
    snapshot: &Snapshot,
    config: &Config,
    action: &EntityUID,
    now: Option<Value>,
    context: &mut Context,
) -> Result<(), Failure> {
    let declared = snapshot.schema().and_then(|schema| schema.action(action));
    let usage = |message: &str, hint: &str| Err(Failure::Usage(Message::new(message, hint)));
    match (now, context.contains_key("now")) {
        (Some(_), true) => usage(
            "both `--now` and the context say what time it is",
            "leave out one of them",
        ),
        (Some(_), false) if declared.is_some_and(|action| !action.takes_now) => usage(
            "the schema declares no `context.now` for this action",
            "leave out `--now`, or declare `now: datetime` in the context of the action",
        ),
        (Some(now), false) => {
            context.insert("now".into(), now);
            Ok(())
        }
        (None, false) if declared.is_some_and(|action| action.takes_now) => {
            let now = time::now(config.decision.time_resolution).map_err(|error| {
                Failure::Failed(Message::new(
                    format!("the clock cannot be used: {error}"),
                    "give the time with `--now`",
                ))
            })?;
            context.insert("now".into(), now);
            Ok(())
        }
        (None, _) => Ok(()),
    }
}

fn answer(
    snapshot: &Snapshot,
    view: &View,
    decision: &Decision,
    explanation: explain::Explanation,
) -> Answer {
    let cause = decision.cause();
    Answer {
        decision: if decision.is_allow() {
            Effect::Allow
        } else {
            Effect::Deny
        },
        cause: cause.map(|cause| cause.as_str().to_owned()),
        sentence: sentence(cause).to_owned(),
        policies: decision
            .policies
            .iter()
            .map(|policy| policy_ref(policy))
            .collect(),
        advice: advice(decision),
        obligations: decision
            .obligations()
            .map(|(name, policy)| Obligation {
                name: name.to_owned(),
                policy: policy.id.to_string(),
            })
            .collect(),
        errors: decision
            .errors
            .iter()
            .map(|error| PolicyError {
                policy: policy_ref(&error.policy),
                message: error.message.clone(),
            })
            .collect(),
        near_misses: explanation.near_misses.into_iter().map(near_miss).collect(),
        near_misses_left_out: explanation.left_out,
        revisions: Revisions {
            policy: snapshot.digest().to_string(),
            directory: view.revision().to_string(),
        },
        decision_id: None,
    }
}

/// Advice is for somebody who was denied.
fn advice(decision: &Decision) -> Vec<String> {
    if decision.is_allow() {
        return Vec::new();
    }
    once(decision.advice().map(str::to_owned))
}

/// A near miss as answers show it.
pub fn near_miss(miss: explain::NearMiss) -> NearMiss {
    let values = miss.values.into_iter();
    NearMiss {
        policy: policy_ref(&miss.policy),
        condition: miss.condition,
        line: miss.line,
        values: values
            .map(|read| ReadValue {
                expression: read.expression,
                value: read.value,
            })
            .collect(),
        error: miss.error,
    }
}

/// A policy as answers show it.
pub fn policy_ref(info: &PolicyInfo) -> PolicyRef {
    let text = |name| info.annotation(name).map(str::to_owned);
    PolicyRef {
        id: info.id.to_string(),
        effect: match info.effect {
            PolicyEffect::Permit => "permit".to_owned(),
            PolicyEffect::Forbid => "forbid".to_owned(),
        },
        title: text("title"),
        reason: text("reason"),
        file: info.file.to_string(),
        line: info.line,
        template: info.template.as_ref().map(ToString::to_string),
    }
}
