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
use crate::engine::named::Named;
use crate::engine::named::Probe;
use crate::engine::policy::Policy;
use crate::engine::query::Context;
use crate::engine::schema::ActionFacts;
use crate::engine::schema::Schema;
use crate::engine::scope::Actions;
use crate::engine::scope::Constraint;
use crate::engine::scope::Parties;
use crate::engine::scope::Party;
use crate::engine::scope::Scope;

/// What a change can alter.
#[derive(Debug)]
pub struct Touched<'a> {
    /// Every decision.
    pub everything: bool,
    /// Entities that differ, or lead to one that does.
    pub entities: HashSet<Arc<EntityUID>>,
    /// The policies and links that are only on one side, with the side that has them.
    pub policies: Vec<(World<'a>, &'a Policy)>,
}

impl<'a> Touched<'a> {
    /// By all that differs; `changed` are the entities that do.
    pub fn new(before: World<'a>, after: World<'a>, changed: &BTreeSet<Arc<EntityUID>>) -> Self {
        let entities = if changed.is_empty() {
            HashSet::new()
        } else {
            leading_to(before, after, changed)
        };
        let actions = differing_actions(before, after);
        let is_read = |world: World<'_>| {
            let mut literals = policies(world).flat_map(literals);
            literals.any(|uid| entities.contains(&uid) || actions.contains(&uid))
        };
        let everything = !means_the_same(before.snapshot.manifest(), after.snapshot.manifest())
            || before.snapshot.schema().is_some() != after.snapshot.schema().is_some()
            || (!(entities.is_empty() && actions.is_empty())
                && (is_read(before) || is_read(after)));
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

fn declared<'a>(world: World<'a>, action: &EntityUID) -> Option<&'a ActionFacts> {
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

fn policies(world: World<'_>) -> impl Iterator<Item = &Policy> {
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

/// One demand of a scope, by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// On the principal.
    Principal,
    /// On the action.
    Action,
    /// On the resource.
    Resource,
}

/// A demand of a policy's scope, asked of entities of its side.
#[derive(Debug)]
pub struct Demand<'a> {
    world: World<'a>,
    part: Part,
    scope: Scope,
}

impl<'a> Demand<'a> {
    /// The demand of a policy.
    pub fn new(world: World<'a>, policy: &Policy, part: Part) -> Self {
        let mut scope = Scope {
            principal: Constraint::Any,
            action: Actions::Any,
            resource: Constraint::Any,
        };
        match part {
            Part::Principal => scope.principal = policy.scope.principal.clone(),
            Part::Action => scope.action = policy.scope.action.clone(),
            Part::Resource => scope.resource = policy.scope.resource.clone(),
        }
        Self { world, part, scope }
    }

    /// Whether an entity fits.
    pub fn holds(&self, uid: &EntityUID) -> bool {
        let above = match self.part {
            // Without a schema actions are entities like others.
            Part::Action if self.world.snapshot.schema().is_some() => declared(self.world, uid)
                .map(|action| action.ancestors.iter().collect())
                .unwrap_or_default(),
            Part::Principal | Part::Action | Part::Resource => ancestors(self.world, uid),
        };
        let party = Party::new(Probe::new(uid), &above);
        self.scope.holds(&Parties {
            principal: party,
            action: party,
            resource: party,
        })
    }
}

/// The ancestors of an entity, direct and indirect.
fn ancestors<'a>(world: World<'a>, uid: &EntityUID) -> Vec<&'a Named> {
    let mut above: Vec<&'a Named> = Vec::new();
    let mut seen: HashSet<&EntityUID> = HashSet::new();
    let mut next: Vec<Probe<'_>> = vec![Probe::new(uid)];
    while let Some(probe) = next.pop() {
        let Some(stored) = world.view.get(probe) else {
            continue;
        };
        for parent in &stored.parents {
            if seen.insert(parent.uid()) {
                above.push(parent);
                next.push(parent.probe());
            }
        }
    }
    above
}
