//! The mutants of one policy.

use std::collections::BTreeSet;
use std::hash::Hash as _;
use std::hash::Hasher as _;

use cedar_policy_core::ast::PolicySet;
use cedar_policy_core::ast::Template;
use cedar_policy_core::parser::parse_policyset;
use cedar_policy_core::validator::ValidationMode;
use cedar_policy_core::validator::Validator;
use rustc_hash::FxHasher;

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
/// A change is told from others by so many bytes on either side of it.
const AROUND: usize = 24;

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
        let changes = sample(changes, parts.text);
        mutants.left_out = number - changes.len();
        for change in changes {
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

/// As many changes as are tried, in their order. Which, does not depend on the others:
/// what is changed elsewhere in the policy leaves most of them the same.
fn sample(changes: Vec<Change>, text: &str) -> Vec<Change> {
    if changes.len() <= CHANGES_MAX {
        return changes;
    }
    let hashes = changes.iter().map(|change| hash(change, text));
    let mut order: Vec<(u64, usize)> = hashes.zip(0..).collect();
    order.sort_unstable();
    let tried: BTreeSet<usize> = order.iter().take(CHANGES_MAX).map(|(_, at)| *at).collect();
    let changes = changes.into_iter().zip(0..);
    let changes = changes.filter(|(_, at)| tried.contains(at));
    changes.map(|(change, _)| change).collect()
}

/// The same in every run.
fn hash(change: &Change, text: &str) -> u64 {
    let mut hasher = FxHasher::default();
    change.operator.hash(&mut hasher);
    for edit in &change.edits {
        let start = edit.span.start.saturating_sub(AROUND);
        let around = text
            .as_bytes()
            .get(start..text.len().min(edit.span.end + AROUND));
        (around, &edit.by).hash(&mut hasher);
    }
    hasher.finish()
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
    use super::Change;
    use super::Edit;
    use super::Operator;
    use super::sample;

    /// Conditions with a number each, and all changes of these numbers.
    fn changes(numbers: std::ops::Range<usize>) -> (String, Vec<Change>) {
        let mut text = String::new();
        let mut changes = Vec::new();
        for number in numbers {
            text.push_str("context.level > ");
            let digits = number.to_string();
            let edit = Edit::new(text.len()..text.len() + digits.len(), "7");
            changes.push(Change::new(Operator::Remove, edit));
            text.push_str(&digits);
            text.push_str(" && \n");
        }
        (text, changes)
    }

    fn tried(numbers: std::ops::Range<usize>) -> Vec<String> {
        let (text, changes) = changes(numbers);
        let tried = sample(changes, &text);
        let of = |change: &Change| text.get(change.edits[0].span.clone()).unwrap().to_owned();
        tried.iter().map(of).collect()
    }

    #[test]
    fn as_many_changes_are_tried_as_may_be() {
        for number in [1, CHANGES_MAX, CHANGES_MAX + 1, 3000] {
            let tried = tried(10_000..10_000 + number);
            assert_eq!(tried.len(), number.min(CHANGES_MAX));
            assert!(tried.is_sorted(), "in their order");
        }
    }

    #[test]
    fn a_change_more_leaves_the_others() {
        let (before, after) = (tried(10_000..12_000), tried(9_990..12_000));
        let both = before.iter().filter(|one| after.contains(one)).count();
        assert!(both > CHANGES_MAX - 12, "{both}");
    }
}
