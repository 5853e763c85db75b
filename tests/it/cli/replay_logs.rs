//! `deodar replay` on logs that are not one whole log.

use std::fs;
use std::path::Path;

use crate::cli::POLICIES;
use crate::cli::Place;
use crate::cli::assert_shown;
use crate::cli::replay::recorded;

const SEGMENT: &str = "audit/00000000000000000001.ndjson";

fn lines(place: &Place) -> Vec<String> {
    let text = fs::read_to_string(place.0.path().join(SEGMENT)).unwrap();
    text.lines().map(|line| format!("{line}\n")).collect()
}

fn count(shown: &str, what: &str) -> String {
    let line = shown
        .lines()
        .find(|line| line.trim_start().starts_with(what));
    let line = line.unwrap_or_else(|| panic!("no `{what}` in {shown}"));
    line.split_whitespace().last().unwrap().to_owned()
}

#[test]
fn two_folders_of_two_servers() {
    let place = Place::new();
    recorded(&place);
    fs::create_dir(place.0.path().join("second")).unwrap();
    let into = place
        .0
        .path()
        .join("second")
        .join(Path::new(SEGMENT).file_name().unwrap());
    fs::copy(place.0.path().join(SEGMENT), &into).unwrap();
    // Each begins with the number one: that is no hole.
    let both = place.run(&["replay", "audit", "second"]);
    assert!(both.starts_with("exit 0"), "{both}");
    assert_eq!(count(&both, "decisions"), "16");
    // A file that is named twice counts once.
    let twice = place.run(&["replay", "audit", "audit/../audit", SEGMENT]);
    assert!(twice.starts_with("exit 0"), "{twice}");
    assert_eq!(count(&twice, "decisions"), "8");
}

#[test]
fn a_segment_that_is_gone() {
    let place = Place::new();
    recorded(&place);
    let lines = lines(&place);
    place.write(SEGMENT, &lines[..3].concat());
    place.write("audit/00000000000000000004.ndjson", &lines[3..6].concat());
    place.write("audit/00000000000000000007.ndjson", &lines[6..].concat());
    let whole = place.run(&["replay", "audit"]);
    assert!(whole.starts_with("exit 0"), "{whole}");
    assert_eq!(count(&whole, "decisions"), "8");
    fs::remove_file(place.0.path().join("audit/00000000000000000004.ndjson")).unwrap();
    let holed = place.run(&["replay", "audit"]);
    assert!(
        holed.starts_with("exit 1")
            && holed.contains(
                "`audit/00000000000000000007.ndjson` line 1: record 7 is where 4 should be"
            ),
        "{holed}"
    );
    // So it is when the segments are named one by one, in any order.
    let (first, last) = (SEGMENT, "audit/00000000000000000007.ndjson");
    let named = place.run(&["replay", last, first]);
    assert_eq!(named, holed);
    // One that is there plain and packed is one; packed, it may not be whole yet.
    let packed = zstd::encode_all(lines[6..].concat().as_bytes(), 3).unwrap();
    let other = format!("{last}.zst");
    fs::write(place.0.path().join(&other), &packed[..packed.len() / 2]).unwrap();
    for names in [[last, other.as_str()], [other.as_str(), last]] {
        let once = place.run(&[&["replay"][..], &names].concat());
        assert!(once.starts_with("exit 0"), "{once}");
        assert_eq!(count(&once, "decisions"), "3");
    }
    // The first of them go with age: that is no hole.
    fs::remove_file(place.0.path().join(SEGMENT)).unwrap();
    assert!(place.run(&["replay", "audit"]).starts_with("exit 0"));
}

#[test]
fn a_file_that_is_no_log() {
    let place = Place::new();
    let shown = place.run(&["replay", "policies/docs.cedar", "--fail-on", "any"]);
    assert!(
        shown.starts_with("exit 1")
            && shown.contains("unreadable: `policies/docs.cedar` line 1: the line ")
            && shown.contains("what is unreadable was left out"),
        "{shown}"
    );
    fs::write(place.0.path().join("a.ndjson.zst"), b"no zstd at all").unwrap();
    let shown = place.run(&["replay", "a.ndjson.zst"]);
    assert!(
        shown.starts_with("exit 1") && shown.contains("cannot be unpacked"),
        "{shown}"
    );
    fs::write(place.0.path().join("empty.ndjson"), "").unwrap();
    let shown = place.run(&["replay", "empty.ndjson"]);
    assert!(
        shown.starts_with("exit 1") && shown.contains("no decision was decided again"),
        "{shown}"
    );
}

#[test]
fn records_out_of_order_are_decided() {
    let place = Place::new();
    recorded(&place);
    let lines = lines(&place);
    place.write(SEGMENT, &[&lines[..6], &lines[3..]].concat().concat());
    assert_shown!(place.run(&["replay", "audit"]), @r#"
    exit 1
    --- stdout
    decided by policies: 4 policies, 5 entities, 1 link
    on the entities of this repository, and those that requests carried
      decisions          11
      the same           9
      deny → allow       0
      allow → deny       0
      not decided again  1   (a rule of redaction took something out)
      not decided again  1   (carried entities were only digested)
      gaps in the log    1   (each tells of decisions that were never recorded)
    out of order: `audit/00000000000000000001.ndjson` line 7: record 4 is where 7 should be
    where it is out of order, records are missing or twice; all that are there were decided
    "#);
    let markdown = place.run(&["replay", "audit", "--format", "markdown"]);
    let told = "* out of order, and decided: `audit/00000000000000000001.ndjson` line 7: ";
    assert!(markdown.contains(told), "{markdown}");
    let json = place.run(&["replay", "audit", "--format", "json"]);
    assert!(json.contains(r#""kind": "out_of_order""#), "{json}");
}

/// Policies that read what those of then could not have nothing to read it in.
#[test]
fn context_that_was_not_recorded() {
    let place = Place::new();
    recorded(&place);
    let lines = lines(&place);
    let with = lines.into_iter().map(|line| {
        if line.contains(r#""write""#) {
            let left_out = r#","context_left_out":["purpose"],"resource":"#;
            line.replace(r#","resource":"#, left_out)
        } else {
            line
        }
    });
    place.write(SEGMENT, &with.collect::<String>());
    let reading = r#"@id("no-purpose") forbid (principal, action == Action::"write", resource)
        when { context has purpose };"#;
    place.write("policies/docs.cedar", &format!("{POLICIES}{reading}"));
    assert_shown!(place.run(&["replay", "audit", "--fail-on", "any"]), @r#"
    exit 0
    --- stdout
    decided by policies: 5 policies, 5 entities, 1 link
    on the entities of this repository, and those that requests carried
      decisions          8
      the same           4
      deny → allow       0
      allow → deny       0
      not decided again  1  (a rule of redaction took something out)
      not decided again  1  (carried entities were only digested)
      not decided again  2  (these policies read context that was not recorded)
      gaps in the log    1  (each tells of decisions that were never recorded)
    --- stderr
    warning: `--fail-on` found nothing, but not everything was decided: see what was not decided again
    "#);
    let json = place.run(&["replay", "audit", "--format", "json"]);
    assert!(json.contains(r#""unrecorded": 2"#), "{json}");
    // Nor has one who explains it.
    let explained = place.run(&["explain", "--record", "3", "--path", "audit"]);
    let told = "these policies read context that was not recorded";
    assert!(
        explained.starts_with("exit 1") && explained.contains(told),
        "{explained}"
    );
}
