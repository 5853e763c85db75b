//! Generated Cedar: conditions, well typed for the most part, and policies.

use super::dice::Dice;
use super::world::TYPES;
use super::world::literal;
use super::world::uid;

const ATTRIBUTES: &[&str] = &[
    "flag", "level", "name", "owner", "peers", "labels", "info", "addr", "score", "born", "ttl",
    "nope",
];
pub const CONTEXT_KEYS: &[&str] = &[
    "flag", "level", "name", "who", "labels", "info", "addr", "born", "extra", "spare",
];
const STRINGS: &[&str] = &["a", "b", "ab", "", "10.0.0.1", "t1", "t2"];

pub fn boolean(d: &mut Dice, depth: usize) -> String {
    let sides = if depth == 0 { 10 } else { 33 };
    let less = depth.saturating_sub(1);
    match d.below(sides) {
        0 => "true".into(),
        1 => format!("{}.flag", entity(d, less)),
        2 => "context.flag".into(),
        3 => format!("({} has {})", entity(d, less), d.pick(ATTRIBUTES)),
        4 => format!("(context has {})", d.pick(CONTEXT_KEYS)),
        5 => format!("({} in {})", entity(d, less), entity(d, less)),
        6 => format!("({} == {})", entity(d, less), entity(d, less)),
        7 => format!("({} is {})", entity(d, less), d.pick(TYPES)),
        8 => format!("{}.hasTag({})", entity(d, less), tag(d, less)),
        9 => format!("({} has info.deep.flag)", entity(d, less)),
        10 => format!(
            "({} in [{}, {}])",
            entity(d, less),
            entity(d, less),
            entity(d, less)
        ),
        11 => format!(
            "({} is {} in {})",
            entity(d, less),
            d.pick(TYPES),
            entity(d, less)
        ),
        12 | 13 => {
            let op = d.pick(&["<", "<=", ">", ">=", "==", "!="]);
            format!("({} {op} {})", long(d, less), long(d, less))
        }
        14 => format!(
            "({} like \"{}\")",
            string(d, less),
            d.pick(&["a*", "*", "*b", "10.*", ""])
        ),
        15 | 16 => format!("({} && {})", boolean(d, less), boolean(d, less)),
        17 | 18 => format!("({} || {})", boolean(d, less), boolean(d, less)),
        19 => format!("(!{})", boolean(d, less)),
        20 => format!(
            "(if {} then {} else {})",
            boolean(d, less),
            boolean(d, less),
            boolean(d, less)
        ),
        21 => format!("{}.contains({})", set(d, less), value(d, less)),
        22 => format!("{}.containsAll({})", set(d, less), set(d, less)),
        23 => format!("{}.containsAny({})", set(d, less), set(d, less)),
        24 => format!("{}.isEmpty()", set(d, less)),
        25 | 26 => extension(d, less),
        27 => format!("({} == {})", value(d, less), value(d, less)),
        28 => format!("({} has {})", record(d, less), d.pick(CONTEXT_KEYS)),
        29 => format!("{}.flag", record(d, less)),
        30 => format!(
            "{}.hasTag({})",
            d.pick(&["principal", "resource"]),
            tag(d, less)
        ),
        31 => format!(
            "({} in {}.{})",
            entity(d, less),
            entity(d, less),
            d.pick(&["peers", "owner"])
        ),
        _ => value(d, less),
    }
}

fn entity(d: &mut Dice, depth: usize) -> String {
    let sides = if depth == 0 { 6 } else { 14 };
    let less = depth.saturating_sub(1);
    match d.below(sides) {
        0 | 3 => "principal".into(),
        1 | 4 => "resource".into(),
        2 => literal(&uid(d)),
        5 => "action".into(),
        6 | 7 => format!("{}.owner", entity(d, less)),
        8 => "context.who".into(),
        9 => format!(
            "{{who: {}, other: {}}}.who",
            entity(d, less),
            entity(d, less)
        ),
        10 => format!(
            "(if {} then {} else {})",
            boolean(d, less),
            entity(d, less),
            entity(d, less)
        ),
        11 => format!("{}.getTag({})", entity(d, less), tag(d, less)),
        12 => format!("{}.info.who", entity(d, less)),
        _ => "context.info.who".into(),
    }
}

fn long(d: &mut Dice, depth: usize) -> String {
    let sides = if depth == 0 { 4 } else { 11 };
    let less = depth.saturating_sub(1);
    match d.below(sides) {
        0 => d.below(4).to_string(),
        1 => "context.level".into(),
        2 => "principal.level".into(),
        3 => "9223372036854775807".into(),
        4 => format!("{}.level", entity(d, less)),
        5 => format!("({} + {})", long(d, less), long(d, less)),
        6 => format!("({} * {})", long(d, less), long(d, less)),
        7 => format!("(-{})", long(d, less)),
        8 => format!("{}.info.n", entity(d, less)),
        9 => format!("{}.getTag({})", entity(d, less), tag(d, less)),
        _ => "context.info.n".into(),
    }
}

fn tag(d: &mut Dice, depth: usize) -> String {
    if d.chance(1, 4) {
        string(d, depth)
    } else {
        d.pick(&["\"t1\"", "\"t2\""]).to_owned()
    }
}

fn string(d: &mut Dice, depth: usize) -> String {
    let sides = if depth == 0 { 2 } else { 5 };
    let less = depth.saturating_sub(1);
    match d.below(sides) {
        0 => format!("\"{}\"", d.pick(STRINGS)),
        1 => "context.name".into(),
        2 => format!("{}.name", entity(d, less)),
        3 => format!("{}.getTag(\"t1\")", entity(d, less)),
        _ => format!(
            "(if {} then {} else {})",
            boolean(d, less),
            string(d, less),
            string(d, less)
        ),
    }
}

fn set(d: &mut Dice, depth: usize) -> String {
    let less = depth.saturating_sub(1);
    match d.below(5) {
        0 => format!("[{}, {}]", value(d, less), value(d, less)),
        1 => format!("{}.labels", entity(d, less)),
        2 => format!("{}.peers", entity(d, less)),
        3 => "context.labels".into(),
        _ => "[]".into(),
    }
}

fn record(d: &mut Dice, depth: usize) -> String {
    let less = depth.saturating_sub(1);
    match d.below(6) {
        0 => "context".into(),
        1 => format!("{}.info", entity(d, less)),
        2 => format!("{{flag: {}, level: {}}}", boolean(d, less), long(d, less)),
        3 => "{x: context}.x".into(),
        4 => format!(
            "(if {} then context else {})",
            boolean(d, less),
            entity(d, less)
        ),
        _ => "context.info.deep".into(),
    }
}

fn value(d: &mut Dice, depth: usize) -> String {
    if depth == 0 {
        return if d.chance(1, 2) {
            long(d, 0)
        } else {
            entity(d, 0)
        };
    }
    match d.below(6) {
        0 => long(d, depth),
        1 => string(d, depth),
        2 => entity(d, depth),
        3 => boolean(d, depth - 1),
        4 => set(d, depth - 1),
        _ => record(d, depth - 1),
    }
}

fn extension(d: &mut Dice, depth: usize) -> String {
    match d.below(6) {
        0 => format!("{}.isInRange({})", ip(d, depth), ip(d, depth)),
        1 => format!(
            "{}.{}()",
            ip(d, depth),
            d.pick(&["isIpv4", "isIpv6", "isLoopback"])
        ),
        2 => format!(
            "{}.{}({})",
            decimal(d, depth),
            d.pick(&["lessThan", "greaterThanOrEqual"]),
            decimal(d, depth)
        ),
        3 => format!(
            "({} {} {})",
            datetime(d, depth),
            d.pick(&["<", ">=", "=="]),
            datetime(d, depth)
        ),
        4 => format!(
            "({} {} {})",
            duration(d, depth),
            d.pick(&["<", ">=", "=="]),
            duration(d, depth)
        ),
        _ => format!(
            "({}.toMilliseconds() < {})",
            duration(d, depth),
            long(d, depth)
        ),
    }
}

fn ip(d: &mut Dice, depth: usize) -> String {
    match d.below(5) {
        0 => "ip(\"10.0.0.1\")".into(),
        1 => "ip(\"10.0.0.0/8\")".into(),
        2 => format!("{}.addr", entity(d, depth)),
        3 => "context.addr".into(),
        _ => format!("ip({})", string(d, depth)),
    }
}

fn decimal(d: &mut Dice, depth: usize) -> String {
    match d.below(3) {
        0 => "decimal(\"1.5\")".into(),
        1 => format!("{}.score", entity(d, depth)),
        _ => format!("decimal({})", string(d, depth)),
    }
}

fn datetime(d: &mut Dice, depth: usize) -> String {
    match d.below(5) {
        0 => "datetime(\"2026-01-01\")".into(),
        1 => format!("{}.born", entity(d, depth)),
        2 => "context.born".into(),
        3 => format!("context.born.offset({})", duration(d, depth)),
        _ => "context.born.toDate()".into(),
    }
}

fn duration(d: &mut Dice, depth: usize) -> String {
    match d.below(3) {
        0 => "duration(\"1h\")".into(),
        1 => format!("{}.ttl", entity(d, depth)),
        _ => format!(
            "{}.durationSince(datetime(\"2026-01-01\"))",
            d.pick(&["context.born", "principal.born"])
        ),
    }
}

/// The slots that a template's scope uses.
#[derive(Debug, Clone, Copy, Default)]
pub struct Slots {
    pub principal: bool,
    pub resource: bool,
}

/// A policy, with slots where asked for, without its `@id`.
pub fn policy(d: &mut Dice, slots: Slots) -> String {
    let effect = d.pick(&["permit", "permit", "forbid"]);
    let principal = constraint(d, "principal", slots.principal);
    let action = action_constraint(d);
    let resource = constraint(d, "resource", slots.resource);
    let mut text = format!("{effect}({principal}, {action}, {resource})");
    for _ in 0..d.below(3) {
        let clause = d.pick(&["when", "when", "unless"]);
        text.push_str(&format!(" {clause} {{ {} }}", boolean(d, 3)));
    }
    text.push_str(";\n");
    text
}

fn constraint(d: &mut Dice, variable: &str, is_slot: bool) -> String {
    let target = if is_slot {
        format!("?{variable}")
    } else {
        literal(&uid(d))
    };
    let shape = if is_slot { 1 + d.below(3) } else { d.below(9) };
    match shape {
        1 => format!("{variable} == {target}"),
        2 => format!("{variable} in {target}"),
        3 => format!("{variable} is {} in {target}", d.pick(TYPES)),
        4 => format!("{variable} is {}", d.pick(TYPES)),
        _ => variable.to_owned(),
    }
}

fn action_constraint(d: &mut Dice) -> String {
    let one = |d: &mut Dice| d.pick(&["read", "write", "share", "rw", "all"]);
    match d.below(6) {
        1 => format!("action == Action::\"{}\"", one(d)),
        2 => format!("action in Action::\"{}\"", one(d)),
        3 => format!("action in [Action::\"{}\", Action::\"{}\"]", one(d), one(d)),
        4 => "action in []".to_owned(),
        _ => "action".to_owned(),
    }
}
