//! Records of decisions: what they say, that they can be decided again, and that
//! nothing a rule takes out is in them.

use std::str::FromStr as _;
use std::sync::Arc;

use cedar_policy::EntityUid;
use cedar_policy_core::ast::EntityUID;
use deodar::audit::decision::Content;
use deodar::audit::decision::DecisionRecord;
use deodar::audit::decision::What;
use deodar::audit::redact::HashKey;
use deodar::audit::redact::Redaction;
use deodar::audit::replay;
use deodar::directory::log::Memory;
use deodar::engine::Query;
use deodar::engine::decide;
use deodar::identity::Caller;
use deodar::pdp::Answer;
use deodar::pdp::Pdp;
use deodar::pdp::cache::CacheSettings;
use deodar::source;
use proptest::prop_assert_eq;
use proptest::proptest;
use serde_json::Value as Json;
use serde_json::json;

use super::cases as decision_cases;
use super::convert;
use super::engine_oracle::cases;
use super::engine_oracle::changing::Changing;
use super::engine_oracle::loaded::query;
use super::engine_oracle::throws;
use super::engine_oracle::world::World;
use super::served::Served;
use super::support::reference;

fn recorded(pdp: &Pdp, query: &Query, answer: &Answer, content: &Content) -> String {
    let active = pdp.state().load_full().unwrap();
    let record = DecisionRecord {
        id: answer.id.uuid(),
        caller: Caller::Local,
        what: What::Made {
            query: query.clone(),
            decision: Arc::clone(&answer.decision),
        },
        snapshot: Arc::clone(&active.policies.snapshot),
        directory: Arc::clone(active.view.revision()),
        cached: answer.cached,
        nanos: 12_345,
        request: Some("order-7".into()),
        trace: None,
        content: Arc::new(content.clone()),
    };
    let mut bytes = vec![b'{'];
    record.encode(&mut bytes);
    bytes.push(b'}');
    String::from_utf8(bytes).unwrap()
}

/// Seen to fail when the context, the carried entities or their tags are left
/// out, and when sets are written without their elements' types.
#[test]
fn every_case_is_decided_again_from_its_record() {
    let files = source::read(&reference(), &source::Limits::default()).unwrap();
    let served = Served::new(&files).unwrap();
    for case in decision_cases::all() {
        let pinned = served.pdp.pin().unwrap();
        let query = decision_cases::query(pinned.snapshot(), &case);
        let answer = pinned.authorize(&Caller::Local, &query).unwrap();
        let text = recorded(&served.pdp, &query, &answer, &Content::default());
        let record: Json = serde_json::from_str(&text).unwrap();
        let again = replay::question(pinned.snapshot(), &record).unwrap();
        let decision = decide(pinned.snapshot(), pinned.view(), &again).unwrap();
        assert_eq!(
            replay::differs(&record, &decision),
            None,
            "{}: {text}",
            case.name
        );
        assert_eq!(record["decision"], case.decision, "{}", case.name);
    }
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn whatever_is_asked_is_decided_again_from_its_record(mut dice in throws(), has_schema: bool) {
        let world = World::new(&mut dice, has_schema, 6, false);
        let carrying = World::new(&mut dice, has_schema, 4, true).asks;
        let manifest = "errors = \"deny\"\nvalidate = \"off\"\n";
        let log = Arc::new(Memory::default());
        let changing = Changing::new(&world, manifest, log, &CacheSettings::default());
        let pinned = changing.pdp.pin().unwrap();
        for query in world.asks.iter().chain(&carrying).map(query) {
            let Ok(answer) = pinned.authorize(&Caller::Local, &query) else {
                continue;
            };
            let text = recorded(&changing.pdp, &query, &answer, &Content::default());
            let record: Json = serde_json::from_str(&text).unwrap();
            let again = replay::question(pinned.snapshot(), &record).unwrap();
            let decision = decide(pinned.snapshot(), pinned.view(), &again).unwrap();
            prop_assert_eq!(replay::differs(&record, &decision), None, "{}", text);
            // The same question by another way is the same record.
            let other = recorded(&changing.pdp, &again, &answer, &Content::default());
            let other: Json = serde_json::from_str(&other).unwrap();
            prop_assert_eq!(&other["entities_digest"], &record["entities_digest"]);
            prop_assert_eq!(&other["context"], &record["context"]);
        }
    }
}

const SECRETS: [&str; 5] = [
    "anna-secret",
    "press-secret",
    "10.9.8.7",
    "why-secret",
    "zone-secret",
];

/// The record of a question about somebody's device, and the rules.
fn shown(rules: &[&str]) -> (String, Redaction) {
    let files = source::read(&reference(), &source::Limits::default()).unwrap();
    let served = Served::new(&files).unwrap();
    let entity = |kind: &str, id: &str| json!({"__entity": {"type": kind, "id": id}});
    let device = json!({
        "uid": {"type": "Iot::Device", "id": "press-secret"},
        "attrs": {
            "model": entity("Iot::Model", "press-p400"),
            "site": entity("Iot::Site", "plant-hamburg"),
            "zone": entity("Iot::Zone", "zone-secret"),
            "owner": entity("Org::User", "anna-secret"),
        },
        "parents": [],
        "tags": {"share": {"__extn": {"fn": "datetime", "arg": "2030-01-01"}}},
    });
    let context = json!({
        "session": {"ip": {"__extn": {"fn": "ip", "arg": "10.9.8.7"}}},
        "purpose": "why-secret",
        "break_glass": {"approver": entity("Org::User", "anna-secret")},
        "now": {"__extn": {"fn": "datetime", "arg": "2026-03-09"}},
    });
    let pinned = served.pdp.pin().unwrap();
    let uid = |text: &str| {
        let uid = EntityUid::from_str(text).unwrap();
        let uid: &EntityUID = uid.as_ref();
        Arc::new(uid.clone())
    };
    let query = Query::new(
        pinned.snapshot(),
        uid("Org::User::\"anna-secret\""),
        uid("Iot::Action::\"read\""),
        uid("Iot::Device::\"press-secret\""),
        Arc::new(convert::context(context.as_object().unwrap())),
        [convert::entity(&device)].into(),
    );
    let query = query.unwrap();
    let answer = pinned.authorize(&Caller::Local, &query).unwrap();
    let rules: Vec<_> = rules.iter().map(|rule| rule.parse().unwrap()).collect();
    let content = Content {
        redaction: Redaction::new(&rules, HashKey::new(vec![7; 32])),
        ..Content::default()
    };
    let text = recorded(&served.pdp, &query, &answer, &content);
    (text, content.redaction)
}

#[test]
fn a_record_says_who_what_and_why() {
    let (text, _) = shown(&[]);
    let record: Json = serde_json::from_str(&text).unwrap();
    insta::with_settings!({filters => vec![
        (r"[0-9a-f]{64}", "[DIGEST]"),
        (r"[0-9a-f-]{36}", "[ID]"),
        (r"[0-9a-f]{16}-(\d+)-[0-9a-f]{16}", "[LOG]-$1-[HASH]"),
    ]}, { insta::assert_snapshot!(serde_json::to_string_pretty(&record).unwrap(), @r#"
    {
      "kind": "decision",
      "id": "[ID]",
      "caller": "local",
      "cached": false,
      "latency_us": 12.3,
      "request": "order-7",
      "revisions": {
        "policies": "[DIGEST]",
        "directory": "[LOG]-1-[HASH]"
      },
      "engine": "deodar 0.1.0, cedar 4.14.1",
      "principal": {
        "type": "Org::User",
        "id": "anna-secret"
      },
      "action": {
        "type": "Iot::Action",
        "id": "read"
      },
      "resource": {
        "type": "Iot::Device",
        "id": "press-secret"
      },
      "decision": "deny",
      "cause": "unknown_principal",
      "context": {
        "break_glass": {
          "approver": {
            "__entity": {
              "type": "Org::User",
              "id": "anna-secret"
            }
          }
        },
        "now": {
          "__extn": {
            "fn": "datetime",
            "arg": "2026-03-09"
          }
        },
        "purpose": "why-secret",
        "session": {
          "ip": {
            "__extn": {
              "fn": "ip",
              "arg": "10.9.8.7"
            }
          }
        }
      },
      "entities_count": 1,
      "entities_digest": "sha256:[DIGEST]",
      "entities": [
        {
          "uid": {
            "type": "Iot::Device",
            "id": "press-secret"
          },
          "attrs": {
            "model": {
              "__entity": {
                "type": "Iot::Model",
                "id": "press-p400"
              }
            },
            "owner": {
              "__entity": {
                "type": "Org::User",
                "id": "anna-secret"
              }
            },
            "site": {
              "__entity": {
                "type": "Iot::Site",
                "id": "plant-hamburg"
              }
            },
            "zone": {
              "__entity": {
                "type": "Iot::Zone",
                "id": "zone-secret"
              }
            }
          },
          "parents": [],
          "tags": {
            "share": {
              "__extn": {
                "fn": "datetime",
                "arg": "2030-01-01"
              }
            }
          }
        }
      ]
    }
    "#); });
}

/// What a rule takes out is nowhere in the record. Seen to fail when fields of
/// carried entities, ids in the context, or messages are written as they are.
#[test]
fn what_is_redacted_is_nowhere() {
    let rules = [
        "entity:Org::User=hash",
        "entity:Iot::Device=drop",
        "context.session.ip=mask",
        "context.purpose=drop",
        "entities.zone=drop",
        "caller=hash",
    ];
    let (plain, _) = shown(&[]);
    let (hidden, redaction) = shown(&rules);
    for secret in SECRETS {
        assert!(
            plain.contains(secret),
            "{secret} is not asked about: {plain}"
        );
        assert!(!hidden.contains(secret), "{secret}: {hidden}");
    }
    let record: Json = serde_json::from_str(&hidden).unwrap();
    assert_eq!(record["redacted"], true);
    assert_eq!(record["principal"]["id"], redaction.hash(b"anna-secret"));
    assert_eq!(record["context"]["session"]["ip"], "***");
    assert!(record["resource"]["id"].is_null());
    replay::question(&decision_cases::world().0, &record).unwrap_err();
}
