//! `cargo xtask devices`: generated devices that fit the schema of `policies/`.
//!
//! ```text
//! cargo xtask devices --count 1000000 [--seed 1] | deodar directory import -
//! ```
//!
//! One entity a line. What the devices refer to comes first: roles, sites, zones,
//! models, groups, users. The same count and seed give the same bytes.

use std::io;
use std::io::BufWriter;
use std::io::Write;

use serde_json::Value;
use serde_json::json;

/// Devices of one site.
const SITE_DEVICES: u64 = 5000;
const MODELS: u64 = 20;
/// Devices of one group, and of one owner.
const GROUP_DEVICES: u64 = 500;
const OWNER_DEVICES: u64 = 10;

const HELP: &str = "cargo xtask devices --count <number> [--seed <number>]";

/// Writes the devices that the arguments ask for to standard output.
pub(crate) fn run(arguments: Vec<String>) -> Result<(), String> {
    let (mut count, mut seed) = (None, 1);
    let mut arguments = arguments.into_iter();
    while let Some(flag) = arguments.next() {
        let value = arguments.next().and_then(|value| value.parse().ok());
        let value: u64 = value.ok_or_else(|| format!("`{flag}` takes a number; {HELP}"))?;
        match flag.as_str() {
            "--count" => count = Some(value),
            "--seed" => seed = value,
            _ => return Err(format!("unknown flag `{flag}`; {HELP}")),
        }
    }
    let count = count.ok_or(HELP)?;
    let mut out = BufWriter::new(io::stdout().lock());
    match write(count, seed, &mut out).and_then(|()| out.flush()) {
        // Whoever reads wanted no more.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| format!("cannot write: {error}")),
    }
}

/// Writes what the devices refer to, and the devices.
pub(crate) fn write(count: u64, seed: u64, out: &mut impl Write) -> io::Result<()> {
    let mut dice = Dice(seed);
    let sites = count.div_ceil(SITE_DEVICES);
    line(out, &entity("Org::Role", "resident", &json!({}), &[]))?;
    let vendor = json!({ "name": "Generated Devices Ltd" });
    line(out, &entity("Org::Partner", "generated", &vendor, &[]))?;
    for model in 0..MODELS {
        let attributes = json!({
            "name": format!("Model {model}"),
            "vendor": reference("Org::Partner", "generated"),
            "min_build": 100 + dice.below(50),
        });
        line(
            out,
            &entity("Iot::Model", &model_id(model), &attributes, &[]),
        )?;
    }
    for site in 0..sites {
        let region = if dice.below(3) == 0 { "us" } else { "eu" };
        let id = site_id(site);
        let attributes = json!({ "region": region, "emergency": false });
        line(out, &entity("Iot::Site", &id, &attributes, &[]))?;
        let parent = [("Iot::Site", id)];
        let attributes = json!({ "conduits": [], "remote_operation": dice.below(2) == 0 });
        line(
            out,
            &entity("Iot::Zone", &zone_id(site), &attributes, &parent),
        )?;
    }
    for group in 0..count.div_ceil(GROUP_DEVICES) {
        line(
            out,
            &entity("Iot::DeviceGroup", &group_id(group), &json!({}), &[]),
        )?;
    }
    for user in 0..count.div_ceil(OWNER_DEVICES) {
        let id = user_id(user);
        let site = site_id(user * OWNER_DEVICES / SITE_DEVICES);
        let attributes = json!({ "handle": id, "site": reference("Iot::Site", &site) });
        let role = [("Org::Role", "resident".to_owned())];
        line(out, &entity("Org::User", &id, &attributes, &role))?;
    }
    for number in 0..count {
        line(out, &device(number, &mut dice))?;
    }
    Ok(())
}

/// A device with five attributes and two parents.
fn device(number: u64, dice: &mut Dice) -> Value {
    let site = number / SITE_DEVICES;
    let firmware = json!({
        "version": format!("1.{}.{}", dice.below(20), dice.below(10)),
        "build": 90 + dice.below(200),
        "rollback_index": dice.below(5),
    });
    let reported = format!(
        "2026-11-{:02}T{:02}:{:02}:00Z",
        1 + dice.below(21),
        dice.below(24),
        dice.below(60)
    );
    let attributes = json!({
        "model": reference("Iot::Model", &model_id(dice.below(MODELS))),
        "site": reference("Iot::Site", &site_id(site)),
        "zone": reference("Iot::Zone", &zone_id(site)),
        "owner": reference("Org::User", &user_id(number / OWNER_DEVICES)),
        "posture": {
            "reported_at": { "__extn": { "fn": "datetime", "arg": reported } },
            "default_password_changed": dice.below(20) > 0,
            "secure_boot": dice.below(10) > 0,
            "firmware": firmware,
        },
    });
    let parents = [
        ("Iot::Zone", zone_id(site)),
        ("Iot::DeviceGroup", group_id(number / GROUP_DEVICES)),
    ];
    entity(
        "Iot::Device",
        &format!("device-{number:07}"),
        &attributes,
        &parents,
    )
}

fn model_id(number: u64) -> String {
    format!("model-{number:02}")
}

fn site_id(number: u64) -> String {
    format!("site-{number:04}")
}

fn zone_id(site: u64) -> String {
    format!("zone-{site:04}")
}

fn group_id(number: u64) -> String {
    format!("batch-{number:05}")
}

fn user_id(number: u64) -> String {
    format!("user-{number:06}")
}

fn reference(kind: &str, id: &str) -> Value {
    json!({ "__entity": { "type": kind, "id": id } })
}

fn entity(kind: &str, id: &str, attributes: &Value, parents: &[(&str, String)]) -> Value {
    let parents: Vec<_> = parents
        .iter()
        .map(|(kind, id)| json!({ "type": kind, "id": id }))
        .collect();
    json!({ "uid": { "type": kind, "id": id }, "attrs": attributes, "parents": parents })
}

fn line(out: &mut impl Write, entity: &Value) -> io::Result<()> {
    writeln!(out, "{entity}")
}

/// Numbers that look random and are the same for the same seed (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit.max(1)
    }
}
