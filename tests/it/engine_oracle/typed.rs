//! `conform` against Cedar's own checks, and the values of `value`.

use std::collections::BTreeMap;

use cedar_policy::Context;
use cedar_policy::Entities;
use cedar_policy::Request;
use cedar_policy::Schema;
use deodar::engine::Files;
use deodar::engine::Snapshot;
use deodar::engine::compile;
use deodar::engine::conform;
use deodar::engine::value::Extension;
use deodar::engine::value::datetime_from_millis;
use deodar::engine::value::depth;
use proptest::prelude::any;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::proptest;
use serde_json::Value as Json;
use serde_json::json;

use super::cases;
use super::dice::Dice;
use super::loaded::cedar_uid;
use super::loaded::core_entity;
use super::loaded::core_uid;
use super::loaded::values;
use super::throws;
use super::world::Uid;

const SCHEMA: &str = r#"
entity Color enum ["red", "green"];
entity Group;
entity Thing in [Group, Thing] {
  must: Long, flag: Bool, name?: String, color?: Color, owner?: Thing, colors?: Set<Color>, sets?: Set<Set<Long>>,
  ip?: ipaddr, money?: decimal, at?: datetime, span?: duration, inner?: { must: String, may?: { color: Color } }
} tags Set<Color>;
entity Bare;
action look appliesTo { principal: [Thing, Color], resource: [Thing, Color], context: {
  must: Long, flag: Bool, name?: String, color?: Color, owner?: Thing, colors?: Set<Color>, sets?: Set<Set<Long>>,
  ip?: ipaddr, money?: decimal, at?: datetime, span?: duration, inner?: { must: String, may?: { color: Color } }
} };
"#;

struct Both {
    schema: Schema,
    snapshot: Snapshot,
}

fn both() -> Both {
    let files = [
        ("s.cedarschema", SCHEMA),
        ("p.cedar", "permit(principal, action, resource);"),
    ];
    let files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()));
    Both {
        schema: Schema::from_cedarschema_str(SCHEMA).unwrap().0,
        snapshot: compile(&Files::new(files)).unwrap(),
    }
}

fn uid(kind: &str, id: &str) -> Uid {
    (kind.to_owned(), id.to_owned())
}

fn any_uid(d: &mut Dice) -> Uid {
    let kind = d.pick(&[
        "Color", "Thing", "Color", "Group", "Bare", "Action", "Nowhere",
    ]);
    let id = d.pick(&["red", "green", "blue", "look"]);
    uid(kind, id)
}

fn entity(uid: &Uid) -> Json {
    json!({"__entity": {"type": uid.0, "id": uid.1}})
}

fn extension(function: &str, argument: &str) -> Json {
    json!({"__extn": {"fn": function, "arg": argument}})
}

/// The value that a field should have; once in a while one of another field,
/// or of none.
fn field(d: &mut Dice, name: &str, faults: usize) -> Json {
    let names = [
        "must", "flag", "name", "color", "owner", "colors", "sets", "ip", "money", "at", "span",
        "inner", "any",
    ];
    let name = if d.below(100) + faults >= 100 {
        d.pick(&names)
    } else {
        name
    };
    match name {
        "must" => json!(d.below(9)),
        "flag" => json!(d.chance(1, 2)),
        "color" => entity(&uid(
            "Color",
            d.pick(if faults > 0 {
                &["red", "green", "blue"]
            } else {
                &["red", "green"]
            }),
        )),
        "owner" => entity(&uid("Thing", "a")),
        "colors" => Json::Array((0..d.below(3)).map(|_| field(d, "color", faults)).collect()),
        "sets" => {
            let inner = |d: &mut Dice| {
                Json::Array((0..d.below(3)).map(|_| field(d, "must", faults)).collect())
            };
            Json::Array((0..d.below(3)).map(|_| inner(d)).collect())
        }
        "ip" => extension("ip", "10.0.0.1"),
        "money" => extension("decimal", "1.25"),
        "at" => extension("datetime", "2026-01-01"),
        "span" => extension("duration", "1h"),
        "inner" => {
            let mut inner = json!({"must": field(d, "name", faults)});
            if d.chance(1, 2) {
                inner["may"] = json!({"color": field(d, "color", faults)});
            }
            if d.below(100) + faults >= 100 {
                inner["extra"] = json!(1);
            }
            inner
        }
        "any" => entity(&any_uid(d)),
        _ => json!("text"),
    }
}

fn fields(d: &mut Dice, faults: usize) -> BTreeMap<String, Json> {
    let mut fields = BTreeMap::new();
    let names = [
        "must", "flag", "name", "color", "owner", "colors", "sets", "ip", "money", "at", "span",
        "inner",
    ];
    for name in names {
        let is_required = matches!(name, "must" | "flag");
        if if is_required {
            d.below(100) + faults < 100
        } else {
            d.chance(1, 2)
        } {
            fields.insert(name.to_owned(), field(d, name, faults));
        }
    }
    if d.below(100) + faults >= 100 {
        fields.insert("extra".to_owned(), field(d, "any", faults));
    }
    fields
}

/// None, few or many faults.
fn faults(d: &mut Dice) -> usize {
    [0, 3, 20][d.below(3)]
}

proptest! {
    #![proptest_config(cases(120))]

    #[test]
    fn a_context_conforms_when_cedar_says_so(mut dice in throws()) {
        let both = both();
        let schema = both.snapshot.schema().unwrap();
        let action = uid("Action", "look");
        let declared = &schema.action(&core_uid(&action)).unwrap().context;
        let mut seen = [0, 0];
        for _ in 0..20 {
            let faults = faults(&mut dice);
            let context = json!(fields(&mut dice, faults));
            let thing = cedar_uid(&uid("Thing", "a"));
            let parsed = Context::from_json_value(context.clone(), None).unwrap();
            let by_validate = parsed.validate(&both.schema, &cedar_uid(&action)).is_ok();
            let request = Request::new(thing.clone(), cedar_uid(&action), thing, parsed, Some(&both.schema));
            let ours = conform::context(schema.validator(), declared, &values(&context));
            prop_assert_eq!(ours.is_ok(), request.is_ok(), "{} {:?} {:?}", context, ours, request.err());
            prop_assert_eq!(ours.is_ok(), by_validate);
            if let Err(misfit) = ours {
                prop_assert!(misfit.path.starts_with("context"), "{misfit}");
            }
            seen[usize::from(by_validate)] += 1;
        }
        prop_assert!(seen[0] + seen[1] == 20);
    }

    #[test]
    fn an_entity_conforms_when_cedar_says_so(mut dice in throws()) {
        let both = both();
        let schema = both.snapshot.schema().unwrap();
        for _ in 0..20 {
            let faults = faults(&mut dice);
            let is_typical = dice.below(100) >= faults;
            let name = if is_typical { uid("Thing", "a") } else { any_uid(&mut dice) };
            let mut json = json!({"uid": {"type": name.0, "id": name.1}, "attrs": {}, "parents": [], "tags": {}});
            if name.0 == "Thing" || dice.chance(1, 4) {
                json["attrs"] = json!(fields(&mut dice, faults));
            }
            if dice.chance(1, 4) {
                json["tags"]["t"] = field(&mut dice, "colors", faults);
            }
            if name.0 != "Action" && dice.chance(1, 4) {
                let parent = if dice.below(100) < faults { any_uid(&mut dice) } else { uid("Group", "g") };
                json["parents"] = json!([{"type": parent.0, "id": parent.1}]);
            }
            if json["parents"][0] == json["uid"] {
                continue; // a cycle, which is not a question of conformance
            }
            if name.0 == "Action" {
                // Cedar takes a declared action as long as it equals the
                // declared one; nobody may store or carry any here.
                prop_assert!(conform::entity(schema.validator(), &core_entity(json)).is_err());
                continue;
            }
            let parsed = cedar_policy::Entity::from_json_value(json.clone(), None).unwrap();
            let cedar = Entities::from_entities([parsed], Some(&both.schema));
            let ours = conform::entity(schema.validator(), &core_entity(json.clone()));
            prop_assert_eq!(ours.is_ok(), cedar.is_ok(), "{} {:?} {:?}", json, ours, cedar.err());
        }
    }

    #[test]
    fn a_principal_of_an_enumerated_type_is_one_of_its_ids(mut dice in throws()) {
        let both = both();
        let schema = both.snapshot.schema().unwrap();
        let context = || Context::from_json_value(json!({"must": 1, "flag": true}), None).unwrap();
        let (action, thing) = (uid("Action", "look"), cedar_uid(&uid("Thing", "a")));
        for _ in 0..10 {
            let asked = uid(dice.pick(&["Color", "Thing"]), dice.pick(&["red", "green", "blue"]));
            let request =
                Request::new(cedar_uid(&asked), cedar_uid(&action), thing.clone(), context(), Some(&both.schema));
            prop_assert_eq!(conform::uid(schema.validator(), &core_uid(&asked)).is_ok(), request.is_ok());
        }
    }

    /// Milliseconds are the instant that Cedar reads in a written date.
    #[test]
    fn a_datetime_is_its_milliseconds(day in -719_162i64..2_932_896, rest in 0i64..86_400_000) {
        let (year, month, date) = civil(day);
        let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
        let (second, milli) = (rest / 1000 % 60, rest % 1000);
        let text = format!("{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z");
        let written = Extension::Datetime.parse(&text).unwrap();
        prop_assert_eq!(datetime_from_millis(day * 86_400_000 + rest).unwrap(), written, "{}", text);
    }

    /// There is no instant that breaks it.
    #[test]
    fn every_number_of_milliseconds_is_a_datetime(millis: i64) {
        prop_assert!(datetime_from_millis(millis).is_ok());
    }

    #[test]
    fn depth_counts_nesting(levels in 0usize..8, in_records in any::<[bool; 8]>()) {
        let mut json = json!(1);
        for is_record in &in_records[..levels] {
            json = if *is_record { json!({"a": json, "b": "x"}) } else { json!([json]) };
        }
        let context = values(&json!({"value": json}));
        prop_assert_eq!(depth(&context["value"]), levels + 1);
    }
}

/// Year, month and day of a number of days since 1970-01-01.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, of_year - (153 * shifted + 2) / 5 + 1)
}
