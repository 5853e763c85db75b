//! Generated worlds: policies, templates, links, entities, and what is asked.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Value as Json;
use serde_json::json;

use super::dice::Dice;
use super::expr;
use super::expr::Slots;

pub const TYPES: &[&str] = &["User", "Hub::Doc", "Hub::Folder", "Group"];
const IDS: &[&str] = &["a", "b", "c"];

const SHAPE: &str = "{ flag?: Bool, level?: Long, name?: String, owner?: User, peers?: Set<User>, \
    labels?: Set<String>, info?: Info, addr?: ipaddr, score?: decimal, born?: datetime, ttl?: duration }";

const DECLARATIONS: &str = r"
type Info = { n?: Long, who?: User, deep?: { flag?: Bool } };
entity User in [User, Group] = SHAPE tags Long;
entity Group in [Group] = SHAPE tags String;
namespace Hub {
  entity Doc in [Doc, Folder] = SHAPE tags User;
  entity Folder in [Folder, Group] = SHAPE tags User;
}
type Context = {
  flag?: Bool, level?: Long, name?: String, who?: User, labels?: Set<String>, info?: Info, addr?: ipaddr,
  born?: datetime, extra?: Long, spare?: String
};
action all;
action rw in all;
action read, write in rw appliesTo { principal: [User, Group], resource: [Hub::Doc, Hub::Folder], context: Context };
action share in all appliesTo { principal: [User], resource: [Hub::Doc, User], context: Context };
";

/// The schema of worlds that have one: all types have the same attributes.
pub fn schema() -> String {
    DECLARATIONS.replace("SHAPE", SHAPE)
}

/// Type and id.
pub type Uid = (String, String);

/// An entity as a test changes it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Thing {
    pub attrs: BTreeMap<String, Json>,
    pub parents: BTreeSet<Uid>,
    pub tags: BTreeMap<String, Json>,
}

/// A link of a template.
#[derive(Debug, Clone)]
pub struct LinkOf {
    pub template: String,
    pub id: String,
    pub principal: Option<Uid>,
    pub resource: Option<Uid>,
}

/// One question, perhaps with entities that it carries.
#[derive(Debug, Clone)]
pub struct Ask {
    pub principal: Uid,
    pub action: Uid,
    pub resource: Uid,
    pub context: BTreeMap<String, Json>,
    pub carried: BTreeMap<Uid, Thing>,
}

/// Everything that a decision depends on.
#[derive(Debug, Clone)]
pub struct World {
    pub has_schema: bool,
    pub files: BTreeMap<String, String>,
    pub things: BTreeMap<Uid, Thing>,
    pub links: Vec<LinkOf>,
    pub asks: Vec<Ask>,
}

pub fn literal((kind, id): &Uid) -> String {
    format!("{kind}::\"{id}\"")
}

pub fn uid_json((kind, id): &Uid) -> Json {
    json!({"type": kind, "id": id})
}

pub fn entity_json(uid: &Uid, thing: &Thing) -> Json {
    json!({
        "uid": uid_json(uid),
        "attrs": thing.attrs,
        "parents": thing.parents.iter().map(uid_json).collect::<Vec<_>>(),
        "tags": thing.tags,
    })
}

pub fn things_json(things: &BTreeMap<Uid, Thing>) -> Json {
    Json::Array(
        things
            .iter()
            .map(|(uid, thing)| entity_json(uid, thing))
            .collect(),
    )
}

pub fn uid(d: &mut Dice) -> Uid {
    (d.pick(TYPES).to_owned(), d.pick(IDS).to_owned())
}

fn user(d: &mut Dice) -> Uid {
    ("User".to_owned(), d.pick(IDS).to_owned())
}

fn action(d: &mut Dice) -> Uid {
    let id = d.pick(&["read", "read", "write", "share", "rw", "nope"]);
    ("Action".to_owned(), id.to_owned())
}

impl World {
    /// The world that the dice show, with so many questions.
    pub fn new(d: &mut Dice, has_schema: bool, asks: usize, with_carried: bool) -> Self {
        let mut things = BTreeMap::new();
        for kind in TYPES {
            for id in IDS {
                if d.chance(3, 4) {
                    let uid = ((*kind).to_owned(), (*id).to_owned());
                    let thing = thing(d, &uid, has_schema, false);
                    things.insert(uid, thing);
                }
            }
        }
        if !has_schema {
            things.extend(actions(d));
        }
        let mut files = BTreeMap::<String, String>::new();
        let mut links = Vec::new();
        for number in 0..=d.below(8) {
            let file = format!("{}.cedar", d.pick(&["a", "b", "sub/c"]));
            let slots = match d.below(8) {
                1 => Slots {
                    principal: true,
                    resource: false,
                },
                2 => Slots {
                    principal: false,
                    resource: true,
                },
                3 => Slots {
                    principal: true,
                    resource: true,
                },
                _ => Slots::default(),
            };
            let is_template = slots.principal || slots.resource;
            let text = files.entry(file).or_default();
            if is_template || d.chance(1, 2) {
                text.push_str(&format!("@id(\"p{number}\")\n"));
            }
            text.push_str(&expr::policy(d, slots));
            for link in 0..if is_template { d.below(4) } else { 0 } {
                links.push(LinkOf {
                    template: format!("p{number}"),
                    id: format!("l{number}-{link}"),
                    principal: slots.principal.then(|| uid(d)),
                    resource: slots.resource.then(|| uid(d)),
                });
            }
        }
        let asks = (0..asks)
            .map(|_| ask(d, has_schema, with_carried))
            .collect();
        Self {
            has_schema,
            files,
            things,
            links,
            asks,
        }
    }

    /// The stored entities with the carried ones merged in by hand.
    pub fn merged(&self, ask: &Ask) -> BTreeMap<Uid, Thing> {
        let mut things = self.things.clone();
        for (uid, carried) in &ask.carried {
            let thing = things.entry(uid.clone()).or_default();
            thing.attrs.extend(carried.attrs.clone());
            thing.tags.extend(carried.tags.clone());
            thing.parents.extend(carried.parents.iter().cloned());
        }
        things
    }
}

/// Whether some entity is its own ancestor.
pub fn has_cycle(things: &BTreeMap<Uid, Thing>) -> bool {
    let reaches = |start: &Uid| {
        let mut open = vec![start];
        let mut seen = BTreeSet::new();
        while let Some(at) = open.pop() {
            for parent in things.get(at).into_iter().flat_map(|thing| &thing.parents) {
                if parent == start {
                    return true;
                }
                if seen.insert(parent) {
                    open.push(parent);
                }
            }
        }
        false
    };
    things.keys().any(reaches)
}

fn actions(d: &mut Dice) -> BTreeMap<Uid, Thing> {
    let uid = |id: &str| ("Action".to_owned(), id.to_owned());
    let groups = [
        ("read", "rw"),
        ("write", "rw"),
        ("share", "all"),
        ("rw", "all"),
    ];
    groups
        .iter()
        .filter(|_| d.chance(7, 8))
        .map(|(id, group)| {
            let parents = BTreeSet::from([uid(group)]);
            (
                uid(id),
                Thing {
                    parents,
                    ..Thing::default()
                },
            )
        })
        .collect()
}

fn ask(d: &mut Dice, has_schema: bool, with_carried: bool) -> Ask {
    let mut context = BTreeMap::new();
    for key in expr::CONTEXT_KEYS {
        if d.chance(3, 4) {
            context.insert((*key).to_owned(), attribute(d, key, has_schema));
        }
    }
    let mut carried = BTreeMap::new();
    for _ in 0..if with_carried { 1 + d.below(3) } else { 0 } {
        let uid = uid(d);
        let thing = thing(d, &uid, has_schema, true);
        carried.insert(uid, thing);
    }
    Ask {
        principal: if d.chance(3, 4) { user(d) } else { uid(d) },
        action: action(d),
        resource: uid(d),
        context,
        carried,
    }
}

/// `may_cycle`: parents in any direction, and not only along the order in
/// which types and ids are listed.
pub fn thing(d: &mut Dice, uid: &Uid, has_schema: bool, may_cycle: bool) -> Thing {
    let mut thing = Thing::default();
    for name in expr_attributes() {
        if d.chance(1, 2) {
            thing
                .attrs
                .insert((*name).to_owned(), attribute(d, name, has_schema));
        }
    }
    let rank = |(kind, id): &Uid| {
        let kind = TYPES.iter().position(|known| known == kind);
        let id = IDS.iter().position(|known| known == id);
        (kind, id)
    };
    for _ in 0..d.below(3) {
        let parent_kind = d.pick(may_be_in(&uid.0));
        let parent = (parent_kind.to_owned(), d.pick(IDS).to_owned());
        let is_upward = rank(&parent) > rank(uid);
        if is_upward || (may_cycle && d.chance(1, 3)) {
            thing.parents.insert(parent);
        }
    }
    for name in ["t1", "t2"] {
        if d.chance(1, 2) {
            let value = match uid.0.as_str() {
                "User" => json!(d.below(4)),
                "Group" => json!("a"),
                _ => json!({"__entity": uid_json(&user(d))}),
            };
            thing.tags.insert(name.to_owned(), value);
        }
    }
    thing
}

fn may_be_in(kind: &str) -> &'static [&'static str] {
    match kind {
        "User" => &["Group", "User"],
        "Hub::Doc" => &["Hub::Folder", "Hub::Doc"],
        "Hub::Folder" => &["Group", "Hub::Folder"],
        _ => &["Group"],
    }
}

fn expr_attributes() -> &'static [&'static str] {
    &[
        "flag", "level", "name", "owner", "peers", "labels", "info", "addr", "score", "born", "ttl",
    ]
}

/// A value for an attribute or context key; without a schema sometimes one of
/// another kind.
pub fn attribute(d: &mut Dice, name: &str, has_schema: bool) -> Json {
    let name = if !has_schema && d.chance(1, 10) {
        d.pick(&["flag", "level", "name", "owner", "info", "labels"])
    } else {
        name
    };
    let extension =
        |function: &str, argument: &str| json!({"__extn": {"fn": function, "arg": argument}});
    match name {
        "flag" => json!(d.chance(1, 2)),
        "level" | "extra" => json!(d.below(4)),
        "owner" | "who" => json!({"__entity": uid_json(&user(d))}),
        "peers" => json!([{"__entity": uid_json(&user(d))}, {"__entity": uid_json(&user(d))}]),
        "labels" => json!([d.pick(&["a", "b"]), d.pick(&["a", "ab"])]),
        "info" => {
            let who = uid_json(&user(d));
            let mut info = json!({"n": d.below(4), "who": {"__entity": who}, "deep": {"flag": d.chance(1, 2)}});
            for field in ["n", "who", "deep"] {
                if d.chance(1, 4) {
                    info.as_object_mut().unwrap().remove(field);
                }
            }
            info
        }
        "addr" => extension(
            "ip",
            d.pick(&["10.0.0.1", "127.0.0.1", "::1", "10.1.0.0/16"]),
        ),
        "score" => extension("decimal", d.pick(&["1.5", "0.1", "-3.25"])),
        "born" => extension("datetime", d.pick(&["2026-01-01", "2025-06-01T10:00:00Z"])),
        "ttl" => extension("duration", d.pick(&["1h", "0ms", "3d"])),
        _ => json!(d.pick(&["a", "ab", "10.0.0.1", ""])),
    }
}
