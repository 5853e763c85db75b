//! The lines of the policy files, with how often what begins there was seen.

use std::collections::BTreeMap;

use super::Coverage;
use super::Gap;
use super::PolicyCoverage;
use crate::engine::Files;
use crate::engine::files::Role;

/// A policy file with what was seen of it.
#[derive(Debug)]
pub struct Listed<'a> {
    /// Its path.
    pub file: &'a str,
    /// Its lines.
    pub lines: Vec<Line<'a>>,
}

/// A line of a policy file.
#[derive(Debug)]
pub struct Line<'a> {
    /// From 1.
    pub number: usize,
    /// The line without its end.
    pub text: &'a str,
    /// How often the policy that begins here matched.
    pub matched: Option<usize>,
    /// How often the clauses that begin here were true and false; of several, the
    /// least.
    pub seen: Option<[usize; 2]>,
    /// What is missing of what begins here: the clause, or nothing for the policy.
    pub missing: Vec<(Option<String>, Gap)>,
}

/// Every policy file, line by line.
pub fn listed<'a>(coverage: &Coverage, files: &'a Files) -> Vec<Listed<'a>> {
    let policy_files = files.with_role(Role::Policies);
    policy_files
        .filter_map(|(file, content)| {
            let text = std::str::from_utf8(content).ok()?;
            Some(Listed {
                file,
                lines: lines(coverage, file, text),
            })
        })
        .collect()
}

fn lines<'a>(coverage: &Coverage, file: &str, text: &'a str) -> Vec<Line<'a>> {
    let mut lines: BTreeMap<usize, Line<'a>> = text
        .lines()
        .enumerate()
        .map(|(before, text)| {
            let line = Line {
                number: before + 1,
                text,
                matched: None,
                seen: None,
                missing: Vec::new(),
            };
            (before + 1, line)
        })
        .collect();
    for policy in &coverage.policies {
        if &*policy.info.file == file {
            note(policy, &mut lines);
        }
    }
    lines.into_values().collect()
}

fn note(policy: &PolicyCoverage, lines: &mut BTreeMap<usize, Line<'_>>) {
    if let Some(line) = lines.get_mut(&policy.info.line) {
        line.matched = Some(policy.counts.matched);
    }
    for clause in &policy.clauses {
        if let Some(line) = lines.get_mut(&clause.clause.line)
            && !clause.clause.is_constant
        {
            let [seen_true, seen_false] = line.seen.unwrap_or([usize::MAX; 2]);
            line.seen = Some([
                seen_true.min(clause.seen_true),
                seen_false.min(clause.seen_false),
            ]);
        }
    }
    for missing in policy.missing() {
        if let Some(line) = lines.get_mut(&missing.line) {
            line.missing.push((missing.clause, missing.what));
        }
    }
}
