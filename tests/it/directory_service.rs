//! The gRPC door of the directory: writes, reads, lists, watches, refusals.

mod list;
mod refusals;
mod revisions;
mod watch;
mod write;

use std::collections::BTreeMap;

use deodar::proto::v1;
use deodar::proto::v1::operation::Kind;
use deodar::proto::v1::put_entity::Form;
use deodar::proto::v1::value::Kind as Of;
use tonic::Status;
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
