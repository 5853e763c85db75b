//! The entities of a world.

use std::fmt::Write as _;

use super::Shape;
use super::Size;
use super::spread;

/// The team, of the two, that a user is in.
pub(super) fn team_of(user: usize, which: usize, size: Size) -> usize {
    if size.shape == Shape::OneTeam && which == 0 {
        return 0;
    }
    spread(user, 100 + which, size.teams)
}

/// The site that a device stands on.
pub(super) fn site_of(device: usize, size: Size) -> usize {
    spread(device, 200, size.sites)
}

/// The group that a device is in.
pub(super) fn group_of(device: usize, size: Size) -> usize {
    spread(device, 300, size.sites)
}

/// Entities as Cedar's JSON.
pub(super) fn text(size: Size) -> String {
    let mut text = String::from("[");
    // Teams and sites stand below a department and a region each.
    for department in 0..=size.teams / 10 {
        entity(
            &mut text,
            "Team",
            &format!("department-{department}"),
            "",
            &[],
        );
    }
    for team in 0..size.teams {
        let department = format!("department-{}", team / 10);
        entity(
            &mut text,
            "Team",
            &format!("t{team}"),
            "",
            &[("Team", department)],
        );
    }
    for region in 0..=size.sites / 10 {
        entity(&mut text, "Site", &format!("region-{region}"), "", &[]);
    }
    for site in 0..size.sites {
        let region = format!("region-{}", site / 10);
        entity(
            &mut text,
            "Site",
            &format!("s{site}"),
            "",
            &[("Site", region)],
        );
        entity(&mut text, "Group", &format!("g{site}"), "", &[]);
    }
    for user in 0..size.users {
        let attributes = format!(
            r#""clearance":{},"badge_until":{{"__extn":{{"fn":"datetime","arg":"2027-01-{:02}"}}}}"#,
            3 + user % 3,
            1 + user % 28,
        );
        let teams = [0, 1].map(|which| ("Team", format!("t{}", team_of(user, which, size))));
        let teams = if teams[0] == teams[1] {
            &teams[..1]
        } else {
            &teams[..]
        };
        entity(&mut text, "User", &format!("u{user}"), &attributes, teams);
    }
    for device in 0..size.devices {
        let attributes = format!(
            r#""level":{},"build":{},"online":true,"owner":{{"__entity":{{"type":"Bench::User","id":"u{}"}}}}"#,
            device % 3,
            device % 100,
            device % size.users,
        );
        let parents = [
            ("Site", format!("s{}", site_of(device, size))),
            ("Group", format!("g{}", group_of(device, size))),
        ];
        entity(
            &mut text,
            "Device",
            &format!("d{device}"),
            &attributes,
            &parents,
        );
    }
    text.push(']');
    text
}

fn entity(text: &mut String, kind: &str, id: &str, attributes: &str, parents: &[(&str, String)]) {
    let comma = if text.ends_with('[') { "" } else { ",\n" };
    let parents: Vec<String> = parents
        .iter()
        .map(|(kind, id)| format!(r#"{{"type":"Bench::{kind}","id":"{id}"}}"#))
        .collect();
    write!(
        text,
        r#"{comma}{{"uid":{{"type":"Bench::{kind}","id":"{id}"}},"attrs":{{{attributes}}},"parents":[{}]}}"#,
        parents.join(",")
    )
    .expect("a string takes everything");
}
