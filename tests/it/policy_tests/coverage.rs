//! Coverage where it is known by hand.

use deodar::testing::coverage::Coverage;
use deodar::testing::coverage::Gap;
use deodar::testing::coverage::PolicyCoverage;
use deodar::testing::coverage::lcov;
use deodar::testing::coverage::listing;

use super::CASES;
use super::ENTITIES;
use super::POLICIES;
use super::SCHEMA;
use super::World;

const LINKED: &str = r#"
  - name: a share counts for its template
    principal: 'User::"ann"'
    action: 'Action::"read"'
    resource: 'Doc::"plan"'
    links:
      - { id: share-ann, template: share, principal: 'User::"ann"', resource: 'Doc::"plan"' }
    decision: allow
"#;

/// Outside of every scope but that of the forbid.
pub(super) const STRANGER: &str = r#"
  - name: a stranger does not read
    principal: 'User::"cid"'
    action: 'Action::"read"'
    resource: 'Doc::"plan"'
    entities: [{ uid: 'User::"cid"', attrs: { level: 0 } }]
    decision: deny
"#;

fn world() -> World {
    world_with("")
}

pub(super) fn world_with(cases: &str) -> World {
    World::of(&[
        ("schema.cedarschema", SCHEMA),
        ("docs.cedar", POLICIES),
        ("entities/all.json", ENTITIES),
        ("docs.test.yaml", &format!("{CASES}{LINKED}{cases}")),
    ])
}

fn measured(world: &World) -> Coverage {
    Coverage::measure(&world.snapshot, &world.view, &world.suites)
}

/// Seen to fail when a constant counts, when a skipped case counts, and when a
/// link does not count for its template.
#[test]
fn coverage_is_as_counted_by_hand() {
    let coverage = measured(&world());
    assert_eq!((coverage.cases, coverage.failed_cases), (4, 0));
    let shown: Vec<_> = coverage
        .policies
        .iter()
        .map(|policy| {
            let counts = policy.counts;
            (
                policy.info.id.as_str(),
                [counts.matched, counts.satisfied, counts.unsatisfied],
                (policy.share().covered, policy.share().total),
            )
        })
        .collect();
    // The owner of the plan reads it twice; staff are not the owner.
    assert_eq!(
        shown,
        [
            ("owner", [4, 3, 1], (3, 4)),
            ("staff", [1, 1, 0], (1, 1)),
            ("secret", [4, 1, 3], (3, 4)),
            ("nobody", [0, 0, 0], (0, 2)),
            ("share", [1, 1, 0], (1, 1)),
            ("lend", [0, 0, 0], (0, 2)),
        ]
    );
    assert_eq!(coverage.share().shown(), "57.1%");
    let missing: Vec<_> = coverage
        .policies
        .iter()
        .flat_map(PolicyCoverage::missing)
        .map(|missing| (missing.line, missing.clause, missing.what))
        .collect();
    assert_eq!(
        missing,
        [
            (4, Some("principal.level > 2".to_owned()), Gap::NeverFalse),
            (13, Some("principal.level >= 9".to_owned()), Gap::NeverTrue),
            (16, None, Gap::NeverMatched),
            (23, None, Gap::NeverLinked),
        ]
    );
    let share = &coverage.policies[4];
    assert_eq!(share.links["share-ann"], 1);
}

#[test]
fn all_is_the_only_whole() {
    use deodar::testing::coverage::Share;
    let share = |covered, total| Share { covered, total };
    assert_eq!(share(9999, 10000).shown(), "99.9%");
    assert_eq!(share(2, 3).shown(), "66.6%");
    assert_eq!(share(0, 0).shown(), "100.0%");
    assert!(!share(9999, 10000).is_whole());
}

#[test]
fn the_listing_marks_lines() {
    let world = world();
    let coverage = measured(&world);
    let listed = listing::listed(&coverage, &world.files);
    assert_eq!(listed.len(), 1);
    let shown: Vec<_> = listed[0]
        .lines
        .iter()
        .filter(|line| line.matched.is_some() || line.seen.is_some())
        .map(|line| (line.number, line.matched, line.seen, line.missing.len()))
        .collect();
    assert_eq!(
        shown,
        [
            (2, Some(4), None, 0),
            (4, None, Some([3, 0]), 1),
            (6, Some(1), None, 0),
            (9, Some(4), None, 0),
            (11, None, Some([1, 3]), 0),
            (13, None, Some([0, 1]), 1),
            (16, Some(0), None, 1),
            (18, None, Some([0, 0]), 0),
            (20, Some(1), None, 0),
            (23, Some(0), None, 1),
            (25, None, Some([0, 0]), 0),
        ]
    );
}

/// Seen to fail when `LH` counts lines that were not hit.
#[test]
fn the_tracefile_is_what_was_measured() {
    let coverage = measured(&world());
    let text = lcov::tracefile(&coverage);
    let records = super::lcov::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(records.len(), 1);
    let record = &records[0];
    assert_eq!(record.file, "docs.cedar");
    assert_eq!(record.functions["secret"], (9, 4));
    assert_eq!(record.functions["nobody"], (16, 0));
    assert_eq!(record.lines[&4], 4);
    assert_eq!(record.lines[&18], 0);
    let taken: Vec<_> = record.branches.iter().map(|branch| branch.3).collect();
    let (n, s) = (None, Some);
    assert_eq!(
        taken,
        [s(3), s(1), s(3), s(0), s(1), s(3), s(0), s(1), n, n, n, n]
    );
}

#[test]
fn what_is_parsed_strictly_can_fail() {
    let text = lcov::tracefile(&measured(&world()));
    for (from, to) in [
        ("end_of_record\n", ""),
        ("LH:7", "LH:8"),
        ("BRH:", "BRH:1"),
        ("FNH:", "FNH:9"),
        ("DA:4,4", "DA:4"),
        ("SF:docs.cedar", "SF:/docs.cedar"),
        ("FNDA:4,owner", "FNDA:4,other"),
    ] {
        let broken = text.replacen(from, to, 1);
        assert_ne!(broken, text, "{from}\n{text}");
        assert!(super::lcov::parse(&broken).is_err(), "{from}");
    }
}

/// Every unit of the reference policies is covered by their own tests, or is named.
#[test]
fn the_reference_tests_cover_the_reference_policies() {
    let world = World::reference();
    let coverage = measured(&world);
    assert_eq!(coverage.failed_cases, 0);
    let again = measured(&world);
    assert_eq!(coverage, again);
    let share = coverage.share();
    eprintln!(
        "coverage of the reference policies: {} of {}",
        share.covered, share.total
    );
    assert!(share.percent() > 90.0, "{}", share.shown());
}
