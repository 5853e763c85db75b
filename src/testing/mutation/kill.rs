//! Letting the cases that pass try to kill a mutant.

use std::collections::HashMap;
use std::collections::HashSet;

use super::Mutant;
use super::operator::Operator;
use crate::engine::Cause;
use crate::engine::Decision;
use crate::engine::Snapshot;
use crate::engine::View;
use crate::engine::decide;
use crate::engine::examine;
use crate::engine::replace::Replacement;
use crate::engine::replace::decide_replaced;
use crate::parallel::in_parallel;
use crate::testing::Suite;
use crate::testing::subject::counted_as;
use crate::testing::suite::Asked;
use crate::testing::suite::Case;

/// The cases that pass, ready to be asked again and again.
#[derive(Debug)]
pub struct Ready<'a> {
    /// In order of files.
    pub cases: Vec<ReadyCase<'a>>,
    /// How many fail already, or cannot be asked.
    pub failing: usize,
    snapshot: &'a Snapshot,
    view: &'a View,
    /// By policy or template: the cases that it has a part in.
    by_policy: HashMap<String, Vec<usize>>,
}

/// A case that passes.
#[derive(Debug)]
pub struct ReadyCase<'a> {
    case: &'a Case,
    asked: Asked<'a>,
    told: Told,
    /// The policies and templates whose scope matches.
    parts: Vec<String>,
}

/// What can be seen of a decision.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    cause: Option<Cause>,
    policies: Vec<String>,
    errors: Vec<String>,
}

impl<'a> Ready<'a> {
    /// Asks every case that is not skipped, and keeps those that pass.
    pub fn new(snapshot: &'a Snapshot, view: &'a View, suites: &'a [Suite]) -> Self {
        let cases: Vec<&Case> = suites
            .iter()
            .flat_map(|suite| &suite.cases)
            .filter(|case| case.skip.is_none())
            .collect();
        let tried = in_parallel(&cases, |case| ready(case, snapshot, view));
        let passing: Vec<ReadyCase<'a>> = tried.into_iter().flatten().collect();
        let mut by_policy: HashMap<String, Vec<usize>> = HashMap::new();
        for (number, case) in passing.iter().enumerate() {
            for part in &case.parts {
                let numbers = by_policy.entry(part.clone()).or_default();
                if numbers.last() != Some(&number) {
                    numbers.push(number);
                }
            }
        }
        Self {
            failing: cases.len() - passing.len(),
            cases: passing,
            snapshot,
            view,
            by_policy,
        }
    }

    /// Begins with the mutants of one policy or template.
    pub fn hunt<'b>(&'b self, policy: &'b str) -> Hunt<'b, 'a> {
        Hunt {
            order: self.by_policy.get(policy).cloned().unwrap_or_default(),
            ready: self,
            policy,
            decisions: 0,
        }
    }
}

fn ready<'a>(case: &'a Case, snapshot: &'a Snapshot, view: &'a View) -> Option<ReadyCase<'a>> {
    let asked = case.asked(snapshot, view).ok()?;
    let decision = decide(snapshot, &asked.view, &asked.query).ok()?;
    if !case.expected.compare(&decision).is_empty() {
        return None;
    }
    let examination = examine(snapshot, &asked.view, &asked.query, false).ok()?;
    let parts = examination.policies.iter();
    Some(ReadyCase {
        case,
        told: Told::of(&decision),
        parts: parts
            .map(|examined| counted_as(&examined.policy).to_owned())
            .collect(),
        asked,
    })
}

impl Told {
    fn of(decision: &Decision) -> Self {
        let policies = decision.policies.iter();
        let errors = decision.errors.iter();
        Self {
            cause: decision.cause(),
            policies: policies.map(|policy| policy.id.to_string()).collect(),
            errors: errors.map(|error| error.policy.id.to_string()).collect(),
        }
    }
}

/// The mutants of one policy, one after the other.
#[derive(Debug)]
pub struct Hunt<'b, 'a> {
    ready: &'b Ready<'a>,
    policy: &'b str,
    /// The cases that the policy has a part in; who killed last is first.
    order: Vec<usize>,
    /// How many decisions were made.
    pub decisions: usize,
}

impl Hunt<'_, '_> {
    /// What a case would have to ask to kill the mutant; `None` if one does.
    pub fn survives(&mut self, mutant: &Mutant) -> Option<String> {
        let replacement = match &mutant.text {
            None => Replacement::nothing(self.policy),
            Some(text) => {
                let (snapshot, view) = (self.ready.snapshot, self.ready.view);
                match Replacement::text(snapshot, view, self.policy, text) {
                    Ok(replacement) => replacement,
                    // It was parsed before, so this does not happen; were it to,
                    // nobody could say that a case killed it.
                    Err(error) => return Some(format!("nothing: {error}")),
                }
            }
        };
        let mut unheard = None;
        for place in 0..self.order.len() {
            let number = *self.order.get(place)?;
            if self.kills(number, &replacement, &mut unheard) {
                let killer = self.order.remove(place);
                self.order.insert(0, killer);
                return None;
            }
        }
        if mutant.operator == Operator::Scope {
            let known: HashSet<usize> = self.order.iter().copied().collect();
            let others = (0..self.ready.cases.len()).filter(|number| !known.contains(number));
            for number in others {
                if self.kills(number, &replacement, &mut unheard) {
                    return None;
                }
            }
        }
        Some(self.needs(mutant, unheard))
    }

    /// `unheard` is the first case that is decided otherwise without minding it.
    fn kills(&mut self, number: usize, by: &Replacement, unheard: &mut Option<usize>) -> bool {
        let Some(ready) = self.ready.cases.get(number) else {
            return false;
        };
        self.decisions += 1;
        let asked = &ready.asked;
        let snapshot = self.ready.snapshot;
        let Ok(Some(decision)) = decide_replaced(snapshot, &asked.view, &asked.query, by) else {
            return false;
        };
        if !ready.case.expected.compare(&decision).is_empty() {
            return true;
        }
        if unheard.is_none() && Told::of(&decision) != ready.told {
            *unheard = Some(number);
        }
        false
    }

    fn needs(&self, mutant: &Mutant, unheard: Option<usize>) -> String {
        let unheard = unheard.and_then(|number| self.ready.cases.get(number));
        if let Some(ready) = unheard {
            let case = ready.case;
            return format!(
                "say in `{}` ({}:{}) which policies decide: with this change they are others",
                case.name, case.file, case.line
            );
        }
        if self.order.is_empty() {
            return "no case reaches this policy: ask something that lies in its scope".to_owned();
        }
        mutant.operator.needs().to_owned()
    }
}
