//! Which policies the tests name.
//!
//! A test names a policy by its id, wherever in the file that is, so the words of
//! the files are enough: nothing has to be known of their format.

use std::collections::BTreeSet;
use std::collections::HashSet;

use super::policy::Policy;
use crate::engine::Files;
use crate::engine::files::Role;
use crate::engine::link::Link;

/// The ids of those policies and links that stand in a test; `None` when there is no
/// test.
pub fn named_in_tests(
    files: &Files,
    policies: &[Policy],
    links: &[Link],
) -> Option<BTreeSet<String>> {
    let texts: Vec<&str> = files
        .with_role(Role::Tests)
        .filter_map(|(_, content)| std::str::from_utf8(content).ok())
        .collect();
    if texts.is_empty() {
        return None;
    }
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
    let of_links = links.iter().map(|link| link.id.as_str());
    let ids = policies.iter().map(|policy| policy.id.as_str());
    let ids = ids.chain(of_links);
    Some(ids.filter(|id| is_named(id)).map(str::to_owned).collect())
}

fn is_part_of_a_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_')
}
