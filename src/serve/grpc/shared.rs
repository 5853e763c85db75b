//! Questions with the parts that they share with others of their batch.

use std::cell::RefCell;
use std::sync::Arc;

use cedar_policy_core::ast::Entity;
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
    /// The context as read; absent if it has Cedar JSON, which is read by the
    /// action of the item.
    read: Option<ReadContext>,
    /// The context with Cedar JSON as it was read for the last item.
    of_action: RefCell<Option<(Arc<EntityUID>, ReadContext)>>,
    /// The entities as read.
    overlay: Option<ReadEntities>,
}

/// Carried entities, and how many values they have.
type ReadEntities = Result<(Arc<[Entity]>, usize), WireError>;
/// A context, and how many values it has.
type ReadContext = Result<(Arc<Context>, usize), WireError>;

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
        let is_carrying = !request.entities.is_empty() || !request.entities_cedar_json.is_empty();
        let overlay = is_carrying.then(|| {
            let mut reader = Reader::new(snapshot, limits);
            let (typed, json) = (request.entities, request.entities_cedar_json);
            let overlay = wire::overlay(&mut reader, snapshot, limits, typed, &json)?;
            Ok((overlay, reader.values()))
        });
        Self {
            principal,
            action,
            resource,
            context: request.context,
            read,
            of_action: RefCell::default(),
            overlay,
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
        item: v1::AuthorizeRequest,
    ) -> Result<Parts, Refusal> {
        wire::store(&item.store)?;
        let mut reader = Reader::new(snapshot, limits);
        let action = uid(&reader, "action", item.action, self.action.as_ref())?;
        let context = match &item.context {
            None => {
                let (context, values) = self.context(snapshot, limits, &action)?;
                reader = Reader::after(snapshot, limits, values);
                context
            }
            Some(_) => Arc::new(wire::context(
                &mut reader,
                snapshot,
                limits,
                &action,
                item.context,
            )?),
        };
        let is_carrying = !item.entities.is_empty() || !item.entities_cedar_json.is_empty();
        let overlay = match &self.overlay {
            Some(overlay) if !is_carrying => {
                let (overlay, values) = overlay.clone()?;
                let limit = limits.values_max;
                if reader.values() + values > limit {
                    return Err(
                        WireError::too_much("entities", "values", limit, "values_max").into(),
                    );
                }
                overlay
            }
            _ => wire::overlay(
                &mut reader,
                snapshot,
                limits,
                item.entities,
                &item.entities_cedar_json,
            )?,
        };
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
            overlay,
        })
    }

    /// The shared context for an action.
    fn context(
        &self,
        snapshot: &Snapshot,
        limits: &Limits,
        action: &Arc<EntityUID>,
    ) -> ReadContext {
        if let Some(read) = &self.read {
            return read.clone();
        }
        if self.context.is_none() {
            return Ok((Arc::default(), 0));
        }
        let mut last = self.of_action.borrow_mut();
        if let Some((of, read)) = &*last
            && of == action
        {
            return read.clone();
        }
        let mut reader = Reader::new(snapshot, limits);
        let given = self.context.clone();
        let read = wire::context(&mut reader, snapshot, limits, action, given);
        let read = read.map(|context| (Arc::new(context), reader.values()));
        *last = Some((Arc::clone(action), read.clone()));
        read
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
