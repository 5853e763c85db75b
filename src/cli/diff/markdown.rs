//! The report of a comparison for a comment on a pull request.

use std::fmt::Write as _;

use super::Told;
use super::json::hidden;
use super::side::Side;
use super::side::short;
use crate::analysis::diff::facts::FactChange;
use crate::analysis::diff::lines;
use crate::analysis::diff::policies::PolicyChange;
use crate::analysis::flip::Groups;
use crate::analysis::flip::Key;
use crate::cli::markdown::block;
use crate::cli::markdown::code;
use crate::cli::markdown::codes;
use crate::cli::markdown::details;
use crate::cli::markdown::prose;
use crate::cli::markdown::table;
use crate::cli::output::count;
use crate::cli::replay::markdown::direction;
use crate::cli::replay::markdown::tallied;

/// Principals that are named.
const NAMED_MAX: usize = 10;

/// The whole comment.
pub fn report(told: &Told) -> String {
    let diff = &told.diff;
    let mut text = format!("### Access: {}\n\n", prose(&told.verdict()));
    writeln!(
        text,
        "From {} to {}.\n",
        side(&told.before),
        side(&told.after)
    )
    .ok();
    let named = [("gaining", diff.gaining()), ("losing", diff.losing())];
    for (what, principals) in named.into_iter().filter(|(_, all)| !all.is_empty()) {
        let shown = codes(principals.iter().take(NAMED_MAX).copied());
        let more = principals.len().saturating_sub(NAMED_MAX);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        writeln!(text, "* {what}: {shown}{more}").ok();
    }
    text.push('\n');
    // What is left out comes before what may be cut.
    for note in &told.notes {
        writeln!(text, "* {}", prose(note)).ok();
    }
    if let Some(not_asked) = told.not_asked() {
        writeln!(text, "* {}", prose(&not_asked)).ok();
    }
    if !told.notes.is_empty() || told.not_asked().is_some() {
        text.push('\n');
    }
    text.push_str(&decisions(told));
    if let Some(tally) = &told.audit {
        let flips = &tally.flips;
        writeln!(
            text,
            "**Recorded questions**: {} decided by both, {} gained, {} lost\n",
            tally.replayed(),
            flips.gained,
            flips.lost
        )
        .ok();
        text.push_str(&tallied(tally, told.top));
        text.push('\n');
    }
    text.push_str(&told.symbolic.markdown(told.top));
    text.push_str(&policies(&diff.policies, told.top));
    for (title, one, changes) in [
        (
            "changes of the manifest",
            "change of the manifest",
            &diff.manifest,
        ),
        (
            "changes of the schema",
            "change of the schema",
            &diff.schema,
        ),
        ("changes of entities", "change of entities", &diff.entities),
    ] {
        text.push_str(&facts((one, title), changes, told.top));
    }
    text
}

fn side(side: &Side) -> String {
    match &side.commit {
        Some(commit) => format!("{} ({})", code(&side.name), code(&short(commit))),
        None => code(&side.name),
    }
}

/// What flips, in test cases and over all entities.
fn decisions(told: &Told) -> String {
    let (cases, triples) = (&told.diff.cases, &told.diff.triples);
    let mut rows = rows("all entities", &triples.flips, told.top, |triple| {
        format!("{} on {}", code(&triple.principal), code(&triple.resource))
    });
    rows.extend(self::rows("test cases", &cases.flips, told.top, |case| {
        format!(
            "{} on {} ({})",
            code(&case.principal),
            code(&case.resource),
            code(&case.name)
        )
    }));
    let mut text = String::new();
    if !rows.is_empty() {
        let head = [
            "",
            "over",
            "principals",
            "action",
            "by",
            "decisions",
            "such as",
        ];
        text.push_str(&table(head, &rows));
    }
    let more = hidden(&triples.flips, told.top) + hidden(&cases.flips, told.top);
    if more > 0 {
        writeln!(text, "_and {more} more in further groups_\n").ok();
    }
    writeln!(
        text,
        "Decided by both: {} and {} of {} triples of entities; the change cannot alter the others.{}\n",
        count(usize::try_from(cases.decided).unwrap_or(usize::MAX), "test case", "test cases"),
        triples.decided,
        triples.all,
        if triples.decided < triples.touched {
            format!(
                " **Cut**: {} of {} that it can alter, spread evenly.",
                triples.decided, triples.touched
            )
        } else {
            String::new()
        }
    )
    .ok();
    if triples.failed > 0 {
        writeln!(
            text,
            "* left out: {} decisions that were refused",
            triples.failed
        )
        .ok();
    }
    for note in &triples.notes {
        writeln!(text, "* {}", prose(note)).ok();
    }
    for why in cases.left_out.iter().take(told.top) {
        writeln!(text, "* left out: {}", prose(why)).ok();
    }
    let more = cases.left_out.len().saturating_sub(told.top);
    if more > 0 {
        writeln!(text, "* and {more} more cases left out").ok();
    }
    if !triples.notes.is_empty() || triples.failed > 0 || !cases.left_out.is_empty() {
        text.push('\n');
    }
    text
}

fn rows<E: Ord>(
    over: &str,
    flips: &Groups<E>,
    top: usize,
    example: impl Fn(&E) -> String,
) -> Vec<[String; 7]> {
    let row = |key: &Key, number: u64, first: Option<&E>| {
        [
            direction(key.direction).to_owned(),
            over.to_owned(),
            code(&key.principal_type),
            key.action.as_deref().map_or_else(String::new, code),
            format!(
                "{} {}",
                codes(key.policies.iter().map(|id| &**id)),
                key.why.words()
            ),
            number.to_string(),
            first.map_or_else(String::new, &example),
        ]
    };
    let sorted = flips.sorted().into_iter().take(top);
    sorted
        .map(|(key, group)| row(key, group.count, group.examples.first()))
        .collect()
}

fn policies(changes: &[PolicyChange], top: usize) -> String {
    if changes.is_empty() {
        return String::new();
    }
    let mut inner = String::new();
    for change in changes.iter().take(top) {
        let id = match &change.renamed_from {
            Some(from) => format!("{} → {}", code(from), code(&change.id)),
            None => code(&change.id),
        };
        let parts: Vec<String> = change.parts.iter().map(|part| code(part)).collect();
        let parts = if parts.is_empty() {
            String::new()
        } else {
            format!(": {}", parts.join(", "))
        };
        let (kind, word) = (change.kind.word(), change.change.word());
        writeln!(inner, "**{word}** {kind} {id}{parts}\n").ok();
        let of = |side: &Option<crate::analysis::diff::policies::Text>| {
            side.as_ref()
                .map(|text| text.text.clone())
                .unwrap_or_default()
        };
        let (before, after) = (of(&change.before), of(&change.after));
        let lines = lines::compare(&before, &after);
        let lines = lines
            .iter()
            .map(|(fate, line)| format!("{}{line}\n", fate.sign()));
        inner.push_str(&block("diff", &lines.collect::<String>()));
        inner.push('\n');
    }
    if changes.len() > top {
        writeln!(inner, "_and {} more_\n", changes.len() - top).ok();
    }
    let summary = count(changes.len(), "change of policies", "changes of policies");
    details(&summary, &inner)
}

fn facts((one, many): (&str, &str), changes: &[FactChange], top: usize) -> String {
    if changes.is_empty() {
        return String::new();
    }
    let cell = |text: &Option<String>| text.as_deref().map_or_else(String::new, code);
    let row = |change: &FactChange| {
        [
            code(&change.owner),
            cell(&change.part),
            cell(&change.before),
            cell(&change.after),
        ]
    };
    let rows: Vec<[String; 4]> = changes.iter().take(top).map(row).collect();
    let mut inner = table(["", "", "before", "after"], &rows);
    if changes.len() > top {
        writeln!(inner, "_and {} more_\n", changes.len() - top).ok();
    }
    details(&count(changes.len(), one, many), &inner)
}
