//! The gRPC door: bad input, limits, batches, streams, deadlines, errors.

use std::collections::BTreeMap;
use std::time::Duration;

use deodar::proto::v1;
use deodar::proto::v1::authorization_service_client::AuthorizationServiceClient;
use deodar::proto::v1::batch_authorize_item;
use deodar::proto::v1::stream_authorize_response;
use deodar::proto::v1::value::Kind;
use tokio_stream::StreamExt as _;
use tonic::Code;
use tonic::Request;
use tonic::Status;
use tonic_types::StatusExt as _;

use super::support::Running;
use super::support::config;
use super::support::reference;
use super::support::repository;

pub(crate) fn entity(entity_type: &str, id: &str) -> v1::EntityRef {
    v1::EntityRef {
        r#type: entity_type.to_owned(),
        id: id.to_owned(),
    }
}

fn value(kind: Kind) -> v1::Value {
    v1::Value { kind: Some(kind) }
}

/// Press 01 publishes its telemetry, at a fixed time: allowed.
pub(crate) fn good() -> v1::AuthorizeRequest {
    let now = value(Kind::Datetime("2026-11-22T03:12:00Z".to_owned()));
    v1::AuthorizeRequest {
        principal: Some(entity("Iot::Device", "press-01")),
        action: Some(entity("Iot::Action", "publish")),
        resource: Some(entity("Iot::Topic", "plant-hamburg/press-01/telemetry")),
        context: Some(v1::Context {
            values: BTreeMap::from([("now".to_owned(), now)]),
            ..v1::Context::default()
        }),
        ..v1::AuthorizeRequest::default()
    }
}

fn violation(status: &Status) -> (String, String) {
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().domain, "deodar");
    let violation = &details.bad_request().unwrap().field_violations[0];
    (violation.field.clone(), violation.description.clone())
}

type Spoil = Box<dyn Fn(&mut v1::AuthorizeRequest)>;

fn set(name: &'static str, kind: Kind) -> Spoil {
    Box::new(move |request| {
        let values = &mut request.context.as_mut().unwrap().values;
        values.insert(name.to_owned(), value(kind.clone()));
    })
}

fn carry(edit: impl Fn(&mut v1::Entity) + 'static) -> Spoil {
    Box::new(move |request| {
        let mut carried = v1::Entity {
            uid: Some(entity("Iot::Device", "press-01")),
            ..v1::Entity::default()
        };
        edit(&mut carried);
        request.entities.push(carried);
    })
}

fn nested(depth: usize) -> Kind {
    (0..depth).fold(Kind::Bool(true), |inner, _| {
        Kind::Set(v1::SetValue {
            elements: vec![value(inner)],
        })
    })
}

/// Every kind of bad question, the field that the answer has to name, and a
/// word that it has to say.
fn bad_questions() -> Vec<(&'static str, &'static str, Spoil)> {
    vec![
        ("principal", "missing", Box::new(|r| r.principal = None)),
        ("action", "missing", Box::new(|r| r.action = None)),
        ("resource", "missing", Box::new(|r| r.resource = None)),
        (
            "principal.type",
            "empty",
            Box::new(|r| r.principal = Some(entity("", "x"))),
        ),
        (
            "principal",
            "did you mean `Iot::Device`",
            Box::new(|r| r.principal = Some(entity("iot::device", "x"))),
        ),
        (
            "resource",
            "does not declare",
            Box::new(|r| r.resource = Some(entity("No::Such", "x"))),
        ),
        (
            "principal.id",
            "limits.id_bytes_max",
            Box::new(|r| r.principal = Some(entity("Iot::Device", &"x".repeat(1025)))),
        ),
        (
            "context.unheard_of",
            "not declared",
            set("unheard_of", Kind::Bool(true)),
        ),
        ("context.now", "not a `datetime`", set("now", Kind::Long(3))),
        (
            "context.session",
            "not a record",
            set("session", Kind::Bool(true)),
        ),
        (
            "context.now",
            "not a datetime",
            set("now", Kind::Datetime("yesterday".to_owned())),
        ),
        (
            "context.now",
            "has no value",
            Box::new(|r| {
                let values = &mut r.context.as_mut().unwrap().values;
                values.insert("now".to_owned(), v1::Value::default());
            }),
        ),
        (
            "context.session[0][0][0][0]",
            "limits.depth_max",
            set("session", nested(20)),
        ),
        (
            "context.session",
            "limits.values_max",
            set(
                "session",
                Kind::Set(v1::SetValue {
                    elements: vec![value(Kind::Long(1)); 5000],
                }),
            ),
        ),
        (
            "context.cedar_json",
            "is not JSON",
            Box::new(|r| r.context.as_mut().unwrap().cedar_json = "{".to_owned()),
        ),
        (
            "context.now",
            "in `values` and in `cedar_json`",
            Box::new(|r| {
                r.context.as_mut().unwrap().cedar_json =
                    r#"{"now": {"__extn": {"fn": "datetime", "arg": "2026-11-22"}}}"#.to_owned();
            }),
        ),
        (
            "entities",
            "not declared",
            carry(|e| {
                e.attributes
                    .insert("colour".to_owned(), value(Kind::Bool(true)));
            }),
        ),
        (
            "entities",
            "cannot be in",
            carry(|e| e.parents.push(entity("Org::User", "anna"))),
        ),
        ("entities[0].uid", "missing", carry(|e| e.uid = None)),
        (
            "entities",
            "is an action",
            carry(|e| e.uid = Some(entity("Iot::Action", "publish"))),
        ),
        (
            "entities",
            "cycle",
            Box::new(|r| {
                for (child, parent) in [("a", "b"), ("b", "c"), ("c", "a")] {
                    r.entities.push(v1::Entity {
                        uid: Some(entity("Iot::DeviceGroup", child)),
                        parents: vec![entity("Iot::DeviceGroup", parent)],
                        ..v1::Entity::default()
                    });
                }
            }),
        ),
        (
            "entities",
            "limits.entities_max",
            Box::new(|r| {
                r.entities = vec![v1::Entity::default(); 101];
            }),
        ),
    ]
}

#[tokio::test]
async fn every_bad_question_names_its_field_and_changes_nothing() {
    let running = Running::reference().await;
    let mut client = running.authorization();
    for (field, word, spoil) in bad_questions() {
        let mut request = good();
        spoil(&mut request);
        let status = client.authorize(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{field}: {status}");
        let (named, description) = violation(&status);
        assert!(named.starts_with(field), "{status}");
        assert!(description.contains(word), "{field}: {description}");
        let answer = client.authorize(good()).await.unwrap().into_inner();
        assert_eq!(answer.decision(), v1::Decision::Allow, "after {field}");
    }
}

#[tokio::test]
async fn a_bad_item_is_an_error_of_that_item() {
    let running = Running::reference().await;
    let mut items = vec![good()];
    for (_, _, spoil) in bad_questions() {
        let mut request = good();
        spoil(&mut request);
        items.push(request);
        items.push(good());
    }
    let request = v1::BatchAuthorizeRequest {
        items,
        shared: None,
    };
    let response = running
        .authorization()
        .batch_authorize(request)
        .await
        .unwrap()
        .into_inner();
    for (at, item) in response.items.iter().enumerate() {
        match item.result.as_ref().unwrap() {
            batch_authorize_item::Result::Response(response) => {
                assert_eq!((at % 2, response.decision()), (0, v1::Decision::Allow));
            }
            batch_authorize_item::Result::Error(error) => {
                assert_eq!((at % 2, error.code), (1, Code::InvalidArgument as i32));
                assert!(!error.details.is_empty());
            }
        }
    }
}

#[tokio::test]
async fn a_batch_shares_parts_and_items_override_them() {
    let running = Running::reference().await;
    let other = v1::AuthorizeRequest {
        principal: Some(entity("Iot::Device", "vib-02")),
        ..v1::AuthorizeRequest::default()
    };
    let request = v1::BatchAuthorizeRequest {
        shared: Some(good()),
        items: vec![v1::AuthorizeRequest::default(), other],
    };
    let response = running
        .authorization()
        .batch_authorize(request)
        .await
        .unwrap()
        .into_inner();
    let decisions: Vec<_> = response
        .items
        .iter()
        .map(|item| match item.result.as_ref().unwrap() {
            batch_authorize_item::Result::Response(response) => response.decision(),
            batch_authorize_item::Result::Error(error) => panic!("{error:?}"),
        })
        .collect();
    assert_eq!(decisions, [v1::Decision::Allow, v1::Decision::Deny]);
}

#[tokio::test]
async fn limits_of_messages_and_batches_are_kept() {
    let running = Running::reference().await;
    let mut client = running.authorization();
    let too_many = v1::BatchAuthorizeRequest {
        items: vec![v1::AuthorizeRequest::default(); 1001],
        ..v1::BatchAuthorizeRequest::default()
    };
    let status = client.batch_authorize(too_many).await.unwrap_err();
    assert_eq!(violation(&status).0, "items");
    let mut too_long = good();
    too_long.context.as_mut().unwrap().cedar_json = " ".repeat(2 << 20);
    let status = client.authorize(too_long).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    assert!(client.authorize(good()).await.is_ok());
}

#[tokio::test]
async fn what_the_schema_excludes_is_denied_not_an_error() {
    let running = Running::reference().await;
    let mut client = running.authorization();
    let mut unknown = good();
    unknown.action = Some(entity("Iot::Action", "teleport"));
    let answer = client.authorize(unknown).await.unwrap().into_inner();
    assert_eq!(answer.cause(), v1::DenyCause::UnknownAction);
    let mut stranger = good();
    stranger.principal = Some(entity("Iot::Device", "nobody"));
    let answer = client.authorize(stranger).await.unwrap().into_inner();
    assert_eq!(answer.cause(), v1::DenyCause::UnknownPrincipal);
}

#[tokio::test]
async fn a_deny_says_why_when_asked() {
    let running = Running::reference().await;
    let mut request = good();
    let early = value(Kind::Datetime("2030-01-01".to_owned()));
    request
        .context
        .as_mut()
        .unwrap()
        .values
        .insert("now".to_owned(), early);
    request.explain = true;
    let answer = running
        .authorization()
        .authorize(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.cause(), v1::DenyCause::NoPermit, "{answer:?}");
    let misses = answer.explanation.unwrap().near_misses;
    let miss = misses
        .iter()
        .find(|miss| miss.policy.as_ref().unwrap().id == "equipment-publishes-site-telemetry")
        .unwrap();
    assert!(miss.line > 0 && miss.policy.as_ref().unwrap().file == "policies/devices.cedar");
    assert!(
        miss.values
            .iter()
            .any(|read| read.expression == "context.now"),
        "{miss:?}"
    );
}

#[tokio::test]
async fn an_answer_carries_policies_with_annotations() {
    let running = Running::reference().await;
    let mut request = good();
    request.principal = Some(entity("Iot::Device", "vib-02"));
    let answer = running
        .authorization()
        .authorize(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.cause(), v1::DenyCause::Forbidden);
    let policy = &answer.policies[0];
    assert_eq!(policy.id, "default-password-uses-lifeline-only");
    assert_eq!(policy.effect(), v1::Effect::Forbid);
    assert!(policy.annotations.contains_key("reason") && policy.line > 0);
    assert_eq!(answer.advice, [policy.annotations["advice"].clone()]);
    assert!(
        answer.keep_for.is_none(),
        "answers are not to be kept unless configured"
    );
}

#[tokio::test]
async fn time_is_the_servers_unless_the_caller_is_trusted() {
    let mut config = config(&reference());
    config.decision.trust_caller_time = false;
    config.decision.keep_for = Some(Duration::from_mins(1));
    let running = Running::start(config).await;
    let mut client = running.authorization();
    let status = client.authorize(good()).await.unwrap_err();
    assert_eq!(violation(&status).0, "context.now");
    let mut without = good();
    without.context = None;
    let answer = client.authorize(without).await.unwrap().into_inner();
    // The decision reads the time, so it is good for what is left of a second.
    let kept = Duration::try_from(answer.keep_for.unwrap()).unwrap();
    assert!(kept <= Duration::from_secs(1), "{kept:?}");
}

#[tokio::test]
async fn a_deadline_that_passed_is_reported_as_such() {
    let running = Running::reference().await;
    // tonic's own client would give up by itself; this one asks and waits.
    let origin = format!("http://{}", running.server.grpc.first().unwrap());
    let http = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let mut client = AuthorizationServiceClient::with_origin(http, origin.parse().unwrap());
    let items = vec![good(); 1000];
    let mut request = Request::new(v1::BatchAuthorizeRequest {
        items,
        shared: None,
    });
    request
        .metadata_mut()
        .insert("grpc-timeout", "1n".parse().unwrap());
    let status = client.batch_authorize(request).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");

    // A stream whose questions do not come ends at its deadline as well.
    let silent = tokio_stream::pending::<v1::StreamAuthorizeRequest>();
    let mut request = Request::new(silent);
    request
        .metadata_mut()
        .insert("grpc-timeout", "50m".parse().unwrap());
    let mut answers = client.stream_authorize(request).await.unwrap().into_inner();
    let status = answers.message().await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
}

#[tokio::test]
async fn a_bad_question_on_a_stream_does_not_end_it() {
    let running = Running::reference().await;
    let ask = |correlation_id, request| v1::StreamAuthorizeRequest {
        correlation_id,
        request,
    };
    let questions = vec![ask(7, Some(good())), ask(8, None), ask(9, Some(good()))];
    let answers = running
        .authorization()
        .stream_authorize(tokio_stream::iter(questions))
        .await
        .unwrap()
        .into_inner();
    let answers: Vec<_> = answers.map(Result::unwrap).collect().await;
    let ids: Vec<_> = answers.iter().map(|answer| answer.correlation_id).collect();
    assert_eq!(ids, [7, 8, 9]);
    assert!(matches!(
        answers[1].result,
        Some(stream_authorize_response::Result::Error(_))
    ));
    assert!(matches!(
        answers[2].result,
        Some(stream_authorize_response::Result::Response(_))
    ));
}

#[tokio::test]
async fn a_caller_that_does_not_read_is_not_read_from() {
    let running = Running::reference().await;
    let (sender, questions) = tokio::sync::mpsc::channel(1);
    let questions = tokio_stream::wrappers::ReceiverStream::new(questions);
    let mut answers = running
        .authorization()
        .stream_authorize(questions)
        .await
        .unwrap()
        .into_inner();
    let mut sent = 0_u64;
    // Flow control holds the sender up long before a million questions.
    while sent < 1_000_000 {
        let question = v1::StreamAuthorizeRequest {
            correlation_id: sent,
            request: Some(good()),
        };
        match tokio::time::timeout(Duration::from_secs(2), sender.send(question)).await {
            Err(_) => break,
            Ok(Ok(())) => {}
            Ok(taken) => taken.expect("the stream goes on"),
        }
        sent += 1;
    }
    assert!(sent < 1_000_000, "nothing held the sender up");
    drop(sender);
    let mut expected = 0;
    while let Some(answer) = answers.message().await.unwrap() {
        assert_eq!(answer.correlation_id, expected);
        expected += 1;
    }
    assert_eq!(expected, sent);
}

#[tokio::test]
async fn there_is_one_store_for_now() {
    let running = Running::reference().await;
    let mut request = good();
    request.store = "default".to_owned();
    assert!(
        running
            .authorization()
            .authorize(request.clone())
            .await
            .is_ok()
    );
    request.store = "other".to_owned();
    let status = running
        .authorization()
        .authorize(request)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn policies_are_listed_in_pages_and_shown_one_by_one() {
    let running = Running::reference().await;
    let mut client = running.policies();
    let mut request = v1::ListPoliciesRequest {
        page_size: 10,
        ..v1::ListPoliciesRequest::default()
    };
    let mut ids = Vec::new();
    loop {
        let page = client
            .list_policies(request.clone())
            .await
            .unwrap()
            .into_inner();
        assert!(page.policies.len() <= 10);
        ids.extend(
            page.policies
                .into_iter()
                .map(|policy| policy.info.unwrap().id),
        );
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let status = client
        .get_status(v1::GetStatusRequest::default())
        .await
        .unwrap()
        .into_inner();
    let active = status.active.unwrap();
    assert_eq!(
        ids.len() as u64,
        active.policies + active.templates + active.links
    );
    assert!(ids.is_sorted());
    assert_eq!((status.activations, status.rejections), (1, 0));

    let get = |id: &str| v1::GetPolicyRequest {
        id: id.to_owned(),
        ..v1::GetPolicyRequest::default()
    };
    let policy = client
        .get_policy(get("firmware-update-in-window"))
        .await
        .unwrap();
    let policy = policy.into_inner().policy.unwrap();
    assert!(policy.text.contains("updateFirmware"), "{}", policy.text);
    assert_eq!(policy.context_keys, ["image", "now"]);
    let status = client.get_policy(get("no-such-policy")).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    request.page_token = "0000000000000000:x".to_owned();
    let status = client.list_policies(request).await.unwrap_err();
    assert_eq!(violation(&status).0, "page_token");
}

/// A call as it is on the wire: the frame in, the `grpc-status` and the frame
/// out.
pub(crate) async fn raw_call(
    running: &Running,
    method: &str,
    message: &[u8],
    accept: &str,
) -> (String, Vec<u8>) {
    use http_body_util::BodyExt as _;
    let http = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend(message);
    let address = running.server.grpc.first().unwrap();
    let request = http::Request::post(format!(
        "http://{address}/deodar.v1.AuthorizationService/{method}"
    ))
    .header("content-type", "application/grpc")
    .header("te", "trailers")
    .header("grpc-accept-encoding", accept)
    .body(http_body_util::Full::new(prost::bytes::Bytes::from(frame)))
    .unwrap();
    let response = http.request(request).await.unwrap();
    let early = response.headers().get("grpc-status").cloned();
    let body = response.into_body().collect().await.unwrap();
    let late = body
        .trailers()
        .and_then(|trailers| trailers.get("grpc-status"))
        .cloned();
    let status = early.or(late).unwrap().to_str().unwrap().to_owned();
    (status, body.to_bytes().to_vec())
}

#[tokio::test]
async fn answers_are_compressed_only_when_they_are_long() {
    use prost::Message as _;
    let running = Running::reference().await;
    let short = good().encode_to_vec();
    let items = vec![good(); 100];
    let long = v1::BatchAuthorizeRequest {
        items,
        shared: None,
    }
    .encode_to_vec();
    for accept in ["gzip", "zstd"] {
        let (status, frame) = raw_call(&running, "Authorize", &short, accept).await;
        assert_eq!((status.as_str(), frame[0]), ("0", 0), "{accept}");
        let (status, compressed) = raw_call(&running, "BatchAuthorize", &long, accept).await;
        assert_eq!((status.as_str(), compressed[0]), ("0", 1), "{accept}");
        let (_, plain) = raw_call(&running, "BatchAuthorize", &long, "identity").await;
        assert_eq!(plain[0], 0);
        assert!(
            compressed.len() * 5 < plain.len(),
            "{} of {}",
            compressed.len(),
            plain.len()
        );
    }
}

#[tokio::test]
async fn what_is_no_message_is_an_error_and_nothing_else() {
    let running = Running::reference().await;
    // A principal with an id that is not UTF-8; a field that ends too early;
    // and messages in one another, deeper than anybody needs.
    let bad_id = [0x0a, 0x04, 0x12, 0x02, 0xff, 0xfe];
    let cut = [0x0a, 0x7f, 0x01];
    let mut deep = Vec::new();
    for _ in 0..200 {
        let mut outer = vec![0x2a];
        prost::encoding::encode_varint(deep.len() as u64, &mut outer);
        outer.extend(&deep);
        let mut set = vec![0x0a];
        prost::encoding::encode_varint(outer.len() as u64, &mut set);
        set.extend(outer);
        deep = set;
    }
    for message in [bad_id.as_slice(), &cut, &[0xff; 64]] {
        let (status, _) = raw_call(&running, "Authorize", message, "identity").await;
        // gRPC has INTERNAL for what cannot be parsed (doc/statuscodes.md).
        assert_eq!(status, "13", "{message:?}");
    }
    let (status, _) = raw_call(&running, "Authorize", &deep, "identity").await;
    assert_ne!(status, "0");
    assert!(running.authorization().authorize(good()).await.is_ok());
}

#[tokio::test]
async fn garbage_on_the_socket_leaves_the_server_standing() {
    use tokio::io::AsyncReadExt as _;
    use tokio::io::AsyncWriteExt as _;
    let running = Running::reference().await;
    let address = running.server.grpc.first().unwrap().clone();
    for garbage in [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0xff; 4096],
        vec![0; 4096],
    ] {
        let mut socket = tokio::net::TcpStream::connect(&address).await.unwrap();
        socket.write_all(&garbage).await.ok();
        socket.shutdown().await.ok();
        let mut rest = Vec::new();
        tokio::time::timeout(Duration::from_secs(10), socket.read_to_end(&mut rest))
            .await
            .expect("the server closes such a connection")
            .ok();
    }
    assert!(running.authorization().authorize(good()).await.is_ok());
}

#[tokio::test]
async fn a_unix_socket_answers_and_goes_with_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deodar.sock");
    let mut config = config(&reference());
    config.server.unix = vec![path.clone()];
    // A dead socket of a killed process is replaced.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let running = Running::start(config.clone()).await;
    let connect = format!("unix:{}", path.display());
    let channel = tonic::transport::Endpoint::from_shared(connect)
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut client = AuthorizationServiceClient::new(channel);
    assert!(client.authorize(good()).await.is_ok());
    // A living one is not.
    config.server.grpc.clear();
    config.server.http = None;
    let error = deodar::run::Server::start(config).await.unwrap_err();
    assert!(
        error.to_string().contains("cannot listen on `unix:"),
        "{error}"
    );
    drop(client);
    running.server.stop().await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn connections_are_limited() {
    let mut config = config(&reference());
    config.limits.connections_max = 1;
    let running = Running::start(config).await;
    assert!(running.authorization().authorize(good()).await.is_ok());
    let address = format!("http://{}", running.server.grpc.first().unwrap());
    let second = tonic::transport::Endpoint::from_shared(address).unwrap();
    let mut client = AuthorizationServiceClient::new(second.connect_lazy());
    assert!(client.authorize(good()).await.is_err());
    let counted = running.server.pdp.counters().prometheus();
    assert!(
        !counted.contains("deodar_connections_refused_total 0"),
        "{counted}"
    );
    assert!(running.authorization().authorize(good()).await.is_ok());
}

#[tokio::test]
async fn deny_when_a_forbid_cannot_be_evaluated() {
    let folder = repository(&[
        (
            "p.cedar",
            r#"@id("all") permit(principal, action, resource);
           @id("broken") forbid(principal, action, resource) when { context.missing };"#,
        ),
        ("manifest.toml", "unknown = \"cedar\""),
    ]);
    let running = Running::start(config(folder.path())).await;
    let request = v1::AuthorizeRequest {
        principal: Some(entity("T", "p")),
        action: Some(entity("Action", "a")),
        resource: Some(entity("T", "r")),
        ..v1::AuthorizeRequest::default()
    };
    let answer = running
        .authorization()
        .authorize(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.cause(), v1::DenyCause::ForbidFailed);
    assert_eq!(answer.errors[0].policy.as_ref().unwrap().id, "broken");
}
