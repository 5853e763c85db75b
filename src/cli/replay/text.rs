//! The report of a replay for people.

use std::fmt::Write as _;

use anstyle::Style;

use super::Told;
use crate::analysis::flip::Direction;
use crate::analysis::flip::join;
use crate::analysis::replay::log::FaultKind;
use crate::analysis::replay::tally::Tally;
use crate::cli::audit::source::moment;
use crate::cli::output::BAD;
use crate::cli::output::FAINT;
use crate::cli::output::GOOD;
use crate::cli::output::HEAD;
use crate::cli::output::NAME;
use crate::cli::output::PLAIN;
use crate::cli::output::WARN;
use crate::cli::output::paint;
use crate::cli::output::table;

/// The whole report.
pub fn report(told: &Told<'_>) -> String {
    let mut text = String::new();
    let side = told.side;
    writeln!(
        text,
        "{} {}: {}",
        paint(HEAD, "decided by"),
        paint(NAME, &side.name),
        side.shown()
    )
    .ok();
    text.push_str(&paint(
        FAINT,
        "on the entities of this repository, and those that requests carried\n",
    ));
    for note in &side.notes {
        writeln!(text, "{} {note}", paint(WARN, "note:")).ok();
    }
    text.push_str(&tallied(told.tally, told.top));
    text
}

/// What came of the records.
pub fn tallied(tally: &Tally, top: usize) -> String {
    let mut text = counts(tally);
    text.push_str(&flips(tally, top));
    text.push_str(&faults(tally));
    text
}

fn counts(tally: &Tally) -> String {
    let mut rows = vec![
        [
            "decisions".to_owned(),
            tally.decisions.to_string(),
            String::new(),
        ],
        ["the same".to_owned(), tally.same.to_string(), String::new()],
    ];
    for (what, count) in &tally.changed {
        let what = format!("same decision, other {what}");
        rows.push([what, count.to_string(), String::new()]);
    }
    rows.push([
        "deny → allow".to_owned(),
        tally.flips.gained.to_string(),
        String::new(),
    ]);
    rows.push([
        "allow → deny".to_owned(),
        tally.flips.lost.to_string(),
        String::new(),
    ]);
    for (why, count) in &tally.left_out {
        let why = format!("({})", why.words());
        rows.push(["not decided again".to_owned(), count.to_string(), why]);
    }
    if tally.gaps > 0 {
        let told = "(each tells of decisions that were never recorded)".to_owned();
        rows.push(["gaps in the log".to_owned(), tally.gaps.to_string(), told]);
    }
    table("  ", [PLAIN, HEAD, FAINT], &rows)
}

fn flips(tally: &Tally, top: usize) -> String {
    let sorted = tally.flips.sorted();
    let mut text = String::new();
    for (key, group) in sorted.iter().take(top) {
        let (style, direction) = direction(key.direction);
        writeln!(
            text,
            "{} {} {}  {} {}",
            paint(style, direction),
            paint(HEAD, &group.count.to_string()),
            paint(NAME, &key.principal_type),
            paint(NAME, &join(&key.policies)),
            key.why.words(),
        )
        .ok();
        let rows: Vec<[String; 6]> = group
            .examples
            .iter()
            .map(|example| {
                [
                    format!("record {}", example.seq),
                    moment(example.millis),
                    example.principal.clone(),
                    example.action.clone(),
                    example.resource.clone(),
                    format!("{} → {}", example.before.words(), example.after.words()),
                ]
            })
            .collect();
        text.push_str(&table(
            "  ",
            [FAINT, FAINT, PLAIN, PLAIN, PLAIN, FAINT],
            &rows,
        ));
    }
    let hidden = sorted.iter().skip(top).map(|(_, group)| group.count);
    let hidden = hidden.sum::<u64>() + tally.flips.left_out;
    if hidden > 0 {
        writeln!(
            text,
            "(and {hidden} more flips in further groups: see `--top`)"
        )
        .ok();
    }
    text
}

/// How a direction is told.
pub fn direction(direction: Direction) -> (Style, &'static str) {
    match direction {
        Direction::Gained => (GOOD, "gained"),
        Direction::Lost => (BAD, "lost"),
    }
}

fn faults(tally: &Tally) -> String {
    let mut text = String::new();
    for fault in &tally.faults {
        let file = tally.files.get(fault.file).map_or("", String::as_str);
        let kind = match fault.kind {
            FaultKind::Unreadable => paint(BAD, "unreadable:"),
            FaultKind::OutOfOrder => paint(WARN, "out of order:"),
        };
        writeln!(text, "{kind} `{file}` line {}: {}", fault.line, fault.what).ok();
    }
    if tally.faults_more > 0 {
        writeln!(
            text,
            "(and {} more that cannot be read or are out of order)",
            tally.faults_more
        )
        .ok();
    }
    for (kind, told) in [
        (
            FaultKind::Unreadable,
            "what is unreadable was left out; everything else was decided\n",
        ),
        (
            FaultKind::OutOfOrder,
            "where it is out of order, records are missing or twice; all that are there were decided\n",
        ),
    ] {
        if tally.faults.iter().any(|fault| fault.kind == kind) {
            text.push_str(told);
        }
    }
    text
}
