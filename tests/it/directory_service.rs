//! The gRPC door of the directory: writes, reads, lists, watches, refusals.

use std::collections::BTreeMap;
use std::time::Duration;

use deodar::proto::v1;
use deodar::proto::v1::list_request::Filter;
use deodar::proto::v1::operation::Kind;
use deodar::proto::v1::patch_entity::Expiry;
use deodar::proto::v1::put_entity::Form;
use deodar::proto::v1::value::Kind as Of;
use deodar::proto::v1::watch_response::Event;
use tonic::Code;
use tonic::Status;
use tonic::Streaming;
use tonic_types::StatusExt as _;

use super::grpc::entity;
use super::support::DirectoryClient;
use super::support::Running;
use super::support::config;
use super::support::repository;

const SCHEMA: &str = "
entity Group in [Group];
entity User in [Group] { level: Long, badge?: { until: datetime, gate?: ipaddr } } tags decimal;
entity Doc { owner?: User };
action read appliesTo { principal: User, resource: Doc };
";

const POLICIES: &str = r#"
@id("owner") permit (principal, action, resource) when { resource has owner && resource.owner == principal };
@id("share") permit (principal == ?principal, action, resource == ?resource);
"#;

async fn running(edit: impl Fn(&mut deodar::config::Config)) -> (Running, tempfile::TempDir) {
    let files = repository(&[
        // Links may name documents that nobody stored.
        ("manifest.toml", "implicit_types = [\"Doc\"]\n"),
        ("s.cedarschema", SCHEMA),
        ("p.cedar", POLICIES),
    ]);
    let mut config = config(files.path());
    edit(&mut config);
    (Running::start(config).await, files)
}

fn value(kind: Of) -> v1::Value {
    v1::Value { kind: Some(kind) }
}

#[expect(clippy::unnecessary_wraps, reason = "as the messages have it")]
fn seconds(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds, nanos: 0 })
}

fn user(id: &str, level: i64) -> v1::Entity {
    v1::Entity {
        uid: Some(entity("User", id)),
        attributes: BTreeMap::from([("level".to_owned(), value(Of::Long(level)))]),
        ..v1::Entity::default()
    }
}

fn put(entity: v1::Entity) -> Kind {
    Kind::Put(v1::PutEntity {
        form: Some(Form::Entity(entity)),
        ..v1::PutEntity::default()
    })
}

fn put_json(text: &str) -> Kind {
    Kind::Put(v1::PutEntity {
        form: Some(Form::EntityCedarJson(text.to_owned())),
        ..v1::PutEntity::default()
    })
}

fn link(id: &str, who: &str, what: &str) -> v1::Link {
    v1::Link {
        id: id.to_owned(),
        template_id: "share".to_owned(),
        principal: Some(entity("User", who)),
        resource: Some(entity("Doc", what)),
        expires_at: None,
    }
}

fn writing(kinds: Vec<Kind>) -> v1::WriteRequest {
    let operations = kinds
        .into_iter()
        .map(|kind| v1::Operation { kind: Some(kind) });
    v1::WriteRequest {
        operations: operations.collect(),
        ..v1::WriteRequest::default()
    }
}

async fn write(client: &mut DirectoryClient, kinds: Vec<Kind>) -> String {
    let written = client.write(writing(kinds)).await.unwrap();
    written.into_inner().revision
}

async fn read(client: &mut DirectoryClient, id: &str) -> Option<v1::StoredEntity> {
    let request = v1::ReadRequest {
        entities: vec![entity("User", id)],
        ..v1::ReadRequest::default()
    };
    let mut answer = client.read(request).await.unwrap().into_inner();
    answer.entities.remove(0).stored
}

fn violations(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().domain, "deodar");
    let violations = &details.bad_request().unwrap().field_violations;
    violations
        .iter()
        .map(|violation| format!("{}: {}", violation.field, violation.description))
        .collect()
}

fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    details.error_info().unwrap().reason.clone()
}

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

async fn page(
    client: &mut DirectoryClient,
    filter: &Filter,
    token: &str,
) -> Result<v1::ListResponse, Status> {
    let request = v1::ListRequest {
        filter: Some(filter.clone()),
        page_size: 3,
        page_token: token.to_owned(),
        ..v1::ListRequest::default()
    };
    client.list(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn all_pages_are_of_one_revision_while_writes_go_on() {
    let (running, _files) = running(|_| ()).await;
    let mut client = running.directory();
    let ids: Vec<String> = (0..10).map(|number| format!("u{number}")).collect();
    let puts = ids.iter().map(|id| put(user(id, 1))).collect();
    let revision = write(&mut client, puts).await;
    let filter = Filter::Entities(v1::EntityFilter {
        r#type: "User".to_owned(),
        ..v1::EntityFilter::default()
    });
    let (mut token, mut found) = (String::new(), Vec::new());
    for round in 0.. {
        let listed = page(&mut client, &filter, &token).await.unwrap();
        assert_eq!(listed.revision, revision);
        for stored in listed.entities {
            let stored = stored.entity.unwrap();
            assert_eq!(stored.attributes["level"], value(Of::Long(1)));
            found.push(stored.uid.unwrap().id);
        }
        if listed.next_page_token.is_empty() {
            break;
        }
        // The same page again is the same page.
        let again = page(&mut client, &filter, &listed.next_page_token)
            .await
            .unwrap();
        assert_eq!(again.revision, revision);
        if again.next_page_token.is_empty() {
            // The last page gives up the list.
            found.extend(
                again
                    .entities
                    .into_iter()
                    .map(|one| one.entity.unwrap().uid.unwrap().id),
            );
            break;
        }
        token = listed.next_page_token;
        let delete = v1::DeleteEntity {
            uid: Some(entity("User", &ids[9 - round])),
            detach_members: true,
        };
        let changed = vec![
            put(user(&ids[0], 2)),
            put(user(&format!("u00{round}"), 2)),
            Kind::Delete(delete),
        ];
        write(&mut client, changed).await;
    }
    assert_eq!(found, ids);
    let status = page(&mut client, &filter, &token).await.unwrap_err();
    assert_eq!(
        (status.code(), &*reason(&status)),
        (Code::Aborted, "LIST_GONE")
    );
}

#[tokio::test]
async fn filters_select_and_tokens_belong_to_them() {
    let (running, _files) = running(|_| ()).await;
    let mut client = running.directory();
    let mut puts: Vec<_> = (0..8)
        .map(|number| put(user(&format!("u{number}"), number % 2)))
        .collect();
    let mut member = user("v", 5);
    member.parents.push(entity("Group", "g"));
    puts.push(put(member));
    puts.extend(
        (0..5).map(|number| Kind::PutLink(link(&format!("l{number}"), &format!("u{number}"), "d"))),
    );
    write(&mut client, puts).await;
    let all = |edit: &dyn Fn(&mut v1::EntityFilter)| {
        let mut filter = v1::EntityFilter::default();
        edit(&mut filter);
        Filter::Entities(filter)
    };
    let links = Filter::Links(v1::LinkFilter {
        principal: Some(entity("User", "u3")),
        template_id: "share".to_owned(),
        ..v1::LinkFilter::default()
    });
    let cases: Vec<(Filter, Vec<&str>)> = vec![
        (all(&|filter| filter.id_prefix = "v".to_owned()), vec!["v"]),
        (
            all(&|filter| filter.parent = Some(entity("Group", "g"))),
            vec!["v"],
        ),
        (all(&|filter| filter.r#type = "Group".to_owned()), vec![]),
        (
            all(&|filter| {
                filter.attribute = Some(v1::AttributeValue {
                    name: "level".to_owned(),
                    value: Some(value(Of::Long(1))),
                });
            }),
            vec!["u1", "u3", "u5", "u7"],
        ),
        (links.clone(), vec!["l3"]),
        (
            Filter::Links(v1::LinkFilter::default()),
            vec!["l0", "l1", "l2", "l3", "l4"],
        ),
    ];
    for (filter, expected) in cases {
        let (mut token, mut found) = (String::new(), Vec::new());
        loop {
            let listed = page(&mut client, &filter, &token).await.unwrap();
            let entities = listed.entities.into_iter();
            found.extend(entities.map(|stored| stored.entity.unwrap().uid.unwrap().id));
            found.extend(
                listed
                    .links
                    .into_iter()
                    .map(|stored| stored.link.unwrap().id),
            );
            token = listed.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(found, expected, "{filter:?}");
    }
    let everything = all(&|_| ());
    let token = page(&mut client, &everything, "")
        .await
        .unwrap()
        .next_page_token;
    for filter in [links, all(&|filter| filter.id_prefix = "u".to_owned())] {
        let status = page(&mut client, &filter, &token).await.unwrap_err();
        assert!(
            violations(&status)[0].starts_with("page_token: is of a list"),
            "{status}"
        );
    }
    let status = page(&mut client, &everything, "nonsense")
        .await
        .unwrap_err();
    assert!(
        violations(&status)[0].starts_with("page_token: is not"),
        "{status}"
    );
    assert!(page(&mut client, &everything, &token).await.is_ok());
}

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
