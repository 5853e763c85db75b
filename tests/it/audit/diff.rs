//! What changed in effect, against what all decoded records say.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use deodar::audit::diff::Changed;
use deodar::audit::diff::Diff;
use deodar::audit::diff::Limits;
use deodar::audit::filter::Filter;
use deodar::audit::read::Line;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::sample::subsequence;
use serde_json::Value as Json;
use serde_json::json;

use crate::engine_oracle::cases;

const POLICIES: [&str; 3] = ["p", "q", "r"];

prop_compose! {
    fn record()(
        kind in select(vec!["decision", "decision", "decision", "test"]),
        revision in select(vec!["aa", "aa", "bb", "bb", "aabb"]),
        is_allowed: bool,
        who in prop::option::weighted(0.9, select(vec!["ann", "b\"o\nb"])),
        what in select(vec!["door", "press"]),
        policies in subsequence(&POLICIES[..], 0..3),
        failed in subsequence(&POLICIES[..], 0..2),
        directory in select(vec!["d-1", "d-2"]),
        context in prop::option::of((0..2, prop::option::of(0..2))),
        digest in prop::option::of(select(vec!["x", "y"])),
        is_redacted in prop::bool::weighted(0.1),
    ) -> Json {
        let mut record = json!({
            "kind": kind,
            "revisions": {"policies": revision, "directory": directory},
            "principal": who.map_or(json!({"type": "User"}), |id| json!({"type": "User", "id": id})),
            "action": {"type": "Action", "id": "open"},
            "resource": {"type": "Device", "id": what},
            "decision": if is_allowed { "allow" } else { "deny" },
            "policies": policies,
            "errors": failed.iter().map(|id| json!({"policy": id})).collect::<Vec<_>>(),
        });
        if !is_allowed {
            record["cause"] = json!("forbidden");
        }
        if let Some((ip, purpose)) = context {
            record["context"] = json!({"ip": {"arg": ip}});
            if let Some(purpose) = purpose {
                record["context"]["purpose"] = json!(purpose);
            }
        }
        if let Some(digest) = digest {
            record["entities_digest"] = json!(digest);
        }
        if is_redacted {
            record["redacted"] = json!(true);
        }
        record
    }
}

fn lines(records: &[Json]) -> Vec<Line> {
    let lines = records.iter().zip(1_u64..).map(|(record, seq)| Line {
        seq,
        millis: i64::try_from(seq).unwrap() * 10,
        kind: record["kind"].as_str().unwrap().to_owned(),
        text: record.to_string(),
    });
    lines.collect()
}

/// The decisions of one revision, with their numbers.
fn decisions<'a>(records: &'a [Json], revision: &str) -> Vec<(u64, &'a Json)> {
    let records = (1_u64..).zip(records);
    records
        .filter(|(_, record)| record["kind"] == "decision")
        .filter(|(_, record)| record["revisions"]["policies"] == revision)
        .collect()
}

fn question(record: &Json) -> Option<String> {
    record["principal"]["id"].as_str()?;
    Some(format!("{} {}", record["principal"], record["resource"]))
}

/// What is told of a changed question: how often it was asked, the records, and
/// what else differs.
type Told = (usize, u64, u64, BTreeSet<String>, bool);

fn told(changed: &Changed<'_>) -> Told {
    let (before, after) = (changed.before, changed.after);
    let asked = before.allowed + before.denied + after.allowed + after.denied;
    (
        usize::try_from(asked).unwrap(),
        changed.last.seq,
        changed.first.seq,
        changed.also_differing().into_iter().collect(),
        changed.is_redacted(),
    )
}

fn differing(one: &Json, two: &Json) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    if one["revisions"]["directory"] != two["revisions"]["directory"] {
        names.insert("directory".to_owned());
    }
    if one["entities_digest"] != two["entities_digest"] {
        names.insert("entities".to_owned());
    }
    for key in ["ip", "purpose"] {
        if one["context"][key] != two["context"][key] {
            names.insert(format!("context.{key}"));
        }
    }
    names
}

/// The questions that were answered differently, as plainly as it can be said.
fn plainly(before: &[(u64, &Json)], after: &[(u64, &Json)]) -> Vec<Told> {
    let all: BTreeSet<_> = before
        .iter()
        .chain(after)
        .filter_map(|(_, record)| question(record))
        .collect();
    let mut changed = Vec::new();
    for asked in all {
        let of = |side: &[(u64, &Json)]| -> Vec<(u64, Json)> {
            let of = side
                .iter()
                .filter(|(_, record)| question(record).as_ref() == Some(&asked));
            of.map(|(seq, record)| (*seq, (*record).clone())).collect()
        };
        let ways = |side: &[(u64, Json)]| -> BTreeSet<String> {
            let ways = side.iter();
            ways.filter_map(|(_, record)| record["decision"].as_str())
                .map(str::to_owned)
                .collect()
        };
        let (before, after) = (of(before), of(after));
        let (old, new) = (ways(&before), ways(&after));
        if old.is_empty() || new.is_empty() || old == new {
            continue;
        }
        // What is new after, else what is gone; there is one of either.
        let (from, to) = match new.difference(&old).next() {
            Some(to) => (old.iter().find(|way| *way != to).unwrap(), to),
            None => (
                old.difference(&new).next().unwrap(),
                new.iter().next().unwrap(),
            ),
        };
        let is = |record: &Json, way: &String| record["decision"] == **way;
        let (last, one) = before.iter().rfind(|(_, record)| is(record, from)).unwrap();
        let (first, two) = after.iter().find(|(_, record)| is(record, to)).unwrap();
        let is_redacted = one["redacted"] == true || two["redacted"] == true;
        changed.push((
            before.len() + after.len(),
            *last,
            *first,
            differing(one, two),
            is_redacted,
        ));
    }
    changed
}

/// How often each policy is in that member.
fn counted(side: &[(u64, &Json)], policy: &str, member: &str) -> u64 {
    let is_named = |record: &Json| {
        let named = record[member].as_array().unwrap();
        named
            .iter()
            .any(|name| *name == policy || name["policy"] == policy)
    };
    side.iter().filter(|(_, record)| is_named(record)).count() as u64
}

fn share(part: u64, all: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "there are few")]
    if all == 0 {
        0.0
    } else {
        part as f64 / all as f64
    }
}

proptest! {
    #![proptest_config(cases(400))]

    /// Seen to fail when the first record before is shown instead of the last, when
    /// a share is compared as a number, when a revision is taken for another that
    /// begins so, and when an answer that is gone does not count.
    #[test]
    fn it_is_what_all_records_say(records in vec(record(), 0..60), who in prop::option::weighted(0.2, Just("User::\"ann\""))) {
        let filter = Filter {
            principal: who.map(|who| who.parse().unwrap()),
            ..Filter::default()
        };
        let lines = lines(&records);
        let mut diff = Diff::new("aa", "bb", filter.clone(), Limits::default());
        for line in &lines {
            diff.add(line);
        }
        let meant = |revision: &str| {
            let mut meant = decisions(&records, revision);
            meant.retain(|(seq, _)| filter.matches(&lines[usize::try_from(*seq).unwrap() - 1]));
            meant
        };
        let (before, after) = (meant("aa"), meant("bb"));
        for (side, decided) in [(&before, &diff.before), (&after, &diff.after)] {
            let allowed = side.iter().filter(|(_, record)| record["decision"] == "allow").count() as u64;
            prop_assert_eq!((decided.allowed, decided.all()), (allowed, side.len() as u64));
            let place = |at: Option<&(u64, &Json)>| at.map(|(seq, _)| (*seq, i64::try_from(*seq).unwrap() * 10));
            prop_assert_eq!((decided.first, decided.last), (place(side.first()), place(side.last())));
        }
        let mut expected = BTreeMap::new();
        for policy in POLICIES {
            let both = |member: &str| (counted(&before, policy, member), counted(&after, policy, member));
            let (decided, failed) = (both("policies"), both("errors"));
            let moved = |(one, two): (u64, u64)| (share(one, before.len()) - share(two, after.len())).abs();
            if moved(decided) + moved(failed) > 1e-9 {
                expected.insert(policy, (decided, failed, moved(decided) + moved(failed)));
            }
        }
        let policies = diff.policies();
        let mut least = f64::MAX;
        for (policy, effect) in &policies {
            let (decided, failed, moved) = expected.remove(policy).unwrap();
            prop_assert_eq!((effect.decided.before, effect.decided.after), decided);
            prop_assert_eq!((effect.failed.before, effect.failed.after), failed);
            // Where one side has no decisions, its share is nothing.
            prop_assert!(moved <= least + 1e-9, "{policies:?}");
            least = moved;
        }
        prop_assert!(expected.is_empty(), "{expected:?} {policies:?}");
        let changed: Vec<Told> = diff.questions().iter().map(told).collect();
        prop_assert!(changed.is_sorted_by(|one, two| one.0 >= two.0));
        let (mut changed, mut expected) = (changed, plainly(&before, &after));
        changed.sort();
        expected.sort();
        prop_assert_eq!(changed, expected);
        let nameless = before.iter().chain(&after).filter(|(_, record)| question(record).is_none());
        prop_assert_eq!(diff.nameless, nameless.count() as u64);
        prop_assert_eq!((diff.left_out, diff.policies_left_out), (0, 0));
    }

    /// Seen to fail when a question that is known is left out, too.
    #[test]
    fn what_finds_no_room_is_counted(records in vec(record(), 0..60), questions in 0_usize..4) {
        let limits = Limits { questions, ..Limits::default() };
        let mut diff = Diff::new("aa", "bb", Filter::default(), limits);
        for line in &lines(&records) {
            diff.add(line);
        }
        let mut kept = BTreeSet::new();
        let mut left_out = 0;
        let (mut both, mut twice) = (decisions(&records, "aa"), BTreeMap::<_, BTreeSet<_>>::new());
        both.extend(decisions(&records, "bb"));
        both.sort_by_key(|(seq, _)| *seq);
        for (_, record) in both {
            let Some(question) = question(record) else { continue };
            if kept.len() < questions || kept.contains(&question) {
                kept.insert(question.clone());
                let revision = record["revisions"]["policies"].to_string();
                twice.entry(question).or_default().insert(revision);
            } else {
                left_out += 1;
            }
        }
        prop_assert_eq!(diff.left_out, left_out);
        prop_assert_eq!(diff.asked_twice(), twice.values().filter(|sides| sides.len() == 2).count());
    }
}
