//! The rules, as a list and one by one.

use std::fmt::Write as _;

use serde_json::json;

use crate::analysis::lint::Rule;
use crate::analysis::lint::rule::Example;
use crate::analysis::lint::rules;
use crate::cli::output;
use crate::cli::output::FAINT;
use crate::cli::output::HEAD;
use crate::cli::output::NAME;
use crate::cli::output::PLAIN;
use crate::cli::output::WARN;
use crate::cli::output::paint;
use crate::cli::output::table;

/// A line for each rule.
pub(super) fn list(only: &[&'static Rule], as_json: bool) -> String {
    let wanted = |rule: &&'static Rule| only.is_empty() || only.iter().any(|one| one.id == rule.id);
    let rules: Vec<&'static Rule> = rules().filter(wanted).collect();
    if as_json {
        let rules = rules.iter().map(|rule| {
            json!({
                "rule": rule.id,
                "group": rule.group,
                "level": rule.level,
                "summary": rule.summary,
                "fixable": rule.is_fixable,
            })
        });
        return output::json(&rules.collect::<Vec<_>>());
    }
    let head = ["RULE", "GROUP", "LEVEL", "FIX", "WHAT IT FINDS"].map(str::to_owned);
    let rows = rules.iter().map(|rule| {
        let fix = if rule.is_fixable { "yes" } else { "" };
        [
            rule.id,
            rule.group.as_str(),
            rule.level.as_str(),
            fix,
            rule.summary,
        ]
        .map(str::to_owned)
    });
    let rows: Vec<[String; 5]> = std::iter::once(head).chain(rows).collect();
    table("", [NAME, FAINT, WARN, PLAIN, PLAIN], &rows)
}

/// All about a rule.
pub(super) fn explain(rule: &Rule) -> String {
    let mut text = format!(
        "{} ({}, {}{})\n\n{}.\n\n{}\n",
        paint(NAME, rule.id),
        rule.group.as_str(),
        rule.level.as_str(),
        if rule.is_fixable {
            ", `--fix` mends it"
        } else {
            ""
        },
        capital(rule.summary),
        rule.why
    );
    for (name, example) in [("Bad", &rule.bad), ("Good", &rule.good)] {
        shown(&mut text, name, example);
    }
    writeln!(
        text,
        "\nSwitch it off for one policy with `@allow(\"{}\")`.",
        rule.id
    )
    .ok();
    text
}

fn shown(text: &mut String, name: &str, example: &Example) {
    writeln!(text, "\n{}\n", paint(HEAD, name)).ok();
    for (path, content) in example.besides {
        indented(text, &format!("// {path}\n{content}"));
    }
    indented(text, example.policies);
}

fn indented(text: &mut String, lines: &str) {
    for line in lines.lines() {
        writeln!(text, "{}", format!("  {line}").trim_end()).ok();
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string());
    first.unwrap_or_default() + chars.as_str()
}
