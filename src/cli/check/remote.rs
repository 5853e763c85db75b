//! Asking a server.

use cedar_policy::EntityUid;
use cedar_policy_core::ast;
use serde_json::Value as Json;

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
use crate::cli::server::ServerAddress;
use crate::cli::server::block_on;
use crate::cli::server::connect;
use crate::cli::server::in_time;
use crate::cli::server::refused;
use crate::engine::Cause;
use crate::engine::query::Context;
use crate::proto::v1;
use crate::proto::v1::authorization_service_client::AuthorizationServiceClient;

/// Asks the server.
///
/// # Errors
/// When it cannot be reached, or refuses the question.
pub fn ask(server: &ServerAddress, question: Question) -> Result<Answer, Failure> {
    let request = request(question)?;
    let response = block_on(async {
        let channel = connect(server).await?;
        let request = in_time(request);
        AuthorizationServiceClient::new(channel)
            .authorize(request)
            .await
            .map_err(|status| refused(&status))
    })?;
    answer(response.into_inner())
}

fn request(question: Question) -> Result<v1::AuthorizeRequest, Failure> {
    let mut context = question.context;
    if let Some(now) = question.now {
        let values = Context::from_iter([("now".into(), now)]);
        let json = ast::Context::Value(values.into()).to_json_value();
        let json =
            json.map_err(|error| Failure::Usage(Message::new(error, "give another `--now`")))?;
        if let (Json::Object(fields), Json::Object(now)) = (&mut context, json) {
            fields.extend(now);
        }
    }
    let entity = |uid: &EntityUid| {
        let uid: &ast::EntityUID = uid.as_ref();
        let id: &str = uid.eid().as_ref();
        Some(v1::EntityRef {
            r#type: uid.entity_type().to_string(),
            id: id.to_owned(),
        })
    };
    let has_entities = question
        .entities
        .as_array()
        .is_none_or(|entities| !entities.is_empty());
    Ok(v1::AuthorizeRequest {
        principal: entity(&question.principal),
        action: entity(&question.action),
        resource: entity(&question.resource),
        context: Some(v1::Context {
            cedar_json: context.to_string(),
            ..v1::Context::default()
        }),
        entities_cedar_json: if has_entities {
            question.entities.to_string()
        } else {
            String::new()
        },
        explain: true,
        ..v1::AuthorizeRequest::default()
    })
}

fn answer(response: v1::AuthorizeResponse) -> Result<Answer, Failure> {
    let decision = match response.decision() {
        v1::Decision::Allow => Effect::Allow,
        v1::Decision::Deny => Effect::Deny,
        v1::Decision::Unspecified => {
            let message = "the server answered neither allow nor deny";
            return Err(Failure::Failed(Message::new(message, "is it a deodar?")));
        }
    };
    let cause = cause(response.cause());
    let explanation = match decision {
        Effect::Allow => v1::Explanation::default(),
        Effect::Deny => response.explanation.unwrap_or_default(),
    };
    let revisions = response.revisions.unwrap_or_default();
    Ok(Answer {
        decision,
        cause: cause.map(|cause| cause.as_str().to_owned()),
        sentence: sentence(cause).to_owned(),
        policies: response.policies.into_iter().map(policy_ref).collect(),
        advice: match decision {
            Effect::Allow => Vec::new(),
            Effect::Deny => once(response.advice),
        },
        obligations: response
            .obligations
            .into_iter()
            .map(|obligation| Obligation {
                name: obligation.name,
                policy: obligation.policy_id,
            })
            .collect(),
        errors: response
            .errors
            .into_iter()
            .map(|error| PolicyError {
                policy: policy_ref(error.policy.unwrap_or_default()),
                message: error.message,
            })
            .collect(),
        near_misses: explanation.near_misses.into_iter().map(near_miss).collect(),
        near_misses_left_out: explanation.left_out as usize,
        revisions: Revisions {
            policy: revisions.policy,
            directory: revisions.directory,
        },
        decision_id: Some(response.decision_id),
    })
}

/// A cause of a newer server reads as what denies without one: no permit.
fn cause(cause: v1::DenyCause) -> Option<Cause> {
    Some(match cause {
        v1::DenyCause::Unspecified => return None,
        v1::DenyCause::Forbidden => Cause::Forbidden,
        v1::DenyCause::NoPermit => Cause::NoPermit,
        v1::DenyCause::ForbidFailed => Cause::ForbidFailed,
        v1::DenyCause::UnknownPrincipal => Cause::UnknownPrincipal,
        v1::DenyCause::UnknownAction => Cause::UnknownAction,
        v1::DenyCause::UnknownResource => Cause::UnknownResource,
        v1::DenyCause::NotApplicable => Cause::NotApplicable,
        v1::DenyCause::NotRecorded => Cause::NotRecorded,
    })
}

fn near_miss(miss: v1::NearMiss) -> NearMiss {
    NearMiss {
        policy: policy_ref(miss.policy.unwrap_or_default()),
        condition: miss.condition,
        line: miss.line as usize,
        values: miss
            .values
            .into_iter()
            .map(|read| ReadValue {
                expression: read.expression,
                value: read.value,
            })
            .collect(),
        error: Some(miss.error).filter(|error| !error.is_empty()),
    }
}

fn policy_ref(policy: v1::PolicyRef) -> PolicyRef {
    let effect = match policy.effect() {
        v1::Effect::Forbid => "forbid",
        v1::Effect::Permit => "permit",
        v1::Effect::Unspecified => "unknown",
    };
    let mut annotations = policy.annotations;
    PolicyRef {
        effect: effect.to_owned(),
        title: annotations.remove("title"),
        reason: annotations.remove("reason"),
        id: policy.id,
        file: policy.file,
        line: policy.line as usize,
        template: Some(policy.template_id).filter(|template| !template.is_empty()),
    }
}
