//! In which circumstances all entities are asked about: those that test cases have
//! for the action, else the least that the schema takes. A context that fits one side
//! only is fitted to the other.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::validator::types::Type;
use serde_json::Map;
use serde_json::Value as Json;

use crate::analysis::world::World;
use crate::engine::conform;
use crate::engine::json::JsonLimits;
use crate::engine::json::context_from_json;
use crate::engine::manifest::OnUnknown;
use crate::engine::query::Context;
use crate::testing::Case;

/// Contexts of an action; more would multiply what is decided.
pub const CONTEXTS_MAX: usize = 8;

/// These are the contexts of test cases, and ours: no further limits.
const LIMITS: JsonLimits = JsonLimits {
    depth_max: 128,
    values_max: usize::MAX,
    entities_max: usize::MAX,
};

/// One context, as each side reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circumstances {
    /// For people: as JSON.
    pub told: String,
    /// Before,
    pub before: Arc<Context>,
    /// and after.
    pub after: Arc<Context>,
}

impl Circumstances {
    /// The fewer values, and the shorter they are, the simpler.
    fn size(&self) -> (usize, usize, &str) {
        let values = self.before.len().max(self.after.len());
        (values, self.told.len(), &self.told)
    }
}

/// The contexts of one action.
#[derive(Debug, Clone, Default)]
pub struct Contexts {
    /// From the simplest on.
    pub all: Vec<Circumstances>,
    /// None of them is from a test case, though the action can have others.
    pub is_made_up: bool,
    /// Contexts that fit one side only: the other is asked with what it takes of them.
    pub adapted: usize,
    /// Further contexts of test cases, not asked about.
    pub left_out: usize,
}

/// The contexts of an action.
pub fn of_action(
    before: World<'_>,
    after: World<'_>,
    action: &EntityUID,
    cases: &[Case],
    now: &str,
) -> Contexts {
    let mut contexts = Contexts::default();
    let mut seen = BTreeSet::new();
    // Contexts with the same members are alike.
    let mut alike: BTreeMap<(usize, String), Vec<Circumstances>> = BTreeMap::new();
    let about = cases.iter().filter(|case| *case.question.action == *action);
    for case in about {
        let mut json = Json::clone(&case.question.context);
        if let (Json::Object(fields), Some(now)) = (&mut json, &case.question.now)
            && [before, after]
                .iter()
                .any(|world| takes_now(*world, action))
        {
            let told = json_of(now);
            fields.entry("now").or_insert(told);
        }
        if !seen.insert(json.to_string()) {
            continue;
        }
        let read = [before, after].map(|world| fitted(world, action, &json, now));
        if let [Some((before, was_adapted)), Some((after, is_adapted))] = read {
            contexts.adapted += usize::from(was_adapted || is_adapted);
            alike.entry(shape(&json)).or_default().push(Circumstances {
                told: json.to_string(),
                before: Arc::new(before),
                after: Arc::new(after),
            });
        } else {
            contexts.left_out += 1;
        }
    }
    let of_tests = alike.values().map(Vec::len).sum::<usize>();
    let is_empty = |context: &Circumstances| context.before.is_empty() && context.after.is_empty();
    if !alike.values().flatten().any(is_empty)
        && let [Some(before), Some(after)] =
            [before, after].map(|world| read(world, action, &Json::Object(Map::new())))
    {
        contexts.all.push(Circumstances {
            told: "{}".to_owned(),
            before: Arc::new(before),
            after: Arc::new(after),
        });
    }
    // One of each kind, then a second one of each.
    let longest = alike.values().map(Vec::len).max().unwrap_or(0);
    let in_turns = (0..longest)
        .flat_map(|round| alike.values().filter_map(move |some| some.get(round)))
        .take(CONTEXTS_MAX - contexts.all.len());
    let chosen: Vec<Circumstances> = in_turns.cloned().collect();
    contexts.left_out += of_tests - chosen.len();
    contexts.is_made_up = chosen.is_empty()
        && [before, after]
            .iter()
            .any(|world| takes_several(*world, action));
    contexts.all.extend(chosen);
    contexts.all.sort_by(|a, b| a.size().cmp(&b.size()));
    if contexts.all.is_empty() {
        contexts.all.extend(made_up(before, after, action, now));
    }
    contexts
}

/// Each side in the least context that it takes.
fn made_up(
    before: World<'_>,
    after: World<'_>,
    action: &EntityUID,
    now: &str,
) -> Option<Circumstances> {
    let own = |world: World<'_>| {
        let declared = &world.snapshot.schema()?.action(action)?.context;
        Some(least(declared, now))
    };
    let (old, new) = (own(before), own(after));
    // A side that does not know the action is asked as the other.
    let told = new.clone().or_else(|| old.clone())?;
    let of = |world, own: Option<Json>| read(world, action, own.as_ref().unwrap_or(&told));
    let (old, new) = (of(before, old)?, of(after, new)?);
    Some(Circumstances {
        told: told.to_string(),
        before: Arc::new(old),
        after: Arc::new(new),
    })
}

/// The members of a context, switches with how they stand; how many first.
fn shape(json: &Json) -> (usize, String) {
    let Json::Object(fields) = json else {
        return (0, String::new());
    };
    let mut names: Vec<String> = fields
        .iter()
        .map(|(name, value)| match value {
            Json::Bool(value) => format!("{name}={value}"),
            _ => name.clone(),
        })
        .collect();
    names.sort_unstable();
    (names.len(), names.join("\n"))
}

/// As this side reads it, and whether it had to be fitted: what the side does not
/// know is left out, and the least of what it demands is added.
fn fitted(world: World<'_>, action: &EntityUID, json: &Json, now: &str) -> Option<(Context, bool)> {
    if let Some(context) = read(world, action, json) {
        return Some((context, false));
    }
    let declared = &world.snapshot.schema()?.action(action)?.context;
    let context = read(world, action, &adapted(declared, json, now))?;
    Some((context, true))
}

fn adapted(declared: &Type, json: &Json, now: &str) -> Json {
    let (Type::Record { attrs, .. }, Json::Object(fields)) = (declared, json) else {
        return json.clone();
    };
    let mut kept = Map::new();
    for (name, attribute) in attrs.iter() {
        match fields.get(name.as_str()) {
            Some(value) => {
                let value = adapted(&attribute.attr_type, value, now);
                kept.insert(name.to_string(), value);
            }
            None if attribute.is_required => {
                kept.insert(name.to_string(), least(&attribute.attr_type, now));
            }
            None => {}
        }
    }
    Json::Object(kept)
}

/// Whether an action can have more than one context.
fn takes_several(world: World<'_>, action: &EntityUID) -> bool {
    let declared = world.snapshot.schema().map(|schema| schema.action(action));
    match declared.map(|action| action.map(|action| &action.context)) {
        Some(Some(Type::Record { attrs, .. })) => attrs.iter().next().is_some(),
        // What is not declared is denied, if there is a schema to go by.
        Some(None) => world.snapshot.manifest().unknown == OnUnknown::Cedar,
        Some(Some(_)) | None => true,
    }
}

fn takes_now(world: World<'_>, action: &EntityUID) -> bool {
    let schema = world.snapshot.schema();
    schema.is_some_and(|schema| schema.action(action).is_some_and(|action| action.takes_now))
}

/// A value of a context as Cedar's JSON has it.
fn json_of(value: &cedar_policy_core::ast::Value) -> Json {
    let context = Context::from_iter([("now".into(), value.clone())]);
    let json = cedar_policy_core::ast::Context::Value(context.into()).to_json_value();
    let json = json.unwrap_or_default();
    json.get("now").cloned().unwrap_or_default()
}

/// As this side reads it; `None` when it refuses it.
fn read(world: World<'_>, action: &EntityUID, json: &Json) -> Option<Context> {
    let context = context_from_json(world.snapshot, action, json.clone(), &LIMITS).ok()?;
    if let Some(schema) = world.snapshot.schema()
        && let Some(action) = schema.action(action)
    {
        conform::context(schema.validator(), &action.context, &context).ok()?;
    }
    Some(context)
}

/// The least value of a type: what is optional is left out.
fn least(declared: &Type, now: &str) -> Json {
    match declared {
        Type::Never | Type::Bool(_) => Json::from(false),
        Type::Long => Json::from(0),
        Type::String => Json::from(""),
        Type::Set { .. } => Json::Array(Vec::new()),
        Type::Record { attrs, .. } => {
            let required = attrs.iter().filter(|(_, attribute)| attribute.is_required);
            let fields = required.map(|(name, attribute)| {
                let value = least(&attribute.attr_type, now);
                (name.to_string(), value)
            });
            Json::Object(fields.collect())
        }
        Type::Entity(_) => {
            serde_json::json!({"__entity": {"type": declared.to_string(), "id": ""}})
        }
        Type::ExtensionType { name } => Json::from(match name.to_string().as_str() {
            "datetime" => now,
            "duration" => "0s",
            "decimal" => "0.0",
            _ => "127.0.0.1",
        }),
    }
}
