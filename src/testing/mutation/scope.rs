//! Changes of a policy's scope.
//!
//! A change that the schema leaves without effect is not made: `==` to `in` where
//! nothing can be below, and a constraint on the type where there is no other.

use std::collections::BTreeSet;
use std::ops::Range;

use cedar_policy_core::ast::EntityType;
use cedar_policy_core::ast::Template;

use super::Change;
use super::edit::Edit;
use super::operator::Operator;
use super::text::Parts;
use crate::engine::Snapshot;
use crate::engine::manifest::OnUnknown;
use crate::engine::named::Named;
use crate::engine::named::Probe;
use crate::engine::schema::ActionFacts;
use crate::engine::scope::Actions;
use crate::engine::scope::Party;

/// All changes of the scope.
pub fn changes(parts: &Parts<'_>, cedar: &Template, snapshot: &Snapshot) -> Vec<Change> {
    let actions = actions(cedar, snapshot);
    let mut changes = Vec::new();
    for part in &parts.scope {
        let variable = parts.word(part.start);
        let Some(whole) = parts.span(part) else {
            continue;
        };
        if part.len() < 2 {
            continue;
        }
        let narrow = Narrow {
            parts,
            part,
            only_type: only_type(variable, actions.as_deref()),
        };
        if !narrow.is_the_only_type() {
            let edit = Edit::new(whole, variable);
            changes.push(Change::new(Operator::Scope, edit));
        }
        changes.extend(narrow.loosened(variable, snapshot));
        if variable == "action" {
            changes.extend(narrow.shortened());
        }
    }
    changes
}

/// One constraint of a scope.
struct Narrow<'a> {
    parts: &'a Parts<'a>,
    part: &'a Range<usize>,
    /// The one type that the schema leaves for this variable.
    only_type: Option<String>,
}

impl Narrow<'_> {
    /// `is T` and nothing else, where there is no other type.
    fn is_the_only_type(&self) -> bool {
        let is_alone = self.find("in").is_none() && self.parts.word(self.part.start + 1) == "is";
        is_alone && self.names_only_type(self.part.end)
    }

    fn names_only_type(&self, end: usize) -> bool {
        let words = self.part.start + 2..end;
        let name: String = words.map(|number| self.parts.word(number)).collect();
        self.only_type.as_ref() == Some(&name)
    }

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
                    if !self.names_only_type(within) {
                        let edit = Edit::new(kind.start..place.start, "");
                        changes.push(Change::new(Operator::Scope, edit));
                    }
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

/// The declared actions that the scope lets through; `None` without a schema.
fn actions<'a>(cedar: &Template, snapshot: &'a Snapshot) -> Option<Vec<&'a ActionFacts>> {
    let constraint = Actions::new(cedar.action_constraint())?;
    let actions = snapshot.schema()?.actions();
    let matching = actions.filter(|action| {
        let ancestors: Vec<&Named> = action.ancestors.iter().collect();
        constraint.holds(&Party::new(Probe::new(&action.uid), &ancestors))
    });
    // What does not fit the schema is only denied where unknown things are.
    (snapshot.manifest().unknown == OnUnknown::Deny).then(|| matching.collect())
}

/// The type of principal or resource, where these actions have but one.
fn only_type(variable: &str, actions: Option<&[&ActionFacts]>) -> Option<String> {
    let types: BTreeSet<&EntityType> = actions?
        .iter()
        .flat_map(|action| match variable {
            "principal" => &action.principals[..],
            "resource" => &action.resources[..],
            _ => &[],
        })
        .collect();
    let mut types = types.into_iter();
    let only = types.next()?;
    types.next().is_none().then(|| only.to_string())
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
