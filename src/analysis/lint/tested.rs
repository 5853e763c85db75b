//! Which policies the tests name as those that decide.

use std::collections::BTreeSet;
use std::collections::HashSet;

use super::policy::Policy;
use crate::engine::Files;
use crate::engine::files::Role;
use crate::engine::link::Link;
use crate::testing::read::read;
use crate::testing::suite::Case;
use crate::testing::suite::ExpectedPolicies;

/// The ids of those policies, templates and links that a case expects among the
/// determining policies; `None` when there is no test. Of a file with a fault nobody
/// knows what all of it expects: there, every policy counts whose id is a word of the
/// file.
pub fn named_in_tests(
    files: &Files,
    policies: &[Policy],
    links: &[Link],
) -> Option<BTreeSet<String>> {
    let mut tests = files.with_role(Role::Tests).peekable();
    tests.peek()?;
    let read = read(files, None);
    let suites = read.suites.iter();
    let good: HashSet<&str> = suites
        .filter(|suite| suite.broken.is_empty())
        .map(|suite| &*suite.file)
        .collect();
    let faulty: Vec<&str> = tests
        .filter(|(file, _)| !good.contains(file))
        .filter_map(|(_, content)| std::str::from_utf8(content).ok())
        .collect();
    let of_links = links.iter().map(|link| link.id.as_str());
    let ids = policies.iter().map(|policy| policy.id.as_str());
    let mut named = words(&faulty, ids.chain(of_links));
    let cases = read.suites.iter().flat_map(|suite| &suite.cases);
    for case in cases.filter(|case| case.skip.is_none()) {
        named.extend(decided_by(case));
    }
    Some(named)
}

/// The ids made of file and position, such as `policies/a.cedar#0`, that stand in a test
/// or an invariant: who is given another one is not found there any more.
pub fn named_by_position(files: &Files) -> BTreeSet<String> {
    let policies: Vec<&str> = files.with_role(Role::Policies).map(|file| file.0).collect();
    let mut named = BTreeSet::new();
    for role in [Role::Tests, Role::Invariants] {
        let texts = files.with_role(role).map(|(_, content)| content);
        for text in texts.filter_map(|content| std::str::from_utf8(content).ok()) {
            for (at, hash) in text.match_indices('#') {
                let (before, after) = text.split_at(at);
                let digits: String = after
                    .chars()
                    .skip(hash.len())
                    .take_while(char::is_ascii_digit)
                    .collect();
                let of = policies.iter();
                let of = of.filter(|file| !digits.is_empty() && before.ends_with(**file));
                named.extend(of.map(|file| format!("{file}#{digits}")));
            }
        }
    }
    named
}

/// What a case expects to decide: ids, and the templates of its own links among them.
fn decided_by(case: &Case) -> BTreeSet<String> {
    let ids = match &case.expected.policies {
        None => return BTreeSet::new(),
        Some(ExpectedPolicies::Exactly(ids) | ExpectedPolicies::Including(ids)) => ids,
    };
    let links = case.question.links.iter();
    let of_links = links.filter(|link| ids.contains(link.id.as_str()));
    let templates = of_links.map(|link| link.template.to_string());
    ids.iter().cloned().chain(templates).collect()
}

/// The ids that stand in any of these texts.
fn words<'a>(texts: &[&str], ids: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let words: HashSet<&str> = texts
        .iter()
        .flat_map(|text| text.split(|c| !is_part_of_a_word(c)))
        .collect();
    let is_named = |id: &str| {
        if id.chars().all(is_part_of_a_word) {
            words.contains(id)
        } else {
            texts.iter().any(|text| text.contains(id))
        }
    };
    ids.filter(|id| is_named(id)).map(str::to_owned).collect()
}

fn is_part_of_a_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_')
}
