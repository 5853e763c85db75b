//! The schema, policies and links of a world.

use std::fmt::Write as _;

use super::Shape;
use super::Size;
use super::entities::group_of;
use super::entities::site_of;
use super::entities::team_of;
use super::spread;

pub(super) const SCHEMA: &str = r#"
namespace Bench {
  entity Team in [Team];
  entity Site in [Site];
  entity Group in [Group];
  entity User in [Team] = { "clearance": Long, "badge_until": datetime };
  entity Device in [Site, Group] = { "level": Long, "build": Long, "online": Bool, "owner": User };
  type Circumstances = {
    "now": datetime, "ip": ipaddr, "mfa": Bool, "risk": Long, "channel": String, "purpose"?: String,
  };
  action any;
  action "read", "write" in [any] appliesTo { principal: [User], resource: [Device], context: Circumstances };
  action "configure", "restart" in [any] appliesTo { principal: [User], resource: [Device], context: Circumstances };
}
"#;

pub(super) const ACTIONS: [&str; 4] = ["read", "write", "configure", "restart"];

/// The user and the device that policy `number` is about.
pub(super) fn subject(number: usize, size: Size) -> (usize, usize) {
    (
        spread(number, 1, size.users),
        spread(number, 2, size.devices),
    )
}

/// The action that policy `number` is about.
pub(super) fn action(number: usize) -> &'static str {
    ACTIONS[spread(number, 3, ACTIONS.len())]
}

/// One policy of eight is a link of a template.
fn is_link(size: Size, number: usize) -> bool {
    size.shape == Shape::Spread && number % 8 == 7
}

/// The policies as Cedar text: the broad ones, the template, and the rest.
pub(super) fn text(size: Size) -> String {
    let mut text = String::from(BROAD);
    text.push_str(TEMPLATE);
    let conditions = ["10.20.0.0/16", "10.0.0.0/8", "2001:db8::/32"];
    for number in (0..size.policies.saturating_sub(4)).filter(|number| !is_link(size, *number)) {
        let scope = match size.shape {
            Shape::Spread => spread_scope(number, size),
            Shape::OneTeam => format!(
                "principal in Bench::Team::\"t0\", action == Bench::Action::\"{}\", resource == Bench::Device::\"d{}\"",
                action(number),
                number % size.devices
            ),
            Shape::Grid => format!(
                "principal in Bench::Team::\"t{}\", action == Bench::Action::\"read\", resource in Bench::Site::\"s{}\"",
                number / size.sites % size.teams,
                number % size.sites
            ),
        };
        writeln!(
            text,
            "@id(\"p{number}\") @title(\"Policy {number}\") @reason(\"Made for measuring.\") permit ({scope})\n\
             when {{ principal.clearance >= resource.level && context.now < principal.badge_until }}\n\
             when {{ context.ip.isInRange(ip(\"{}\")) || context.mfa }}\n\
             unless {{ context.risk > {} }};",
            conditions[number % conditions.len()],
            40 + number % 20,
        )
        .expect("a string takes everything");
    }
    text
}

fn spread_scope(number: usize, size: Size) -> String {
    let (user, device) = subject(number, size);
    let action = action(number);
    let one = format!("action == Bench::Action::\"{action}\"");
    let team = team_of(user, number % 2, size);
    let (site, group) = (site_of(device, size), group_of(device, size));
    match number % 8 {
        0 => format!(
            "principal == Bench::User::\"u{user}\", {one}, resource == Bench::Device::\"d{device}\""
        ),
        1 => format!(
            "principal in Bench::Team::\"t{team}\", {one}, resource == Bench::Device::\"d{device}\""
        ),
        2 => format!(
            "principal == Bench::User::\"u{user}\", {one}, resource in Bench::Site::\"s{site}\""
        ),
        3 => format!(
            "principal in Bench::Team::\"t{team}\", action in [Bench::Action::\"{action}\", Bench::Action::\"read\"], \
             resource in Bench::Group::\"g{group}\""
        ),
        4 => format!(
            "principal is Bench::User in Bench::Team::\"t{team}\", {one}, \
             resource is Bench::Device in Bench::Site::\"s{site}\""
        ),
        5 => format!("principal == Bench::User::\"u{user}\", {one}, resource is Bench::Device"),
        _ => format!(
            "principal, action in Bench::Action::\"any\", resource == Bench::Device::\"d{device}\""
        ),
    }
}

/// The links as Cedar's JSON.
pub(super) fn links(size: Size) -> String {
    let links = (0..size.policies.saturating_sub(4)).filter(|number| is_link(size, *number)).map(|number| {
        let (user, device) = subject(number, size);
        let site = site_of(device, size);
        format!(
            r#"{{"template_id":"grant","link_id":"grant-{number}","args":{{"?principal":"Bench::User::\"u{user}\"","?resource":"Bench::Site::\"s{site}\""}}}}"#
        )
    });
    format!("[{}]", links.collect::<Vec<_>>().join(",\n"))
}

const BROAD: &str = r#"
@id("restart-needs-mfa") @reason("A restart needs a second factor.")
forbid (principal, action == Bench::Action::"restart", resource is Bench::Device)
unless { context.mfa };

@id("nothing-at-high-risk") @reason("The risk is too high.")
forbid (principal, action, resource) when { context.risk > 90 && context.channel != "console" };

@id("badge-must-be-valid") @reason("The badge has expired.")
forbid (principal is Bench::User, action in Bench::Action::"any", resource)
when { context.now >= principal.badge_until };

@id("owner-uses-own-device") @title("Owners use their devices")
permit (principal, action in [Bench::Action::"read", Bench::Action::"write"], resource is Bench::Device)
when { resource.owner == principal && resource.online };
"#;

const TEMPLATE: &str = r#"
@id("grant") @title("A grant by a person") @reason("Somebody shared it.")
permit (principal == ?principal, action in Bench::Action::"any", resource in ?resource)
when { context.now < principal.badge_until && context.risk <= 50 }
when { context.ip.isInRange(ip("10.0.0.0/8")) || context.mfa };
"#;
