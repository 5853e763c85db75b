//! Cedar JSON: contexts (provisional).

use cedar_policy_core::ast;
use cedar_policy_core::ast::EntityUID;

use super::query::Context;
use super::snapshot::Snapshot;
use super::value::depth;

/// Reads a context.
pub fn context(
    snapshot: &Snapshot,
    action: &EntityUID,
    text: &str,
    depth_max: usize,
    _values_max: usize,
) -> Result<Context, String> {
    let uid: cedar_policy::EntityUid = action.clone().into();
    let schema = snapshot.schema().filter(|s| s.action(action).is_some()).map(|schema| (schema.cedar(), &uid));
    let context = cedar_policy::Context::from_json_str(text, schema).map_err(|e| e.to_string())?;
    let context: &ast::Context = context.as_ref();
    match context {
        ast::Context::Value(values) => {
            if values.values().any(|v| depth(v) > depth_max) { return Err("too deep".into()); }
            Ok(Context::clone(values))
        }
        ast::Context::RestrictedResidual(_) => Err("it has unknowns".into()),
    }
}
