//! Questions with the parts that they share with others of their batch.

use std::sync::Arc;

use cedar_policy_core::ast::EntityUID;

use super::status::Refusal;
use super::status::WireError;
use super::value::Path;
use super::value::Reader;
use super::wire;
use crate::engine::Snapshot;
use crate::engine::query::Context;
use crate::pdp::Parts;
use crate::proto::v1;
use crate::serve::limits::Limits;

/// What the items of a batch share, read once for all of them. What cannot be
/// read is an error of each item that uses it. A question by itself shares
/// nothing.
#[derive(Debug, Default)]
pub struct Shared {
    principal: Option<Result<Arc<EntityUID>, WireError>>,
    action: Option<Result<Arc<EntityUID>, WireError>>,
    resource: Option<Result<Arc<EntityUID>, WireError>>,
    context: Option<v1::Context>,
    /// The context as read, and how many values it has; absent if it has Cedar
    /// JSON, which is read by the action of the item.
    read: Option<Result<(Arc<Context>, usize), WireError>>,
    entities: Vec<v1::Entity>,
    entities_cedar_json: String,
}

impl Shared {
    /// Reads what is shared.
    pub fn new(snapshot: &Snapshot, limits: &Limits, request: v1::AuthorizeRequest) -> Self {
        let mut reader = Reader::new(snapshot, limits);
        let uid = |field, entity: Option<v1::EntityRef>| {
            entity.map(|entity| reader.uid(&Path::root(field), Some(entity)))
        };
        let principal = uid("principal", request.principal);
        let action = uid("action", request.action);
        let resource = uid("resource", request.resource);
        let typed = request
            .context
            .as_ref()
            .filter(|given| given.cedar_json.is_empty());
        let read = typed.map(|given| {
            let context = reader.fields(&Path::root("context"), given.values.clone(), 1)?;
            Ok((Arc::new(context), reader.values()))
        });
        Self {
            principal,
            action,
            resource,
            context: request.context,
            read,
            entities: request.entities,
            entities_cedar_json: request.entities_cedar_json,
        }
    }

    /// Reads an item, with the shared parts that it has not of its own.
    ///
    /// # Errors
    /// The first field that is missing, too long, too deep or of an unknown type.
    pub fn parts(
        &self,
        snapshot: &Snapshot,
        limits: &Limits,
        mut item: v1::AuthorizeRequest,
    ) -> Result<Parts, Refusal> {
        wire::store(&item.store)?;
        let mut reader = Reader::new(snapshot, limits);
        let action = uid(&reader, "action", item.action, self.action.as_ref())?;
        let context = match &self.read {
            Some(read) if item.context.is_none() => {
                let (context, values) = read.clone()?;
                reader = Reader::after(snapshot, limits, values);
                context
            }
            _ => {
                let given = item.context.or_else(|| self.context.clone());
                Arc::new(wire::context(
                    &mut reader,
                    snapshot,
                    limits,
                    &action,
                    given,
                )?)
            }
        };
        if item.entities.is_empty() && item.entities_cedar_json.is_empty() {
            item.entities.clone_from(&self.entities);
            item.entities_cedar_json
                .clone_from(&self.entities_cedar_json);
        }
        Ok(Parts {
            principal: uid(
                &reader,
                "principal",
                item.principal,
                self.principal.as_ref(),
            )?,
            resource: uid(&reader, "resource", item.resource, self.resource.as_ref())?,
            action,
            context,
            overlay: wire::overlay(
                &mut reader,
                snapshot,
                limits,
                item.entities,
                &item.entities_cedar_json,
            )?,
        })
    }
}

/// An entity of an item's own, else the shared one.
fn uid(
    reader: &Reader<'_>,
    field: &str,
    own: Option<v1::EntityRef>,
    shared: Option<&Result<Arc<EntityUID>, WireError>>,
) -> Result<Arc<EntityUID>, WireError> {
    match (own, shared) {
        (None, Some(shared)) => shared.clone(),
        (own, _) => reader.uid(&Path::root(field), own),
    }
}
