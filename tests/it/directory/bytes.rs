//! Values, transactions and snapshots as bytes: read back as they were, and
//! never a panic for bytes that are damaged.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::Value;
use deodar::directory::apply::Application;
use deodar::directory::codec;
use deodar::directory::dump;
use deodar::directory::log::LogError;
use deodar::directory::operation::Membership;
use deodar::directory::operation::Operation;
use deodar::directory::operation::Patch;
use deodar::directory::operation::Precondition;
use deodar::directory::operation::Put;
use deodar::directory::operation::PutLink;
use deodar::directory::operation::Transaction;
use deodar::directory::restore::restore;
use deodar::directory::state::State;
use deodar::engine::packed::Reader;
use deodar::engine::packed::Types;
use deodar::engine::packed::Writer;
use deodar::engine::value::Extension;
use deodar::engine::value::datetime_from_millis;
use proptest::collection::btree_map;
use proptest::collection::btree_set;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::BoxedStrategy;
use proptest::prelude::Strategy as _;
use proptest::prelude::any;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::prop_oneof;
use proptest::proptest;
use smol_str::SmolStr;

use super::drafts;
use super::plain::Plain;
use super::site::uid;
use crate::engine_oracle::dice::Dice;
use crate::targets;

fn some_uid() -> impl proptest::strategy::Strategy<Value = Arc<EntityUID>> + Clone {
    let names = prop_oneof!["[A-C]", "[A-B]::[A-C][a-z]{0,3}"];
    (names, "\\PC{0,6}").prop_map(|(kind, id)| {
        let named = uid(&format!("{kind}::x"));
        let id = cedar_policy_core::ast::Eid::new(id);
        let kind = named.entity_type().clone();
        Arc::new(EntityUID::from_components(kind, id, None))
    })
}

/// Few of each kind, so that equal and nearly equal ones meet.
fn scalar() -> BoxedStrategy<Value> {
    let made = |kind: Extension, text: String| kind.parse(&text).unwrap();
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        prop_oneof![-70_i64..70, any::<i64>(), proptest::prelude::Just(i64::MIN)]
            .prop_map(Value::from),
        "\\PC{0,3}".prop_map(Value::from),
        "[a]{120,135}".prop_map(Value::from),
        some_uid().prop_map(|uid| Value::new(uid, None)),
        any::<[u8; 4]>()
            .prop_map(move |[a, b, c, d]| made(Extension::Ip, format!("{a}.{b}.{c}.{d}"))),
        (-5_i32..5, 0..30_u32).prop_map(move |(a, b)| made(Extension::Decimal, format!("{a}.{b}"))),
        prop_oneof![any::<i64>(), -5000_i64..5000]
            .prop_map(|millis| datetime_from_millis(millis).unwrap()),
        (0..3_u32, 0..24_u32)
            .prop_map(move |(d, h)| made(Extension::Duration, format!("{d}d{h}h"))),
    ]
    .boxed()
}

fn value() -> BoxedStrategy<Value> {
    let nested = |inner: BoxedStrategy<Value>| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|elements| Value::set(elements, None)),
            btree_map("[a-c]{0,2}".prop_map(SmolStr::from), inner, 0..4)
                .prop_map(|fields| Value::record_arc(Arc::new(fields), None)),
        ]
    };
    scalar()
        .prop_recursive(4, 24, 4, move |inner| nested(inner.boxed()))
        .boxed()
}

fn packed(value: &Value) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.value(value);
    writer.into_bytes()
}

fn fields() -> BoxedStrategy<BTreeMap<SmolStr, Value>> {
    btree_map("\\PC{0,4}".prop_map(SmolStr::from), value(), 0..3).boxed()
}

fn names() -> BoxedStrategy<BTreeSet<SmolStr>> {
    btree_set("\\PC{0,4}".prop_map(SmolStr::from), 0..3).boxed()
}

fn membership() -> BoxedStrategy<Membership> {
    (some_uid(), any::<Option<i64>>())
        .prop_map(|(uid, expires)| Membership { uid, expires })
        .boxed()
}

fn operation() -> BoxedStrategy<Operation> {
    let put = (
        some_uid(),
        fields(),
        fields(),
        vec(membership(), 0..3),
        any::<Option<i64>>(),
    );
    let patch = (
        some_uid(),
        fields(),
        names(),
        fields(),
        names(),
        any::<Option<Option<i64>>>(),
    );
    let link = (
        "\\PC{0,4}",
        "[a-z]{0,4}",
        option::of(some_uid()),
        option::of(some_uid()),
        any::<Option<i64>>(),
    );
    prop_oneof![
        put.prop_map(
            |(uid, attributes, tags, parents, expires)| Operation::Put(Put {
                uid,
                attributes,
                tags,
                parents,
                expires,
            })
        ),
        patch.prop_map(
            |(uid, set, unset, set_tags, unset_tags, expires)| Operation::Patch(Patch {
                uid,
                set,
                unset,
                set_tags,
                unset_tags,
                expires,
            })
        ),
        (some_uid(), any::<bool>()).prop_map(|(uid, detach_members)| Operation::Delete {
            uid,
            detach_members,
        }),
        (some_uid(), membership()).prop_map(|(uid, parent)| Operation::AddParent { uid, parent }),
        (some_uid(), some_uid()).prop_map(|(uid, parent)| Operation::RemoveParent { uid, parent }),
        link.prop_map(
            |(id, template, principal, resource, expires)| Operation::PutLink(PutLink {
                id: id.into(),
                template: template.into(),
                principal,
                resource,
                expires,
            })
        ),
        "\\PC{0,4}".prop_map(|id| Operation::RemoveLink { id: id.into() }),
    ]
    .boxed()
}

fn precondition() -> BoxedStrategy<Precondition> {
    let id = "\\PC{0,4}".prop_map(SmolStr::from);
    prop_oneof![
        some_uid().prop_map(Precondition::Present),
        some_uid().prop_map(Precondition::Absent),
        (some_uid(), any::<u64>()).prop_map(|(uid, version)| Precondition::Version(uid, version)),
        id.clone().prop_map(Precondition::LinkPresent),
        id.prop_map(Precondition::LinkAbsent),
    ]
    .boxed()
}

fn transaction() -> BoxedStrategy<Transaction> {
    let parts = (
        any::<i64>(),
        "\\PC{0,8}",
        vec(precondition(), 0..3),
        vec(operation(), 0..4),
    );
    parts
        .prop_map(|(millis, actor, preconditions, operations)| Transaction {
            sequence: 7,
            millis,
            actor: actor.into(),
            preconditions,
            operations,
        })
        .boxed()
}

/// One byte other, one more, or the rest cut off.
fn damage(bytes: &mut Vec<u8>, (at, byte, kind): (usize, u8, u8)) {
    let at = at % (bytes.len() + 1);
    match kind % 3 {
        0 => bytes.truncate(at),
        1 => bytes.insert(at, byte),
        _ => {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
    }
}

/// What drafts make, and what their bytes make.
fn states(dice: &mut Dice) -> [State; 2] {
    let [mut state, mut repeated] = [State::empty("test"), State::empty("test")];
    let types = Types::default();
    let drafts = (0..40).map(|_| drafts::draft(dice, &Plain::default()));
    let drafts: Vec<_> = drafts::first().into_iter().chain(drafts).collect();
    for (sequence, draft) in (1..).zip(&drafts) {
        for operation in &draft.operations {
            let mut application = Application {
                state: &mut state,
                types: &types,
                sequence,
                changes: Vec::new(),
            };
            let is_applied = application.apply(operation).is_ok();
            let bytes = codec::encode(&Transaction {
                sequence,
                millis: 0,
                actor: SmolStr::default(),
                preconditions: Vec::new(),
                operations: vec![operation.clone()],
            });
            let mut application = Application {
                state: &mut repeated,
                types: &types,
                sequence,
                changes: Vec::new(),
            };
            for step in codec::steps(&bytes, &types).unwrap() {
                assert_eq!(application.repeat(&step).is_ok(), is_applied);
            }
        }
    }
    [state, repeated]
}

fn chunks(state: &State) -> impl Iterator<Item = Result<Vec<u8>, LogError>> {
    dump::dump(state).map(Ok)
}

proptest! {
    /// Seen to fail when `Writer::long` does not zigzag, and when a value of 128
    /// bytes is written with a length of one byte.
    #[test]
    fn a_value_is_read_as_it_was_written(value in value(), next in value()) {
        let mut writer = Writer::default();
        writer.value(&value);
        writer.value(&next);
        writer.fields(1, std::iter::once((&SmolStr::new("a"), &value)));
        let bytes = writer.into_bytes();
        let types = Types::default();
        let mut reader = Reader::new(&bytes);
        prop_assert_eq!(&reader.value(&types).unwrap(), &value);
        prop_assert_eq!(&reader.value(&types).unwrap(), &next);
        let mut fields = reader.fields().unwrap();
        let (name, mut again) = fields.next().unwrap().unwrap();
        prop_assert_eq!(name, "a");
        prop_assert_eq!(&again.value(&types).unwrap(), &value);
        prop_assert!(again.is_at_end() && fields.rest.is_at_end());
        prop_assert_eq!(packed(&value) == packed(&next), value == next);
    }

    #[test]
    fn a_damaged_value_is_refused_or_another_one(value in value(), places in vec(any::<(usize, u8, u8)>(), 1..3)) {
        let mut bytes = packed(&value);
        for place in places {
            damage(&mut bytes, place);
        }
        targets::packed(&bytes);
    }

    /// Seen to fail when `write_patch` does not tell `None` from `Some(None)`.
    #[test]
    fn a_transaction_is_read_as_it_was_written(transaction in transaction()) {
        let bytes = codec::encode(&transaction);
        let read = codec::decode(7, &bytes, &Types::default());
        prop_assert_eq!(read, Ok(transaction));
    }

    #[test]
    fn a_damaged_transaction_is_refused_or_another_one(
        transaction in transaction(),
        places in vec(any::<(usize, u8, u8)>(), 1..3),
    ) {
        let mut bytes = codec::encode(&transaction);
        for place in places {
            damage(&mut bytes, place);
        }
        targets::transaction(&bytes);
    }
}

proptest! {
    #![proptest_config(crate::engine_oracle::cases(60))]

    /// Seen to fail when `write_entity` leaves out the ends of memberships.
    #[test]
    fn a_state_is_restored_as_it_was(throws in vec(any::<u16>(), 1500), place in any::<(usize, u8, u8)>()) {
        let [state, repeated] = states(&mut Dice::new(throws));
        prop_assert_eq!(dump::digest(&repeated), dump::digest(&state));
        let types = Types::default();
        let restored = restore(chunks(&state), &types).unwrap();
        prop_assert_eq!(dump::digest(&restored), dump::digest(&state));
        prop_assert!(state.view.len() > 3, "{}", state.view.len());
        prop_assert_eq!(restored.ordered(), state.ordered());
        prop_assert_eq!(restored.links(), state.links());
        prop_assert_eq!(restored.ends(), state.ends());
        for named in state.ordered() {
            let [ours, theirs] = [&state, &restored].map(|state| state.view.get(named.probe()).unwrap());
            prop_assert_eq!(&ours.parents, &theirs.parents);
            prop_assert_eq!((ours.version, ours.packed()), (theirs.version, theirs.packed()));
            let [ours, theirs] = [&state, &restored].map(|state| {
                let members: Vec<_> = state.members(named.probe()).cloned().collect();
                (members, state.links_of(named.probe()).cloned())
            });
            prop_assert_eq!(ours, theirs);
        }
        for mut chunk in dump::dump(&state) {
            damage(&mut chunk, place);
            restore(std::iter::once(Ok(chunk)), &types).ok();
        }
        // Nothing may be there twice.
        let twice = chunks(&state).chain(chunks(&state));
        prop_assert!(restore(twice, &types).is_err());
    }
}

#[test]
fn what_is_nested_too_deep_is_refused() {
    // A set of one set, and so on; a record of one record.
    for unit in [&[5_u8, 1][..], &[6, 1, 1, b'a', 0xff, 0x7f][..]] {
        let bytes = unit.repeat(100_000);
        assert!(Reader::new(&bytes).value(&Types::default()).is_err());
    }
    let mut deep = Value::from(1);
    for _ in 0..200 {
        deep = Value::set(vec![deep], None);
    }
    let bytes = packed(&deep);
    assert_eq!(Reader::new(&bytes).value(&Types::default()).unwrap(), deep);
}
