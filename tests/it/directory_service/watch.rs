//! Watches: what was written, in order, and the end of the server.

use std::collections::BTreeMap;

use deodar::proto::v1;
use deodar::proto::v1::operation::Kind;
use deodar::proto::v1::patch_entity::Expiry;
use deodar::proto::v1::value::Kind as Of;
use deodar::proto::v1::watch_response::Event;
use tonic::Code;
use tonic::Streaming;

use super::entity;
use super::link;
use super::put;
use super::running;
use super::user;
use super::value;
use super::write;

/// The next transaction, heartbeats left out.
async fn next(stream: &mut Streaming<v1::WatchResponse>) -> v1::Transaction {
    loop {
        match stream.message().await.unwrap().unwrap().event.unwrap() {
            Event::Transaction(transaction) => return transaction,
            Event::Heartbeat(_) => {}
        }
    }
}

async fn beat(stream: &mut Streaming<v1::WatchResponse>) -> v1::Heartbeat {
    match stream.message().await.unwrap().unwrap().event.unwrap() {
        Event::Heartbeat(heartbeat) => heartbeat,
        Event::Transaction(transaction) => panic!("{transaction:?}"),
    }
}

#[tokio::test]
async fn a_watch_gives_exactly_what_was_written_after_its_revision() {
    let (running, _files) = running(|_| ()).await;
    let mut client = running.directory();
    let mut writer = running.directory();
    let first = write(&mut writer, vec![put(user("a", 1))]).await;
    let mut revisions = vec![];
    for number in 0..40 {
        revisions.push(write(&mut writer, vec![put(user("b", number))]).await);
    }
    let request = v1::WatchRequest {
        after: first.clone(),
        heartbeat_interval: Some(prost_types::Duration {
            seconds: 0,
            nanos: 100_000_000,
        }),
        ..v1::WatchRequest::default()
    };
    let mut stream = client.watch(request).await.unwrap().into_inner();
    let heartbeat = beat(&mut stream).await;
    assert_eq!(
        (&heartbeat.sent, &heartbeat.head),
        (&first, revisions.last().unwrap())
    );
    for (number, revision) in revisions.iter().enumerate() {
        let transaction = next(&mut stream).await;
        assert_eq!(&transaction.revision, revision);
        assert!(
            transaction.actor.starts_with("tcp:127.0.0.1"),
            "{}",
            transaction.actor
        );
        assert!(!transaction.continues && transaction.time.is_some());
        let level = i64::try_from(number).unwrap();
        assert_eq!(transaction.operations[0].kind, Some(put(user("b", level))));
    }
    let heartbeat = beat(&mut stream).await;
    assert_eq!(heartbeat.sent, heartbeat.head);
    // Live, with what follows from an operation.
    let patch = v1::PatchEntity {
        uid: Some(entity("User", "a")),
        set_cedar_json: r#"{"attrs": {"level": 7}}"#.to_owned(),
        expiry: Some(Expiry::NeverExpires(true)),
        ..v1::PatchEntity::default()
    };
    let last = write(
        &mut writer,
        vec![Kind::Patch(patch), Kind::PutLink(link("l", "a", "d"))],
    )
    .await;
    let transaction = next(&mut stream).await;
    assert_eq!(transaction.revision, last);
    let expected = v1::PatchEntity {
        uid: Some(entity("User", "a")),
        set: BTreeMap::from([("level".to_owned(), value(Of::Long(7)))]),
        expiry: Some(Expiry::NeverExpires(true)),
        ..v1::PatchEntity::default()
    };
    let kinds: Vec<_> = transaction
        .operations
        .into_iter()
        .map(|one| one.kind.unwrap())
        .collect();
    assert_eq!(
        kinds,
        [Kind::Patch(expected), Kind::PutLink(link("l", "a", "d"))]
    );
    // Without a revision, from now on.
    let mut from_now = client
        .watch(v1::WatchRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(beat(&mut from_now).await.sent, last);
    let newest = write(&mut writer, vec![put(user("c", 1))]).await;
    assert_eq!(next(&mut from_now).await.revision, newest);
    assert_eq!(next(&mut stream).await.revision, newest);
}

#[tokio::test]
async fn watches_end_when_the_server_leaves() {
    let (running, _files) = running(|_| ()).await;
    let mut client = running.directory();
    let mut stream = client
        .watch(v1::WatchRequest::default())
        .await
        .unwrap()
        .into_inner();
    beat(&mut stream).await;
    let stopped = tokio::spawn(running.server.stop());
    let status = stream.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    stopped.await.unwrap().unwrap();
}
