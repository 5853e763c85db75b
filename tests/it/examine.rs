//! Examining and replacing policies, against deciding and against compiling anew.

use std::collections::BTreeSet;

use cedar_policy_core::ast::Effect;
use deodar::directory;
use deodar::engine::Cause;
use deodar::engine::Decision;

use deodar::engine::Files;
use deodar::engine::compile;
use deodar::engine::decide;
use deodar::engine::examine;
use deodar::engine::examine::Verdict;
use deodar::engine::examine::clauses;
use deodar::engine::replace::Replacement;
use deodar::engine::replace::decide_replaced;
use deodar::source;

use super::cases;
use super::support::reference;

fn told(decision: &Decision) -> (Option<&'static str>, Vec<String>, Vec<String>) {
    let policies = decision.policies.iter();
    let errors = decision.errors.iter();
    (
        decision.cause().map(Cause::as_str),
        policies.map(|policy| policy.id.to_string()).collect(),
        errors.map(|error| error.policy.id.to_string()).collect(),
    )
}

/// Seen to fail when the right side of `&&` is not passed over, and when `!` is not
/// turned round.
#[test]
fn what_is_examined_is_what_decides() {
    let (snapshot, view) = cases::world();
    for case in cases::all() {
        let query = cases::query(&snapshot, &case);
        let decision = decide(&snapshot, &view, &query).unwrap();
        let examination = examine(&snapshot, &view, &query, false).unwrap();
        let satisfied = |effect| -> Vec<String> {
            let policies = examination.policies.iter();
            policies
                .filter(|policy| policy.verdict == Verdict::Satisfied)
                .filter(|policy| policy.policy.effect == effect)
                .map(|policy| policy.policy.id.to_string())
                .collect()
        };
        let forbids = satisfied(Effect::Forbid);
        let determining = if forbids.is_empty() && decision.is_allow() {
            satisfied(Effect::Permit)
        } else {
            forbids
        };
        assert_eq!(told(&decision).1, determining, "{}", case.name);
        for examined in &examination.policies {
            let id = examined.policy.template.as_ref();
            let id = id.unwrap_or(&examined.policy.id);
            let cedar = match snapshot.template(id) {
                Some(template) => template.cedar.as_ref(),
                None => snapshot.rules().get(id).unwrap().cedar.template(),
            };
            let clauses = clauses(cedar, &examined.policy);
            let numbers: Vec<usize> = examined.seen.iter().map(|seen| seen.clause).collect();
            assert!(numbers.is_sorted_by(|a, b| a < b), "{}", case.name);
            assert!(
                numbers.last().is_none_or(|last| *last < clauses.len()),
                "{}",
                case.name
            );
        }
    }
}

#[test]
fn clauses_are_as_they_are_written() {
    let text = "permit (principal, action, resource)\nwhen { context.a > 1 && (context.b != 2 || !(context.c == 3)) }\nunless { if context.d then context.e like \"x*\" else true };\n";
    let files = Files::new([("a.cedar".to_owned(), text.as_bytes().to_vec())]);
    let snapshot = compile(&files).unwrap();
    let policy = snapshot.rules().iter().next().unwrap();
    let clauses = clauses(policy.cedar.template(), &policy.info);
    let shown: Vec<(&str, usize, bool)> = clauses
        .iter()
        .map(|clause| (clause.text.as_str(), clause.line, clause.is_constant))
        .collect();
    assert_eq!(
        shown,
        [
            ("context.a > 1", 2, false),
            ("context.b != 2", 2, false),
            ("context.c == 3", 2, false),
            ("context.d", 3, false),
            ("context.e like \"x*\"", 3, false),
            ("true", 3, true),
        ]
    );
    for clause in &clauses {
        assert_eq!(text.get(clause.span.clone()), Some(clause.text.as_str()));
    }
}

/// Each policy and template with its effect turned round, and left out: the same
/// as compiling files with that text. Seen to fail when links are not made anew,
/// and when what is replaced still takes part.
#[test]
fn replacing_is_as_good_as_compiling() {
    let files = source::read(&reference(), &source::Limits::default()).unwrap();
    let (snapshot, view) = cases::world();
    let questions: Vec<_> = cases::all()
        .into_iter()
        .step_by(5)
        .map(|case| cases::query(&snapshot, &case))
        .collect();
    let templates = snapshot.templates().map(|template| &template.info);
    let infos = snapshot.rules().iter().map(|policy| &policy.info);
    let mut part = BTreeSet::new();
    for info in infos.chain(templates).step_by(3) {
        let (from, to) = match info.effect {
            Effect::Permit => ("\npermit (", "\nforbid ("),
            Effect::Forbid => ("\nforbid (", "\npermit ("),
        };
        let text = info.text.replacen(from, to, 1);
        assert_ne!(text, info.text);
        let changed = files.all().map(|(path, content)| {
            let content = if path == &*info.file {
                let whole = std::str::from_utf8(content).unwrap();
                whole.replacen(&*info.text, &text, 1).into_bytes()
            } else {
                content.to_vec()
            };
            (path.to_owned(), content)
        });
        let compiled = compile(&Files::new(changed)).unwrap();
        let loaded = directory::load(&compiled, &files).unwrap();
        let replacement = Replacement::text(&snapshot, &view, &info.id, &text).unwrap();
        let nothing = Replacement::nothing(&info.id);
        for query in &questions {
            let wanted = decide(&compiled, &loaded, query).unwrap();
            let came = decide_replaced(&snapshot, &view, query, &replacement).unwrap();
            let before = decide(&snapshot, &view, query).unwrap();
            let unchanged = came.is_none();
            let came = came.as_ref().unwrap_or(&before);
            assert_eq!(told(came), told(&wanted), "{}", info.id);
            let without = decide_replaced(&snapshot, &view, query, &nothing).unwrap();
            assert_eq!(without.is_none(), unchanged, "{}", info.id);
            if let Some(without) = without {
                part.insert(info.id.clone());
                assert!(!told(&without).1.contains(&info.id.to_string()));
            }
        }
    }
    assert!(part.len() > 12, "{part:?}");
}
