//! The report of a comparison for programs.

use serde::Serialize;
use serde_json::Value as Json;
use serde_json::json;

use super::Told;
use super::gaps::gaps;
use super::side::Side;
use crate::analysis::diff::cases::CaseExample;
use crate::analysis::diff::triples::TripleExample;
use crate::analysis::flip::Groups;
use crate::cli::replay::json::numbers;

/// What a side is. Of a server's files only the policies are its own.
pub fn side(side: &Side) -> Json {
    let files = &side.repository.files;
    let (policies, directory) = match &side.served {
        Some(served) => (served.revision.clone(), None),
        None => (
            files.policy_digest().to_string(),
            Some(files.data_digest().to_string()),
        ),
    };
    json!({
        "name": side.name,
        "commit": side.commit,
        "policy_revision": policies,
        "directory_revision": directory,
    })
}

/// All of it.
pub fn report(told: &Told) -> Json {
    let Told { diff, top, .. } = told;
    let top = *top;
    let principals = |all: std::collections::BTreeSet<&str>| json!({"count": all.len(), "principals": all.iter().take(top).collect::<Vec<_>>()});
    let triples = &diff.triples;
    json!({
        "before": side(&told.before),
        "after": side(&told.after),
        "gaining": principals(diff.gaining()),
        "losing": principals(diff.losing()),
        "policies": listed(&diff.policies, top),
        "manifest": listed(&diff.manifest, top),
        "schema": listed(&diff.schema, top),
        "entities": listed(&diff.entities, top),
        "cases": {
            "decided": diff.cases.decided,
            "changed": diff.cases.changed,
            "left_out": listed(&diff.cases.left_out, top),
            "gained": diff.cases.flips.gained,
            "lost": diff.cases.flips.lost,
            "groups": groups(&diff.cases.flips, top, case),
            "flips_left_out": hidden(&diff.cases.flips, top),
        },
        "triples": {
            "all": triples.all,
            "touched": triples.touched,
            "decided": triples.decided,
            "failed": triples.failed,
            "not_asked": triples.not_asked,
            "gained": triples.flips.gained,
            "lost": triples.flips.lost,
            "groups": groups(&triples.flips, top, triple),
            "flips_left_out": hidden(&triples.flips, top),
            "notes": triples.notes,
        },
        "audit": told.audit.as_ref().map(|tally| numbers(tally, top)),
        "solver": told.symbolic.json(top),
        "notes": told.notes,
        "verdict": told.verdict(),
        "not_asked": gaps(told).into_iter().map(|gap| gap.what).collect::<Vec<_>>(),
    })
}

fn listed<T: Serialize>(items: &[T], top: usize) -> Json {
    let shown: Vec<&T> = items.iter().take(top).collect();
    json!({"count": items.len(), "items": shown})
}

fn groups<E: Ord>(flips: &Groups<E>, top: usize, example: impl Fn(&E) -> Json) -> Vec<Json> {
    let sorted = flips.sorted();
    let groups = sorted.iter().take(top).map(|(key, group)| {
        json!({
            "direction": key.direction,
            "principal_type": key.principal_type,
            "action": key.action,
            "policies": key.policies,
            "why": key.why,
            "count": group.count,
            "examples": group.examples.iter().map(&example).collect::<Vec<_>>(),
        })
    });
    groups.collect()
}

/// Flips of groups that are not shown.
pub fn hidden<E: Ord>(flips: &Groups<E>, top: usize) -> u64 {
    let sorted = flips.sorted();
    let hidden = sorted.iter().skip(top).map(|(_, group)| group.count);
    hidden.sum::<u64>() + flips.left_out
}

fn case(case: &CaseExample) -> Json {
    json!({
        "case": case.name,
        "file": case.file,
        "line": case.line,
        "principal": case.principal,
        "action": case.action,
        "resource": case.resource,
        "before": case.before,
        "after": case.after,
    })
}

fn triple(triple: &TripleExample) -> Json {
    json!({
        "principal": triple.principal,
        "action": triple.action,
        "resource": triple.resource,
        "context": serde_json::from_str::<Json>(&triple.context).unwrap_or_default(),
        "before": triple.before,
        "after": triple.after,
    })
}
