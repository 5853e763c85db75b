//! What could not be asked is recorded, too, before the refusal is given.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use deodar::audit::Mode;
use deodar::audit::Overflow;
use deodar::proto::v1;
use deodar::serve::grpc::authorization::Authorization;
use tokio_stream::StreamExt as _;
use tonic::Code;

use super::entity;
use super::of_kind;
use super::question;
use super::running;
use super::stuck_in;
use crate::grpc::raw_call;
use crate::support::Running;
use crate::support::config;
use crate::support::reference;
use crate::support::repository;

fn reasons(folder: &std::path::Path) -> Vec<String> {
    let records = of_kind(folder, "refusal");
    let reason = |record: &serde_json::Value| record["reason"].as_str().unwrap().to_owned();
    records.iter().map(reason).collect()
}

/// Seen to fail when a refusal does not wait.
#[test]
fn a_refusal_waits_for_its_record() {
    let folder = tempfile::tempdir().unwrap();
    let (served, _log, is_broken) = stuck_in(Mode::Sync, folder.path(), Overflow::Block);
    let limits = config(&reference()).limits;
    let service = Authorization::new(Arc::clone(&served.pdp), limits, 0);
    let bad = v1::AuthorizeRequest {
        principal: Some(entity("Nope::\"x\"")),
        ..question("Org::User::\"anna\"", "Iot::Device::\"press-01\"")
    };
    let batch = v1::BatchAuthorizeRequest {
        shared: None,
        items: vec![bad.clone(); 2],
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut single = Box::pin(service.authorize(tonic::Request::new(bad)));
        let mut batch = Box::pin(service.batch_authorize(tonic::Request::new(batch)));
        std::future::poll_fn(|context| {
            assert!(single.as_mut().poll(context).is_pending());
            assert!(batch.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
        is_broken.store(false, Ordering::Relaxed);
        single.await.unwrap_err();
        batch.await.unwrap();
    });
    assert_eq!(reasons(folder.path()), ["BAD_REQUEST"; 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_sync_a_refusal_is_recorded_before_it_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let running = running(folder.path(), Mode::Sync).await;
    let mut client = running.authorization();
    let good = question("Org::User::\"anna\"", "Iot::Device::\"press-01\"");
    let bad = v1::AuthorizeRequest {
        principal: Some(entity("Nope::\"x\"")),
        ..good.clone()
    };
    let elsewhere = v1::AuthorizeRequest {
        store: "other".to_owned(),
        ..good.clone()
    };
    let future = v1::AuthorizeRequest {
        at_least: "0".to_owned(),
        ..good.clone()
    };
    let mut expected = Vec::new();
    for (asked, code, reason) in [
        (&bad, Code::InvalidArgument, "BAD_REQUEST"),
        (&elsewhere, Code::NotFound, "STORE_NOT_FOUND"),
        (&future, Code::InvalidArgument, "BAD_REQUEST"),
    ] {
        let refused = client.authorize(asked.clone()).await.unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
        expected.push(reason);
        assert_eq!(reasons(folder.path()), expected);
    }
    let batch = v1::BatchAuthorizeRequest {
        shared: Some(elsewhere),
        items: vec![good.clone()],
    };
    client.batch_authorize(batch).await.unwrap_err();
    expected.push("STORE_NOT_FOUND");
    assert_eq!(reasons(folder.path()), expected);

    let asked = |request: Option<v1::AuthorizeRequest>| v1::StreamAuthorizeRequest {
        correlation_id: 7,
        request,
    };
    let questions = vec![asked(Some(bad)), asked(Some(good)), asked(None)];
    let questions = tokio_stream::iter(questions);
    let answers = client.stream_authorize(questions).await.unwrap();
    let mut answers = answers.into_inner();
    for is_refused in [true, false, true] {
        let answer = answers.next().await.unwrap().unwrap();
        let result = answer.result.unwrap();
        assert_eq!(
            matches!(result, v1::stream_authorize_response::Result::Error(_)),
            is_refused
        );
        expected.extend(is_refused.then_some("BAD_REQUEST"));
        let recorded = reasons(folder.path());
        assert!(
            recorded.iter().take(expected.len()).eq(expected.iter()),
            "{recorded:?} {expected:?}"
        );
    }
    assert_eq!(reasons(folder.path()), expected);

    // What is no message ends the stream, and says so in the log first.
    let garbage = raw_call(&running, "StreamAuthorize", &[0xff; 9], "identity").await;
    assert_eq!(garbage.0, "13");
    expected.push("UNDECODED");
    assert_eq!(reasons(folder.path()), expected);
}

#[tokio::test]
async fn that_there_are_no_policies_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let bad = repository(&[("p.cedar", "permit(principal, action")]);
    let mut config = config(bad.path());
    config.policies.watch = true;
    config.audit.path = Some(folder.path().to_owned());
    config.audit.mode = Mode::Sync;
    let running = Running::start(config).await;
    let mut request = tonic::Request::new(v1::AuthorizeRequest::default());
    request
        .metadata_mut()
        .insert("x-request-id", "early".parse().unwrap());
    let refused = running.authorization().authorize(request).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unavailable);
    assert_eq!(reasons(folder.path()), ["NOT_READY"]);
    assert_eq!(of_kind(folder.path(), "refusal")[0]["request"], "early");
}
