//! Secrets in what callers ask and write.

use std::path::Path;

use deodar::proto::v1;
use deodar::proto::v1::authorization_service_client::AuthorizationServiceClient;
use deodar::proto::v1::directory_service_client::DirectoryServiceClient;
use deodar::proto::v1::value::Kind;
use serde_json::Value as Json;
use serde_json::json;
use tempfile::TempDir;
use tonic::Code;
use tonic::Request;

use super::in_log;
use super::in_text;
use super::made;
use super::put;
use super::secret;
use crate::cli::serve::Served;
use crate::convert;
use crate::grpc::entity;
use crate::support::repository;

const SCHEMA: &str = "
entity User { phone?: String };
entity Doc;
action read appliesTo { principal: User, resource: Doc, context: {
  now: datetime, purpose?: String, session?: { token?: String, ip?: ipaddr }, unread?: String, unread_ip?: ipaddr,
} };
";
const POLICIES: &str = r#"
@id("read") permit (principal, action, resource)
when { context has purpose && context.purpose != "" && principal has phone && principal.phone != "" }
when { context has session && context.session has token && context.session.token != "" };
@id("outside") forbid (principal, action, resource)
when { context has session && context.session has ip && context.session.ip.isLoopback() };
"#;
/// What is asked about has to be stored.
const DOCUMENT: &str = r#"[{"uid": {"type": "Doc", "id": "d"}, "attrs": {}, "parents": []}]"#;
/// A rule for each field that has a secret.
const RULES: &str =
    "entity:User=hash,context.purpose=mask,context.session=drop,entities.phone=hash,caller=hash";

fn policies() -> TempDir {
    repository(&[
        ("manifest.toml", "name = \"secrets\"\n"),
        ("s.cedarschema", SCHEMA),
        ("p.cedar", POLICIES),
        ("entities/d.json", DOCUMENT),
    ])
}

/// A server that tells as much as it can.
fn served(folder: &Path, policies: &Path, rules: &str) -> Served {
    let variables = [
        ("DEODAR_DIRECTORY__PATH", "memory"),
        ("DEODAR_AUDIT__MODE", "sync"),
        ("DEODAR_AUDIT__REDACT", rules),
        ("DEODAR_LOG__LEVEL", "info,deodar=trace"),
    ];
    Served::start(folder, policies, &variables)
}

/// A question of this user with this context.
fn question(user: &str, context: &Json) -> v1::AuthorizeRequest {
    v1::AuthorizeRequest {
        principal: Some(entity("User", user)),
        action: Some(entity("Action", "read")),
        resource: Some(entity("Doc", "d")),
        context: Some(v1::Context {
            cedar_json: context.to_string(),
            ..v1::Context::default()
        }),
        ..v1::AuthorizeRequest::default()
    }
}

/// A good question, with the secret in every field that has a rule, and in one
/// that no policy reads.
fn good(secret: &str) -> v1::AuthorizeRequest {
    let context = json!({"purpose": secret, "session": {"token": secret}, "unread": secret});
    let user =
        json!({"uid": {"type": "User", "id": secret}, "attrs": {"phone": secret}, "parents": []});
    v1::AuthorizeRequest {
        entities: vec![convert::carried(&user)],
        ..question(secret, &context)
    }
}

/// With a value for a field that no policy reads.
fn typed(kind: Kind) -> v1::AuthorizeRequest {
    let mut question = question("anna", &json!({}));
    let context = question.context.as_mut().unwrap();
    let value = v1::Value { kind: Some(kind) };
    context.values.insert("unread_ip".to_owned(), value);
    question
}

/// Questions that are refused for the type, the name or the value of a field that
/// no policy reads.
fn bad_where_nobody_reads(secret: &str) -> Vec<v1::AuthorizeRequest> {
    vec![
        question("anna", &json!({"unread": [secret]})),
        question("anna", &json!({"unheard_of": secret})),
        typed(Kind::String(secret.to_owned())),
        typed(Kind::Entity(entity("User", secret))),
        question("anna", &json!({"unread_ip": secret})),
        question("anna", &json!({"unread_ip": {"fn": "ip", "arg": secret}})),
        typed(Kind::Ip(secret.to_owned())),
        typed(Kind::Decimal(secret.to_owned())),
        typed(Kind::Datetime(secret.to_owned())),
        typed(Kind::Duration(secret.to_owned())),
    ]
}

/// Questions that are refused for what a rule takes out, or for their form. Why they
/// are may say it, so that is in no record where rules are.
fn bad_where_rules_are(secret: &str) -> Vec<v1::AuthorizeRequest> {
    let mut broken = question(secret, &json!({}));
    broken.context.as_mut().unwrap().cedar_json = format!("{{\"{secret}");
    let user =
        json!({"uid": {"type": "User", "id": secret}, "attrs": {"age": secret}, "parents": []});
    let mut carrying = question(secret, &json!({}));
    carrying.entities = vec![convert::carried(&user)];
    vec![
        broken,
        carrying,
        question(secret, &json!({"purpose": [secret]})),
        question(secret, &json!({"session": {"ip": secret}})),
        question(&secret.repeat(40), &json!({})),
    ]
}

/// Asks all of it; one by one and together.
async fn ask(served: &Served, good: &v1::AuthorizeRequest, bad: Vec<v1::AuthorizeRequest>) {
    let mut client = AuthorizationServiceClient::new(served.channel().await);
    for _ in 0..2 {
        let answer = client.authorize(good.clone()).await.unwrap().into_inner();
        assert_eq!(answer.decision(), v1::Decision::Allow, "{answer:?}");
    }
    for question in &bad {
        let asked = client.authorize(question.clone()).await;
        let code = asked.map_err(|status| status.code()).unwrap_err();
        assert_eq!(code, Code::InvalidArgument, "{question:?}");
    }
    let batch = v1::BatchAuthorizeRequest {
        items: bad,
        ..v1::BatchAuthorizeRequest::default()
    };
    client.batch_authorize(batch).await.unwrap();
}

/// Stores the user whose id and number are secrets, and fails to.
async fn write(served: &Served, secret: &str) {
    let mut client = DirectoryServiceClient::new(served.channel().await);
    for (attribute, is_good) in [("phone", true), ("age", false)] {
        let user = json!({"uid": {"type": "User", "id": secret}, "attrs": {attribute: secret}, "parents": []});
        let put = v1::PutEntity {
            form: Some(v1::put_entity::Form::EntityCedarJson(user.to_string())),
            ..v1::PutEntity::default()
        };
        let operation = v1::Operation {
            kind: Some(v1::operation::Kind::Put(put)),
        };
        let write = v1::WriteRequest {
            operations: vec![operation],
            ..v1::WriteRequest::default()
        };
        assert_eq!(client.write(write).await.is_ok(), is_good);
    }
}

/// Searched at the end, as every server is. Seen to fail when messages of
/// refusals are recorded although there are rules.
#[tokio::test(flavor = "multi_thread")]
async fn with_a_rule_a_secret_is_nowhere() {
    let (folder, policies) = (tempfile::tempdir().unwrap(), policies());
    let served = served(folder.path(), policies.path(), RULES);
    let mut bad = bad_where_nobody_reads(secret());
    bad.extend(bad_where_rules_are(secret()));
    write(&served, secret()).await;
    ask(&served, &good(secret()), bad).await;
    assert_eq!(served.terminate().0, Some(0));
}

/// Without any rule.
#[tokio::test(flavor = "multi_thread")]
async fn what_no_policy_reads_is_nowhere() {
    let (folder, policies) = (tempfile::tempdir().unwrap(), policies());
    let served = served(folder.path(), policies.path(), "");
    let good = question_that_is_allowed();
    ask(&served, &good, bad_where_nobody_reads(secret())).await;
    assert_eq!(served.terminate().0, Some(0));
}

fn question_that_is_allowed() -> v1::AuthorizeRequest {
    let mut question = good("plain");
    let context = json!({"purpose": "p", "session": {"token": "t"}, "unread": secret()});
    question.context.as_mut().unwrap().cedar_json = context.to_string();
    question
}

/// The search finds what is written: a secret of its own, where no rule is, and
/// in the name of a directory.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_is_found() {
    let other = made();
    let (folder, from) = (tempfile::tempdir().unwrap(), policies());
    let policies = folder.path().join(&other);
    std::os::unix::fs::symlink(from.path(), &policies).unwrap();
    let served = served(folder.path(), &policies, "");
    let mut client = AuthorizationServiceClient::new(served.channel().await);
    let mut request = Request::new(good(&other));
    put(request.metadata_mut(), &other);
    let named = other.parse().unwrap();
    request.metadata_mut().insert("x-request-id", named);
    client.authorize(request).await.unwrap();
    let found = in_log(&served.audit, &other);
    for field in ["principal", "purpose", "token", "phone", "request"] {
        let has = |line: &String| line.contains(&format!("\"{field}\":"));
        assert!(found.iter().any(has), "{field}: {found:?}");
    }
    let decision: Vec<_> = found
        .iter()
        .filter(|line| line.contains("\"kind\":\"decision\""))
        .collect();
    assert_eq!(decision.len(), 1, "{found:?}");
    let lines = served.seen().as_bytes();
    assert!(!in_text("lines", lines, &other).is_empty());
}
