//! Who and what is asked about: entities that are stored or named, actions that are
//! declared or named, and one of each kind that nothing names where such are decided
//! about, too.

use std::collections::BTreeSet;
use std::str::FromStr as _;
use std::sync::Arc;

use cedar_policy_core::ast::ActionConstraint;
use cedar_policy_core::ast::Eid;
use cedar_policy_core::ast::EntityType;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::ExprKind;
use cedar_policy_core::ast::PrincipalOrResourceConstraint;
use cedar_policy_core::validator::ValidatorEntityTypeKind;

use super::demands::Part;
use super::touched::named;
use super::touched::policies;
use crate::analysis::world::World;
use crate::engine::manifest::OnUnknown;
use crate::engine::policy::Policy;
use crate::engine::schema::Schema;
use crate::testing::Case;

/// What one that nothing names is called.
const ANY_OTHER: &str = "any other";

/// All entities of both sides, those that test cases name, and of those that are
/// decided about without being stored all that is named anywhere, and one of each type
/// that is not. In order.
pub fn uids(before: World<'_>, after: World<'_>, cases: &[Case]) -> Vec<Arc<EntityUID>> {
    let worlds = [before, after];
    let mut uids = BTreeSet::new();
    for world in worlds {
        let stored = world.view.iter().map(|(named, _)| Arc::clone(named.uid()));
        uids.extend(stored.filter(|uid| !uid.is_action()));
    }
    for case in cases {
        uids.insert(Arc::clone(&case.question.principal));
        uids.insert(Arc::clone(&case.question.resource));
    }
    let manifests = worlds.map(|world| world.snapshot.manifest());
    let mut types: BTreeSet<EntityType> = BTreeSet::new();
    for manifest in manifests {
        types.extend(manifest.implicit_types.iter().cloned());
    }
    let is_open = manifests
        .iter()
        .any(|manifest| manifest.unknown == OnUnknown::Cedar);
    if !is_open && types.is_empty() {
        return uids.into_iter().collect();
    }
    let named = worlds.into_iter().flat_map(named);
    let named = named.filter(|uid| !uid.is_action());
    uids.extend(named.filter(|uid| is_open || types.contains(uid.entity_type())));
    if is_open {
        types.extend(uids.iter().map(|uid| uid.entity_type().clone()));
        types.extend(worlds.into_iter().flat_map(told_of));
    }
    for entity_type in types {
        if !worlds.iter().any(|world| is_listed(*world, &entity_type)) {
            let other = any_other(&entity_type, &uids);
            uids.insert(other);
        }
    }
    uids.into_iter().collect()
}

/// The actions that something can be asked of, in order: those that a schema
/// declares; where others are decided about, too, those that are stored or named, and
/// one that is not.
pub fn actions(before: World<'_>, after: World<'_>, cases: &[Case]) -> BTreeSet<Arc<EntityUID>> {
    let worlds = [before, after];
    let is_open = worlds.iter().any(|world| is_open(*world));
    let mut actions = BTreeSet::new();
    for world in worlds {
        let declared = world.snapshot.schema().into_iter();
        let declared = declared.flat_map(Schema::actions);
        let asked = declared.filter(|action| is_open || !action.principals.is_empty());
        actions.extend(asked.map(|action| Arc::clone(&action.uid)));
    }
    if !is_open {
        return actions;
    }
    for world in worlds {
        for policy in policies(world) {
            match policy.cedar.action_constraint() {
                ActionConstraint::Eq(uid) => {
                    actions.insert(Arc::clone(uid));
                }
                ActionConstraint::In(uids) => actions.extend(uids.iter().map(Arc::clone)),
                ActionConstraint::Any => {}
            }
        }
        let stored = world.view.iter().map(|(named, _)| Arc::clone(named.uid()));
        let all = stored.chain(named(world));
        actions.extend(all.filter(|uid| uid.is_action()));
    }
    actions.extend(cases.iter().map(|case| Arc::clone(&case.question.action)));
    let mut types: BTreeSet<EntityType> = actions
        .iter()
        .map(|action| action.entity_type().clone())
        .collect();
    if types.is_empty() {
        types.extend(EntityType::from_str("Action"));
    }
    for entity_type in types {
        let other = any_other(&entity_type, &actions);
        actions.insert(other);
    }
    actions
}

/// The entities whose types an action applies to, on either side.
pub fn applicable(
    before: World<'_>,
    after: World<'_>,
    action: &EntityUID,
    part: Part,
    uids: &[Arc<EntityUID>],
) -> Vec<u32> {
    let mut types = BTreeSet::new();
    let worlds = [before, after];
    for world in worlds {
        let schema = world.snapshot.schema();
        if let Some(declared) = schema.and_then(|schema| schema.action(action)) {
            types.extend(match part {
                Part::Principal => &declared.principals,
                Part::Resource => &declared.resources,
            });
        }
    }
    let is_open = worlds.iter().any(|world| is_open(*world));
    let all = (0_u32..).zip(uids);
    all.filter(|(_, uid)| is_open || types.contains(uid.entity_type()))
        .map(|(at, _)| at)
        .collect()
}

/// Whether policies are asked whatever the schema says, if there is one.
fn is_open(world: World<'_>) -> bool {
    world.snapshot.schema().is_none() || world.snapshot.manifest().unknown == OnUnknown::Cedar
}

/// Whether the schema lists all ids of a type, so that there are no others.
fn is_listed(world: World<'_>, entity_type: &EntityType) -> bool {
    let schema = world.snapshot.schema();
    let declared = schema.and_then(|schema| schema.validator().get_entity_type(entity_type));
    declared.is_some_and(|declared| matches!(declared.kind, ValidatorEntityTypeKind::Enum(_)))
}

/// The types that actions apply to, and that policies ask for.
fn told_of(world: World<'_>) -> Vec<EntityType> {
    let schema = world.snapshot.schema().into_iter();
    let actions = schema.flat_map(Schema::actions);
    let declared = actions.flat_map(|action| action.principals.iter().chain(&action.resources));
    let asked_for = policies(world).flat_map(asked_for);
    declared.cloned().chain(asked_for).collect()
}

fn asked_for(policy: &Policy) -> Vec<EntityType> {
    use PrincipalOrResourceConstraint as Por;
    let cedar = &policy.cedar;
    let demanded = |constraint: &Por| match constraint {
        Por::Is(entity_type) | Por::IsIn(entity_type, _) => Some(EntityType::clone(entity_type)),
        Por::Any | Por::Eq(_) | Por::In(_) => None,
    };
    let of_scope = [
        demanded(cedar.principal_constraint().as_inner()),
        demanded(cedar.resource_constraint().as_inner()),
    ];
    let parts = policy
        .condition
        .iter()
        .flat_map(|part| part.subexpressions());
    let of_condition = parts.filter_map(|part| match part.expr_kind() {
        ExprKind::Is { entity_type, .. } => Some(entity_type.clone()),
        _ => None,
    });
    let all = of_scope.into_iter().flatten().chain(of_condition);
    all.filter(|entity_type| !entity_type.is_action()).collect()
}

/// One of a type that is none of these.
fn any_other(entity_type: &EntityType, known: &BTreeSet<Arc<EntityUID>>) -> Arc<EntityUID> {
    let mut id = ANY_OTHER.to_owned();
    loop {
        let uid = EntityUID::from_components(entity_type.clone(), Eid::new(id.as_str()), None);
        if !known.contains(&uid) {
            return Arc::new(uid);
        }
        id.push('\'');
    }
}
