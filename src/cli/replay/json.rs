//! The report of a replay for programs.

use serde_json::Value as Json;
use serde_json::json;

use super::Told;
use crate::analysis::flip::Group;
use crate::analysis::flip::Key;
use crate::analysis::replay::tally::Example;
use crate::analysis::replay::tally::Tally;
use crate::cli::audit::source::moment;
use crate::cli::diff::json::side;

/// All of it.
pub fn report(told: &Told<'_>) -> Json {
    let tally = told.tally;
    let mut json = json!({
        "policies": side(told.side),
        "files": tally.files,
        "notes": told.side.notes,
    });
    if let (Json::Object(json), Json::Object(numbers)) = (&mut json, numbers(tally, told.top)) {
        json.extend(numbers);
    }
    json
}

/// What came of the records.
pub fn numbers(tally: &Tally, top: usize) -> Json {
    let sorted = tally.flips.sorted();
    let hidden = sorted.iter().skip(top).map(|(_, group)| group.count);
    let groups = sorted.iter().take(top);
    let groups: Vec<Json> = groups
        .map(|(key, shown)| group(tally, key, shown))
        .collect();
    let faults = tally.faults.iter().map(|fault| {
        json!({
            "file": tally.files.get(fault.file),
            "line": fault.line,
            "kind": fault.kind,
            "message": fault.what,
        })
    });
    json!({
        "records": tally.records,
        "decisions": tally.decisions,
        "replayed": tally.replayed(),
        "same": tally.same,
        "changed": tally.changed,
        "gained": tally.flips.gained,
        "lost": tally.flips.lost,
        "groups": groups,
        "flips_left_out": tally.flips.left_out + hidden.sum::<u64>(),
        "left_out": tally.left_out,
        "gaps": tally.gaps,
        "faults": faults.collect::<Vec<_>>(),
        "faults_left_out": tally.faults_more,
    })
}

fn group(tally: &Tally, key: &Key, group: &Group<Example>) -> Json {
    let examples = group.examples.iter().map(|example| {
        json!({
            "file": tally.files.get(example.file),
            "line": example.line,
            "record": example.seq,
            "time": moment(example.millis),
            "principal": example.principal,
            "action": example.action,
            "resource": example.resource,
            "before": example.before,
            "after": example.after,
        })
    });
    json!({
        "direction": key.direction,
        "principal_type": key.principal_type,
        "policies": key.policies,
        "why": key.why,
        "count": group.count,
        "examples": examples.collect::<Vec<_>>(),
    })
}
