//! The mutants of one policy.

use std::collections::BTreeSet;

use cedar_policy_core::ast::PolicySet;
use cedar_policy_core::ast::Template;
use cedar_policy_core::parser::parse_policyset;
use cedar_policy_core::validator::ValidationMode;
use cedar_policy_core::validator::Validator;

use super::Change;
use super::Mutant;
use super::condition;
use super::edit::Edit;
use super::edit::changed_lines;
use super::edit::edited;
use super::environments::same_scope;
use super::operator::Operator;
use super::scope;
use super::text::Parts;
use super::words;
use crate::engine::Snapshot;
use crate::engine::manifest::Validation;
use crate::testing::subject::Subject;

/// At most so many changes of one policy are tried: a mutant takes the longer the
/// longer its policy is.
pub const CHANGES_MAX: usize = 500;

/// The mutants of a policy, and how many were not made.
#[derive(Debug, Default)]
pub struct Mutants {
    /// In the order of operators and places.
    pub made: Vec<Mutant>,
    /// Those that Cedar's validator, or its parser, refuses.
    pub invalid: usize,
    /// Those that mean the same as the policy, or as another mutant.
    pub equivalent: usize,
    /// Changes that were not tried, of a policy that has too many.
    pub left_out: usize,
}

/// The validator that mutants have to pass, where the policies have passed it.
pub fn validator(snapshot: &Snapshot) -> Option<Validator> {
    let schema = snapshot.schema()?;
    let is_strict = snapshot.manifest().validate == Validation::Strict;
    is_strict.then(|| Validator::new(schema.validator().clone()))
}

impl Mutants {
    /// Makes all that can be made.
    pub fn of(subject: &Subject<'_>, snapshot: &Snapshot, validator: Option<&Validator>) -> Self {
        let mut mutants = Self::default();
        let Some(parts) = Parts::of(&subject.info.text) else {
            return mutants;
        };
        let mut seen = BTreeSet::new();
        let changes = changes(&parts, subject, snapshot);
        let number = changes.len();
        mutants.left_out = number.saturating_sub(CHANGES_MAX);
        let changes = changes.into_iter().enumerate();
        for (_, change) in changes.filter(|(at, _)| is_tried(*at, number)) {
            let Some(text) = edited(parts.text, &change.edits) else {
                continue;
            };
            if !seen.insert(text.clone()) {
                mutants.equivalent += 1;
                continue;
            }
            match judge(&text, subject, snapshot, validator) {
                Judged::Fit => mutants.made.extend(mutant(&parts, subject, change, text)),
                Judged::Unfit => mutants.invalid += 1,
                Judged::Equivalent => mutants.equivalent += 1,
            }
        }
        mutants
    }
}

/// Whether a change is tried, by its place among all. Of too many it is every so
/// many, so that some of each operator are among them.
fn is_tried(at: usize, number: usize) -> bool {
    let before = |at: usize| at * CHANGES_MAX / number;
    number <= CHANGES_MAX || before(at) < before(at + 1)
}

fn changes(parts: &Parts<'_>, subject: &Subject<'_>, snapshot: &Snapshot) -> Vec<Change> {
    let mut changes = Vec::new();
    if let Some(effect) = parts.tokens.get(parts.effect) {
        let other = if effect.text == "permit" {
            "forbid"
        } else {
            "permit"
        };
        let edit = Edit::new(effect.span.clone(), other);
        changes.push(Change::new(Operator::Effect, edit));
        let gone = Edit::new(effect.span.start..parts.text.len(), "");
        changes.push(Change::new(Operator::Remove, gone));
    }
    changes.extend(scope::changes(parts, snapshot));
    changes.extend(condition::changes(parts, subject.cedar));
    changes.extend(words::changes(parts));
    changes.sort_by_key(Change::order);
    changes
}

enum Judged {
    Fit,
    Unfit,
    Equivalent,
}

fn judge(
    text: &str,
    subject: &Subject<'_>,
    snapshot: &Snapshot,
    validator: Option<&Validator>,
) -> Judged {
    // What is left of a policy that was taken out is its annotations.
    let Some(parts) = Parts::of(text) else {
        return Judged::Fit;
    };
    if parts.scope.len() != 3 {
        return Judged::Unfit;
    }
    let Ok(set) = parse_policyset(text) else {
        return Judged::Unfit;
    };
    let mut templates = set.all_templates();
    let (Some(template), None) = (templates.next(), templates.next()) else {
        return Judged::Unfit;
    };
    // A link has to fill what the mutant asks for.
    if !slots(template).is_subset(&slots(subject.cedar)) {
        return Judged::Unfit;
    }
    if is_same(template, subject.cedar, snapshot) {
        return Judged::Equivalent;
    }
    if validator.is_some_and(|validator| !is_valid(validator, &set)) {
        return Judged::Unfit;
    }
    Judged::Fit
}

fn is_valid(validator: &Validator, set: &PolicySet) -> bool {
    let result = validator.validate(set, ValidationMode::Strict);
    result.validation_passed()
}

fn slots(template: &Template) -> BTreeSet<String> {
    template.slots().map(|slot| slot.id.to_string()).collect()
}

fn is_same(a: &Template, b: &Template, snapshot: &Snapshot) -> bool {
    let same_condition = match (a.non_scope_constraints(), b.non_scope_constraints()) {
        (Some(a), Some(b)) => a.eq_shape(b),
        (None, None) => true,
        _ => false,
    };
    let is_same_text = a.principal_constraint() == b.principal_constraint()
        && a.action_constraint() == b.action_constraint()
        && a.resource_constraint() == b.resource_constraint();
    let same_scope = || is_same_text || same_scope(a, b, snapshot);
    same_condition && a.effect() == b.effect() && same_scope()
}

fn mutant(
    parts: &Parts<'_>,
    subject: &Subject<'_>,
    change: Change,
    text: String,
) -> Option<Mutant> {
    let is_removed = change.operator == Operator::Remove;
    let shown = if is_removed {
        // The first line stands for all of it.
        let start = change.edits.first()?.span.start;
        let length = parts.text.get(start..)?.lines().next()?.len();
        vec![Edit::new(start..start + length, "")]
    } else {
        change.edits
    };
    let lines = changed_lines(parts.text, &shown)?;
    Some(Mutant {
        operator: change.operator,
        line: subject.info.line + lines.above,
        before: lines.before,
        after: lines.after,
        text: (!is_removed).then_some(text),
    })
}

#[cfg(test)]
mod tests {
    use super::CHANGES_MAX;
    use super::is_tried;

    #[test]
    fn as_many_changes_are_tried_as_may_be_evenly() {
        for number in [1, CHANGES_MAX, CHANGES_MAX + 1, 1234, 20_000] {
            let tried: Vec<usize> = (0..number).filter(|at| is_tried(*at, number)).collect();
            assert_eq!(tried.len(), number.min(CHANGES_MAX));
            let widest = tried.windows(2).map(|pair| pair[1] - pair[0]).max();
            assert!(
                widest.unwrap_or(1) <= number.div_ceil(CHANGES_MAX),
                "{number}"
            );
        }
    }
}
