//! Whether two scopes let through the same, by what the schema allows.
//!
//! The schema says which types of principal and resource an action is for; what
//! else is asked is denied before any policy is looked at. So `principal is User`
//! says nothing where the action is for users only, and leaving it out changes
//! nothing.

use std::collections::BTreeSet;

use cedar_policy_core::ast::EntityReference;
use cedar_policy_core::ast::EntityType;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::PrincipalOrResourceConstraint;
use cedar_policy_core::ast::Template;

use crate::engine::Snapshot;
use crate::engine::manifest::OnUnknown;
use crate::engine::named::Named;
use crate::engine::named::Probe;
use crate::engine::schema::Schema;
use crate::engine::scope::Actions;
use crate::engine::scope::Party;

/// A type of principal, an action, and a type of resource.
type Environment<'a> = (&'a EntityType, &'a EntityUID, &'a EntityType);

/// Whether the scopes differ in nothing but types, and that makes no difference.
pub(super) fn same_scope(a: &Template, b: &Template, snapshot: &Snapshot) -> bool {
    let sides = |template: &Template| {
        [
            place(template.principal_constraint().as_inner()).cloned(),
            place(template.resource_constraint().as_inner()).cloned(),
        ]
    };
    let is_eq = |template: &Template| {
        [
            template.principal_constraint().as_inner(),
            template.resource_constraint().as_inner(),
        ]
        .map(|constraint| matches!(constraint, PrincipalOrResourceConstraint::Eq(_)))
    };
    if sides(a) != sides(b) || is_eq(a) != is_eq(b) {
        return false;
    }
    let Some(schema) = snapshot.schema() else {
        return false;
    };
    // Elsewhere what does not fit the schema is decided by the policies.
    snapshot.manifest().unknown == OnUnknown::Deny
        && environments(a, schema) == environments(b, schema)
}

/// What is named besides a type.
fn place(constraint: &PrincipalOrResourceConstraint) -> Option<&EntityReference> {
    use PrincipalOrResourceConstraint as Por;
    match constraint {
        Por::Any | Por::Is(_) => None,
        Por::Eq(place) | Por::In(place) | Por::IsIn(_, place) => Some(place),
    }
}

fn environments<'a>(template: &Template, schema: &'a Schema) -> BTreeSet<Environment<'a>> {
    let actions = Actions::new(template.action_constraint());
    let principals = types(template.principal_constraint().as_inner(), schema);
    let resources = types(template.resource_constraint().as_inner(), schema);
    let mut environments = BTreeSet::new();
    for action in schema.actions() {
        let ancestors: Vec<&Named> = action.ancestors.iter().collect();
        let party = Party::new(Probe::new(&action.uid), &ancestors);
        if !actions
            .as_ref()
            .is_some_and(|actions| actions.holds(&party))
        {
            continue;
        }
        for principal in action
            .principals
            .iter()
            .filter(|found| principals.has(found))
        {
            for resource in action.resources.iter().filter(|found| resources.has(found)) {
                environments.insert((principal, &*action.uid, resource));
            }
        }
    }
    environments
}

/// The types that something may have; `None` for any.
struct Types(Option<BTreeSet<EntityType>>);

impl Types {
    fn has(&self, entity_type: &EntityType) -> bool {
        let types = self.0.as_ref();
        types.is_none_or(|types| types.contains(entity_type))
    }
}

fn types(constraint: &PrincipalOrResourceConstraint, schema: &Schema) -> Types {
    use PrincipalOrResourceConstraint as Por;
    let only = |entity_type: &EntityType| Types(Some(BTreeSet::from([entity_type.clone()])));
    match constraint {
        Por::Is(entity_type) => only(entity_type),
        Por::Eq(EntityReference::EUID(uid)) => only(uid.entity_type()),
        Por::In(EntityReference::EUID(uid)) => Types(Some(below(uid, schema))),
        Por::IsIn(entity_type, EntityReference::EUID(uid)) => {
            let mut types = below(uid, schema);
            types.retain(|found| found == &**entity_type);
            Types(Some(types))
        }
        Por::IsIn(entity_type, EntityReference::Slot(_)) => only(entity_type),
        Por::Any | Por::Eq(EntityReference::Slot(_)) | Por::In(EntityReference::Slot(_)) => {
            Types(None)
        }
    }
}

/// The types of what can be in an entity, itself among them.
fn below(uid: &EntityUID, schema: &Schema) -> BTreeSet<EntityType> {
    let declared = schema.validator().get_entity_type(uid.entity_type());
    let mut types: BTreeSet<EntityType> = declared
        .map(|declared| declared.descendants.iter().cloned().collect())
        .unwrap_or_default();
    types.insert(uid.entity_type().clone());
    types
}
