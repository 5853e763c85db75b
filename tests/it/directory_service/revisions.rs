//! Revisions that are named: waited for, or refused with the reason.

use std::time::Duration;

use deodar::proto::v1;
use deodar::proto::v1::list_request::Filter;
use tonic::Code;
use tonic_types::StatusExt as _;

use super::entity;
use super::put;
use super::reason;
use super::running;
use super::user;
use super::violations;
use super::write;

#[tokio::test]
async fn a_revision_that_cannot_be_had_is_refused_with_the_reason() {
    let (running, _files) = running(|config| config.directory.retain = 2).await;
    let mut client = running.directory();
    let mut revisions = Vec::new();
    for number in 0..5 {
        revisions.push(write(&mut client, vec![put(user("a", number))]).await);
    }
    let last = revisions[4].clone();
    let (log, rest) = last.split_once('-').unwrap();
    let foreign = format!("{:016x}-{rest}", 1);
    let forked = format!("{log}-5-{:016x}", 1);
    let cases = [
        (revisions[0].clone(), "REVISION_TRIMMED"),
        (foreign.clone(), "REVISION_FOREIGN"),
        (forked.clone(), "REVISION_FORKED"),
    ];
    for (after, expected) in cases {
        let request = v1::WatchRequest {
            after,
            ..v1::WatchRequest::default()
        };
        // What is trimmed is trimmed by a thread of its own, in a while.
        let status = loop {
            match client.watch(request.clone()).await {
                Err(status) => break status,
                Ok(_) => tokio::task::yield_now().await,
            }
        };
        assert_eq!(
            (status.code(), &*reason(&status)),
            (Code::FailedPrecondition, expected)
        );
        let details = status.get_error_details();
        let violation = &details.precondition_failure().unwrap().violations[0];
        assert_eq!(
            (&*violation.r#type, &*violation.subject),
            ("REVISION", "after")
        );
    }
    // One that is not reached is waited for, and then refused.
    let future = format!("{log}-6-{:016x}", 1);
    let request = v1::ReadRequest {
        at_least: future,
        ..v1::ReadRequest::default()
    };
    let status = client.read(request).await.unwrap_err();
    assert_eq!(
        (status.code(), &*reason(&status)),
        (Code::FailedPrecondition, "REVISION_FUTURE")
    );
    let request = v1::ListRequest {
        filter: Some(Filter::Links(v1::LinkFilter::default())),
        at_least: "latest".to_owned(),
        ..v1::ListRequest::default()
    };
    let status = client.list(request).await.unwrap_err();
    assert!(
        violations(&status)[0].starts_with("at_least: is bad"),
        "{status}"
    );
}

fn question(at_least: &str) -> v1::AuthorizeRequest {
    v1::AuthorizeRequest {
        principal: Some(entity("User", "ann")),
        action: Some(entity("Action", "read")),
        resource: Some(entity("Doc", "plan")),
        at_least: at_least.to_owned(),
        ..v1::AuthorizeRequest::default()
    }
}

#[tokio::test]
async fn questions_wait_for_the_revision_that_they_name() {
    use v1::batch_authorize_item::Result as Item;
    use v1::stream_authorize_response::Result as Streamed;
    let (running, _files) = running(|_| ()).await;
    let mut client = running.authorization();
    let reached = write(&mut running.directory(), vec![put(user("ann", 1))]).await;
    client.authorize(question(&reached)).await.unwrap();
    let (log, rest) = reached.split_once('-').unwrap();
    let foreign = format!("{:016x}-{rest}", 1);
    let status = client.authorize(question(&foreign)).await.unwrap_err();
    assert_eq!(
        (status.code(), &*reason(&status)),
        (Code::FailedPrecondition, "REVISION_FOREIGN")
    );
    let status = client.authorize(question("x")).await.unwrap_err();
    assert!(violations(&status)[0].starts_with("at_least: "), "{status}");

    let batch = |shared: &str, item: &str| v1::BatchAuthorizeRequest {
        shared: Some(question(shared)),
        items: vec![v1::AuthorizeRequest::default(), question(item)],
    };
    let answers = client
        .batch_authorize(batch(&reached, ""))
        .await
        .unwrap()
        .into_inner();
    assert!(
        answers
            .items
            .iter()
            .all(|item| matches!(item.result, Some(Item::Response(_))))
    );
    let answers = client
        .batch_authorize(batch("", &reached))
        .await
        .unwrap()
        .into_inner();
    assert!(matches!(answers.items[0].result, Some(Item::Response(_))));
    assert!(
        matches!(&answers.items[1].result, Some(Item::Error(error)) if error.message.contains("`shared`"))
    );
    let status = client
        .batch_authorize(batch(&foreign, ""))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "REVISION_FOREIGN");

    // On a stream, the second waits for a write that comes once it is asked.
    let (questions, asked) = tokio::sync::mpsc::channel(8);
    let ask = |id: u64, at_least: &str| v1::StreamAuthorizeRequest {
        correlation_id: id,
        request: Some(question(at_least)),
    };
    questions.send(ask(1, &foreign)).await.unwrap();
    questions.send(ask(2, &reached)).await.unwrap();
    let stream = tokio_stream::wrappers::ReceiverStream::new(asked);
    let mut answers = client.stream_authorize(stream).await.unwrap().into_inner();
    let first = answers.message().await.unwrap().unwrap();
    assert!(
        matches!(first.result, Some(Streamed::Error(_))),
        "{first:?}"
    );
    let second = answers.message().await.unwrap().unwrap();
    assert_eq!(second.correlation_id, 2);
    assert!(
        matches!(second.result, Some(Streamed::Response(_))),
        "{second:?}"
    );
    let next = next_revision(log, &reached);
    questions.send(ask(3, &next)).await.unwrap();
    let made = write(&mut running.directory(), vec![put(user("bob", 1))]).await;
    let third = answers.message().await.unwrap().unwrap();
    // The hash of the next revision cannot be known before: forked, unless guessed.
    assert_ne!(made, next);
    assert!(
        matches!(&third.result, Some(Streamed::Error(error)) if error.message.contains("history")),
        "{third:?}"
    );
}

fn next_revision(log: &str, reached: &str) -> String {
    let sequence: u64 = reached.split('-').nth(1).unwrap().parse().unwrap();
    format!("{log}-{}-{:016x}", sequence + 1, 1)
}

#[tokio::test]
async fn a_call_that_waits_ends_with_its_deadline() {
    let (running, _files) = running(|_| ()).await;
    let reached = write(&mut running.directory(), vec![put(user("ann", 1))]).await;
    let (log, _) = reached.split_once('-').unwrap();
    let mut request = tonic::Request::new(question(&next_revision(log, &reached)));
    request.set_timeout(Duration::from_millis(300));
    let status = running
        .authorization()
        .authorize(request)
        .await
        .unwrap_err();
    // The reason, unless this machine was too busy to tell it in time.
    assert!(
        matches!(
            status.code(),
            Code::FailedPrecondition | Code::DeadlineExceeded | Code::Cancelled
        ),
        "{status}"
    );
}
