//! Which decisions a change can alter.
//!
//! A decision reads the policies whose scope matches, the entities that these lead
//! to, and what the schema says of the action. Where none of that differs, neither
//! does the decision, and it need not be made.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::ExprKind;
use cedar_policy_core::ast::Literal;
use cedar_policy_core::ast::Value;
use cedar_policy_core::ast::ValueKind;
use smol_str::SmolStr;

use super::policies::STACK_BYTES;
use super::policies::says;
use crate::analysis::world::World;
use crate::engine::manifest::Manifest;
use crate::engine::policy::Policy;
use crate::engine::query::Context;
use crate::engine::schema::ActionFacts;
use crate::engine::schema::Schema;

/// What a change can alter.
#[derive(Debug)]
pub struct Touched<'a> {
    /// Every decision.
    pub everything: bool,
    /// Entities and actions that differ, and entities that lead to one that does.
    pub entities: HashSet<Arc<EntityUID>>,
    /// The policies and links that are only on one side, with the side that has them.
    pub policies: Vec<(World<'a>, &'a Policy)>,
}

impl<'a> Touched<'a> {
    /// By all that differs; `changed` are the entities that do.
    pub fn new(before: World<'a>, after: World<'a>, changed: &BTreeSet<Arc<EntityUID>>) -> Self {
        // The groups of an action can be read through a value that names it, too.
        let mut differing = differing_actions(before, after);
        differing.extend(changed.iter().map(Arc::clone));
        let entities = if differing.is_empty() {
            HashSet::new()
        } else {
            leading_to(before, after, &differing)
        };
        let is_read = |world: World<'_>| {
            let mut literals = policies(world).flat_map(literals);
            literals.any(|uid| entities.contains(&uid))
        };
        let everything = !means_the_same(before.snapshot.manifest(), after.snapshot.manifest())
            || before.snapshot.schema().is_some() != after.snapshot.schema().is_some()
            || (!entities.is_empty() && (is_read(before) || is_read(after)));
        let mut only = Vec::new();
        let (old, new) = (meanings(before), meanings(after));
        for (world, here, there) in [(before, &old, &new), (after, &new, &old)] {
            for (id, (meaning, policy)) in here {
                let is_same = there.get(id).is_some_and(|(other, _)| other == meaning);
                if !is_same {
                    only.push((world, *policy));
                }
            }
        }
        Self {
            everything,
            entities,
            policies: only,
        }
    }

    /// Whether every decision about an action can be altered.
    pub fn action(&self, before: World<'_>, after: World<'_>, action: &EntityUID) -> bool {
        self.everything
            // Without a schema actions are entities like others.
            || self.entities.contains(action)
            || differs(declared(before, action), declared(after, action))
    }

    /// Whether a context leads to an entity that differs.
    pub fn context(&self, context: &Context) -> bool {
        let mut named = Vec::new();
        for value in context.values() {
            uids(value, &mut named);
        }
        named.iter().any(|uid| self.entities.contains(uid))
    }
}

pub(super) fn declared<'a>(world: World<'a>, action: &EntityUID) -> Option<&'a ActionFacts> {
    world.snapshot.schema()?.action(action)
}

/// The actions of which the schemas do not say the same.
fn differing_actions(before: World<'_>, after: World<'_>) -> BTreeSet<Arc<EntityUID>> {
    let schemas = [before, after].map(|world| world.snapshot.schema());
    let all = schemas.into_iter().flatten().flat_map(Schema::actions);
    all.filter(|action| differs(declared(before, &action.uid), declared(after, &action.uid)))
        .map(|action| Arc::clone(&action.uid))
        .collect()
}

fn differs(before: Option<&ActionFacts>, after: Option<&ActionFacts>) -> bool {
    let (Some(before), Some(after)) = (before, after) else {
        return before.is_some() != after.is_some();
    };
    let types = |action: &ActionFacts| {
        let principals: BTreeSet<String> =
            action.principals.iter().map(ToString::to_string).collect();
        let resources: BTreeSet<String> =
            action.resources.iter().map(ToString::to_string).collect();
        let groups: BTreeSet<String> = action
            .ancestors
            .iter()
            .map(|group| group.uid().to_string())
            .collect();
        (principals, resources, groups)
    };
    types(before) != types(after)
}

fn means_the_same(before: &Manifest, after: &Manifest) -> bool {
    let types = |manifest: &Manifest| -> BTreeSet<String> {
        let types = manifest.implicit_types.iter();
        types.map(ToString::to_string).collect()
    };
    before.errors == after.errors
        && before.unknown == after.unknown
        && types(before) == types(after)
}

pub(super) fn policies(world: World<'_>) -> impl Iterator<Item = &Policy> {
    world
        .snapshot
        .rules()
        .iter()
        .chain(world.view.links().iter())
}

/// What each policy and link says. By id, which is unique among both.
fn meanings(world: World<'_>) -> BTreeMap<&SmolStr, (String, &Policy)> {
    stacker::grow(STACK_BYTES, || {
        let all = policies(world);
        all.map(|policy| (&policy.info.id, (says(policy), policy)))
            .collect()
    })
}

/// The entities that a condition names.
fn literals(policy: &Policy) -> Vec<Arc<EntityUID>> {
    let Some(condition) = &policy.condition else {
        return Vec::new();
    };
    let named = condition
        .subexpressions()
        .filter_map(|part| match part.expr_kind() {
            ExprKind::Lit(Literal::EntityUID(uid)) => Some(Arc::clone(uid)),
            _ => None,
        });
    named.collect()
}

/// The entities that policies, links and stored entities name.
pub(super) fn named(world: World<'_>) -> Vec<Arc<EntityUID>> {
    let mut named = Vec::new();
    for policy in policies(world) {
        named.extend(literals(policy));
        named.extend(policy.scope.named().map(Arc::clone));
    }
    for (_, stored) in world.view.iter() {
        named.extend(stored.parents.iter().map(|parent| Arc::clone(parent.uid())));
        let fields = stored.unpack(world.snapshot.types()).unwrap_or_default();
        for (_, value) in fields.0.iter().chain(&fields.1) {
            uids(value, &mut named);
        }
    }
    named
}

/// The entities that differ, and all that lead to them by parents, attributes and
/// tags, on either side.
fn leading_to(
    before: World<'_>,
    after: World<'_>,
    changed: &BTreeSet<Arc<EntityUID>>,
) -> HashSet<Arc<EntityUID>> {
    let mut named_by: HashMap<Arc<EntityUID>, Vec<Arc<EntityUID>>> = HashMap::new();
    for world in [before, after] {
        for (named, stored) in world.view.iter() {
            let mut named_here: Vec<Arc<EntityUID>> = stored
                .parents
                .iter()
                .map(|parent| Arc::clone(parent.uid()))
                .collect();
            let fields = stored.unpack(world.snapshot.types()).unwrap_or_default();
            for (_, value) in fields.0.iter().chain(&fields.1) {
                uids(value, &mut named_here);
            }
            for uid in named_here {
                let by = named_by.entry(uid).or_default();
                by.push(Arc::clone(named.uid()));
            }
        }
    }
    let mut found: HashSet<Arc<EntityUID>> = changed.iter().map(Arc::clone).collect();
    let mut next: Vec<Arc<EntityUID>> = changed.iter().map(Arc::clone).collect();
    while let Some(uid) = next.pop() {
        for by in named_by.get(&uid).into_iter().flatten() {
            if found.insert(Arc::clone(by)) {
                next.push(Arc::clone(by));
            }
        }
    }
    found
}

/// The entities that a value names.
fn uids(value: &Value, into: &mut Vec<Arc<EntityUID>>) {
    match value.value_kind() {
        ValueKind::Lit(Literal::EntityUID(uid)) => into.push(Arc::clone(uid)),
        ValueKind::Set(set) => set.iter().for_each(|value| uids(value, into)),
        ValueKind::Record(fields) => fields.values().for_each(|value| uids(value, into)),
        ValueKind::Lit(_) | ValueKind::ExtensionValue(_) => {}
    }
}
