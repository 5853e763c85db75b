//! Triples that a change can alter, against deciding everything.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use cedar_policy_core::ast::EntityUID;
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
const CONDITIONS: [&str; 13] = [
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
    "principal has fav && principal.fav in Action::\"all\"",
    "principal != resource",
];

/// Those that are decided about without being stored: one that the policies name, and
/// one of each type that nothing names.
const NAMED: [&str; 4] = [
    "User::\"none\"",
    "User::\"any other\"",
    "Group::\"any other\"",
    "Doc::\"any other\"",
];
/// What can be asked of them.
const ACTIONS: [&str; 5] = [
    "Action::\"all\"",
    "Action::\"read\"",
    "Action::\"write\"",
    "Action::\"admin\"",
    "Action::\"any other\"",
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
    /// Who is decided about.
    pub(super) known: Known,
    /// Where actions are known from.
    pub(super) actions: Actions,
}

/// Who is decided about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// Who is stored.
    Stored,
    /// And users who are not.
    Users,
    /// Anybody and anything.
    Anybody,
}

/// Where actions are known from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Actions {
    /// From a schema.
    Declared,
    /// There is none: they are stored.
    Stored,
}

fn rest() -> impl Strategy<Value = Rest> {
    let rare = || prop::bool::weighted(0.2);
    (
        rare(),
        rare(),
        rare(),
        prop::option::of(0..3_usize),
        0..3_usize,
        prop_oneof![
            6 => Just(Known::Stored),
            1 => Just(Known::Users),
            1 => Just(Known::Anybody),
        ],
        prop_oneof![
            5 => Just(Actions::Declared),
            1 => Just(Actions::Stored),
        ],
    )
        .prop_map(
            |(errors, is_grouped, is_narrow, linked, template, known, actions)| Rest {
                errors,
                is_grouped,
                is_narrow,
                linked,
                template,
                known,
                actions,
            },
        )
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
    let mut manifest = "validate = \"off\"\n".to_owned();
    if rest.errors {
        manifest.push_str("errors = \"cedar\"\n");
    }
    manifest.push_str(match rest.known {
        Known::Stored => "",
        Known::Users => "implicit_types = [\"User\"]\n",
        Known::Anybody => "unknown = \"cedar\"\n",
    });
    let entities = world(&entities.0, &entities.1, &entities.2);
    let links = serde_json::to_string(&links).unwrap();
    let mut files = vec![
        ("manifest.toml", manifest.as_str()),
        ("p.cedar", &text),
        ("entities/e.json", &entities),
        ("links/l.json", &links),
    ];
    let actions = stored_actions(rest.is_grouped);
    files.push(match rest.actions {
        Actions::Declared => ("s.cedarschema", &schema),
        Actions::Stored => ("entities/actions.json", &actions),
    });
    Built::new(&files)
}

/// The actions as entities, for want of a schema.
fn stored_actions(is_grouped: bool) -> String {
    let actions = ["all", "read", "write", "admin"].map(|id| {
        let all = serde_json::json!({"type": "Action", "id": "all"});
        let parents = Vec::from_iter((is_grouped && id == "read").then_some(all));
        serde_json::json!({"uid": {"type": "Action", "id": id}, "attrs": {}, "parents": parents})
    });
    serde_json::to_string(&actions).unwrap()
}

/// Those that are stored on either side, or [`NAMED`].
fn all_entities(before: &Built, after: &Built) -> BTreeSet<Arc<EntityUID>> {
    let named = NAMED.iter().map(|uid| Arc::new(uid.parse().unwrap()));
    let mut uids: BTreeSet<Arc<EntityUID>> = named.collect();
    for built in [before, after] {
        let stored = built.view.iter().map(|(named, _)| Arc::clone(named.uid()));
        uids.extend(stored.filter(|uid| !uid.is_action()));
    }
    uids
}

/// Every triple of both, decided.
pub(super) fn plainly(
    before: &Built,
    after: &Built,
) -> BTreeMap<(Direction, String, String, String), u64> {
    let uids = all_entities(before, after);
    let mut flips = BTreeMap::new();
    for action in ACTIONS {
        let action: Arc<EntityUID> = Arc::new(action.parse().unwrap());
        for principal in &uids {
            for resource in &uids {
                let query = Query {
                    principal: Arc::clone(principal),
                    action: Arc::clone(&action),
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
                let key = (direction, of(principal), action.to_string(), of(resource));
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
        // A policy or link may name more who are not stored: they are asked about, too.
        let known: BTreeSet<String> =
            all_entities(&before, &after).iter().map(ToString::to_string).collect();
        let of_known = |triples: &triples::TriplesDiff| {
            let mut found = examples(triples);
            found.retain(|(_, principal, _, resource), _| {
                known.contains(principal) && known.contains(resource)
            });
            found
        };
        let expected = plainly(&before, &after);
        prop_assert_eq!(&of_known(&forth.triples), &expected);
        // Where it would take too much to tell what is touched, nothing is missed either.
        let coarse = Options { planned_max: 20, ..options.clone() };
        let coarse = super::diff(before.world(), after.world(), &[], &coarse);
        prop_assert_eq!(&of_known(&coarse.triples), &expected);
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
