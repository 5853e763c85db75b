//! The report of a comparison for people.

use std::fmt::Write as _;

use super::Told;
use super::gaps::gaps;
use super::json::hidden;
use crate::analysis::diff::facts::FactChange;
use crate::analysis::diff::lines;
use crate::analysis::diff::lines::Fate;
use crate::analysis::diff::policies::Change;
use crate::analysis::diff::policies::PolicyChange;
use crate::analysis::flip::Groups;
use crate::analysis::flip::join;
use crate::cli::output::BAD;
use crate::cli::output::FAINT;
use crate::cli::output::GOOD;
use crate::cli::output::HEAD;
use crate::cli::output::NAME;
use crate::cli::output::PLAIN;
use crate::cli::output::WARN;
use crate::cli::output::paint;
use crate::cli::output::table;
use crate::cli::replay::text::direction;
use crate::cli::replay::text::tallied;

/// Lines of a changed policy that are shown.
const LINES_MAX: usize = 30;

/// The whole report.
pub fn report(told: &Told) -> String {
    let diff = &told.diff;
    let sides = [("before", &told.before), ("after", &told.after)];
    let rows = sides.map(|(what, side)| [what.to_owned(), side.name.clone(), side.shown()]);
    let mut text = table("", [HEAD, NAME, FAINT], &rows);
    for note in &told.notes {
        writeln!(text, "{} {note}", paint(WARN, "note:")).ok();
    }
    text.push_str(&policies(&diff.policies, told.top));
    for (title, facts) in [
        ("manifest", &diff.manifest),
        ("schema", &diff.schema),
        ("entities", &diff.entities),
    ] {
        text.push_str(&changes(title, facts, told.top));
    }
    text.push_str(&cases(told));
    text.push_str(&triples(told));
    if let Some(tally) = &told.audit {
        writeln!(text, "\n{}", paint(HEAD, "recorded questions")).ok();
        text.push_str(&tallied(tally, told.top));
    }
    text.push_str(&told.symbolic.text(told.top));
    let (gained, lost) = told.flips();
    let style = match (gained, lost) {
        (0, 0) if gaps(told).is_empty() => GOOD,
        (_, 0) => WARN,
        _ => BAD,
    };
    if let Some(not_asked) = told.not_asked() {
        writeln!(text, "\n{}", paint(WARN, &not_asked)).ok();
    }
    writeln!(text, "\n{}", paint(style, &told.verdict())).ok();
    text
}

fn policies(changes: &[PolicyChange], top: usize) -> String {
    let mut text = String::new();
    if changes.is_empty() {
        return text;
    }
    writeln!(text, "\n{}", paint(HEAD, "policies")).ok();
    for change in changes.iter().take(top) {
        let style = match change.change {
            Change::Added => GOOD,
            Change::Removed => BAD,
            Change::Changed | Change::Renamed => WARN,
        };
        let id = match &change.renamed_from {
            Some(from) => format!("{from} → {}", change.id),
            None => change.id.to_string(),
        };
        let place = change.after.as_ref().or(change.before.as_ref());
        let place = place.filter(|text| text.line > 0);
        let place = place.map_or_else(String::new, |text| format!("{}:{}", text.file, text.line));
        writeln!(
            text,
            "  {} {} {}  {}  {}",
            paint(style, change.change.word()),
            change.kind.word(),
            paint(NAME, &id),
            change.parts.join(", "),
            paint(FAINT, &place),
        )
        .ok();
        text.push_str(&written(change));
    }
    text.push_str(&more(changes.len().saturating_sub(top) as u64, "policies"));
    text
}

/// The lines that differ, if it was changed.
fn written(change: &PolicyChange) -> String {
    let (Some(before), Some(after)) = (&change.before, &change.after) else {
        return String::new();
    };
    let lines = lines::compare(&before.text, &after.text);
    let differing: Vec<_> = lines
        .iter()
        .filter(|(fate, _)| *fate != Fate::Kept)
        .collect();
    let mut text = String::new();
    for (fate, line) in differing.iter().take(LINES_MAX) {
        let style = if *fate == Fate::Gone { BAD } else { GOOD };
        let line = format!("{} {line}", fate.sign());
        writeln!(text, "      {}", paint(style, &line)).ok();
    }
    if differing.len() > LINES_MAX {
        writeln!(
            text,
            "      (and {} more lines)",
            differing.len() - LINES_MAX
        )
        .ok();
    }
    text
}

fn changes(title: &str, changes: &[FactChange], top: usize) -> String {
    if changes.is_empty() {
        return String::new();
    }
    let rows: Vec<[String; 4]> = changes.iter().take(top).map(row).collect();
    let mut text = format!("\n{}\n", paint(HEAD, title));
    text.push_str(&table("  ", [WARN, NAME, PLAIN, PLAIN], &rows));
    text.push_str(&more(changes.len().saturating_sub(top) as u64, title));
    text
}

fn row(change: &FactChange) -> [String; 4] {
    let (word, told) = match (&change.before, &change.after) {
        (None, Some(after)) => ("added", after.clone()),
        (Some(before), None) => ("removed", before.clone()),
        (before, after) => {
            let of = |side: &Option<String>| side.clone().unwrap_or_default();
            ("changed", format!("{} → {}", of(before), of(after)))
        }
    };
    let part = change.part.clone().unwrap_or_default();
    [word.to_owned(), change.owner.clone(), part, told]
}

fn more(number: u64, what: &str) -> String {
    if number == 0 {
        String::new()
    } else {
        format!("  (and {number} more {what}: see `--top`)\n")
    }
}

fn cases(told: &Told) -> String {
    let cases = &told.diff.cases;
    let mut text = format!(
        "\n{}: {} decided by both, {} gained, {} lost, {} by other policies\n",
        paint(HEAD, "test cases"),
        cases.decided,
        cases.flips.gained,
        cases.flips.lost,
        cases.changed
    );
    text.push_str(&flips(&cases.flips, told.top, |case| {
        [
            format!("{} ({}:{})", case.name, case.file, case.line),
            case.principal.clone(),
            case.resource.clone(),
            format!("{} → {}", case.before.words(), case.after.words()),
        ]
    }));
    for why in cases.left_out.iter().take(told.top) {
        writeln!(text, "  {} {why}", paint(WARN, "left out:")).ok();
    }
    text.push_str(&more(
        cases.left_out.len().saturating_sub(told.top) as u64,
        "left out",
    ));
    text
}

fn triples(told: &Told) -> String {
    let triples = &told.diff.triples;
    let mut text = format!(
        "\n{}: {} triples, of which the change can alter {}; {} decided by both, {} gained, {} lost\n",
        paint(HEAD, "all entities"),
        triples.all,
        triples.touched,
        triples.decided,
        triples.flips.gained,
        triples.flips.lost
    );
    if triples.decided < triples.touched {
        let (decided, touched) = (triples.decided, triples.touched);
        writeln!(
            text,
            "  {} {decided} of {touched}, spread evenly: see `--triples-max`",
            paint(WARN, "cut:")
        )
        .ok();
    }
    if triples.failed > 0 {
        let failed = triples.failed;
        writeln!(
            text,
            "  {} {failed} decisions that were refused",
            paint(WARN, "left out:")
        )
        .ok();
    }
    for note in &triples.notes {
        writeln!(text, "  {}", paint(FAINT, note)).ok();
    }
    text.push_str(&flips(&triples.flips, told.top, |triple| {
        [
            triple.principal.clone(),
            triple.resource.clone(),
            triple.context.clone(),
            format!("{} → {}", triple.before.words(), triple.after.words()),
        ]
    }));
    text
}

fn flips<E: Ord>(flips: &Groups<E>, top: usize, cells: impl Fn(&E) -> [String; 4]) -> String {
    let mut text = String::new();
    for (key, group) in flips.sorted().into_iter().take(top) {
        let (style, direction) = direction(key.direction);
        writeln!(
            text,
            "  {} {} {} {}  {} {}",
            paint(style, direction),
            paint(HEAD, &group.count.to_string()),
            paint(NAME, &key.principal_type),
            key.action.as_deref().unwrap_or_default(),
            paint(NAME, &join(&key.policies)),
            key.why.words(),
        )
        .ok();
        let rows: Vec<[String; 4]> = group.examples.iter().map(&cells).collect();
        text.push_str(&table("      ", [PLAIN, PLAIN, FAINT, FAINT], &rows));
    }
    text.push_str(&more(hidden(flips, top), "flips in further groups"));
    text
}
