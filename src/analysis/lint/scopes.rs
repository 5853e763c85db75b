//! Scopes compared with one another: which covers which, and which cannot meet.

use std::collections::BTreeSet;
use std::sync::Arc;

use cedar_policy_core::ast::ActionConstraint;
use cedar_policy_core::ast::EntityReference;
use cedar_policy_core::ast::EntityType;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::PrincipalOrResourceConstraint;
use cedar_policy_core::ast::Template;
use rustc_hash::FxHashMap;

use crate::engine::schema::Schema;

/// What a policy demands of its principal or resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Party {
    /// Nothing.
    Any,
    /// `is T`
    Is(Arc<EntityType>),
    /// `in x`
    In(Arc<EntityUID>),
    /// `is T in x`
    IsIn(Arc<EntityType>, Arc<EntityUID>),
    /// `== x`
    Eq(Arc<EntityUID>),
    /// Something with a slot.
    Slot(PrincipalOrResourceConstraint),
}

/// The actions of a policy, groups resolved where there is a schema.
#[derive(Debug, PartialEq, Eq)]
pub enum ActionSet {
    /// Every action.
    Any,
    /// Some.
    Of {
        /// These.
        known: BTreeSet<EntityUID>,
        /// And whatever is in these, which without a schema nobody knows.
        groups: BTreeSet<EntityUID>,
    },
}

/// The scope of a policy.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The demand on the principal.
    pub principal: Party,
    /// The actions.
    pub actions: Arc<ActionSet>,
    /// The demand on the resource.
    pub resource: Party,
}

/// The actions of the scopes that were read so far: most policies share theirs.
#[derive(Debug, Default)]
pub struct Resolved(FxHashMap<ActionConstraint, Arc<ActionSet>>);

/// Reads the scope of a policy. What was resolved for the same actions before is
/// shared.
pub fn scope_of(template: &Template, schema: Option<&Schema>, resolved: &mut Resolved) -> Scope {
    let constraint = template.action_constraint();
    let actions = match resolved.0.get(constraint) {
        Some(actions) => Arc::clone(actions),
        None => {
            let actions = Arc::new(ActionSet::new(constraint, schema));
            resolved.0.insert(constraint.clone(), Arc::clone(&actions));
            actions
        }
    };
    Scope {
        principal: Party::new(template.principal_constraint().as_inner()),
        actions,
        resource: Party::new(template.resource_constraint().as_inner()),
    }
}

impl Party {
    /// Reads Cedar's constraint.
    pub fn new(constraint: &PrincipalOrResourceConstraint) -> Self {
        use PrincipalOrResourceConstraint as Por;
        match constraint {
            Por::Any => Self::Any,
            Por::Is(entity_type) => Self::Is(Arc::clone(entity_type)),
            Por::In(EntityReference::EUID(uid)) => Self::In(Arc::clone(uid)),
            Por::Eq(EntityReference::EUID(uid)) => Self::Eq(Arc::clone(uid)),
            Por::IsIn(entity_type, EntityReference::EUID(uid)) => {
                Self::IsIn(Arc::clone(entity_type), Arc::clone(uid))
            }
            other => Self::Slot(other.clone()),
        }
    }

    /// Every demand that this one fulfils whatever the entities are: itself first.
    pub fn wider(&self) -> Vec<Self> {
        let of = |uid: &Arc<EntityUID>| Arc::new(uid.entity_type().clone());
        match self {
            Self::Any => vec![Self::Any],
            Self::Is(_) | Self::In(_) | Self::Slot(_) => vec![self.clone(), Self::Any],
            Self::IsIn(entity_type, uid) => vec![
                self.clone(),
                Self::Is(Arc::clone(entity_type)),
                Self::In(Arc::clone(uid)),
                Self::Any,
            ],
            Self::Eq(uid) => vec![
                self.clone(),
                Self::IsIn(of(uid), Arc::clone(uid)),
                Self::Is(of(uid)),
                Self::In(Arc::clone(uid)),
                Self::Any,
            ],
        }
    }

    /// The one type that fits, if only one can.
    pub fn entity_type(&self) -> Option<&EntityType> {
        match self {
            Self::Is(entity_type) | Self::IsIn(entity_type, _) => Some(entity_type),
            Self::Eq(uid) => Some(uid.entity_type()),
            Self::Slot(constraint) => match constraint {
                PrincipalOrResourceConstraint::IsIn(entity_type, _) => Some(entity_type),
                _ => None,
            },
            Self::Any | Self::In(_) => None,
        }
    }

    /// Whether no entity of these types can fulfil both demands; no types means any.
    fn is_apart(&self, other: &Self, types: Option<&[EntityType]>) -> bool {
        if let (Self::Eq(a), Self::Eq(b)) = (self, other)
            && a != b
        {
            return true;
        }
        match (self.entity_type(), other.entity_type(), types) {
            // Nobody can do an action that is only a group.
            (_, _, Some([])) => true,
            (Some(a), Some(b), _) if a != b => true,
            (Some(one), _, Some(types)) | (None, Some(one), Some(types)) => !types.contains(one),
            _ => false,
        }
    }
}

impl ActionSet {
    fn new(constraint: &ActionConstraint, schema: Option<&Schema>) -> Self {
        let named: Vec<&EntityUID> = constraint.iter_euids().collect();
        if matches!(constraint, ActionConstraint::Any) {
            return Self::Any;
        }
        let is_group = matches!(constraint, ActionConstraint::In(_));
        let mut all: BTreeSet<EntityUID> = named.iter().copied().cloned().collect();
        if is_group {
            let members = schema
                .into_iter()
                .flat_map(Schema::actions)
                .filter(|action| {
                    let mut ancestors = action.ancestors.iter();
                    ancestors.any(|ancestor| named.contains(&&**ancestor.uid()))
                });
            all.extend(members.map(|action| EntityUID::clone(&action.uid)));
        }
        let is_open = is_group && schema.is_none();
        let groups = named.into_iter().filter(|_| is_open).cloned().collect();
        Self::Of { known: all, groups }
    }

    /// Whether it has every action of another.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Of { .. }, Self::Any) => false,
            (
                Self::Of { known, groups },
                Self::Of {
                    known: others,
                    groups: other_groups,
                },
            ) => others.is_subset(known) && other_groups.is_subset(groups),
        }
    }
}

impl Scope {
    /// Whether a request can be in both scopes, as far as types and actions tell.
    pub fn meets(&self, other: &Self, schema: Option<&Schema>) -> bool {
        let fits = |types: Option<(&[EntityType], &[EntityType])>| {
            !self
                .principal
                .is_apart(&other.principal, types.map(|types| types.0))
                && !self
                    .resource
                    .is_apart(&other.resource, types.map(|types| types.1))
        };
        let of_action = |uid: &EntityUID| {
            let facts = schema.and_then(|schema| schema.action(uid));
            fits(facts.map(|facts| (&*facts.principals, &*facts.resources)))
        };
        match (&*self.actions, &*other.actions) {
            (
                ActionSet::Of { known: a, groups },
                ActionSet::Of {
                    known: b,
                    groups: more,
                },
            ) if groups.is_empty() && more.is_empty() => a.intersection(b).any(of_action),
            (ActionSet::Any, ActionSet::Of { known, .. })
            | (ActionSet::Of { known, .. }, ActionSet::Any) => known.iter().any(of_action),
            // What is in a group nobody knows.
            _ => fits(None),
        }
    }
}
