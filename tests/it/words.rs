//! Questions that are asked again in the same words are answered without being
//! read, and no differently.

use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use chrono::DateTime;
use chrono::SecondsFormat;
use deodar::proto::v1;
use deodar::proto::v1::batch_authorize_item::Result as Item;
use deodar::proto::v1::stream_authorize_response::Result as Streamed;
use tokio_stream::StreamExt as _;
use tonic::Code;

use super::grpc::entity;
use super::support::Running;
use super::support::config;
use super::support::repository;

const TICK: Duration = Duration::from_millis(20);
const SCHEMA: &str = "entity User, Doc;
action read appliesTo { principal: User, resource: Doc, context: { now: datetime, risk?: Long } };
action write appliesTo { principal: User, resource: Doc, context: {} };
";
const ENTITIES: &str = r#"[
    {"uid": {"type": "User", "id": "u"}, "attrs": {}, "parents": []},
    {"uid": {"type": "Doc", "id": "d"}, "attrs": {}, "parents": []},
    {"uid": {"type": "Doc", "id": "e"}, "attrs": {}, "parents": []}
]"#;

/// A server on which documents may be read until a time, and written always but
/// for one; the server tells the time.
async fn until(end: SystemTime) -> (Running, tempfile::TempDir) {
    let end = end.duration_since(UNIX_EPOCH).unwrap().as_millis();
    let end = DateTime::from_timestamp_millis(end.try_into().unwrap()).unwrap();
    let end = end.to_rfc3339_opts(SecondsFormat::Millis, true);
    let policies = format!(
        r#"@id("read") @advice("hurry") permit (principal, action == Action::"read", resource)
when {{ context.now < datetime("{end}") }};
@id("write") @obligation("log") permit (principal, action == Action::"write", resource)
unless {{ resource == Doc::"e" }};"#
    );
    let folder = repository(&[
        ("manifest.toml", "name = \"words\"\n"),
        ("schema/a.cedarschema", SCHEMA),
        ("policies/a.cedar", &policies),
        ("entities/a.json", ENTITIES),
    ]);
    let mut config = config(folder.path());
    config.decision.trust_caller_time = false;
    config.decision.time_resolution = TICK;
    (Running::start(config).await, folder)
}

fn question(action: &str, resource: &str) -> v1::AuthorizeRequest {
    v1::AuthorizeRequest {
        principal: Some(entity("User", "u")),
        action: Some(entity("Action", action)),
        resource: Some(entity("Doc", resource)),
        ..v1::AuthorizeRequest::default()
    }
}

/// Without what differs from one asking to the next.
fn plain(answer: &v1::AuthorizeResponse) -> v1::AuthorizeResponse {
    v1::AuthorizeResponse {
        decision_id: String::new(),
        cached: false,
        ..answer.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_is_the_same_through_every_call() {
    let (running, _folder) = until(SystemTime::now()).await;
    let mut client = running.authorization();
    for resource in ["d", "e"] {
        let asked = question("write", resource);
        let first = client.authorize(asked.clone()).await.unwrap().into_inner();
        assert!(!first.cached && first.revisions.is_some());
        let mut ids = vec![first.decision_id.clone()];
        for _ in 0..3 {
            let again = client.authorize(asked.clone()).await.unwrap().into_inner();
            assert!(again.cached);
            assert_eq!(plain(&again), plain(&first));
            assert!(!ids.contains(&again.decision_id));
            ids.push(again.decision_id);
        }
        let batch = v1::BatchAuthorizeRequest {
            shared: Some(v1::AuthorizeRequest {
                resource: None,
                ..asked.clone()
            }),
            items: vec![
                v1::AuthorizeRequest {
                    resource: asked.resource.clone(),
                    ..v1::AuthorizeRequest::default()
                },
                question("write", "nothing"),
                question("nothing", resource),
                v1::AuthorizeRequest::default(),
            ],
        };
        for _ in 0..3 {
            let answers = client.batch_authorize(batch.clone()).await.unwrap();
            let [Some(one), Some(unknown), Some(undeclared), Some(bad)] =
                <[_; 4]>::try_from(answers.into_inner().items)
                    .unwrap()
                    .map(|item| item.result)
            else {
                panic!("an item without an answer");
            };
            assert!(matches!(one, Item::Response(one) if plain(&one) == plain(&first)));
            let cause = |item| match item {
                Item::Response(answer) => answer.cause(),
                Item::Error(error) => panic!("{error:?}"),
            };
            assert_eq!(cause(unknown), v1::DenyCause::UnknownResource);
            assert_eq!(cause(undeclared), v1::DenyCause::UnknownAction);
            let Item::Error(bad) = bad else {
                panic!("answered without a resource");
            };
            assert!(bad.message.contains("`resource` is missing"), "{bad:?}");
        }
        let sent = (1..=4).map({
            let asked = asked.clone();
            move |correlation_id| v1::StreamAuthorizeRequest {
                correlation_id,
                request: Some(asked.clone()),
            }
        });
        let answers = client.stream_authorize(tokio_stream::iter(sent)).await;
        let answers: Vec<_> = answers.unwrap().into_inner().collect().await;
        for (answer, correlation_id) in answers.into_iter().zip(1..=4) {
            let answer = answer.unwrap();
            assert_eq!(answer.correlation_id, correlation_id);
            assert!(
                matches!(&answer.result, Some(Streamed::Response(answer)) if plain(answer) == plain(&first))
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_reads_the_time_is_decided_anew_at_the_next_tick() {
    let end = SystemTime::now() + Duration::from_secs(2);
    let (running, _folder) = until(end).await;
    let mut client = running.authorization();
    let mut cached = 0;
    loop {
        let before = SystemTime::now();
        let answer = client.authorize(question("read", "d")).await.unwrap();
        let (answer, after) = (answer.into_inner(), SystemTime::now());
        cached += u32::from(answer.cached);
        // Policies see the time rounded down to the tick.
        if before > end + TICK {
            assert_eq!(answer.decision(), v1::Decision::Deny);
            break;
        }
        if after < end {
            assert_eq!(answer.decision(), v1::Decision::Allow);
        }
    }
    assert!(cached > 10, "{cached}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_asks_for_more_is_read_every_time() {
    let (running, _folder) = until(SystemTime::now()).await;
    let mut client = running.authorization();
    let asked = question("write", "e");
    let explained = v1::AuthorizeRequest {
        explain: true,
        ..asked.clone()
    };
    let nowhere = v1::AuthorizeRequest {
        at_least: "no revision".to_owned(),
        ..asked.clone()
    };
    let timed = v1::AuthorizeRequest {
        context: Some(v1::Context {
            cedar_json: r#"{"now": {"__extn": {"fn": "datetime", "arg": "2020-01-01"}}}"#
                .to_owned(),
            ..v1::Context::default()
        }),
        ..question("read", "d")
    };
    for _ in 0..4 {
        client.authorize(asked.clone()).await.unwrap();
        let answer = client.authorize(explained.clone()).await.unwrap();
        assert!(answer.into_inner().explanation.is_some());
        let batch = v1::BatchAuthorizeRequest {
            shared: Some(explained.clone()),
            items: vec![v1::AuthorizeRequest::default()],
        };
        let answers = client.batch_authorize(batch).await.unwrap().into_inner();
        assert!(
            matches!(&answers.items[0].result, Some(Item::Response(answer)) if answer.explanation.is_some())
        );
        for bad in [&nowhere, &timed] {
            let status = client.authorize(bad.clone()).await.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        }
    }
}
