//! Triples that a change can alter, against deciding everything.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use proptest::prelude::*;

use super::Diff;
use super::Options;
use super::policies::Change;
use super::tests::Built;
use super::tests::SCHEMA;
use super::tests::options;
use super::tests::world;
use super::triples;
use crate::analysis::flip::Direction;
use crate::engine::Query;
use crate::engine::decide;

/// Conditions that read much of what there is.
const CONDITIONS: [&str; 11] = [
    "action in Action::\"all\"",
    "Action::\"read\" in Action::\"all\"",
    "resource has owner && resource.owner has boss && resource.owner.boss == principal",
    "resource has owner && resource.owner == principal",
    "principal is User && principal.level > 3",
    "principal has boss && principal.boss.level > 4",
    "principal in Group::\"1\"",
    "resource is Doc && resource.secret",
    "Group::\"0\".open",
    "resource in Group::\"0\" && principal in Group::\"0\"",
    "principal has boss && principal.boss in Group::\"0\"",
];

#[derive(Debug, Clone)]
pub(super) struct Drawn {
    pub(super) permits: bool,
    pub(super) principal: usize,
    pub(super) action: usize,
    pub(super) resource: usize,
    pub(super) condition: usize,
}

fn policy() -> impl Strategy<Value = Drawn> {
    (
        any::<bool>(),
        0..4_usize,
        0..4_usize,
        0..3_usize,
        0..CONDITIONS.len(),
    )
        .prop_map(|(permits, principal, action, resource, condition)| Drawn {
            permits,
            principal,
            action,
            resource,
            condition,
        })
}

pub(super) type Entities = (Vec<i64>, Vec<(usize, bool)>, Vec<(usize, Option<usize>)>);

fn entities() -> impl Strategy<Value = Entities> {
    (
        prop::collection::vec(3..6_i64, 1..4),
        prop::collection::vec((0..4_usize, any::<bool>()), 1..4),
        prop::collection::vec((0..4_usize, prop::option::of(0..4_usize)), 0..3),
    )
}

/// What else a side may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rest {
    /// `errors = "cedar"`.
    pub(super) errors: bool,
    /// The action `read` is in the group `all`.
    pub(super) is_grouped: bool,
    /// The action `admin` applies to users only.
    pub(super) is_narrow: bool,
    /// The resource that a link names, if there is one.
    pub(super) linked: Option<usize>,
    /// What the template of the link asks for.
    pub(super) template: usize,
}

fn rest() -> impl Strategy<Value = Rest> {
    let rare = || prop::bool::weighted(0.2);
    (
        rare(),
        rare(),
        rare(),
        prop::option::of(0..3_usize),
        0..3_usize,
    )
        .prop_map(|(errors, is_grouped, is_narrow, linked, template)| Rest {
            errors,
            is_grouped,
            is_narrow,
            linked,
            template,
        })
}

pub(super) fn build(policies: &BTreeMap<usize, Drawn>, entities: &Entities, rest: Rest) -> Built {
    let mut text = String::new();
    for (id, drawn) in policies {
        let effect = if drawn.permits { "permit" } else { "forbid" };
        let principal = ["", " is User", " in Group::\"1\"", " == User::\"0\""][drawn.principal];
        let action = [
            "",
            " == Action::\"read\"",
            " == Action::\"admin\"",
            " in [Action::\"write\", Action::\"admin\"]",
        ][drawn.action];
        let resource = ["", " in Group::\"0\"", " == Doc::\"1\""][drawn.resource];
        let condition = CONDITIONS[drawn.condition];
        writeln!(
            text,
            "@id(\"p{id}\") {effect} (principal{principal}, action{action}, resource{resource}) when {{ {condition} }};"
        )
        .unwrap();
    }
    // One that nothing fits, for there has to be one.
    text.push_str("@id(\"never\") permit (principal == User::\"none\", action, resource);");
    let condition = CONDITIONS[rest.template];
    writeln!(
        text,
        "@id(\"t\") permit (principal == ?principal, action, resource in ?resource) when {{ {condition} }};"
    )
    .unwrap();
    let links: Vec<_> = rest
        .linked
        .map(|resource| {
            let resource = ["Group::\"0\"", "Group::\"1\"", "Doc::\"0\""][resource];
            serde_json::json!({"template_id": "t", "link_id": "l",
                "args": {"?principal": "User::\"0\"", "?resource": resource}})
        })
        .into_iter()
        .collect();
    let mut schema = SCHEMA.to_owned();
    if rest.is_grouped {
        schema = schema.replace(
            "action read, write",
            "action write appliesTo { principal: User, resource: Doc, context: { from?: User } };\n\
             action read in [all]",
        );
    }
    if rest.is_narrow {
        schema = schema.replace("principal: [User, Group]", "principal: User");
    }
    let manifest = if rest.errors {
        "errors = \"cedar\""
    } else {
        ""
    };
    let entities = world(&entities.0, &entities.1, &entities.2);
    Built::new(&[
        ("manifest.toml", &format!("validate = \"off\"\n{manifest}")),
        ("s.cedarschema", &schema),
        ("p.cedar", &text),
        ("entities/e.json", &entities),
        ("links/l.json", &serde_json::to_string(&links).unwrap()),
    ])
}

/// Every triple of both, decided.
pub(super) fn plainly(
    before: &Built,
    after: &Built,
) -> BTreeMap<(Direction, String, String, String), u64> {
    let mut uids = BTreeSet::new();
    for built in [before, after] {
        uids.extend(built.view.iter().map(|(named, _)| Arc::clone(named.uid())));
    }
    let schema = before.snapshot.schema().unwrap();
    let mut flips = BTreeMap::new();
    for action in schema.actions() {
        for principal in &uids {
            for resource in &uids {
                let query = Query {
                    principal: Arc::clone(principal),
                    action: Arc::clone(&action.uid),
                    resource: Arc::clone(resource),
                    context: Arc::default(),
                    overlay: Arc::from([]),
                };
                let allowed = [before, after].map(|built| {
                    decide(&built.snapshot, &built.view, &query)
                        .unwrap()
                        .is_allow()
                });
                let direction = match allowed {
                    [false, true] => Direction::Gained,
                    [true, false] => Direction::Lost,
                    _ => continue,
                };
                let of = ToString::to_string;
                let key = (
                    direction,
                    of(principal),
                    action.uid.to_string(),
                    of(resource),
                );
                *flips.entry(key).or_default() += 1;
            }
        }
    }
    flips
}

pub(super) fn examples(
    diff: &triples::TriplesDiff,
) -> BTreeMap<(Direction, String, String, String), u64> {
    let mut flips = BTreeMap::new();
    for (key, group) in diff.flips.sorted() {
        assert_eq!(group.count, group.examples.len() as u64);
        for example in &group.examples {
            let (principal, resource) = (example.principal.clone(), example.resource.clone());
            let triple = (key.direction, principal, example.action.clone(), resource);
            *flips.entry(triple).or_default() += 1;
        }
    }
    flips
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Only what a change can alter is decided, and nothing is missed.
    #[test]
    fn triples_are_those_of_deciding_everything(
        old in prop::collection::btree_map(0..4_usize, policy(), 0..4),
        changes in prop::collection::btree_map(0..5_usize, prop::option::of(policy()), 0..2),
        entities_before in entities(),
        entities_after in prop::option::of(entities()),
        rest_before in rest(),
        rest_after in prop::option::of(rest()),
    ) {
        let mut new = old.clone();
        for (id, change) in changes {
            match change {
                Some(policy) => { new.insert(id, policy); }
                None => { new.remove(&id); }
            }
        }
        let after = entities_after.as_ref().unwrap_or(&entities_before);
        let rest_after = rest_after.unwrap_or(rest_before);
        let before = build(&old, &entities_before, rest_before);
        let after = build(&new, after, rest_after);
        let options = Options { examples: 1000, ..options() };
        let forth = super::diff(before.world(), after.world(), &[], &options);
        prop_assert_eq!(examples(&forth.triples), plainly(&before, &after));
        // The other way round, what was gained is lost.
        let back = super::diff(after.world(), before.world(), &[], &options);
        let swapped: BTreeMap<_, _> = examples(&back.triples)
            .into_iter()
            .map(|((direction, principal, action, resource), count)| {
                let direction = match direction {
                    Direction::Gained => Direction::Lost,
                    Direction::Lost => Direction::Gained,
                };
                ((direction, principal, action, resource), count)
            })
            .collect();
        prop_assert_eq!(swapped, examples(&forth.triples));
        prop_assert_eq!(forth.gaining(), back.losing());
        prop_assert_eq!(forth.policies.len(), back.policies.len());
        let changes = |diff: &Diff, wanted: Change| {
            diff.policies.iter().filter(|change| change.change == wanted).count()
        };
        prop_assert_eq!(changes(&forth, Change::Added), changes(&back, Change::Removed));
        // With itself nothing differs, and nothing need be decided.
        let same = super::diff(before.world(), before.world(), &[], &options);
        prop_assert!(same.is_empty());
        prop_assert_eq!(same.triples.decided, 0);
    }
}
