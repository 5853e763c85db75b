//! `deodar replay` on logs that are not one whole log.

use std::fs;
use std::path::Path;

use crate::cli::Place;
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
            && shown.contains("what is named here was left out"),
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
