//! What changed in effect, as people and programs read it.

use std::fmt::Write as _;

use serde_json::Value as Json;
use serde_json::json;

use super::rows::printable;
use super::source::moment;
use crate::audit::activations::Activation;
use crate::audit::activations::Pair;
use crate::audit::diff::Answered;
use crate::audit::diff::Both;
use crate::audit::diff::Changed;
use crate::audit::diff::Decided;
use crate::audit::diff::Diff;
use crate::audit::diff::Effect;
use crate::audit::diff::Sample;
use crate::audit::filter::Outcome;
use crate::cli::output;
use crate::cli::output::BAD;
use crate::cli::output::FAINT;
use crate::cli::output::GOOD;
use crate::cli::output::HEAD;
use crate::cli::output::NAME;
use crate::cli::output::PLAIN;
use crate::cli::output::WARN;
use crate::cli::output::count;
use crate::cli::output::paint;

/// The time of a decision, which the server adds to its context.
const TIME: &str = "context.now";

/// Characters of a revision that are shown.
const SHORT: usize = 12;

/// Of 1,000 decisions, with one digit behind the point.
pub(super) fn per_thousand(number: u64, decisions: u64) -> String {
    let tenths = u128::from(number) * 10_000 + u128::from(decisions / 2);
    let tenths = tenths.checked_div(u128::from(decisions)).unwrap_or(0);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// For people.
pub(super) fn text(pair: &Pair, diff: &Diff, top: usize) -> String {
    let mut text = format!("{}\n", paint(HEAD, "revisions of the policies"));
    let rows = [
        side("before", &pair.before, &diff.before),
        side("after", &pair.after, &diff.after),
    ];
    let styles = [FAINT, NAME, PLAIN, PLAIN, PLAIN, PLAIN];
    text.push_str(&output::table("  ", styles, &rows));
    push_policies(&mut text, diff, top);
    push_questions(&mut text, diff, top);
    for note in notes(diff) {
        writeln!(text, "{} {note}", paint(WARN, "note:")).ok();
    }
    text
}

fn side(title: &str, activation: &Activation, decided: &Decided) -> [String; 6] {
    let short: String = activation.revision.chars().take(SHORT).collect();
    let span = match (decided.first, decided.last) {
        (Some((_, first)), Some((_, last))) => format!("{} to {}", moment(first), moment(last)),
        _ => "no decisions".to_owned(),
    };
    [
        title.to_owned(),
        printable(&short),
        format!("since {}", moment(activation.millis)),
        format!("{} allow", decided.allowed),
        format!("{} deny", decided.denied),
        span,
    ]
}

fn push_policies(text: &mut String, diff: &Diff, top: usize) {
    let policies = diff.policies();
    let title = "policies that decide more or less often, and of 1000 decisions";
    writeln!(text, "{}", paint(HEAD, title)).ok();
    if policies.is_empty() {
        writeln!(text, "  none").ok();
    }
    let decisions = Both {
        before: diff.before.all(),
        after: diff.after.all(),
    };
    let rows = policies.iter().take(top).map(|(name, effect)| {
        let Effect { decided, failed } = effect;
        let share = |both: fn(&Both) -> u64| per_thousand(both(decided), both(&decisions));
        [
            printable(name),
            decided.before.to_string(),
            format!("\u{2192} {}", decided.after),
            share(|both| both.before),
            format!("\u{2192} {}", share(|both| both.after)),
            remark(*decided, *failed),
        ]
    });
    let styles = [NAME, PLAIN, PLAIN, PLAIN, PLAIN, WARN];
    text.push_str(&output::table("  ", styles, &rows.collect::<Vec<_>>()));
    push_rest(text, policies.len(), top);
}

/// What the numbers do not show at once.
fn remark(decided: Both, failed: Both) -> String {
    let mut parts = Vec::new();
    match (decided.before, decided.after) {
        (0, 0) => {}
        (0, _) => parts.push("only after".to_owned()),
        (_, 0) => parts.push("only before".to_owned()),
        _ => {}
    }
    if failed != Both::default() {
        parts.push(format!(
            "failed {} \u{2192} {}",
            failed.before, failed.after
        ));
    }
    parts.join(", ")
}

fn push_rest(text: &mut String, all: usize, top: usize) {
    if all > top {
        writeln!(text, "  (and {} more: see `--top`)", all - top).ok();
    }
}

fn push_questions(text: &mut String, diff: &Diff, top: usize) {
    let questions = diff.questions();
    let twice = count(diff.asked_twice(), "question", "questions");
    let title = format!(
        "answered differently: {} of {twice} asked under both",
        questions.len()
    );
    writeln!(text, "{}", paint(HEAD, &title)).ok();
    for changed in questions.iter().take(top) {
        push_question(text, changed);
    }
    push_rest(text, questions.len(), top);
}

fn push_question(text: &mut String, changed: &Changed<'_>) {
    let question = changed.question;
    writeln!(
        text,
        "  {} \u{2192} {}  {}  {}  {}",
        outcome(changed.from),
        outcome(changed.to),
        paint(NAME, &printable(&question.principal)),
        printable(&question.action),
        paint(NAME, &printable(&question.resource)),
    )
    .ok();
    let row = |title: &str, answered: &Answered, sample: &Sample| {
        [
            title.to_owned(),
            format!("{} allow", answered.allowed),
            format!("{} deny", answered.denied),
            format!("record {}", sample.seq),
            printable(&why(sample)),
        ]
    };
    let rows = [
        row("before", changed.before, changed.last),
        row("after", changed.after, changed.first),
    ];
    let styles = [FAINT, PLAIN, PLAIN, PLAIN, PLAIN];
    text.push_str(&output::table("    ", styles, &rows));
    // The time differs unless both were asked within a second: it is told by the
    // records, and by `--format json`.
    let mut also = changed.also_differing();
    also.retain(|name| name != TIME);
    let told = match (also.is_empty(), changed.is_redacted()) {
        (true, false) => return,
        (true, true) => "also different, perhaps: what was redacted".to_owned(),
        (false, _) => format!("also different: {}", printable(&also.join(", "))),
    };
    writeln!(text, "    {}", paint(WARN, &told)).ok();
}

fn outcome(outcome: Outcome) -> String {
    let style = match outcome {
        Outcome::Allow => GOOD,
        Outcome::Deny => BAD,
    };
    paint(style, outcome.as_str())
}

/// What made a decision.
fn why(sample: &Sample) -> String {
    let policies = sample.policies.join(", ");
    match (&sample.cause, policies.is_empty()) {
        (Some(cause), true) => cause.clone(),
        (Some(cause), false) => format!("{cause}: {policies}"),
        (None, _) => policies,
    }
}

fn notes(diff: &Diff) -> Vec<String> {
    let questions = diff.questions();
    let unsure = questions.iter().filter(|changed| !is_certain(changed));
    let unsure = unsure.count();
    let empty = usize::from(diff.before.all() == 0) + usize::from(diff.after.all() == 0);
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    [
        (
            empty,
            "of the two revisions made no decision: there is nothing to compare yet",
        ),
        (
            unsure,
            "of these may be due to what is also different besides the time, not to the policies",
        ),
        (
            diff.undecided(),
            "were answered both ways under both revisions: that is due to directory or context",
        ),
        (
            number(diff.left_out),
            "decisions were not compared, for want of room: ask for less, such as one `--action`",
        ),
        (
            number(diff.policies_left_out),
            "times a policy was not counted, for want of room",
        ),
        (
            number(diff.nameless),
            "decisions were not compared: their ids were redacted",
        ),
    ]
    .into_iter()
    .filter(|(number, _)| *number > 0)
    .map(|(number, what)| format!("{number} {what}"))
    .collect()
}

/// Only the policies differ, and the time, as it does for any two decisions.
fn is_certain(changed: &Changed<'_>) -> bool {
    let also = changed.also_differing();
    !changed.is_redacted() && also.iter().all(|name| name == TIME)
}

/// For programs.
pub(super) fn json(pair: &Pair, diff: &Diff, top: usize) -> Json {
    let (policies, questions) = (diff.policies(), diff.questions());
    let certain = questions.iter().filter(|changed| is_certain(changed));
    let changed_policies = policies.iter().take(top).map(|(name, effect)| {
        let both = |both: Both| {
            json!({
                "before": both.before,
                "after": both.after,
                "before_per_1000": share(both.before, &diff.before),
                "after_per_1000": share(both.after, &diff.after),
            })
        };
        json!({"policy": name, "decided": both(effect.decided), "failed": both(effect.failed)})
    });
    let changed_questions = questions.iter().take(top).map(question_json);
    json!({
        "before": side_json(&pair.before, &diff.before),
        "after": side_json(&pair.after, &diff.after),
        "policies": {
            "top": changed_policies.collect::<Vec<_>>(),
            "others": policies.len().saturating_sub(top),
        },
        "questions": {
            "asked_twice": diff.asked_twice(),
            "changed": questions.len(),
            "by_policies_alone": certain.count(),
            "top": changed_questions.collect::<Vec<_>>(),
            "others": questions.len().saturating_sub(top),
        },
        "undecided": diff.undecided(),
        "left_out": diff.left_out,
        "policies_left_out": diff.policies_left_out,
        "nameless": diff.nameless,
    })
}

fn share(number: u64, decided: &Decided) -> Json {
    let digits = per_thousand(number, decided.all());
    digits
        .parse::<f64>()
        .map_or(Json::Null, |share| json!(share))
}

fn side_json(activation: &Activation, decided: &Decided) -> Json {
    let place = |place: Option<(u64, i64)>| {
        place.map(|(seq, millis)| json!({"seq": seq, "time": moment(millis)}))
    };
    json!({
        "revision": activation.revision,
        "since": moment(activation.millis),
        "allow": decided.allowed,
        "deny": decided.denied,
        "first": place(decided.first),
        "last": place(decided.last),
    })
}

fn question_json(changed: &Changed<'_>) -> Json {
    let question = changed.question;
    let side = |decision: Outcome, answered: &Answered, sample: &Sample| {
        json!({
            "decision": decision.as_str(),
            "cause": sample.cause,
            "policies": sample.policies,
            "seq": sample.seq,
            "directory_revision": sample.circumstances.directory,
            "allow": answered.allowed,
            "deny": answered.denied,
        })
    };
    json!({
        "principal": question.principal,
        "action": question.action,
        "resource": question.resource,
        "before": side(changed.from, changed.before, changed.last),
        "after": side(changed.to, changed.after, changed.first),
        "also_different": changed.also_differing(),
        "redacted": changed.is_redacted(),
    })
}

#[cfg(test)]
mod tests {
    use super::per_thousand;

    #[test]
    fn shares_are_rounded() {
        for (number, decisions, share) in [
            (0, 0, "0.0"),
            (1, 3, "333.3"),
            (2, 3, "666.7"),
            (3, 3, "1000.0"),
            (1, 1_000_000, "0.0"),
            (u64::MAX, u64::MAX, "1000.0"),
        ] {
            assert_eq!(
                per_thousand(number, decisions),
                share,
                "{number} of {decisions}"
            );
        }
    }
}
