//! What changes the next answer, and what leaves kept ones as they are.

use std::sync::Arc;

use deodar::directory::log::Memory;
use deodar::directory::operation::Operation;
use deodar::engine::decide;
use deodar::identity::Caller;
use deodar::pdp::cache::CacheSettings;
use serde_json::json;

use super::rules::delete;
use super::rules::join;
use super::rules::leave;
use super::rules::patch;
use super::rules::people;
use super::rules::site;
use super::site::POLICIES;
use super::site::Plan;
use super::site::Site;
use super::site::ask;
use super::site::link;
use super::site::put;
use super::site::question;

/// Seen to fail when `advance` touches every stamp.
#[test]
fn a_write_elsewhere_leaves_hits_as_they_are() {
    let plan = Plan {
        cache: CacheSettings {
            stamps: 1 << 20,
            ..CacheSettings::default()
        },
        ..Plan::default()
    };
    let site = Site::on(Arc::new(Memory::default()), plan).unwrap();
    site.write(people());
    assert!(site.allows("User::ann", "Doc::d"));
    let mut missed = 0;
    for number in 0..50 {
        site.write([
            put(&format!("User::n{number}"), &json!({}), &["Group::team"]),
            patch("User::other", "level", number),
            link("k", None, "Doc::e", None),
            // Of those who are only walked through, nobody reads attributes.
            patch("Group::team", "level", number),
            patch("Group::readers", "level", number),
        ]);
        let answer = site.ask("User::ann", "read", "Doc::d");
        assert!(answer.decision.is_allow());
        missed += u32::from(!answer.cached);
    }
    // Names are hashed by chance, and two may share the place of a stamp.
    assert!(missed <= 2, "{missed} of 50");
    assert_eq!(
        site.counted("cause=\"entities_changed\""),
        u64::from(missed)
    );
}

/// Seen to fail when `find` does not compare generations.
#[test]
fn other_policies_refuse_what_earlier_ones_decided() {
    let site = site();
    assert!(site.allows("User::ann", "Doc::d"));
    let before = site.pin();
    site.activate("@id(\"readers\") forbid (principal, action, resource);");
    let answer = site.ask("User::ann", "read", "Doc::d");
    assert!(!answer.decision.is_allow() && !answer.cached);
    assert!(
        ask(&before, "User::ann", "read", "Doc::d")
            .decision
            .is_allow()
    );
    // The same policies again are other ones: their indexes and links are.
    site.activate(POLICIES);
    let answer = site.ask("User::ann", "read", "Doc::d");
    assert!(answer.decision.is_allow() && !answer.cached);
}

/// Seen to fail when `note_link` notes nothing, and when it notes only the link
/// that is put and not the one in whose place it is.
#[test]
fn a_link_changes_the_next_answer() {
    let site = site();
    site.write([
        join("User::other", "Group::crew", None),
        put("Group::crew", &json!({}), &[]),
    ]);
    let links = [
        link("k", None, "Doc::d", None),
        link("k", None, "Group::shelf", None),
        link("k", Some("User::other"), "Doc::d", None),
        link("k", Some("Group::crew"), "Doc::d", None),
        link("k", Some("Group::crew"), "Group::shelf", None),
    ];
    let both = |allows: bool, what: &str| {
        let answer = site.ask("User::other", "read", "Doc::d");
        assert_eq!(
            (answer.decision.is_allow(), answer.cached),
            (allows, false),
            "{what}"
        );
        let again = site.ask("User::other", "read", "Doc::d");
        assert_eq!(
            (again.decision.is_allow(), again.cached),
            (allows, true),
            "{what}"
        );
    };
    both(false, "nothing");
    for put_link in &links {
        site.write([put_link.clone()]);
        both(true, "put");
        site.write([Operation::RemoveLink { id: "k".into() }]);
        both(false, "removed");
        site.write([put_link.clone()]);
        both(true, "put again");
        // Its id is given to a link of something else.
        site.write([link("k", None, "Doc::e", None)]);
        both(false, "replaced");
        let mut ending = put_link.clone();
        if let Operation::PutLink(link) = &mut ending {
            link.expires = Some(super::site::START + 5);
        }
        site.write([ending]);
        both(true, "put with an end");
        site.at(5);
        both(false, "ended");
        site.at(0);
    }
    for gone in ["Group::shelf", "Group::crew"] {
        site.write([link("k", Some("Group::crew"), "Group::shelf", None)]);
        assert!(site.allows("User::other", "Doc::d"));
        site.write([delete(gone)]);
        both(false, gone);
        site.write(people());
        site.write([
            put("Group::crew", &json!({}), &[]),
            put("User::other", &json!({}), &["Group::crew"]),
        ]);
    }
}

/// Seen to fail when `replace` notes no change of place.
#[test]
fn moving_a_group_changes_the_next_answer_of_each_member() {
    let site = site();
    let people: Vec<String> = (0..100).map(|number| format!("User::{number}")).collect();
    site.write(
        people
            .iter()
            .map(|name| put(name, &json!({}), &["Group::team"])),
    );
    let all = |allows: bool| {
        for name in &people {
            let answer = site.ask(name, "read", "Doc::d");
            assert_eq!(
                (answer.decision.is_allow(), answer.cached),
                (allows, false),
                "{name}"
            );
            assert!(site.ask(name, "read", "Doc::d").cached);
        }
    };
    all(true);
    site.write([leave("Group::team", "Group::readers")]);
    all(false);
    site.write([join(
        "Group::team",
        "Group::readers",
        Some(super::site::START + 3),
    )]);
    all(true);
    site.at(3);
    all(false);
    site.write([put("Group::team", &json!({}), &["Group::readers"])]);
    all(true);
    site.write([delete("Group::team")]);
    all(false);
}

/// The one thing that sharing of stamps may do: refuse once too often. Seen to
/// fail when `unchanged_since` looks at no stamp.
#[test]
fn with_two_stamps_all_answers_are_right_still() {
    let plan = Plan {
        cache: CacheSettings {
            stamps: 1,
            ..CacheSettings::default()
        },
        ..Plan::default()
    };
    let site = Site::on(Arc::new(Memory::default()), plan).unwrap();
    site.write(people());
    for round in 0..40_i64 {
        for who in ["User::ann", "User::bo", "User::chief", "User::nobody"] {
            let pinned = site.pin();
            let query = question(&pinned, who, "read", "Doc::d", &json!({}), &[]);
            let answer = pinned.authorize(&Caller::Local, &query).unwrap();
            let made = decide(pinned.snapshot(), pinned.view(), &query).unwrap();
            assert_eq!(answer.decision.is_allow(), made.is_allow(), "{who}");
        }
        site.write([match round % 4 {
            0 => leave("User::ann", "Group::team"),
            1 => patch("User::chief", "level", round % 8),
            2 => join("User::ann", "Group::team", None),
            _ => patch("User::other", "level", round),
        }]);
    }
}

/// Conditions read ancestors as scopes do, also of entities that did not change
/// themselves. Seen to fail when an entity made a moment ago is taken without
/// looking at its ancestors.
#[test]
fn a_moved_group_changes_what_conditions_read_of_its_members() {
    let site = site();
    site.activate(
        r#"@id("top") permit (principal, action == Action::"read", resource)
        when { principal in Group::"top" && (principal has level || true) };"#,
    );
    site.write([
        put("Group::top", &json!({}), &[]),
        put("Group::mid", &json!({}), &[]),
        put("User::low", &json!({ "level": 1 }), &["Group::mid"]),
    ]);
    assert!(!site.allows("User::low", "Doc::d"));
    for _ in 0..3 {
        site.write([join("Group::mid", "Group::top", None)]);
        assert!(site.allows("User::low", "Doc::d"));
        site.write([leave("Group::mid", "Group::top")]);
        assert!(!site.allows("User::low", "Doc::d"));
    }
}

/// Seen to fail when an entity made a moment ago is taken by its version.
#[test]
fn two_directories_do_not_answer_for_one_another() {
    let levels = [9, 1];
    let sites = levels.map(|level| {
        let site = site();
        let boss = json!({ "__entity": { "type": "User", "id": "chief" } });
        site.write([
            put("User::chief", &json!({ "level": level }), &[]),
            put("User::own", &json!({ "boss": boss }), &[]),
        ]);
        site
    });
    for _ in 0..2 {
        for (site, level) in sites.iter().zip(levels) {
            let answer = site.ask("User::own", "read", "Doc::d");
            assert_eq!(answer.decision.is_allow(), level > 5);
        }
    }
}
