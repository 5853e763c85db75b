//! How much an entity may be put under.

use deodar::directory::error::WriteError;
use deodar::directory::operation::Operation;
use serde_json::json;

use super::rules::join;
use super::site::Site;
use super::site::put;

fn refusal(site: &Site, operation: Operation) -> String {
    match site.try_write(vec![operation]) {
        Err(WriteError::Refused(faults)) => faults[0].message.clone(),
        other => panic!("{other:?}"),
    }
}

/// Each of a level below each of the one above it.
fn lattice(site: &Site, levels: usize, width: usize) {
    for level in (0..levels).rev() {
        let above: Vec<String> = (0..width)
            .map(|number| format!("Group::{}-{number}", level + 1))
            .collect();
        let above: Vec<&str> = above.iter().map(String::as_str).collect();
        let parents = if level + 1 == levels { &[][..] } else { &above };
        let group = |number| put(&format!("Group::{level}-{number}"), &json!({}), parents);
        site.write((0..width).map(group));
    }
}

/// Found: each level was looked through for each of its parents, seconds for one
/// operation. There are more ways up here than anybody could go: what is not looked
/// at once is looked at for ever. Seen to fail when what is known is not kept.
#[test]
fn each_ancestor_is_looked_at_once() {
    let site = Site::new();
    lattice(&site, 30, 10);
    site.write([put("User::a", &json!({}), &["Group::0-0"])]);
    site.write([join("User::a", "Group::0-1", None)]);
}

/// Seen to fail when ancestors are not counted, and when one more is let through.
#[test]
fn nothing_is_put_under_more_ancestors_than_are_decided_about() {
    let site = Site::new();
    // 16 groups under 255 others each, and their own: 4096 together.
    for group in 0..16 {
        let above = |number| format!("Group::{group}-{number}");
        let above: Vec<String> = (0..255).map(above).collect();
        let above: Vec<&str> = above.iter().map(String::as_str).collect();
        site.write([put(&format!("Group::{group}"), &json!({}), &above)]);
    }
    let groups: Vec<String> = (0..17).map(|group| format!("Group::{group}")).collect();
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    site.write([
        put("User::a", &json!({}), &groups[..16]),
        put("Doc::d", &json!({}), &[]),
    ]);
    assert!(!site.allows("User::a", "Doc::d"));
    let said = r#"`User::"a"` has more than 4096 ancestors"#;
    assert_eq!(refusal(&site, put("User::a", &json!({}), &groups)), said);
    assert_eq!(refusal(&site, join("User::a", "Group::16", None)), said);
}

#[test]
fn a_cycle_is_told_as_one() {
    let site = Site::new();
    site.write([
        put("Group::top", &json!({}), &[]),
        put("Group::low", &json!({}), &["Group::top"]),
    ]);
    let says = "makes a cycle";
    assert!(refusal(&site, join("Group::top", "Group::low", None)).starts_with(says));
    assert!(refusal(&site, join("Group::top", "Group::top", None)).starts_with(says));
    let many: Vec<String> = (0..257).map(|number| format!("Group::{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let said = refusal(&site, put("Group::top", &json!({}), &many));
    assert_eq!(said, "has 257 parents, more than 256");
}
