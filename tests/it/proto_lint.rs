//! The protos keep the rules of `buf lint`, category STANDARD.

use std::process::Command;

use crate::peer::peer;
use crate::places::Places;
use crate::support::root;

#[test]
fn protos_keep_the_standard_rules() {
    let Some(buf) = peer("buf", Places::buf) else {
        return;
    };
    let linted = Command::new(buf)
        .arg("lint")
        .current_dir(root().join("proto"))
        .output()
        .unwrap();
    assert!(
        linted.status.success(),
        "{}{}",
        String::from_utf8_lossy(&linted.stdout),
        String::from_utf8_lossy(&linted.stderr),
    );
}
