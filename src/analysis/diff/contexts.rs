//! In which circumstances all entities are asked about: those that test cases have
//! for the action, else the least that the schema takes.

use std::sync::Arc;

use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::validator::types::Type;
use serde_json::Map;
use serde_json::Value as Json;

use crate::analysis::world::World;
use crate::engine::conform;
use crate::engine::json::JsonLimits;
use crate::engine::json::context_from_json;
use crate::engine::query::Context;
use crate::testing::Case;

/// Contexts of an action; more would multiply what is decided.
const CONTEXTS_MAX: usize = 8;

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

/// The contexts of one action.
#[derive(Debug, Clone, Default)]
pub struct Contexts {
    /// In order of the test cases.
    pub all: Vec<Circumstances>,
    /// None of them is from a test case.
    pub is_made_up: bool,
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
    let both = |json: &Json| {
        Some(Circumstances {
            told: json.to_string(),
            before: Arc::new(read(before, action, json)?),
            after: Arc::new(read(after, action, json)?),
        })
    };
    let mut contexts = Contexts::default();
    let mut seen = std::collections::BTreeSet::new();
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
        match both(&json) {
            Some(_) if contexts.all.len() >= CONTEXTS_MAX => contexts.left_out += 1,
            Some(context) => contexts.all.push(context),
            // It fits one side only: the other would refuse the question.
            None => contexts.left_out += 1,
        }
    }
    let empty = both(&Json::Object(Map::new()));
    if let Some(empty) = empty
        && contexts.all.len() < CONTEXTS_MAX
        && !contexts.all.iter().any(|there| there.before.is_empty())
    {
        contexts.all.push(empty);
    }
    if contexts.all.is_empty() {
        contexts.is_made_up = true;
        let declared = [after, before].into_iter().find_map(|world| {
            let schema = world.snapshot.schema()?;
            Some(&schema.action(action)?.context)
        });
        let least = declared.map(|declared| least(declared, now));
        contexts.all.extend(least.as_ref().and_then(both));
    }
    contexts
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
