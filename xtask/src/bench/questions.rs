//! The questions that the servers are asked, about the reference policies.
//!
//! No answer depends on the time of day, so that the mix is the same whenever
//! it is measured.

use super::v1;
use super::v1::value::Kind;

/// Devices added to the reference world, so that a batch has resources enough.
pub(crate) const DEVICES: usize = 100;

/// A question, and whether the answer is allow.
pub(crate) struct Question {
    pub(crate) request: v1::AuthorizeRequest,
    pub(crate) allowed: bool,
}

/// The mix: four allowed; denied are two by forbids, one that no policy permits
/// and one that somebody unknown asks. Six carry a session.
pub(crate) fn mix() -> Vec<Question> {
    let question = |principal, action, resource, with_session: bool, allowed| {
        let action = ("Iot::Action", action);
        let context = with_session.then(session);
        Question {
            request: request(principal, action, resource, context),
            allowed,
        }
    };
    let (anna, ingrid) = (("Org::User", "anna"), ("Org::User", "ingrid"));
    let press = ("Iot::Device", "press-01");
    vec![
        question(anna, "read", press, true, true),
        question(anna, "read", ("Iot::Device", "airhandler-01"), false, false),
        question(ingrid, "unlock", ("Iot::Device", "door-3b"), true, true),
        question(anna, "command", press, true, false),
        question(anna, "emergencyStop", press, false, true),
        question(("Iot::Device", "vib-04"), "publish", TELEMETRY, true, false),
        question(anna, "read", ("Iot::Device", "bench-7"), true, true),
        question(("Org::User", "nobody"), "read", press, true, false),
    ]
}

const TELEMETRY: (&str, &str) = ("Iot::Topic", "plant-hamburg/vib-04/telemetry");

/// The mix over and over, but every fourth question is new: its session is from
/// an address that was not seen before.
pub(crate) struct Varied(Vec<v1::AuthorizeRequest>);

impl Varied {
    pub(crate) fn new() -> Self {
        let requests = mix().into_iter().map(|question| question.request);
        Self(requests.collect())
    }

    /// Question `number`.
    pub(crate) fn at(&self, number: u64) -> Option<v1::AuthorizeRequest> {
        let at = number.checked_rem(self.0.len() as u64)?;
        let mut request = self.0.get(usize::try_from(at).ok()?)?.clone();
        if matches!(at, 0 | 2) {
            // 2^24 addresses, for eight questions each: more are not asked.
            let part = |bits: u32| ((number / 8) >> bits) & 255;
            let address = format!("10.{}.{}.{}", part(16), part(8), part(0));
            request.context = Some(session_from(address));
        }
        Some(request)
    }
}

/// A hundred devices, one person, one session.
pub(crate) fn batch() -> v1::BatchAuthorizeRequest {
    let item = |number| v1::AuthorizeRequest {
        resource: Some(entity(("Iot::Device", &format!("bench-{number}")))),
        ..v1::AuthorizeRequest::default()
    };
    let mut shared = request(
        ("Org::User", "anna"),
        ("Iot::Action", "read"),
        ("", ""),
        Some(session()),
    );
    shared.resource = None;
    v1::BatchAuthorizeRequest {
        shared: Some(shared),
        items: (0..DEVICES).map(item).collect(),
    }
}

/// A question about the first of the devices that `cargo xtask devices` makes.
pub(crate) fn of_generated() -> v1::AuthorizeRequest {
    request(
        ("Org::User", "user-000000"),
        ("Iot::Action", "read"),
        ("Iot::Device", "device-0000000"),
        Some(session()),
    )
}

/// The added devices as Cedar's JSON.
pub(crate) fn devices() -> String {
    let device = |number| {
        format!(r#"{{"uid":{{"type":"Iot::Device","id":"bench-{number}"}},"attrs":{{"#,)
            + r#""model":{"__entity":{"type":"Iot::Model","id":"press-p400"}},"site":{"__entity":{"type":"Iot::Site","id":"plant-hamburg"}},"zone":{"__entity":{"type":"Iot::Zone","id":"hh-press-line"}}},"parents":[{"type":"Iot::Site","id":"plant-hamburg"},{"type":"Iot::Zone","id":"hh-press-line"}]}"#
    };
    let devices: Vec<String> = (0..DEVICES).map(device).collect();
    format!("[{}]", devices.join(",\n"))
}

fn request(
    principal: (&str, &str),
    action: (&str, &str),
    resource: (&str, &str),
    context: Option<v1::Context>,
) -> v1::AuthorizeRequest {
    v1::AuthorizeRequest {
        principal: Some(entity(principal)),
        action: Some(entity(action)),
        resource: Some(entity(resource)),
        context,
        ..v1::AuthorizeRequest::default()
    }
}

fn entity((kind, id): (&str, &str)) -> v1::EntityRef {
    v1::EntityRef {
        r#type: kind.to_owned(),
        id: id.to_owned(),
    }
}

/// What a gateway tells of a login: address, transport, second factor.
fn session() -> v1::Context {
    session_from("10.20.3.4".to_owned())
}

fn session_from(address: String) -> v1::Context {
    let value = |kind| v1::Value { kind: Some(kind) };
    let record = |fields: Vec<(&str, v1::Value)>| {
        let fields = fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        value(Kind::Record(v1::RecordValue { fields }))
    };
    let tls = record(vec![
        ("version", value(Kind::Decimal("1.3".to_owned()))),
        ("mutual", value(Kind::Bool(true))),
    ]);
    let mfa = record(vec![
        ("method", value(Kind::String("webauthn".to_owned()))),
        ("at", value(Kind::DatetimeMillis(1_000_000_000_000))),
    ]);
    let session = record(vec![
        ("ip", value(Kind::Ip(address))),
        ("tls", tls),
        ("mfa", mfa),
    ]);
    v1::Context {
        values: [("session".to_owned(), session)].into(),
        cedar_json: String::new(),
    }
}
