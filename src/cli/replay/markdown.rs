//! The report of a replay for a comment on a pull request.

use std::fmt::Write as _;

use super::Told;
use crate::analysis::flip::Direction;
use crate::analysis::replay::log::FaultKind;
use crate::analysis::replay::tally::Tally;
use crate::cli::audit::source::moment;
use crate::cli::diff::side::short;
use crate::cli::markdown::code;
use crate::cli::markdown::codes;
use crate::cli::markdown::details;
use crate::cli::markdown::table;

/// The whole comment.
pub fn report(told: &Told<'_>) -> String {
    let tally = told.tally;
    let flips = &tally.flips;
    let mut text = format!(
        "### Recorded decisions: {} would be gained, {} lost\n\n",
        flips.gained, flips.lost
    );
    let side = told.side;
    let commit = side.commit.as_deref().map(short);
    let commit = commit.map_or_else(String::new, |commit| format!(" ({})", code(&commit)));
    writeln!(
        text,
        "{} decisions decided again by {}{commit}, on the entities of that repository and those \
         that requests carried; {} came out the same.\n",
        tally.replayed(),
        code(&side.name),
        tally.same
    )
    .ok();
    for note in &side.notes {
        writeln!(text, "* {}", code(note)).ok();
    }
    text.push_str(&tallied(tally, told.top));
    text
}

/// What came of the records.
pub fn tallied(tally: &Tally, top: usize) -> String {
    let mut text = flips(tally, top);
    for (what, count) in &tally.changed {
        writeln!(text, "* {count} with the same decision and other {what}").ok();
    }
    for (why, count) in &tally.left_out {
        writeln!(text, "* {count} not decided again: {}", why.words()).ok();
    }
    if tally.gaps > 0 {
        writeln!(text, "* {} gaps, of decisions never recorded", tally.gaps).ok();
    }
    for fault in &tally.faults {
        let file = tally.files.get(fault.file).map_or("", String::as_str);
        let (line, what) = (fault.line, code(&fault.what));
        let kind = match fault.kind {
            FaultKind::Unreadable => "left out",
            FaultKind::OutOfOrder => "out of order, and decided",
        };
        writeln!(text, "* {kind}: {} line {line}: {what}", code(file)).ok();
    }
    if tally.faults_more > 0 {
        writeln!(
            text,
            "* and {} more lines that cannot be read or are out of order",
            tally.faults_more
        )
        .ok();
    }
    text
}

fn flips(tally: &Tally, top: usize) -> String {
    let sorted = tally.flips.sorted();
    if sorted.is_empty() {
        return String::new();
    }
    let row = |name: &str, key: &crate::analysis::flip::Key, count: u64| {
        [
            name.to_owned(),
            code(&key.principal_type),
            format!(
                "{} {}",
                codes(key.policies.iter().map(|id| &**id)),
                key.why.words()
            ),
            count.to_string(),
        ]
    };
    let rows: Vec<[String; 4]> = sorted
        .iter()
        .take(top)
        .map(|(key, group)| row(direction(key.direction), key, group.count))
        .collect();
    let mut text = table(["", "principals", "by", "decisions"], &rows);
    let hidden = sorted.iter().skip(top).map(|(_, group)| group.count);
    let hidden = hidden.sum::<u64>() + tally.flips.left_out;
    if hidden > 0 {
        writeln!(text, "_and {hidden} more in further groups_\n").ok();
    }
    let mut examples = Vec::new();
    for (key, group) in sorted.iter().take(top) {
        for example in &group.examples {
            examples.push([
                direction(key.direction).to_owned(),
                example.seq.to_string(),
                moment(example.millis),
                code(&example.principal),
                code(&example.action),
                code(&example.resource),
                format!(
                    "{} → {}",
                    code(&example.before.words()),
                    code(&example.after.words())
                ),
            ]);
        }
    }
    let head = [
        "",
        "record",
        "time",
        "principal",
        "action",
        "resource",
        "answer",
    ];
    text.push_str(&details("Examples", &table(head, &examples)));
    text
}

/// How a direction is told.
pub fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Gained => "🟢 gained",
        Direction::Lost => "🔴 lost",
    }
}
