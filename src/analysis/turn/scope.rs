//! Steps that a policy's scope asks for: memberships.

use std::sync::Arc;

use cedar_policy_core::ast::ActionConstraint;
use cedar_policy_core::ast::EntityReference;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::PrincipalOrResourceConstraint;

use super::Spot;
use super::Step;
use super::world::World;
use crate::engine::Snapshot;
use crate::engine::named::Named;
use crate::engine::policy::Policy;

/// Memberships that would bring the question into the scope of a policy; none when
/// it is in it, or cannot come in.
pub(super) fn into_scope(snapshot: &Snapshot, world: &World, policy: &Policy) -> Vec<Step> {
    let query = &world.query;
    let action: Vec<Arc<EntityUID>> = snapshot
        .schema()
        .and_then(|schema| schema.action(&query.action))
        .map(|action| {
            let above = action.ancestors.iter();
            above.map(|group| Arc::clone(group.uid())).collect()
        })
        .unwrap_or_default();
    let is_it = |uid: &Arc<EntityUID>| *uid == query.action || action.contains(uid);
    let holds_action = match policy.cedar.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(uid) => *uid == query.action,
        ActionConstraint::In(uids) => uids.iter().any(is_it),
        #[expect(
            unreachable_patterns,
            reason = "cedar has a further variant when another crate enables `tolerant-ast`"
        )]
        _ => false,
    };
    if !holds_action {
        return Vec::new();
    }
    let sides = [
        (
            &query.principal,
            policy.cedar.principal_constraint().into_inner(),
        ),
        (
            &query.resource,
            policy.cedar.resource_constraint().into_inner(),
        ),
    ];
    let mut steps = Vec::new();
    for (uid, constraint) in sides {
        match missing(world, uid, &constraint) {
            Missing::Nothing => {}
            Missing::Parent(parent) => steps.push(Step {
                spot: Spot::Parent(Arc::clone(uid), parent, true),
                to: None,
            }),
            Missing::Other => return Vec::new(),
        }
    }
    steps
}

/// The direct membership that brings the question into the scope of a policy,
/// taken away: all of them.
pub(super) fn out_of_scope(world: &World, policy: &Policy) -> Vec<Step> {
    let query = &world.query;
    let sides = [
        (
            &query.principal,
            policy.cedar.principal_constraint().into_inner(),
        ),
        (
            &query.resource,
            policy.cedar.resource_constraint().into_inner(),
        ),
    ];
    let mut steps = Vec::new();
    for (uid, constraint) in sides {
        if let Some(place) = place(&constraint) {
            steps.extend(leave(world, uid, place));
        }
    }
    steps
}

/// The direct memberships by which an entity is in another, taken away.
pub(super) fn leave(world: &World, uid: &Arc<EntityUID>, place: &EntityUID) -> Vec<Step> {
    let leads = |parent: &Named| {
        let above = world.ancestors(parent.uid());
        **parent.uid() == *place || above.iter().any(|ancestor| **ancestor.uid() == *place)
    };
    let parents = world.parents(uid).into_iter();
    parents
        .filter(leads)
        .map(|parent| Step {
            spot: Spot::Parent(Arc::clone(uid), Arc::clone(parent.uid()), false),
            to: None,
        })
        .collect()
}

enum Missing {
    Nothing,
    Parent(Arc<EntityUID>),
    Other,
}

fn missing(world: &World, uid: &EntityUID, constraint: &PrincipalOrResourceConstraint) -> Missing {
    use PrincipalOrResourceConstraint as Por;
    let fits_type = match constraint {
        Por::Is(entity_type) | Por::IsIn(entity_type, _) => uid.entity_type() == &**entity_type,
        _ => true,
    };
    let fits_uid = match constraint {
        Por::Eq(EntityReference::EUID(wanted)) => uid == &**wanted,
        Por::Eq(EntityReference::Slot(_)) => false,
        _ => true,
    };
    if !fits_type || !fits_uid {
        return Missing::Other;
    }
    match place(constraint) {
        Some(place) if uid != &**place => {
            let above = world.ancestors(uid);
            if above.iter().any(|ancestor| ancestor.uid() == place) {
                Missing::Nothing
            } else {
                Missing::Parent(Arc::clone(place))
            }
        }
        _ => Missing::Nothing,
    }
}

/// What the constraint wants to be above.
fn place(constraint: &PrincipalOrResourceConstraint) -> Option<&Arc<EntityUID>> {
    use PrincipalOrResourceConstraint as Por;
    match constraint {
        Por::In(EntityReference::EUID(uid)) | Por::IsIn(_, EntityReference::EUID(uid)) => Some(uid),
        _ => None,
    }
}
