//! What a question is decided on, as values that can be changed one by one.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::sync::Arc;

use cedar_policy_core::ast::Entity;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::PartialValue;
use cedar_policy_core::ast::Value;
use cedar_policy_core::ast::ValueKind;
use smol_str::SmolStr;

use crate::engine::Query;
use crate::engine::Snapshot;
use crate::engine::View;
use crate::engine::conform;
use crate::engine::named::Named;
use crate::engine::named::Probe;
use crate::engine::query::Context;
use crate::engine::stored::Ends;
use crate::engine::stored::Stored;

/// A question with its entities. What the request carries is laid over the stored
/// ones once, so that everything is in one place.
#[derive(Debug, Clone)]
pub struct World {
    /// Entities and links.
    pub view: View,
    /// The question, which carries no entities any more.
    pub query: Query,
}

/// Where a value is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In the context: a key, and fields of records.
    Context(Vec<SmolStr>),
    /// In an entity: an attribute, and fields of records.
    Attribute(Arc<EntityUID>, Vec<SmolStr>),
}

impl Place {
    /// The names from the context or entity on.
    pub fn path(&self) -> &[SmolStr] {
        match self {
            Self::Context(path) | Self::Attribute(_, path) => path,
        }
    }

    /// The place of a field of what is here.
    #[must_use]
    pub fn then(&self, name: &SmolStr) -> Self {
        let mut place = self.clone();
        match &mut place {
            Self::Context(path) | Self::Attribute(_, path) => path.push(name.clone()),
        }
        place
    }

    /// Whether the other place is here or within.
    pub fn holds(&self, other: &Self) -> bool {
        let same_root = match (self, other) {
            (Self::Context(_), Self::Context(_)) => true,
            (Self::Attribute(a, _), Self::Attribute(b, _)) => a == b,
            _ => false,
        };
        same_root && other.path().starts_with(self.path())
    }
}

impl World {
    /// Lays what the request carries over what is stored.
    pub fn new(snapshot: &Snapshot, view: &View, query: &Query) -> Self {
        let mut world = Self {
            view: view.clone(),
            query: Query {
                overlay: Vec::new().into(),
                ..query.clone()
            },
        };
        for carried in query.overlay.iter() {
            let uid = Arc::new(carried.uid().clone());
            let (mut attributes, mut tags) = world.fields(snapshot, &uid).unwrap_or_default();
            attributes.extend(whole(carried.attrs()));
            tags.extend(whole(carried.tags()));
            let mut parents = world.parents(&uid);
            for parent in carried.parents() {
                let parent = Named::new(Arc::new(parent.clone()));
                if !parents.contains(&parent) {
                    parents.push(parent);
                }
            }
            world.put(&uid, parents, &attributes, &tags);
        }
        world
    }

    /// The direct parents.
    pub fn parents(&self, uid: &EntityUID) -> Vec<Named> {
        let stored = self.view.get(Probe::new(uid));
        stored.map_or_else(Vec::new, |stored| stored.parents.to_vec())
    }

    /// All ancestors, the nearest first.
    pub fn ancestors(&self, uid: &EntityUID) -> Vec<Named> {
        let mut found = self.parents(uid);
        let mut at = 0;
        while let Some(next) = found.get(at) {
            for parent in self.parents(next.uid()) {
                if !found.contains(&parent) {
                    found.push(parent);
                }
            }
            at += 1;
        }
        found
    }

    /// The value at a place.
    pub fn get(&self, snapshot: &Snapshot, place: &Place) -> Option<Value> {
        let (first, rest) = place.path().split_first()?;
        let value = match place {
            Place::Context(_) => self.query.context.get(first)?.clone(),
            Place::Attribute(uid, _) => self.fields(snapshot, uid)?.0.remove(first)?,
        };
        rest.iter()
            .try_fold(value, |value, name| match value.value_kind() {
                ValueKind::Record(fields) => fields.get(name).cloned(),
                _ => None,
            })
    }

    /// The same with another value at a place, or none; `None` when the schema does
    /// not allow it, or there is no such entity.
    pub fn set(&self, snapshot: &Snapshot, place: &Place, to: Option<&Value>) -> Option<Self> {
        match place {
            Place::Context(path) => {
                let mut context = Context::clone(&self.query.context);
                put_in(&mut context, path, to)?;
                let query = &self.query;
                let query = Query::new(
                    snapshot,
                    Arc::clone(&query.principal),
                    Arc::clone(&query.action),
                    Arc::clone(&query.resource),
                    Arc::new(context),
                    Vec::new().into(),
                );
                Some(Self {
                    view: self.view.clone(),
                    query: query.ok()?,
                })
            }
            Place::Attribute(uid, path) => {
                let (mut attributes, tags) = self.fields(snapshot, uid)?;
                put_in(&mut attributes, path, to)?;
                let mut world = self.clone();
                world.put(uid, self.parents(uid), &attributes, &tags);
                world.fits(snapshot, uid).then_some(world)
            }
        }
    }

    /// The same with a parent more, or less; `None` as for [`World::set`], or when
    /// an entity would be above itself.
    pub fn set_parent(
        &self,
        snapshot: &Snapshot,
        [uid, parent]: [&Arc<EntityUID>; 2],
        is_added: bool,
    ) -> Option<Self> {
        let named = Named::new(Arc::clone(parent));
        let mut parents = self.parents(uid);
        if parents.contains(&named) == is_added {
            return None;
        }
        if is_added {
            let above = self.ancestors(parent);
            if uid == parent || above.iter().any(|ancestor| ancestor.uid() == uid) {
                return None;
            }
            parents.push(named);
        } else {
            parents.retain(|parent| *parent != named);
        }
        let (attributes, tags) = self.fields(snapshot, uid).or_else(|| {
            let implicit = &snapshot.manifest().implicit_types;
            implicit.contains(uid.entity_type()).then(Default::default)
        })?;
        let mut world = self.clone();
        world.put(uid, parents, &attributes, &tags);
        world.fits(snapshot, uid).then_some(world)
    }

    fn put(
        &mut self,
        uid: &Arc<EntityUID>,
        parents: Vec<Named>,
        attributes: &BTreeMap<SmolStr, Value>,
        tags: &BTreeMap<SmolStr, Value>,
    ) {
        let name = Named::new(Arc::clone(uid));
        let stored = Stored::new(name, 0, parents, Ends::default(), attributes, tags);
        self.view.put(Arc::new(stored));
    }

    /// Attributes and tags.
    fn fields(
        &self,
        snapshot: &Snapshot,
        uid: &EntityUID,
    ) -> Option<(BTreeMap<SmolStr, Value>, BTreeMap<SmolStr, Value>)> {
        let stored = self.view.get(Probe::new(uid))?;
        let (attributes, tags) = stored.unpack(snapshot.types()).ok()?;
        Some((attributes.into_iter().collect(), tags.into_iter().collect()))
    }

    fn fits(&self, snapshot: &Snapshot, uid: &EntityUID) -> bool {
        let Some(schema) = snapshot.schema() else {
            return true;
        };
        let Some((attributes, tags)) = self.fields(snapshot, uid) else {
            return false;
        };
        let value = |(name, value)| (name, PartialValue::Value(value));
        let parents = self.parents(uid);
        let entity = Entity::new_with_attr_partial_value(
            uid.clone(),
            attributes.into_iter().map(value),
            HashSet::new(),
            parents
                .iter()
                .map(|parent| EntityUID::clone(parent.uid()))
                .collect(),
            tags.into_iter().map(value),
        );
        conform::entity(schema.validator(), &entity).is_ok()
    }
}

fn whole<'a>(
    fields: impl Iterator<Item = (&'a SmolStr, &'a PartialValue)>,
) -> impl Iterator<Item = (SmolStr, Value)> {
    fields.filter_map(|(name, value)| match value {
        PartialValue::Value(value) => Some((name.clone(), value.clone())),
        PartialValue::Residual(_) => None,
    })
}

/// Puts a value into nested records; `None` when something on the way is none.
fn put_in(
    fields: &mut BTreeMap<SmolStr, Value>,
    path: &[SmolStr],
    to: Option<&Value>,
) -> Option<()> {
    let (first, rest) = path.split_first()?;
    if rest.is_empty() {
        match to {
            Some(value) => fields.insert(first.clone(), value.clone()),
            None => fields.remove(first),
        };
        return Some(());
    }
    let ValueKind::Record(inner) = fields.get(first)?.value_kind() else {
        return None;
    };
    let mut inner = BTreeMap::clone(inner);
    put_in(&mut inner, rest, to)?;
    fields.insert(first.clone(), Value::record(inner, None));
    Some(())
}
