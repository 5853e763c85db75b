//! Changes of a policy's scope.
//!
//! `==` does not become `in` where the schema lets nothing be below.

use std::ops::Range;

use super::Change;
use super::edit::Edit;
use super::operator::Operator;
use super::text::Parts;
use crate::engine::Snapshot;

/// All changes of the scope.
pub fn changes(parts: &Parts<'_>, snapshot: &Snapshot) -> Vec<Change> {
    let mut changes = Vec::new();
    for part in &parts.scope {
        let variable = parts.word(part.start);
        let Some(whole) = parts.span(part) else {
            continue;
        };
        if part.len() < 2 {
            continue;
        }
        let constraint = Constraint { parts, part };
        let edit = Edit::new(whole, variable);
        changes.push(Change::new(Operator::Scope, edit));
        changes.extend(constraint.loosened(variable, snapshot));
        if variable == "action" {
            changes.extend(constraint.shortened());
        }
    }
    changes
}

/// One constraint of a scope.
struct Constraint<'a> {
    parts: &'a Parts<'a>,
    part: &'a Range<usize>,
}

impl Constraint<'_> {
    fn find(&self, word: &str) -> Option<usize> {
        self.part
            .clone()
            .find(|number| self.parts.word(*number) == word)
    }

    /// `==` as `in`, and `is T in X` as either half.
    fn loosened(&self, variable: &str, snapshot: &Snapshot) -> Vec<Change> {
        let operator = self.part.start + 1;
        let mut changes = Vec::new();
        let span = |tokens: Range<usize>| self.parts.span(&tokens);
        match (self.parts.word(operator), self.find("in")) {
            ("==", _) => {
                let named: String = (operator + 1..self.part.end)
                    .map(|number| self.parts.word(number))
                    .collect();
                if can_have_members(variable, &named, snapshot)
                    && let Some(span) = span(operator..operator + 1)
                {
                    changes.push(Change::new(Operator::Scope, Edit::new(span, "in")));
                }
            }
            ("is", Some(within)) => {
                if let (Some(kind), Some(place)) =
                    (span(operator..within), span(within..self.part.end))
                {
                    let edit = Edit::new(kind.end..place.end, "");
                    changes.push(Change::new(Operator::Scope, edit));
                    let edit = Edit::new(kind.start..place.start, "");
                    changes.push(Change::new(Operator::Scope, edit));
                }
            }
            _ => {}
        }
        changes
    }

    /// A list of actions without each of them.
    fn shortened(&self) -> Vec<Change> {
        let Some(items) = self.find("[").and_then(|open| self.parts.list(open)) else {
            return Vec::new();
        };
        without_each(self.parts, &items)
            .into_iter()
            .map(|edit| Change::new(Operator::ActionList, edit))
            .collect()
    }
}

/// A list without each of its items, commas seen to; none of a list of one.
pub fn without_each(parts: &Parts<'_>, items: &[Range<usize>]) -> Vec<Edit> {
    let mut edits = Vec::new();
    if items.len() < 2 {
        return edits;
    }
    for (number, item) in items.iter().enumerate() {
        let span = match items.get(number + 1) {
            Some(next) => parts
                .span(item)
                .zip(parts.span(next))
                .map(|(item, next)| item.start..next.start),
            None => items
                .get(number.wrapping_sub(1))
                .and_then(|before| parts.span(before))
                .zip(parts.span(item))
                .map(|(before, item)| before.end..item.end),
        };
        edits.extend(span.map(|span| Edit::new(span, "")));
    }
    edits
}

/// Whether the schema lets anything be below what is named: an entity as written,
/// or a slot.
fn can_have_members(variable: &str, named: &str, snapshot: &Snapshot) -> bool {
    let Some(schema) = snapshot.schema() else {
        return true;
    };
    if variable == "action" {
        return schema.actions().any(|action| {
            let mut above = action.ancestors.iter();
            above.any(|group| group.uid().to_string() == named)
        });
    }
    // A slot may be filled by anything.
    let Some((type_name, _)) = named.rsplit_once("::") else {
        return true;
    };
    let declared = schema
        .entity_type(type_name)
        .and_then(|entity_type| schema.validator().get_entity_type(entity_type));
    declared.is_none_or(|declared| !declared.descendants.is_empty())
}
