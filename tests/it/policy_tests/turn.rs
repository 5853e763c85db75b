//! Changes that turn a decision: each is made and decided on by itself.

use std::collections::BTreeMap;
use std::time::Duration;

use deodar::analysis::turn::CHANGES_MAX;
use deodar::analysis::turn::Found;
use deodar::analysis::turn::Spot;
use deodar::analysis::turn::turn;
use deodar::analysis::turn::world::World as TurnWorld;
use deodar::engine::Query;
use deodar::engine::Snapshot;
use deodar::engine::View;
use deodar::engine::decide;

use super::ENTITIES;
use super::SCHEMA;
use super::World;

/// Makes the changes anew, one after the other, in what was asked first.
fn made(snapshot: &Snapshot, view: &View, query: &Query, found: &Found) -> TurnWorld {
    let mut world = TurnWorld::new(snapshot, view, query);
    for change in &found.turn.as_ref().unwrap().changes {
        world = match &change.spot {
            Spot::Value(place) => world.set(snapshot, place, change.to.as_ref()),
            Spot::Parent(uid, parent, is_added) => {
                world.set_parent(snapshot, [uid, parent], *is_added)
            }
        }
        .unwrap_or_else(|| panic!("{change:#?}"));
    }
    world
}

/// Seen to fail when changes are told that were not decided on, and when the world
/// leaves out what the request carries.
#[test]
fn every_change_turns_its_decision() {
    let world = World::reference();
    let (snapshot, view) = (&world.snapshot, &world.view);
    let mut by_size: BTreeMap<usize, usize> = BTreeMap::new();
    let (mut all, mut refused, mut slowest) = (0, 0, Duration::ZERO);
    for case in world.suites.iter().flat_map(|suite| &suite.cases) {
        let asked = case.asked(snapshot, view).unwrap();
        let decision = decide(snapshot, &asked.view, &asked.query).unwrap();
        let laid = TurnWorld::new(snapshot, &asked.view, &asked.query);
        let same = decide(snapshot, &laid.view, &laid.query).unwrap();
        assert_eq!(decision.is_allow(), same.is_allow(), "{}", case.name);
        assert_eq!(decision.cause(), same.cause(), "{}", case.name);
        all += 1;
        let started = std::time::Instant::now();
        let found = turn(snapshot, &asked.view, &asked.query);
        slowest = slowest.max(started.elapsed());
        let Some(turned) = &found.turn else {
            // Nothing turns what is denied before any policy is asked.
            refused += usize::from(decision.cause().is_some_and(|cause| {
                !["forbidden", "no_permit", "forbid_failed"].contains(&cause.as_str())
            }));
            eprintln!(
                "none: {} ({} tried, cut {})",
                case.name, found.tried, found.is_cut
            );
            continue;
        };
        assert!((1..=CHANGES_MAX).contains(&turned.changes.len()));
        *by_size.entry(turned.changes.len()).or_default() += 1;
        let made = made(snapshot, &asked.view, &asked.query, &found);
        let after = decide(snapshot, &made.view, &made.query).unwrap();
        assert_ne!(
            decision.is_allow(),
            after.is_allow(),
            "{}: {found:#?}",
            case.name
        );
    }
    let found: usize = by_size.values().sum();
    eprintln!(
        "{found} of {all} cases turned ({refused} cannot be), by size {by_size:?}, slowest {slowest:?}"
    );
    assert!(found * 100 >= (all - refused) * 75, "{found} of {all}");
}

const POLICIES: &str = r#"
@id("level")
permit (principal in Group::"staff", action == Action::"read", resource)
when { principal.level > 3 && (context has ip && context.ip.isInRange(ip("10.0.0.0/8"))) };

@id("closed")
forbid (principal, action, resource)
when { resource.secret }
unless { principal has badge && context.now < principal.badge.until };
"#;

fn found(level: i64, group: bool, secret: bool, context: &str) -> Vec<String> {
    search(level, group, secret, context).0
}

/// The changes, and whether there was more to try.
fn search(level: i64, group: bool, secret: bool, context: &str) -> (Vec<String>, bool) {
    let parents = if group {
        r#", parents: ['Group::"staff"']"#
    } else {
        ""
    };
    let tests = format!(
        "now: 2026-11-22T12:00:00Z\ncases:\n  - name: a\n    principal: 'User::\"cid\"'\n    action: 'Action::\"read\"'\n    resource: 'Doc::\"plan\"'\n    context: {context}\n    entities: [{{ uid: 'User::\"cid\"', attrs: {{ level: {level} }}{parents} }}, {{ uid: 'Doc::\"plan\"', attrs: {{ secret: {secret} }} }}]\n    decision: allow\n"
    );
    let world = World::of(&[
        ("schema.cedarschema", SCHEMA),
        ("docs.cedar", POLICIES),
        ("entities/all.json", ENTITIES),
        ("docs.test.yaml", &tests),
    ]);
    let case = &world.suites[0].cases[0];
    let asked = case.asked(&world.snapshot, &world.view).unwrap();
    let found = turn(&world.snapshot, &asked.view, &asked.query);
    let changes = found.turn.map(|turn| turn.changes).unwrap_or_default();
    let changes = changes
        .into_iter()
        .map(|change| match change.spot {
            Spot::Value(place) => format!(
                "{}: {} -> {}",
                place.path().join("."),
                change
                    .from
                    .map(|value| value.to_string())
                    .unwrap_or_default(),
                change.to.map(|value| value.to_string()).unwrap_or_default(),
            ),
            Spot::Parent(uid, parent, is_added) => format!("{uid} in {parent}: {is_added}"),
        })
        .collect();
    (changes, found.is_cut)
}

/// Seen to fail when one kind of clause is left out.
#[test]
fn the_smallest_change_is_found() {
    let office = "{ ip: '10.1.2.3' }";
    assert_eq!(found(3, true, false, office), ["level: 3 -> 4"]);
    assert_eq!(
        found(5, false, false, office),
        ["User::\"cid\" in Group::\"staff\": true"]
    );
    // First there is an address, then the right one: one change.
    assert_eq!(found(5, true, false, "{}"), ["ip:  -> ip(\"10.0.0.0\")"]);
    assert_eq!(found(5, true, true, office), ["secret: true -> false"]);
    // Two policies stand in the way.
    assert_eq!(found(3, true, true, office).len(), 2);
    // Four changes would do, which is said to be more than were tried.
    assert_eq!(search(3, false, true, "{}"), (Vec::new(), true));
    // To a deny: what is nearest.
    assert_eq!(found(5, true, false, office), ["level: 5 -> 3"]);
}

/// A forbid that fails is in the way only where that denies. Seen to fail when it is
/// always undone.
#[test]
fn a_forbid_that_fails_is_undone_where_it_denies() {
    let policies = r"
        permit (principal, action, resource) when { principal.level > 3 };
        forbid (principal, action, resource) when { principal.level + 9223372036854775807 > 0 && resource.secret };
    ";
    let tests = r#"
now: 2026-11-22T12:00:00Z
cases: [{ name: a, principal: 'User::"bob"', action: 'Action::"read"', resource: 'Doc::"plan"', decision: deny }]
"#;
    let changed = |errors: &str| -> Vec<String> {
        let world = World::of(&[
            ("manifest.toml", &format!("errors = \"{errors}\"\n")),
            ("schema.cedarschema", SCHEMA),
            ("docs.cedar", policies),
            ("entities/all.json", ENTITIES),
            ("docs.test.yaml", tests),
        ]);
        let asked = world.suites[0].cases[0]
            .asked(&world.snapshot, &world.view)
            .unwrap();
        let found = turn(&world.snapshot, &asked.view, &asked.query);
        let changes = found.turn.map(|turn| turn.changes).unwrap_or_default();
        changes
            .iter()
            .map(|change| format!("{:?}", change.spot))
            .collect()
    };
    let of_cedar = changed("cedar");
    assert_eq!(of_cedar.len(), 1, "{of_cedar:?}");
    assert!(of_cedar[0].contains("level"), "{of_cedar:?}");
    assert_ne!(changed("deny"), of_cedar);
}
