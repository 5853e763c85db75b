//! The question: may this principal do this action to this resource, now?

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use cedar_policy_core::ast::Entity;
use cedar_policy_core::ast::EntityType;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::Value;
use smol_str::SmolStr;
use thiserror::Error;

use super::conform;
use super::conform::Misfit;
use super::packed::Damaged;
use super::snapshot::Snapshot;

/// The context of a query: Cedar values by name.
pub type Context = BTreeMap<SmolStr, Value>;

/// A query that fits the snapshot it was made for.
#[derive(Debug, Clone)]
pub struct Query {
    /// Who asks.
    pub principal: Arc<EntityUID>,
    /// To do what.
    pub action: Arc<EntityUID>,
    /// To what.
    pub resource: Arc<EntityUID>,
    /// The circumstances.
    pub context: Arc<Context>,
    /// Entities that the request carries, with their direct parents. They
    /// overlay the stored ones for this query.
    pub overlay: Arc<[Entity]>,
}

/// A query that cannot be asked: the caller has to mend it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QueryError {
    /// A type that the schema does not declare.
    #[error("`{field}` has the type `{name}`, which the schema does not declare")]
    UnknownType {
        /// The field of the request.
        field: String,
        /// The name of the type.
        name: String,
        /// A declared type whose name is close.
        suggestion: Option<String>,
    },
    /// A name that is not the name of an entity type at all.
    #[error("`{field}` has the type `{name}`, which is not a name")]
    BadTypeName {
        /// The field of the request.
        field: String,
        /// The text given.
        name: String,
    },
    /// An id that its enumerated type does not have.
    #[error("`{field}` {reason}")]
    UndeclaredId {
        /// The field of the request.
        field: String,
        /// Why, to be read after the field.
        reason: String,
    },
    /// A context that the schema refuses.
    #[error(transparent)]
    Context(Misfit),
    /// A carried entity that the schema refuses.
    #[error("`entities`: {0}")]
    Entity(Misfit),
    /// Carried entities that make an entity its own ancestor.
    #[error("`entities` form a cycle: {0}")]
    Cycle(String),
    /// An entity with too many ancestors.
    #[error("`{uid}` has more than {limit} ancestors")]
    Ancestors {
        /// The entity.
        uid: String,
        /// How many there may be.
        limit: usize,
    },
    /// A fault of ours.
    #[error("{0}")]
    Internal(String),
}

impl QueryError {
    pub(super) fn damaged(uid: &EntityUID, damaged: Damaged) -> Self {
        Self::Internal(format!(
            "the stored entity `{uid}` cannot be read: {damaged}"
        ))
    }

    /// The field of the request that has to be mended.
    pub fn field(&self) -> &str {
        match self {
            Self::UnknownType { field, .. }
            | Self::BadTypeName { field, .. }
            | Self::UndeclaredId { field, .. } => field,
            Self::Context(misfit) => &misfit.path,
            Self::Entity(_) | Self::Cycle(_) => "entities",
            Self::Ancestors { .. } | Self::Internal(_) => "request",
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::UnknownType {
                suggestion: Some(suggestion),
                ..
            } => format!("did you mean `{suggestion}`?"),
            Self::UnknownType { .. } => {
                "types are written with their namespace, as in the schema".into()
            }
            Self::BadTypeName { .. } => "write the type as in a policy: `Namespace::Type`".into(),
            Self::UndeclaredId { .. } => {
                "use one of the ids that the schema lists for this type".into()
            }
            Self::Context(_) => "see the `context` that the schema declares for this action".into(),
            Self::Entity(_) => "see the entity type in the schema".into(),
            Self::Cycle(_) => "leave out one of the parents".into(),
            Self::Ancestors { .. } => "give it fewer groups, or groups of fewer groups".into(),
            Self::Internal(_) => "report this: it is a fault of deodar".into(),
        }
    }
}

impl Query {
    /// Makes a query that fits the schema of `snapshot`, if it has one.
    ///
    /// An action that the schema does not declare, or that it does not let this
    /// type of principal do, is not an error: that question has an answer, and
    /// the answer is deny. So its context is not checked either.
    ///
    /// # Errors
    /// The first thing that does not fit, by field.
    pub fn new(
        snapshot: &Snapshot,
        principal: Arc<EntityUID>,
        action: Arc<EntityUID>,
        resource: Arc<EntityUID>,
        context: Arc<Context>,
        overlay: Arc<[Entity]>,
    ) -> Result<Self, QueryError> {
        let query = Self {
            principal,
            action,
            resource,
            context,
            overlay,
        };
        query.check(snapshot)?;
        Ok(query)
    }

    /// The query of others about the same action in the same circumstances. The
    /// context is not checked again: see [`Query::is_checked`].
    ///
    /// # Errors
    /// A principal or resource that does not fit.
    pub fn of_others(
        &self,
        snapshot: &Snapshot,
        principal: Arc<EntityUID>,
        resource: Arc<EntityUID>,
        overlay: Arc<[Entity]>,
    ) -> Result<Self, QueryError> {
        let query = Self {
            principal,
            resource,
            overlay,
            action: Arc::clone(&self.action),
            context: Arc::clone(&self.context),
        };
        query.check_parties(snapshot)?;
        Ok(query)
    }

    /// Whether the context was checked, if there is something to check it by: that
    /// of a query which is denied for its types is not.
    pub fn is_checked(&self, snapshot: &Snapshot) -> bool {
        let Some(schema) = snapshot.schema() else {
            return true;
        };
        let action = schema.action(&self.action);
        action.is_some_and(|action| action.applies_to(&self.principal, &self.resource))
    }

    fn check(&self, snapshot: &Snapshot) -> Result<(), QueryError> {
        self.check_parties(snapshot)?;
        let Some(schema) = snapshot.schema() else {
            return Ok(());
        };
        let Some(action) = schema.action(&self.action) else {
            return Ok(());
        };
        if action.applies_to(&self.principal, &self.resource) {
            conform::context(schema.validator(), &action.context, &self.context)
                .map_err(QueryError::Context)?;
        }
        Ok(())
    }

    fn check_parties(&self, snapshot: &Snapshot) -> Result<(), QueryError> {
        let Some(schema) = snapshot.schema() else {
            return Ok(());
        };
        if !schema.has_enumerated_types() || schema.action(&self.action).is_none() {
            return Ok(());
        }
        for (field, uid) in [("principal", &self.principal), ("resource", &self.resource)] {
            let error = |reason| QueryError::UndeclaredId {
                field: field.to_owned(),
                reason,
            };
            conform::uid(schema.validator(), uid).map_err(error)?;
        }
        Ok(())
    }
}

/// The entity type of this name, for a field of a request.
///
/// # Errors
/// When the schema does not declare it, or, without a schema, when it is not a
/// name.
pub fn entity_type(
    snapshot: &Snapshot,
    field: &dyn Display,
    name: &str,
) -> Result<EntityType, QueryError> {
    match snapshot.schema() {
        Some(schema) => schema
            .entity_type(name)
            .cloned()
            .ok_or_else(|| QueryError::UnknownType {
                field: field.to_string(),
                name: name.to_owned(),
                suggestion: closest(name, schema.type_names()),
            }),
        None => EntityType::from_normalized_str(name).map_err(|_| QueryError::BadTypeName {
            field: field.to_string(),
            name: name.to_owned(),
        }),
    }
}

/// The known name that was most likely meant: same last part, or the same
/// letters in another case.
fn closest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let last = |name: &str| name.rsplit("::").next().unwrap_or_default().to_lowercase();
    let wanted = last(name);
    let mut close: Vec<&str> = known.filter(|known| last(known) == wanted).collect();
    close.sort_unstable();
    close.first().map(|name| (*name).to_owned())
}
