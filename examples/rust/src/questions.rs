//! The questions: for a device, a person and a service, one that is allowed and
//! one that is denied.

use std::collections::HashMap;
use std::time::Duration;
use std::time::SystemTime;

use crate::protos::deodar::v1;
use v1::value::Kind;

/// A question, and what it is in words.
pub(crate) struct Question {
    pub(crate) title: &'static str,
    pub(crate) request: v1::AuthorizeRequest,
}

pub(crate) fn all() -> [Question; 6] {
    let question =
        |title, principal, action, resource, context: HashMap<String, v1::Value>| Question {
            title,
            request: v1::AuthorizeRequest {
                principal: Some(principal),
                action: Some(entity("Iot::Action", action)),
                resource: Some(resource),
                context: Some(v1::Context {
                    values: context,
                    ..v1::Context::default()
                }),
                ..v1::AuthorizeRequest::default()
            },
        };
    let press = || entity("Iot::Device", "press-01");
    let stream = || entity("Iot::DataStream", "hh-line-output");
    let recorder = || entity("Org::Service", "recorder");
    [
        question(
            "A press subscribes to its own orders",
            press(),
            "subscribe",
            entity("Iot::Topic", "plant-hamburg/press-01/orders"),
            HashMap::new(),
        ),
        question(
            "A sensor that still has its default password publishes",
            entity("Iot::Device", "vib-02"),
            "publish",
            entity("Iot::Topic", "plant-hamburg/press-01/telemetry"),
            HashMap::new(),
        ),
        question(
            "Anna, an operator, moves the press",
            entity("Org::User", "anna"),
            "command",
            press(),
            at_a_station(),
        ),
        question(
            "Eva, who has not been trained for it, moves the press",
            entity("Org::User", "eva"),
            "command",
            press(),
            at_a_station(),
        ),
        question(
            "The recorder, with its certificate of the mesh, writes what the line puts out",
            recorder(),
            "write",
            stream(),
            in_the_mesh(),
        ),
        question(
            "Something that calls itself the recorder writes the same",
            recorder(),
            "write",
            stream(),
            HashMap::new(),
        ),
    ]
}

/// What the enforcement point saw of a person's session: an address of the
/// plant, TLS 1.3, and a second factor that was proved an hour ago.
#[expect(
    clippy::disallowed_methods,
    reason = "this repository forbids it; a client may look at the clock"
)]
fn at_a_station() -> HashMap<String, v1::Value> {
    let hour_ago = SystemTime::now() - Duration::from_hours(1);
    let millis = hour_ago
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis();
    session([
        ("ip", Kind::Ip("10.20.3.4".to_owned())),
        ("tls", tls()),
        (
            "mfa",
            record([
                ("method", Kind::String("webauthn".to_owned())),
                (
                    "at",
                    Kind::DatetimeMillis(i64::try_from(millis).unwrap_or_default()),
                ),
            ]),
        ),
    ])
}

/// What it saw of a service's connection.
fn in_the_mesh() -> HashMap<String, v1::Value> {
    session([
        ("tls", tls()),
        (
            "certificate",
            record([
                ("issuer", Kind::String("mesh-ca".to_owned())),
                (
                    "issued_at",
                    Kind::Datetime("2026-11-01T00:00:00Z".to_owned()),
                ),
                (
                    "not_after",
                    Kind::Datetime("2027-11-01T00:00:00Z".to_owned()),
                ),
            ]),
        ),
    ])
}

fn tls() -> Kind {
    record([
        ("version", Kind::Decimal("1.3".to_owned())),
        ("mutual", Kind::Bool(true)),
    ])
}

fn session<const N: usize>(facts: [(&str, Kind); N]) -> HashMap<String, v1::Value> {
    HashMap::from([(
        "session".to_owned(),
        v1::Value {
            kind: Some(record(facts)),
        },
    )])
}

fn record<const N: usize>(fields: [(&str, Kind); N]) -> Kind {
    let fields = fields.map(|(name, kind)| (name.to_owned(), v1::Value { kind: Some(kind) }));
    Kind::Record(v1::RecordValue {
        fields: HashMap::from(fields),
    })
}

fn entity(kind: &str, id: &str) -> v1::EntityRef {
    v1::EntityRef {
        r#type: kind.to_owned(),
        id: id.to_owned(),
    }
}
