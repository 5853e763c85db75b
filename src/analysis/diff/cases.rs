//! Decisions of test cases that are not the same on both sides.

use std::collections::BTreeSet;

use super::Options;
use crate::analysis::flip::Answer;
use crate::analysis::flip::Direction;
use crate::analysis::flip::Groups;
use crate::analysis::flip::Key;
use crate::analysis::world::World;
use crate::engine::decide;
use crate::testing::Case;

/// A case that flips, in order of file and line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CaseExample {
    /// The file of the case.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What it is called.
    pub name: String,
    /// Who,
    pub principal: String,
    /// what,
    pub action: String,
    /// to what.
    pub resource: String,
    /// The answer before,
    pub before: Answer,
    /// and after.
    pub after: Answer,
}

/// What test cases show.
#[derive(Debug)]
pub struct CasesDiff {
    /// Cases that were decided on both sides.
    pub decided: u64,
    /// Decided the same way by other policies.
    pub changed: u64,
    /// Decided the other way.
    pub flips: Groups<CaseExample>,
    /// Principals that gain something,
    pub gaining: BTreeSet<String>,
    /// and that lose something.
    pub losing: BTreeSet<String>,
    /// Cases that do not fit one of the sides, and why.
    pub left_out: Vec<String>,
    /// So many of them are allowed after,
    pub may_gain: usize,
    /// and so many before.
    pub may_lose: usize,
}

/// Decides every case on both sides; cases with the same question count once.
pub fn compare(
    before: World<'_>,
    after: World<'_>,
    cases: &[Case],
    options: &Options,
) -> CasesDiff {
    let mut diff = CasesDiff {
        decided: 0,
        changed: 0,
        flips: Groups::new(options.examples),
        gaining: BTreeSet::new(),
        losing: BTreeSet::new(),
        left_out: Vec::new(),
        may_gain: 0,
        may_lose: 0,
    };
    let mut seen = BTreeSet::new();
    for case in cases {
        if !seen.insert(question(case)) {
            continue;
        }
        match (answer(before, case), answer(after, case)) {
            (Ok(before), Ok(after)) => diff.add(case, before, after),
            (before, after) => diff.leave_out(before, after),
        }
    }
    diff
}

impl CasesDiff {
    /// What one side does not take and the other denies is neither gained nor lost.
    fn leave_out(&mut self, before: Result<Answer, String>, after: Result<Answer, String>) {
        let allows = |side: &Result<Answer, String>| side.as_ref().is_ok_and(|side| side.allow);
        self.may_gain += usize::from(allows(&after));
        self.may_lose += usize::from(allows(&before));
        self.left_out.extend(before.err().or_else(|| after.err()));
    }

    fn add(&mut self, case: &Case, before: Answer, after: Answer) {
        self.decided += 1;
        let question = &case.question;
        let principal_type = question.principal.entity_type().to_string();
        let action = question.action.to_string();
        let key = Key::new(&before, &after, principal_type, Some(action.clone().into()));
        if let Some(key) = key {
            let principal = question.principal.to_string();
            match key.direction {
                Direction::Gained => self.gaining.insert(principal),
                Direction::Lost => self.losing.insert(principal),
            };
            let example = CaseExample {
                file: case.file.to_string(),
                line: case.line,
                name: case.name.clone(),
                principal: question.principal.to_string(),
                action,
                resource: question.resource.to_string(),
                before,
                after,
            };
            self.flips.add(&key, example);
        } else if before != after {
            self.changed += 1;
        }
    }
}

/// What a case asks: the same text for the same question.
fn question(case: &Case) -> String {
    let asked = &case.question;
    let links: Vec<String> = asked
        .links
        .iter()
        .map(|link| {
            format!(
                "{} {} {:?} {:?}",
                link.id, link.template, link.principal, link.resource
            )
        })
        .collect();
    let now = asked.now.as_ref().map(ToString::to_string);
    format!(
        "{} {} {} {} {} {links:?} {now:?}",
        asked.principal, asked.action, asked.resource, asked.context, asked.entities
    )
}

fn answer(world: World<'_>, case: &Case) -> Result<Answer, String> {
    let asked = case
        .asked(world.snapshot, world.view)
        .map_err(|fault| format!("{}: {}", fault.place(), fault.message))?;
    let decision = decide(world.snapshot, &asked.view, &asked.query)
        .map_err(|error| format!("{}:{}: `{}`: {error}", case.file, case.line, case.name))?;
    Ok(Answer::of(&decision))
}
