//! Bad operations and what exceeds a limit are refused by name, and nothing is written.

use deodar::proto::v1;
use deodar::proto::v1::operation::Kind;
use deodar::proto::v1::put_entity::Form;
use tonic::Code;
use tonic_types::StatusExt as _;

use super::entity;
use super::put;
use super::put_json;
use super::read;
use super::reason;
use super::running;
use super::user;
use super::violations;
use super::writing;

fn bad_operations() -> Vec<(&'static str, Option<Kind>)> {
    let of = |edit: &dyn Fn(&mut v1::Entity)| {
        let mut entity = user("x", 1);
        edit(&mut entity);
        Some(put(entity))
    };
    let timed = |at: prost_types::Timestamp| {
        Some(Kind::Put(v1::PutEntity {
            form: Some(Form::Entity(user("x", 1))),
            expires_at: Some(at),
            ..v1::PutEntity::default()
        }))
    };
    let patch = |edit: &dyn Fn(&mut v1::PatchEntity)| {
        let mut patch = v1::PatchEntity {
            uid: Some(entity("User", "x")),
            ..v1::PatchEntity::default()
        };
        edit(&mut patch);
        Some(Kind::Patch(patch))
    };
    vec![
        ("says nothing", None),
        (
            "put has no entity",
            Some(Kind::Put(v1::PutEntity::default())),
        ),
        ("put.entity.uid is missing", of(&|entity| entity.uid = None)),
        (
            "put.entity.uid has the type `Usr`",
            of(&|given| given.uid = Some(entity("Usr", "x"))),
        ),
        (
            "put.entity.attributes.level has no value",
            of(&|entity| {
                entity
                    .attributes
                    .insert("level".to_owned(), v1::Value::default());
            }),
        ),
        (
            "put.entity.parents[0].id exceeds",
            of(&|given| given.parents.push(entity("Group", &"x".repeat(2000)))),
        ),
        (
            "put.expires_at has a fraction",
            timed(prost_types::Timestamp {
                seconds: 1,
                nanos: 1,
            }),
        ),
        (
            "put.expires_at is not within",
            timed(prost_types::Timestamp {
                seconds: i64::MAX,
                nanos: 0,
            }),
        ),
        (
            "put.temporary_parents[0].expires_at is missing",
            Some(Kind::Put(v1::PutEntity {
                form: Some(Form::Entity(user("x", 1))),
                temporary_parents: vec![v1::TemporaryParent {
                    uid: Some(entity("Group", "g")),
                    expires_at: None,
                }],
                expires_at: None,
            })),
        ),
        ("put.entity_cedar_json is not JSON", Some(put_json("{"))),
        (
            "put.entity_cedar_json is not an object",
            Some(put_json("3")),
        ),
        ("put.entity_cedar_json has no `uid`", Some(put_json("{}"))),
        (
            "put.entity_cedar_json.attrs.level cannot be read",
            Some(put_json(
                r#"{"uid": {"type": "User", "id": "x"}, "attrs": {"level": {"__extn": {"fn": "ip", "arg": "x"}}}}"#,
            )),
        ),
        ("patch.uid is missing", patch(&|patch| patch.uid = None)),
        (
            "patch.unset[0] is empty",
            patch(&|patch| patch.unset.push(String::new())),
        ),
        (
            "patch.set_cedar_json has `level`",
            patch(&|patch| patch.set_cedar_json = r#"{"level": 3}"#.to_owned()),
        ),
        (
            "patch sets and removes `level`",
            patch(&|patch| {
                patch.unset.push("level".to_owned());
                patch.set_cedar_json = r#"{"attrs": {"level": 3}}"#.to_owned();
            }),
        ),
        (
            "delete.uid is missing",
            Some(Kind::Delete(v1::DeleteEntity::default())),
        ),
        (
            "add_parent.uid is missing",
            Some(Kind::AddParent(v1::AddParent::default())),
        ),
        (
            "remove_parent.uid is missing",
            Some(Kind::RemoveParent(v1::RemoveParent::default())),
        ),
        (
            "put_link.id is empty",
            Some(Kind::PutLink(v1::Link::default())),
        ),
        (
            "remove_link.id is empty",
            Some(Kind::RemoveLink(v1::RemoveLink::default())),
        ),
    ]
}

#[tokio::test]
async fn every_bad_operation_is_named_and_nothing_is_written() {
    let (running, _files) = running(|_| ()).await;
    let mut client = running.directory();
    let (expected, bad): (Vec<_>, Vec<_>) = bad_operations().into_iter().unzip();
    let mut request = writing(vec![put(user("ann", 1))]);
    // Each by itself, then all at once.
    for (says, kind) in expected.iter().zip(&bad) {
        let mut request = request.clone();
        request
            .operations
            .push(v1::Operation { kind: kind.clone() });
        let status = client.write(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{says}: {status}");
        let shown = violations(&status).join("\n").replacen(": ", " ", 1);
        let start = match *says {
            "says nothing" => "operations[1] says nothing".to_owned(),
            says => format!("operations[1].{says}"),
        };
        assert!(shown.starts_with(&start), "{says}: {shown}");
    }
    let bad = bad.into_iter().map(|kind| v1::Operation { kind });
    request.operations.extend(bad);
    let status = client.write(request.clone()).await.unwrap_err();
    assert_eq!(violations(&status).len(), expected.len(), "{status}");
    request.operations = vec![request.operations[2].clone(); 300];
    let status = client.write(request).await.unwrap_err();
    let details = status.get_error_details();
    let told = details.bad_request().unwrap().field_violations.len();
    assert_eq!(
        details.error_info().unwrap().metadata["faults_left_out"],
        (100 - told).to_string()
    );
    assert_eq!(read(&mut client, "ann").await, None);
    assert_eq!(running.server.directory.tip().revision.sequence, 0);
}

#[tokio::test]
async fn limits_are_kept() {
    let (running, _files) = running(|config| {
        config.directory.limits.operations_max = 2;
        config.directory.limits.page_max = 2;
        config.directory.limits.watches_max = 1;
    })
    .await;
    let mut client = running.directory();
    let three = vec![put(user("a", 1)), put(user("b", 1)), put(user("c", 1))];
    for request in [writing(three), writing(Vec::new())] {
        let status = client.write(request).await.unwrap_err();
        assert!(
            violations(&status)[0].starts_with("operations: "),
            "{status}"
        );
    }
    let request = v1::ReadRequest {
        entities: vec![entity("User", "a"); 3],
        ..v1::ReadRequest::default()
    };
    let status = client.read(request).await.unwrap_err();
    assert!(
        violations(&status)[0].contains("directory.page_max"),
        "{status}"
    );
    let status = client.list(v1::ListRequest::default()).await.unwrap_err();
    assert!(violations(&status)[0].starts_with("filter: "), "{status}");
    let request = v1::WatchRequest {
        heartbeat_interval: Some(prost_types::Duration {
            seconds: 3600,
            nanos: 0,
        }),
        ..v1::WatchRequest::default()
    };
    let status = client.watch(request).await.unwrap_err();
    assert!(
        violations(&status)[0].starts_with("heartbeat_interval: "),
        "{status}"
    );
    let _watch = client.watch(v1::WatchRequest::default()).await.unwrap();
    let status = client.watch(v1::WatchRequest::default()).await.unwrap_err();
    assert_eq!(
        (status.code(), &*reason(&status)),
        (Code::ResourceExhausted, "WATCHES")
    );
    let request = v1::GetStatsRequest {
        store: "other".to_owned(),
    };
    let status = client.get_stats(request).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    // A type that nobody declares is rather a typo than an absent entity.
    let request = v1::ReadRequest {
        entities: vec![entity("user", "a")],
        ..v1::ReadRequest::default()
    };
    let status = client.read(request).await.unwrap_err();
    assert!(
        violations(&status)[0].contains("did you mean `User`"),
        "{status}"
    );
}
