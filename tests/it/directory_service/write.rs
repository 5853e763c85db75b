//! What is written is read back, patched and deleted, if its preconditions hold.

use std::collections::BTreeMap;

use deodar::proto::v1;
use deodar::proto::v1::operation::Kind;
use deodar::proto::v1::patch_entity::Expiry;
use deodar::proto::v1::put_entity::Form;
use deodar::proto::v1::value::Kind as Of;
use tonic::Code;
use tonic_types::StatusExt as _;

use super::entity;
use super::link;
use super::put;
use super::put_json;
use super::read;
use super::reason;
use super::running;
use super::seconds;
use super::user;
use super::value;
use super::violations;
use super::write;
use super::writing;

#[tokio::test]
async fn what_was_written_is_read_back() {
    let (running, _files) = running(|_| ()).await;
    let mut client = running.directory();
    let mut ann = user("ann", i64::MIN);
    let badge = BTreeMap::from([
        (
            "until".to_owned(),
            value(Of::Datetime("2026-11-22".to_owned())),
        ),
        ("gate".to_owned(), value(Of::Ip("10.0.0.0/8".to_owned()))),
    ]);
    let badge = v1::RecordValue { fields: badge };
    ann.attributes
        .insert("badge".to_owned(), value(Of::Record(badge)));
    ann.tags.insert(
        "\u{1f600}\0".to_owned(),
        value(Of::Decimal("1.25".to_owned())),
    );
    ann.parents.push(entity("Group", "staff"));
    let temporary = v1::TemporaryParent {
        uid: Some(entity("Group", "guests")),
        expires_at: seconds(4_000_000_000),
    };
    let operation = Kind::Put(v1::PutEntity {
        form: Some(Form::Entity(ann.clone())),
        temporary_parents: vec![temporary.clone()],
        expires_at: seconds(4_100_000_000),
    });
    let bob = r#"{"uid": {"type": "User", "id": "bob"}, "attrs": {"level": 3, "badge": {"until": "2026-11-22"}}, "parents": []}"#;
    let first = write(
        &mut client,
        vec![
            operation,
            put_json(bob),
            Kind::PutLink(link("l", "ann", "plan")),
        ],
    )
    .await;
    let request = v1::ReadRequest {
        entities: vec![
            entity("User", "zoe"),
            entity("User", "ann"),
            entity("User", "bob"),
        ],
        links: vec!["gone".to_owned(), "l".to_owned()],
        at_least: first.clone(),
        ..v1::ReadRequest::default()
    };
    let answer = client.read(request).await.unwrap().into_inner();
    assert_eq!(answer.revision, first);
    assert_eq!(answer.entities[0].uid, Some(entity("User", "zoe")));
    assert_eq!(answer.entities[0].stored, None);
    let stored = answer.entities[1].stored.clone().unwrap();
    assert_eq!(stored.entity, Some(ann));
    assert_eq!(stored.temporary_parents, [temporary]);
    assert_eq!(stored.expires_at, seconds(4_100_000_000));
    let bob = answer.entities[2].stored.clone().unwrap();
    let badge = bob.entity.as_ref().unwrap().attributes["badge"].clone();
    // Text, which the schema makes a time.
    let until = BTreeMap::from([(
        "until".to_owned(),
        value(Of::Datetime("2026-11-22".to_owned())),
    )]);
    assert_eq!(badge, value(Of::Record(v1::RecordValue { fields: until })));
    assert_eq!(answer.links[0].stored, None);
    let stored = answer.links[1].stored.clone().unwrap();
    assert_eq!(stored.link, Some(link("l", "ann", "plan")));

    let patch = v1::PatchEntity {
        uid: Some(entity("User", "bob")),
        unset: vec!["badge".to_owned(), "never-there".to_owned()],
        set: BTreeMap::from([("level".to_owned(), value(Of::Long(4)))]),
        set_cedar_json: r#"{"tags": {"a": "0.5"}}"#.to_owned(),
        expiry: Some(Expiry::ExpiresAt(seconds(4_200_000_000).unwrap())),
        ..v1::PatchEntity::default()
    };
    let add = v1::AddParent {
        uid: Some(entity("User", "bob")),
        parent: Some(entity("Group", "staff")),
        expires_at: None,
    };
    write(&mut client, vec![Kind::Patch(patch), Kind::AddParent(add)]).await;
    let patched = read(&mut client, "bob").await.unwrap();
    assert!(patched.version > bob.version);
    assert_eq!(patched.expires_at, seconds(4_200_000_000));
    let mut expected = user("bob", 4);
    expected.parents.push(entity("Group", "staff"));
    expected
        .tags
        .insert("a".to_owned(), value(Of::Decimal("0.5".to_owned())));
    assert_eq!(patched.entity, Some(expected));

    let remove = v1::RemoveParent {
        uid: Some(entity("User", "bob")),
        parent: Some(entity("Group", "staff")),
    };
    let delete = v1::DeleteEntity {
        uid: Some(entity("User", "ann")),
        detach_members: false,
    };
    write(
        &mut client,
        vec![Kind::RemoveParent(remove), Kind::Delete(delete)],
    )
    .await;
    assert_eq!(read(&mut client, "ann").await, None);
    assert_eq!(
        read(&mut client, "bob")
            .await
            .unwrap()
            .entity
            .unwrap()
            .parents,
        []
    );
    let stats = client
        .get_stats(v1::GetStatsRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(stats.entities, BTreeMap::from([("User".to_owned(), 1)]));
    assert_eq!(
        (stats.expiring, stats.next_expiry),
        (1, seconds(4_200_000_000))
    );
}

#[tokio::test]
async fn preconditions_are_judged_when_applied() {
    use v1::precondition::Kind as If;
    let (running, _files) = running(|_| ()).await;
    let mut client = running.directory();
    write(
        &mut client,
        vec![put(user("ann", 1)), Kind::PutLink(link("l", "ann", "d"))],
    )
    .await;
    let version = read(&mut client, "ann").await.unwrap().version;
    let at = |version| {
        If::Version(v1::EntityVersion {
            uid: Some(entity("User", "ann")),
            version,
        })
    };
    let met = vec![
        If::Present(entity("User", "ann")),
        If::Absent(entity("User", "bob")),
        at(version),
        If::LinkPresent("l".to_owned()),
        If::LinkAbsent("m".to_owned()),
    ];
    let unmet = vec![
        If::Present(entity("User", "bob")),
        If::Absent(entity("User", "ann")),
        at(version + 1),
        If::LinkPresent("m".to_owned()),
        If::LinkAbsent("l".to_owned()),
    ];
    let conditions = |kinds: Vec<If>| {
        let kinds = kinds.into_iter();
        kinds
            .map(|kind| v1::Precondition { kind: Some(kind) })
            .collect()
    };
    for condition in unmet {
        let mut request = writing(vec![put(user("bob", 2))]);
        let mut kinds = met.clone();
        kinds.push(condition.clone());
        request.preconditions = conditions(kinds);
        let status = client.write(request).await.unwrap_err();
        assert_eq!(status.code(), Code::FailedPrecondition, "{condition:?}");
        assert_eq!(reason(&status), "PRECONDITION_FAILED");
        let details = status.get_error_details();
        let violations = &details.precondition_failure().unwrap().violations;
        assert_eq!(violations.len(), 1, "{condition:?}");
        assert!(
            violations[0].subject.starts_with("preconditions[5]"),
            "{status}"
        );
    }
    let mut request = writing(vec![put(user("bob", 2))]);
    request.preconditions = conditions(met);
    client.write(request).await.unwrap();
    assert!(read(&mut client, "bob").await.is_some());
    let mut request = writing(vec![put(user("bob", 2))]);
    request.preconditions = vec![v1::Precondition::default()];
    let status = client.write(request).await.unwrap_err();
    assert!(
        violations(&status)[0].starts_with("preconditions[0]: says nothing"),
        "{status}"
    );
}
