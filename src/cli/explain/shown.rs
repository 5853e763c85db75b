//! An explanation for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::report::Clause;
use super::report::Part;
use super::report::Report;
use super::report::Turned;
use crate::analysis::turn::CHANGES_MAX;
use crate::cli::answer::ReadValue;
use crate::cli::output;
use crate::cli::output::BAD;
use crate::cli::output::FAINT;
use crate::cli::output::GOOD;
use crate::cli::output::HEAD;
use crate::cli::output::NAME;
use crate::cli::output::PLAIN;
use crate::cli::output::WARN;
use crate::cli::output::paint;
use crate::testing::mutation::text::Parts;

/// The whole of it.
pub fn text(report: &Report) -> String {
    let verdict = if report.is_allow() {
        paint(GOOD, "ALLOW")
    } else {
        paint(BAD, "DENY")
    };
    let mut text = format!("{verdict}  {}\n", report.sentence);
    let near = if report.is_allow() {
        "forbids that do not apply"
    } else {
        "permits that do not apply"
    };
    for (title, parts) in [
        ("policies that decide", &report.policies),
        ("policies that failed", &report.failed),
        (near, &report.near_misses),
    ] {
        if parts.is_empty() {
            continue;
        }
        writeln!(text, "\n{}", paint(HEAD, title)).ok();
        for part in parts {
            write_part(&mut text, part);
        }
    }
    if report.near_misses_left_out > 0 {
        writeln!(text, "  and {} more", report.near_misses_left_out).ok();
    }
    write_facts(&mut text, report);
    write_turn(&mut text, &report.turn, report.is_allow());
    text
}

/// A policy with its source; below each line what the clauses that begin there came
/// to.
fn write_part(text: &mut String, part: &Part) {
    let policy = &part.policy;
    let of = policy
        .template
        .as_ref()
        .map_or_else(String::new, |template| format!(", link of {template}"));
    let place = format!("{}:{} ({}{of})", policy.file, policy.line, policy.effect);
    writeln!(
        text,
        "  {}  {}",
        paint(NAME, &policy.id),
        paint(FAINT, &place)
    )
    .ok();
    let mut clauses: BTreeMap<usize, Vec<&Clause>> = BTreeMap::new();
    for clause in &part.clauses {
        clauses.entry(clause.line).or_default().push(clause);
    }
    // Annotations tell what the policy is for, not what it does.
    let effect = Parts::of(&part.text).and_then(|parts| parts.tokens.get(parts.effect).cloned());
    let start = effect.map_or(0, |effect| effect.span.start);
    let (before, rest) = part.text.split_at_checked(start).unwrap_or_default();
    let first = policy.line + before.matches('\n').count();
    for (number, line) in (first..).zip(rest.lines()) {
        let margin = paint(FAINT, &format!("{number:>5} │"));
        writeln!(text, "  {margin} {line}").ok();
        for clause in clauses.remove(&number).unwrap_or_default() {
            write_clause(text, clause);
        }
    }
    if let Some(error) = &part.error {
        writeln!(text, "        {} {error}", paint(BAD, "failed:")).ok();
    }
}

fn write_clause(text: &mut String, clause: &Clause) {
    let (style, value) = match (clause.value, &clause.error) {
        (Some(true), _) => (GOOD, "true".to_owned()),
        (Some(false), _) => (BAD, "false".to_owned()),
        (None, Some(error)) => (BAD, format!("failed: {error}")),
        (None, None) => (FAINT, "not evaluated".to_owned()),
    };
    let margin = paint(FAINT, "     ·");
    writeln!(
        text,
        "  {margin}   {}  {}",
        clause.text,
        paint(style, &value)
    )
    .ok();
    // What is the whole clause was said.
    let reads: Vec<&ReadValue> = clause
        .reads
        .iter()
        .filter(|read| read.expression != clause.text)
        .collect();
    text.push_str(&values(&format!("  {margin}     "), reads));
}

fn values<'a>(indent: &str, reads: impl IntoIterator<Item = &'a ReadValue>) -> String {
    let rows: Vec<_> = reads
        .into_iter()
        .map(|read| [read.expression.clone(), "=".to_owned(), read.value.clone()])
        .collect();
    output::table(indent, [NAME, FAINT, PLAIN], &rows)
}

fn write_facts(text: &mut String, report: &Report) {
    let facts = &report.facts;
    if !facts.ancestors.is_empty() {
        writeln!(
            text,
            "\n{}",
            paint(HEAD, "memberships that policies ask for")
        )
        .ok();
        for fact in &facts.ancestors {
            writeln!(text, "  {} in {}", fact.entity, fact.ancestor).ok();
        }
    }
    if !facts.links.is_empty() {
        writeln!(text, "\n{}", paint(HEAD, "links that apply")).ok();
        for link in &facts.links {
            let template = paint(FAINT, &format!("of {}", link.template));
            writeln!(text, "  {}  {template}", paint(NAME, &link.id)).ok();
        }
    }
    for (title, reads) in [
        ("attributes that were read", &facts.attributes),
        ("context that was read", &facts.context),
    ] {
        if !reads.is_empty() {
            writeln!(text, "\n{}", paint(HEAD, title)).ok();
            text.push_str(&values("  ", reads));
        }
    }
}

fn write_turn(text: &mut String, turn: &Turned, is_allow: bool) {
    let other = if is_allow { "deny" } else { "allow" };
    let title = format!("the smallest change that would {other}, as far as was found");
    writeln!(text, "\n{}", paint(HEAD, &title)).ok();
    for change in &turn.changes {
        writeln!(text, "  {}", change.sentence).ok();
    }
    let tried = output::count(turn.tried, "change", "changes");
    let how = if turn.changes.is_empty() {
        let cut = if turn.is_cut {
            "; there are more that were not tried"
        } else {
            ""
        };
        let none = format!("none of up to {CHANGES_MAX} was found; {tried} tried{cut}");
        paint(WARN, &none)
    } else {
        paint(FAINT, &format!("decided with it: {other}; {tried} tried"))
    };
    writeln!(text, "  {how}").ok();
}
