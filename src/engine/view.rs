//! Entities and links as decisions see them: one revision of the directory.
//!
//! A view never changes once it is shared. The next one is a clone with some
//! entities and links replaced; the rest is common to both, so that a clone
//! costs nothing and readers hold what they began with for as long as they like.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::hash::Hash;
use std::hash::Hasher;
use std::sync::Arc;

use cedar_policy_core::ast::Entity;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::PartialValue;
use cedar_policy_core::ast::Value;
use cedar_policy_core::entities::Entities;
use cedar_policy_core::entities::NoEntitiesSchema;
use cedar_policy_core::entities::TCComputation;
use cedar_policy_core::extensions::Extensions;
use equivalent::Equivalent;
use imbl::GenericHashMap;
use imbl::shared_ptr::DefaultSharedPtr;
use smol_str::SmolStr;

use super::digest::Digest;
use super::fault::Fault;
use super::link::Link;
use super::link::LinkFault;
use super::links::Links;
use super::named::BuildAtomHasher;
use super::named::Named;
use super::named::Probe;
use super::packed::Damaged;
use super::packed::Types;
use super::policy::Policy;
use super::snapshot::Snapshot;
use super::stored::Ends;
use super::stored::Second;
use super::stored::Stored;

/// A write copies the leaves of the map that it changes, and counts up and down
/// all that they point to: so that is one thing for each entity, its name within.
type EntityMap = GenericHashMap<ByName, (), BuildAtomHasher, DefaultSharedPtr>;

/// An entity that is found by its name.
#[derive(Clone)]
struct ByName(Arc<Stored>);

impl PartialEq for ByName {
    fn eq(&self, other: &Self) -> bool {
        self.0.name() == other.0.name()
    }
}

impl Eq for ByName {}

impl Hash for ByName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.name().hash(state);
    }
}

impl Equivalent<ByName> for Probe<'_> {
    fn equivalent(&self, key: &ByName) -> bool {
        self.equivalent(key.0.name())
    }
}

/// A set of entities and links.
#[derive(Clone)]
pub struct View {
    revision: Arc<str>,
    sequence: u64,
    ends_next: Option<Second>,
    entities: EntityMap,
    /// Entities that are no actions.
    count: usize,
    links: Links,
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View")
            .field("revision", &self.revision)
            .field("entities", &self.entities.len())
            .field("links", &self.links.len())
            .finish_non_exhaustive()
    }
}

impl View {
    /// A view without entities and links.
    pub fn empty(revision: impl Into<Arc<str>>) -> Self {
        Self {
            revision: revision.into(),
            sequence: 0,
            ends_next: None,
            entities: EntityMap::default(),
            count: 0,
            links: Links::default(),
        }
    }

    /// A view of Cedar's entities, and of links into the templates of `snapshot`.
    ///
    /// # Errors
    /// Every link that names no template, fills the wrong slots, or has the id
    /// of something else.
    pub fn new(
        snapshot: &Snapshot,
        revision: Digest,
        entities: Entities,
        links: &[Link],
    ) -> Result<Self, Vec<Fault>> {
        let mut view = Self::empty(revision.to_string());
        for entity in entities {
            if snapshot.schema().is_none() || !entity.uid().is_action() {
                let named = |uid: &EntityUID| Named::new(Arc::new(snapshot.types().canonical(uid)));
                let parents = entity.parents().map(named).collect();
                view.put(Arc::new(pack(named(entity.uid()), &entity, parents)));
            }
        }
        for link in compile_links(snapshot, links)? {
            view.links.put(Arc::new(link));
        }
        Ok(view)
    }

    /// The name of this state, for people and callers.
    pub fn revision(&self) -> &Arc<str> {
        &self.revision
    }

    /// The number of the last transaction that it has.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Names the state that the view has reached.
    pub fn reached(&mut self, sequence: u64, revision: impl Into<Arc<str>>) {
        self.sequence = sequence;
        self.revision = revision.into();
    }

    /// When the first of everything that ends, ends; a view that is older than
    /// that is not to be decided on.
    pub fn next_end(&self) -> Option<Second> {
        self.ends_next
    }

    /// Notes when the first of everything that ends, ends.
    pub fn ends_next(&mut self, second: Option<Second>) {
        self.ends_next = second;
    }

    /// How many entities are stored, actions not counted.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether no such entity is stored.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The linked templates.
    pub fn links(&self) -> &Links {
        &self.links
    }

    /// The linked templates, to be changed.
    pub fn links_mut(&mut self) -> &mut Links {
        &mut self.links
    }

    /// A stored entity.
    pub fn get(&self, probe: Probe<'_>) -> Option<&Arc<Stored>> {
        let (found, ()) = self.entities.get_key_value(&probe)?;
        Some(&found.0)
    }

    /// A stored entity, with its one shared name.
    pub fn get_named(&self, probe: Probe<'_>) -> Option<(&Named, &Arc<Stored>)> {
        let stored = self.get(probe)?;
        Some((stored.name(), stored))
    }

    /// Whether an entity of this uid is stored.
    pub fn knows(&self, uid: &EntityUID) -> bool {
        self.entities.contains_key(&Probe::new(uid))
    }

    /// All stored entities, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&Named, &Arc<Stored>)> {
        let stored = self.entities.keys();
        stored.map(|ByName(stored)| (stored.name(), stored))
    }

    /// Stores an entity; gives back what was there.
    pub fn put(&mut self, stored: Arc<Stored>) -> Option<Arc<Stored>> {
        let is_data = !stored.name().uid().is_action();
        let before = self.get(stored.name().probe()).cloned();
        self.entities.insert(ByName(stored), ());
        self.count += usize::from(is_data && before.is_none());
        before
    }

    /// Removes an entity; gives back what was there.
    pub fn remove(&mut self, probe: Probe<'_>) -> Option<Arc<Stored>> {
        let before = self.get(probe).cloned();
        self.entities.remove(&probe);
        self.count -= usize::from(before.is_some() && !probe.uid.is_action());
        before
    }

    /// All entities as Cedar's own evaluator takes them, ancestors closed and
    /// the schema's actions among them: for comparisons, not for decisions.
    ///
    /// # Errors
    /// When a stored entity is damaged, or the entities form a cycle.
    pub fn to_cedar(&self, snapshot: &Snapshot) -> Result<Entities, String> {
        let stored = self.iter().map(|(named, stored)| {
            unpack(named.uid(), stored, snapshot.types()).map_err(|damaged| damaged.to_string())
        });
        let actions = snapshot.schema().into_iter().flat_map(|schema| {
            let actions = schema.actions();
            actions.map(|action| Ok(Entity::clone(&action.entity)))
        });
        let all: Vec<Entity> = stored.chain(actions).collect::<Result<_, String>>()?;
        Entities::from_entities(
            all,
            None::<&NoEntitiesSchema>,
            TCComputation::ComputeNow,
            Extensions::all_available(),
        )
        .map_err(|error| error.to_string())
    }
}

fn pack(name: Named, entity: &Entity, parents: Vec<Named>) -> Stored {
    fn whole<'a>(
        fields: impl Iterator<Item = (&'a SmolStr, &'a PartialValue)>,
    ) -> BTreeMap<SmolStr, Value> {
        fields
            .filter_map(|(name, value)| match value {
                PartialValue::Value(value) => Some((name.clone(), value.clone())),
                PartialValue::Residual(_) => None,
            })
            .collect()
    }
    Stored::new(
        name,
        0,
        parents,
        Ends::default(),
        &whole(entity.attrs()),
        &whole(entity.tags()),
    )
}

/// The entity with its direct parents.
fn unpack(uid: &EntityUID, stored: &Stored, types: &Types) -> Result<Entity, Damaged> {
    let (attributes, tags) = stored.unpack(types)?;
    let whole = |(name, value)| (name, PartialValue::Value(value));
    Ok(Entity::new_with_attr_partial_value(
        uid.clone(),
        attributes.into_iter().map(whole),
        HashSet::new(),
        stored
            .parents
            .iter()
            .map(|parent| EntityUID::clone(parent.uid()))
            .collect(),
        tags.into_iter().map(whole),
    ))
}

/// Entities whose ancestors are closed already, as Cedar's evaluator takes them.
pub(super) fn closed(entities: impl IntoIterator<Item = Arc<Entity>>) -> Result<Entities, String> {
    Entities::new()
        .add_entities(
            entities,
            None::<&NoEntitiesSchema>,
            TCComputation::AssumeAlreadyComputed,
            Extensions::all_available(),
        )
        .map_err(|error| error.to_string())
}

fn compile_links(snapshot: &Snapshot, links: &[Link]) -> Result<Vec<Policy>, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut policies = Vec::with_capacity(links.len());
    let mut taken = HashSet::new();
    for link in links {
        let compiled = if taken.insert(&link.id) {
            snapshot.link(&link.id, &link.template, link.slots())
        } else {
            Err(LinkFault::taken(&link.id))
        };
        match compiled {
            Ok(policy) => policies.push(policy),
            Err(fault) => faults.push(link.fault(fault.message).with_hint(fault.hint)),
        }
    }
    if faults.is_empty() {
        Ok(policies)
    } else {
        Err(faults)
    }
}
