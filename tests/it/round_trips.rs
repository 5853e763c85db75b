//! Typed values survive the wire, and mean what Cedar's JSON says of them.

use std::collections::BTreeMap;

use deodar::proto::v1;
use deodar::proto::v1::value::Kind;
use proptest::collection::btree_map;
use proptest::collection::vec;
use proptest::prelude::BoxedStrategy;
use proptest::prelude::Just;
use proptest::prelude::Strategy as _;
use proptest::prelude::any;
use proptest::prop_assert_eq;
use proptest::prop_oneof;
use proptest::proptest;
use prost::Message as _;

use crate::targets;

fn scalar() -> BoxedStrategy<Kind> {
    prop_oneof![
        any::<bool>().prop_map(Kind::Bool),
        any::<i64>().prop_map(Kind::Long),
        "\\PC{0,12}".prop_map(Kind::String),
        ("[A-Z][a-z]{0,4}", "\\PC{0,8}")
            .prop_map(|(r#type, id)| Kind::Entity(v1::EntityRef { r#type, id })),
        any::<[u8; 4]>().prop_map(|[a, b, c, d]| Kind::Ip(format!("{a}.{b}.{c}.{d}"))),
        (any::<i32>(), 0..10_000_u32).prop_map(|(a, b)| Kind::Decimal(format!("{a}.{b:04}"))),
        (1_i64..4_000_000_000_000).prop_map(Kind::DatetimeMillis),
        (0..100_u32, 0..24_u32).prop_map(|(d, h)| Kind::Duration(format!("{d}d{h}h"))),
        Just(Kind::Datetime("2026-11-22T03:12:00Z".to_owned())),
    ]
    .boxed()
}

fn value() -> BoxedStrategy<v1::Value> {
    scalar()
        .prop_map(|kind| v1::Value { kind: Some(kind) })
        .prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..4).prop_map(|elements| Kind::Set(v1::SetValue { elements })),
                btree_map("[a-z_]{1,6}", inner, 0..4)
                    .prop_map(|fields| Kind::Record(v1::RecordValue { fields })),
            ]
            .prop_map(|kind| v1::Value { kind: Some(kind) })
        })
        .boxed()
}

proptest! {
    #[test]
    fn a_value_is_the_same_after_the_wire_and_as_json(value in value()) {
        let bytes = value.encode_to_vec();
        prop_assert_eq!(&v1::Value::decode(bytes.as_slice()).unwrap(), &value);
        // Panics where the typed value and its Cedar JSON are not the same.
        targets::value(&bytes);
    }

    #[test]
    fn a_question_is_the_same_after_the_wire(values in btree_map("[a-z]{1,6}", value(), 0..4), id in "\\PC{0,16}") {
        let entity = |id: &str| Some(v1::EntityRef { r#type: "T".to_owned(), id: id.to_owned() });
        let question = v1::AuthorizeRequest {
            principal: entity(&id),
            action: entity("a"),
            resource: entity(&id),
            context: Some(v1::Context { values: values.clone(), cedar_json: String::new() }),
            entities: vec![v1::Entity {
                uid: entity(&id),
                attributes: values,
                tags: BTreeMap::new(),
                parents: vec![entity("p").unwrap()],
            }],
            ..v1::AuthorizeRequest::default()
        };
        let bytes = question.encode_to_vec();
        prop_assert_eq!(v1::AuthorizeRequest::decode(bytes.as_slice()).unwrap(), question);
    }
}
