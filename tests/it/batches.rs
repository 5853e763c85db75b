//! Long batches: what they share is read once, and others are answered meanwhile.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use deodar::proto::v1;
use deodar::proto::v1::batch_authorize_item::Result as Item;
use deodar::serve::Limits;
use deodar::serve::grpc::authorization::Authorization;
use deodar::source;

use super::grpc::entity;
use super::grpc::good;
use super::served::Served;
use super::support::config;
use super::support::reference;

/// The service, with so many values to a question.
fn service(values_max: usize) -> (Served, Authorization) {
    let files = source::read(&reference(), &source::Limits::default()).unwrap();
    let served = Served::new(&files).unwrap();
    let limits = Limits {
        values_max,
        ..config(&reference()).limits
    };
    let service = Authorization::new(Arc::clone(&served.pdp), limits, 0);
    (served, service)
}

fn batch(shared: v1::AuthorizeRequest, items: usize) -> tonic::Request<v1::BatchAuthorizeRequest> {
    tonic::Request::new(v1::BatchAuthorizeRequest {
        shared: Some(shared),
        items: vec![v1::AuthorizeRequest::default(); items],
    })
}

fn text(text: &str) -> v1::Value {
    v1::Value {
        kind: Some(v1::value::Kind::String(text.to_owned())),
    }
}

/// Seen to fail when a batch is answered in one go.
#[test]
fn others_are_answered_while_a_batch_is() {
    let (_served, service) = service(4096);
    let explained = v1::AuthorizeRequest {
        explain: true,
        ..good()
    };
    let (is_done, turns) = (Cell::new(false), Cell::new(0));
    let asked = async {
        let answers = service.batch_authorize(batch(explained, 200)).await;
        is_done.set(true);
        answers.unwrap().into_inner()
    };
    let other = async {
        while !is_done.get() {
            turns.set(turns.get() + 1);
            tokio::task::yield_now().await;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (answers, ()) = runtime.block_on(async { tokio::join!(asked, other) });
    assert_eq!(answers.items.len(), 200);
    assert!(turns.get() > 0);
}

/// Context and carried entities in both forms, for several actions, against the
/// same questions one by one.
#[test]
fn what_is_shared_counts_for_each_item() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let conduit = v1::Entity {
        uid: Some(entity("Iot::Conduit", "c")),
        attributes: BTreeMap::from([("description".to_owned(), text("a pipe"))]),
        ..v1::Entity::default()
    };
    let json = r#"[{"uid": {"type": "Iot::Conduit", "id": "d"}, "attrs": {"description": "x"}, "parents": []}]"#;
    let now = r#"{"now": "2026-11-22T03:12:00Z"}"#;
    let typed = good();
    let mut of_json = good();
    of_json.context = Some(v1::Context {
        cedar_json: now.to_owned(),
        ..v1::Context::default()
    });
    of_json.entities_cedar_json = json.to_owned();
    let mut bad_json = of_json.clone();
    bad_json.context.as_mut().unwrap().cedar_json = "{".to_owned();
    let mut carrying = typed.clone();
    carrying.entities = vec![conduit];
    for values_max in [1, 2, 4096] {
        let (_served, service) = service(values_max);
        for shared in [&typed, &of_json, &bad_json, &carrying] {
            let items =
                ["publish", "read", "publish", "noSuchAction"].map(|action| v1::AuthorizeRequest {
                    action: Some(entity("Iot::Action", action)),
                    ..v1::AuthorizeRequest::default()
                });
            let request = v1::BatchAuthorizeRequest {
                shared: Some(shared.clone()),
                items: items.to_vec(),
            };
            let answers = service.batch_authorize(tonic::Request::new(request));
            let answers = runtime.block_on(answers);
            let answers = answers.unwrap().into_inner().items;
            for (item, answer) in items.iter().zip(answers) {
                let alone = v1::AuthorizeRequest {
                    action: item.action.clone(),
                    ..shared.clone()
                };
                let alone = service.authorize(tonic::Request::new(alone));
                let alone = runtime.block_on(alone);
                let expected = alone.map(|answer| answer.into_inner().cause());
                let found = match answer.result.unwrap() {
                    Item::Response(answer) => Ok(answer.cause()),
                    Item::Error(error) => Err(error.code),
                };
                let expected = expected.map_err(|status| i32::from(status.code()));
                assert_eq!(found, expected, "{values_max} {shared:?} {item:?}");
            }
        }
    }
}
