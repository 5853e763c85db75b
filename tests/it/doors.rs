//! The decision cases through every door: what the engine answers, each
//! protocol answers too.

use std::collections::BTreeMap;

use deodar::proto::v1;
use deodar::proto::v1::batch_authorize_item;
use deodar::proto::v1::stream_authorize_response;

use super::cases::Case;
use super::cases::Told;
use super::cases::all;
use super::convert;
use super::support::Running;

/// The question with its context as JSON.
fn as_json(case: &Case) -> v1::AuthorizeRequest {
    v1::AuthorizeRequest {
        context: Some(v1::Context {
            cedar_json: serde_json::to_string(&case.context).unwrap(),
            ..v1::Context::default()
        }),
        ..bare(case)
    }
}

/// The question with its context as typed values.
fn as_typed(case: &Case) -> v1::AuthorizeRequest {
    let values = case.context.iter();
    v1::AuthorizeRequest {
        context: Some(v1::Context {
            values: values
                .map(|(name, value)| (name.clone(), convert::typed(value)))
                .collect(),
            ..v1::Context::default()
        }),
        ..bare(case)
    }
}

fn bare(case: &Case) -> v1::AuthorizeRequest {
    v1::AuthorizeRequest {
        principal: Some(convert::reference(&case.principal)),
        action: Some(convert::reference(&case.action)),
        resource: Some(convert::reference(&case.resource)),
        entities: case.entities.iter().map(convert::carried).collect(),
        ..v1::AuthorizeRequest::default()
    }
}

fn told(response: &v1::AuthorizeResponse) -> Told {
    let id = |policy: &v1::PolicyRef| policy.id.clone();
    let cause = response.cause().as_str_name();
    let cause = cause.strip_prefix("DENY_CAUSE_").unwrap();
    assert!(!response.decision_id.is_empty());
    assert!(
        response
            .revisions
            .as_ref()
            .is_some_and(|revisions| revisions.policy.len() == 64)
    );
    assert_ne!(response.decision(), v1::Decision::Unspecified);
    Told {
        allow: response.decision() == v1::Decision::Allow,
        policies: response.policies.iter().map(id).collect(),
        errors: response
            .errors
            .iter()
            .filter_map(|error| error.policy.as_ref())
            .map(id)
            .collect(),
        cause: if cause == "UNSPECIFIED" {
            String::new()
        } else {
            cause.to_lowercase()
        },
    }
}

fn report(faults: &[String]) {
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test]
async fn unary_answers_every_case() {
    let running = Running::reference().await;
    let mut client = running.authorization();
    let mut faults = Vec::new();
    for case in all() {
        for (door, request) in [
            ("unary, JSON", as_json(&case)),
            ("unary, typed", as_typed(&case)),
        ] {
            let response = client.authorize(request).await.unwrap().into_inner();
            faults.extend(case.verify(door, &told(&response)).err());
        }
    }
    report(&faults);
}

#[tokio::test]
async fn batch_answers_every_case_in_order() {
    let running = Running::reference().await;
    let cases = all();
    let request = v1::BatchAuthorizeRequest {
        items: cases.iter().map(as_typed).collect(),
        ..v1::BatchAuthorizeRequest::default()
    };
    let response = running
        .authorization()
        .batch_authorize(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(response.items.len(), cases.len());
    let mut faults = Vec::new();
    for (case, item) in cases.iter().zip(&response.items) {
        let Some(batch_authorize_item::Result::Response(response)) = &item.result else {
            panic!("{}: {item:?}", case.name);
        };
        faults.extend(case.verify("batch", &told(response)).err());
    }
    report(&faults);
}

#[tokio::test]
async fn stream_answers_every_case_by_its_number() {
    let running = Running::reference().await;
    let cases: BTreeMap<u64, Case> = (1000..).zip(all()).collect();
    let questions: Vec<_> = cases
        .iter()
        .map(|(number, case)| v1::StreamAuthorizeRequest {
            correlation_id: *number,
            request: Some(as_typed(case)),
        })
        .collect();
    let mut answers = running
        .authorization()
        .stream_authorize(tokio_stream::iter(questions))
        .await
        .unwrap()
        .into_inner();
    let mut faults = Vec::new();
    let mut seen = 0;
    while let Some(answer) = answers.message().await.unwrap() {
        seen += 1;
        let case = &cases[&answer.correlation_id];
        let Some(stream_authorize_response::Result::Response(response)) = &answer.result else {
            panic!("{}: {answer:?}", case.name);
        };
        faults.extend(case.verify("stream", &told(response)).err());
    }
    assert_eq!(seen, cases.len());
    report(&faults);
}
