//! Mending what can be mended without a decision of the author.
//!
//! An edit is kept only if the text parses afterwards, has the same comments, and every
//! policy says the same as before: the same effect, scope, annotations (but for those of
//! lints), and the same condition in its normal form ([`Meaning`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy_core::ast::Expr;
use cedar_policy_core::ast::ExprBuilder;
use cedar_policy_core::ast::ExprKind;
use cedar_policy_core::ast::Literal;
use cedar_policy_core::ast::UnaryOp;
use cedar_policy_core::expr_builder::ExprBuilder as _;

use super::Options;
use super::Report;
use super::conditions::says_nothing;
use super::finding::Edit;
use super::finding::Finding;
use super::lint;
use super::network::Network;
use super::policy::Keyword;
use super::policy::Policy;
use super::source::Source;
use super::text_edits::comments;
use super::truth::literal;
use crate::engine::Files;
use crate::engine::nesting;

/// A repeated condition in a repeated condition needs another round; nobody needs
/// this many.
const ROUNDS_MAX: usize = 10;

/// A repository after mending.
#[derive(Debug)]
pub struct Fixed {
    /// The files, mended and not.
    pub files: Files,
    /// The files that have changed, and how many findings of each are mended.
    pub changed: BTreeMap<String, usize>,
    /// The files that were left alone, or mended in part, because the outcome would have
    /// said something else, or not compiled.
    pub refused: Vec<String>,
    /// What is found now.
    pub report: Report,
}

/// Mends what can be mended.
pub fn fix(files: &Files, options: &Options) -> Fixed {
    stacker::grow(nesting::STACK_BYTES, || fix_here(files, options))
}

fn fix_here(files: &Files, options: &Options) -> Fixed {
    let mut fixed = Fixed {
        files: files.clone(),
        changed: BTreeMap::new(),
        refused: Vec::new(),
        report: lint(files, options),
    };
    for _ in 0..ROUNDS_MAX {
        let Some(round) = round(&mut fixed) else {
            break;
        };
        let report = lint(&round.files, options);
        // What compiled before has to compile after.
        if report.faults.len() > fixed.report.faults.len() {
            fixed.refused.extend(round.changed.into_keys());
            continue;
        }
        for (file, count) in round.changed {
            *fixed.changed.entry(file).or_default() += count;
        }
        fixed.files = round.files;
        fixed.report = report;
    }
    fixed
}

struct Round {
    files: Files,
    changed: BTreeMap<String, usize>,
}

/// The files with what can be mended at once; `None` when there is nothing.
fn round(fixed: &mut Fixed) -> Option<Round> {
    let mut by_file: BTreeMap<String, Vec<&Finding>> = BTreeMap::new();
    let findings = fixed.report.findings.iter();
    for finding in findings.filter(|finding| !finding.edits.is_empty()) {
        let file = finding.source.file.to_string();
        by_file.entry(file).or_default().push(finding);
    }
    by_file.retain(|file, _| !fixed.refused.contains(file));
    let mut texts = BTreeMap::new();
    let mut changed = BTreeMap::new();
    for (file, findings) in by_file {
        match mended_soundly(&sound(&findings)) {
            Some((text, count)) => {
                changed.insert(file.clone(), count);
                texts.insert(file, text);
            }
            None => fixed.refused.push(file),
        }
    }
    let files = Files::new(fixed.files.all().map(|(file, content)| {
        let mended = texts.get(file).map(String::as_bytes);
        (file.to_owned(), mended.unwrap_or(content).to_vec())
    }));
    (!changed.is_empty()).then_some(Round { files, changed })
}

/// The findings of a file that can be mended together. Where not all can, each half is
/// tried by itself, so that one that cannot be mended keeps no other from it.
fn sound<'f>(findings: &[&'f Finding]) -> Vec<&'f Finding> {
    if mended_soundly(findings).is_some() {
        return findings.to_vec();
    }
    if findings.len() < 2 {
        return Vec::new();
    }
    let (one, other) = findings.split_at(findings.len() / 2);
    let mut one = sound(one);
    let both = [&*one, &sound(other)].concat();
    // What is left out now is tried again in the next round.
    if mended_soundly(&both).is_some() {
        one = both;
    }
    one
}

/// The text with what is found mended, if it is another one that says the same.
fn mended_soundly(findings: &[&Finding]) -> Option<(String, usize)> {
    let source = &findings.first()?.source;
    let mended = mended_text(findings)?;
    let is_sound = *mended.0 != *source.text && says_the_same(source, &mended.0);
    is_sound.then_some(mended)
}

/// The text with all edits that do not touch each other, and how many findings
/// they mend.
fn mended_text(findings: &[&Finding]) -> Option<(String, usize)> {
    let text = &findings.first()?.source.text;
    // By where they start. None touches another, so of those that start before an end,
    // the last one reaches furthest.
    let mut edits: BTreeMap<usize, &Edit> = BTreeMap::new();
    let mut count = 0;
    for finding in findings {
        let touches = |edit: &Edit| {
            let before = edits.range(..=edit.span.end).next_back();
            before.is_some_and(|(_, other)| edit.span.start <= other.span.end)
        };
        if !finding.edits.iter().any(touches) {
            let new = finding.edits.iter();
            edits.extend(new.map(|edit| (edit.span.start, edit)));
            count += 1;
        }
    }
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for edit in edits.into_values() {
        out.push_str(text.get(done..edit.span.start)?);
        out.push_str(&edit.text);
        done = edit.span.end;
    }
    out.push_str(text.get(done..)?);
    Some((out, count))
}

/// Whether two texts have the same policies, but for what lints may mend.
fn says_the_same(before: &Arc<Source>, after: &str) -> bool {
    if comments(&before.text) != comments(after) {
        return false;
    }
    let after = Arc::new(Source::new(&before.file, after));
    let (Ok(before), Ok(after)) = (Policy::parse_all(before), Policy::parse_all(&after)) else {
        return false;
    };
    before.len() == after.len()
        && before.iter().zip(&after).all(|(before, after)| {
            Meaning::of(before) == Meaning::of(after) && keeps_id(before, after)
        })
}

fn keeps_id(before: &Policy, after: &Policy) -> bool {
    !before.is_named || before.id == after.id
}

/// What a policy says: two with the same meaning decide the same.
#[derive(Debug, PartialEq, Eq)]
pub struct Meaning {
    scope: String,
    annotations: BTreeMap<String, String>,
    conditions: Vec<Expr>,
}

impl Meaning {
    /// The meaning of a policy.
    pub fn of(policy: &Policy) -> Self {
        let template = &policy.template;
        let annotations = policy.annotations.iter();
        let annotations =
            annotations.filter(|written| written.name != "id" && written.name != "allow");
        let mut conditions: Vec<Expr> = Vec::new();
        for clause in &policy.clauses {
            if says_nothing(clause.keyword, &clause.body) {
                continue;
            }
            let body = normal(&clause.body);
            let condition = match clause.keyword {
                Keyword::When => body,
                Keyword::Unless => negated(body),
            };
            split(condition, &mut conditions);
        }
        Self {
            scope: format!(
                "{} {} {} {}",
                template.effect(),
                template.principal_constraint(),
                template.action_constraint(),
                template.resource_constraint()
            ),
            annotations: annotations
                .map(|written| (written.name.to_string(), written.value.to_string()))
                .collect(),
            conditions,
        }
    }
}

/// The parts of `&&`, each once.
fn split(expr: Expr, into: &mut Vec<Expr>) {
    match expr.expr_kind() {
        ExprKind::And { left, right } => {
            split(Expr::clone(left), into);
            split(Expr::clone(right), into);
        }
        _ if literal(&expr) == Some(&Literal::Bool(true)) => {}
        _ if into.contains(&expr) => {}
        _ => into.push(expr),
    }
}

fn negated(expr: Expr) -> Expr {
    match expr.expr_kind() {
        ExprKind::UnaryApp {
            op: UnaryOp::Not,
            arg,
        } => Expr::clone(arg),
        _ => ExprBuilder::<()>::new().not(expr),
    }
}

/// The same expression without double negations and bits beyond a prefix, and with
/// every part of `&&` once.
fn normal(expr: &Expr) -> Expr {
    let build = ExprBuilder::<()>::new;
    match expr.expr_kind() {
        ExprKind::And { .. } => {
            let mut parts = Vec::new();
            conjuncts(expr, &mut parts);
            let mut kept: Vec<Expr> = Vec::new();
            for part in parts {
                split(normal(part), &mut kept);
            }
            let joined = kept.into_iter().reduce(|a, b| build().and(a, b));
            joined.unwrap_or_else(|| build().val(true))
        }
        ExprKind::Or { left, right } => build().or(normal(left), normal(right)),
        ExprKind::UnaryApp {
            op: UnaryOp::Not,
            arg,
        } => negated(normal(arg)),
        ExprKind::If {
            test_expr,
            then_expr,
            else_expr,
        } => build().ite(normal(test_expr), normal(then_expr), normal(else_expr)),
        ExprKind::ExtensionFunctionApp { fn_name, args } => {
            let is_range = fn_name.to_string() == "isInRange";
            let args = args.iter().enumerate().map(|(at, arg)| {
                let network = is_range && at == 1;
                let base = network.then(|| base_of(arg)).flatten();
                base.unwrap_or_else(|| normal(arg))
            });
            Expr::call_extension_fn(fn_name.clone(), args.collect())
        }
        _ => expr.clone(),
    }
}

fn conjuncts<'a>(expr: &'a Expr, into: &mut Vec<&'a Expr>) {
    match expr.expr_kind() {
        ExprKind::And { left, right } => {
            conjuncts(left, into);
            conjuncts(right, into);
        }
        _ => into.push(expr),
    }
}

fn base_of(range: &Expr) -> Option<Expr> {
    let ExprKind::ExtensionFunctionApp { fn_name, args } = range.expr_kind() else {
        return None;
    };
    let [text] = &***args else {
        return None;
    };
    let Literal::String(text) = literal(text)? else {
        return None;
    };
    let base = Network::parse(text)?.base().to_string();
    let build = ExprBuilder::<()>::new;
    Some(Expr::call_extension_fn(
        fn_name.clone(),
        vec![build().val(base)],
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Edit;
    use super::Finding;
    use super::Source;
    use super::mended_soundly;
    use super::sound;
    use crate::analysis::lint::finding::Found;
    use crate::analysis::lint::rule;

    #[test]
    fn one_that_cannot_be_mended_keeps_no_other_from_it() {
        let text =
            "permit (principal, action, resource) // why\n when { true } when { context.a };";
        let source = Arc::new(Source::new("p.cedar", text));
        let rule = rule("when-true").unwrap();
        let mut found = Found::new(rule, rule.level);
        for taken in [" when { true }", " when { context.a }", " // why"] {
            let start = text.find(taken).unwrap();
            let span = start..start + taken.len();
            let finding = found.in_file(&source, span.clone(), "", "");
            finding.edits.push(Edit::remove(span));
        }
        let findings: Vec<&Finding> = found.findings.iter().collect();
        assert_eq!(mended_soundly(&findings), None);
        let sound = sound(&findings);
        let (mended, count) = mended_soundly(&sound).unwrap();
        assert_eq!((mended, count), (text.replacen(" when { true }", "", 1), 1));
    }
}
