//! What changed in effect as CSV (RFC 4180): a row for each kind of answer, each
//! policy, and each question that is answered differently.

use super::csv::cell;
use super::diff_text::per_thousand;
use crate::audit::diff::Both;
use crate::audit::diff::Changed;
use crate::audit::diff::Diff;

const HEADER: &str = "what,name,before,after,before_per_1000,after_per_1000,principal,action,resource,decision_before,decision_after,policies_before,policies_after,seq_before,seq_after,also_different\r\n";
const COLUMNS: usize = 16;

/// All rows, with the header. Of policies and questions so many as `top`.
pub(super) fn rows(diff: &Diff, top: usize) -> String {
    let mut text = HEADER.to_owned();
    let answers = [
        ("allow", diff.before.allowed, diff.after.allowed),
        ("deny", diff.before.denied, diff.after.denied),
    ];
    for (name, before, after) in answers {
        push(
            &mut text,
            &counted(diff, "answer", name, Both { before, after }),
        );
    }
    for (name, effect) in diff.policies().into_iter().take(top) {
        push(&mut text, &counted(diff, "policy", name, effect.decided));
        if effect.failed != Both::default() {
            push(&mut text, &counted(diff, "failed", name, effect.failed));
        }
    }
    for changed in diff.questions().iter().take(top) {
        push(&mut text, &question(changed));
    }
    text
}

fn counted(diff: &Diff, what: &str, name: &str, both: Both) -> [String; COLUMNS] {
    let mut row: [String; COLUMNS] = Default::default();
    let cells = [
        what.to_owned(),
        name.to_owned(),
        both.before.to_string(),
        both.after.to_string(),
        per_thousand(both.before, diff.before.all()),
        per_thousand(both.after, diff.after.all()),
    ];
    for (place, cell) in row.iter_mut().zip(cells) {
        *place = cell;
    }
    row
}

fn question(changed: &Changed<'_>) -> [String; COLUMNS] {
    let (before, after) = (changed.before, changed.after);
    let mut also = changed.also_differing();
    if changed.is_redacted() {
        also.push("(redacted)".to_owned());
    }
    [
        "question".to_owned(),
        String::new(),
        (before.allowed + before.denied).to_string(),
        (after.allowed + after.denied).to_string(),
        String::new(),
        String::new(),
        changed.question.principal.clone(),
        changed.question.action.clone(),
        changed.question.resource.clone(),
        changed.from.as_str().to_owned(),
        changed.to.as_str().to_owned(),
        changed.last.policies.join(" "),
        changed.first.policies.join(" "),
        changed.last.seq.to_string(),
        changed.first.seq.to_string(),
        also.join(" "),
    ]
}

fn push(text: &mut String, row: &[String; COLUMNS]) {
    let cells: Vec<_> = row.iter().map(|text| cell(text)).collect();
    text.push_str(&cells.join(","));
    text.push_str("\r\n");
}
