//! Everything that the directory knows at one revision, with its indexes.
//!
//! A clone costs nothing and shares what does not change, so that a transaction
//! works on a clone, and is dropped with it when it turns out to be wrong.

use std::sync::Arc;

use foldhash::fast::RandomState;
use imbl::GenericHashMap;
use imbl::OrdMap;
use imbl::OrdSet;
use imbl::shared_ptr::DefaultSharedPtr;
use smol_str::SmolStr;

use super::operation::PutLink;
use super::operation::Second;
use crate::engine::View;
use crate::engine::named::BuildAtomHasher;
use crate::engine::named::Named;
use crate::engine::named::Probe;
use crate::engine::stored::Stored;

/// What ends some time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// An entity.
    Entity(Named),
    /// The membership of the first in the second.
    Membership(Named, Named),
    /// A link.
    Link(SmolStr),
}

/// A link with the transaction that put it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkRow {
    /// The link.
    pub link: PutLink,
    /// The sequence number of the transaction.
    pub version: u64,
}

type ByName<T> = GenericHashMap<Named, T, BuildAtomHasher, DefaultSharedPtr>;
/// Keyed at random: callers choose the values, and must not make them collide.
type ByAttribute =
    GenericHashMap<(SmolStr, Box<[u8]>), OrdSet<Named>, RandomState, DefaultSharedPtr>;

/// What finds entities other than by their own name.
#[derive(Debug, Clone, Default)]
pub struct Indexes {
    ordered: OrdSet<Named>,
    members: ByName<OrdSet<Named>>,
    ends: OrdSet<(Second, Ending)>,
}

impl Indexes {
    /// Files an entity that is not there yet.
    pub fn note(&mut self, stored: &Stored) {
        let named = stored.name();
        self.ordered.insert(named.clone());
        for parent in &stored.parents {
            join(&mut self.members, parent, named);
        }
        self.ends.extend(endings(stored));
    }
}

/// The state of the directory.
#[derive(Debug, Clone)]
pub struct State {
    /// What decisions see.
    pub view: View,
    ordered: OrdSet<Named>,
    members: ByName<OrdSet<Named>>,
    links: OrdMap<SmolStr, Arc<LinkRow>>,
    links_of: ByName<OrdSet<SmolStr>>,
    by_attribute: ByAttribute,
    indexed: Arc<[SmolStr]>,
    ends: OrdSet<(Second, Ending)>,
}

impl State {
    /// Nothing, at a named revision.
    pub fn empty(revision: &str) -> Self {
        Self {
            view: View::empty(revision),
            ordered: OrdSet::new(),
            members: ByName::default(),
            links: OrdMap::new(),
            links_of: ByName::default(),
            by_attribute: ByAttribute::default(),
            indexed: Arc::new([]),
            ends: OrdSet::new(),
        }
    }

    /// These entities, with the indexes of all of them.
    pub fn of(view: View, indexes: Indexes) -> Self {
        let Indexes {
            ordered,
            members,
            ends,
        } = indexes;
        Self {
            view,
            ordered,
            members,
            ends,
            ..Self::empty("")
        }
    }

    /// A stored entity.
    pub fn get(&self, probe: Probe<'_>) -> Option<(&Named, &Arc<Stored>)> {
        self.view.get_named(probe)
    }

    /// The one name that is shared by all who name an entity: its own if it is
    /// stored, that of its members if it has some.
    pub fn shared(&self, named: Named) -> Named {
        let known = self.view.get_named(named.probe()).map(|(known, _)| known);
        let known = known.or_else(|| {
            let members = self.members.get_key_value(&named.probe());
            members.map(|(known, _)| known)
        });
        known.cloned().unwrap_or(named)
    }

    /// Stores an entity, and keeps the indexes.
    pub fn put(&mut self, stored: Stored) {
        let stored = Arc::new(stored);
        let named = stored.name();
        let before = self.view.put(Arc::clone(&stored));
        match &before {
            Some(before) if before.parents == stored.parents => {}
            before => {
                let parents = before.iter().flat_map(|before| before.parents.iter());
                parents.for_each(|parent| self.leave(parent, named));
                for parent in &stored.parents {
                    join(&mut self.members, parent, named);
                }
            }
        }
        if let Some(before) = &before {
            self.forget_ends(before);
            self.forget_attributes(named, before);
        } else {
            self.ordered.insert(named.clone());
        }
        self.note_ends(&stored);
        self.note_attributes(named, &stored);
    }

    /// Removes an entity, and keeps the indexes.
    pub fn remove(&mut self, named: &Named) {
        let Some(before) = self.view.remove(named.probe()) else {
            return;
        };
        for parent in &before.parents {
            self.leave(parent, named);
        }
        self.forget_ends(&before);
        self.forget_attributes(named, &before);
        self.ordered.remove(named);
    }

    /// Stores a link. That the view has it compiled is the caller's doing.
    pub fn put_link(&mut self, row: LinkRow) {
        self.remove_link(&row.link.id);
        let id = &row.link.id;
        for uid in [&row.link.principal, &row.link.resource]
            .into_iter()
            .flatten()
        {
            let named = self.shared(Named::new(Arc::clone(uid)));
            self.links_of.entry(named).or_default().insert(id.clone());
        }
        if let Some(second) = row.link.expires {
            self.ends.insert((second, Ending::Link(id.clone())));
        }
        self.links.insert(id.clone(), Arc::new(row));
    }

    /// Removes a link, from the view too.
    pub fn remove_link(&mut self, id: &str) {
        self.view.links_mut().remove(id);
        let Some(row) = self.links.remove(id) else {
            return;
        };
        for uid in [&row.link.principal, &row.link.resource]
            .into_iter()
            .flatten()
        {
            let probe = Probe::new(uid);
            if let Some(links) = self.links_of.get_mut(&probe) {
                links.remove(id);
                if links.is_empty() {
                    self.links_of.remove(&probe);
                }
            }
        }
        if let Some(second) = row.link.expires {
            self.ends.remove(&(second, Ending::Link(SmolStr::new(id))));
        }
    }

    /// The direct members of an entity, in order.
    pub fn members(&self, probe: Probe<'_>) -> impl Iterator<Item = &Named> {
        self.members.get(&probe).into_iter().flatten()
    }

    /// How many direct members an entity has.
    pub fn members_len(&self, probe: Probe<'_>) -> usize {
        self.members.get(&probe).map_or(0, OrdSet::len)
    }

    /// The members as a set that can be looked through from a place on.
    pub fn member_set(&self, probe: Probe<'_>) -> Option<&OrdSet<Named>> {
        self.members.get(&probe)
    }

    /// A link.
    pub fn link(&self, id: &str) -> Option<&Arc<LinkRow>> {
        self.links.get(id)
    }

    /// All links, by id.
    pub fn links(&self) -> &OrdMap<SmolStr, Arc<LinkRow>> {
        &self.links
    }

    /// The links that name an entity, by id.
    pub fn links_of(&self, probe: Probe<'_>) -> Option<&OrdSet<SmolStr>> {
        self.links_of.get(&probe)
    }

    /// All entities, by type and id.
    pub fn ordered(&self) -> &OrdSet<Named> {
        &self.ordered
    }

    /// The entities with a value of an indexed attribute; `None` when it is not
    /// indexed.
    pub fn with_attribute(&self, name: &SmolStr, packed: &[u8]) -> Option<OrdSet<Named>> {
        self.indexed.contains(name).then(|| {
            let found = self.by_attribute.get(&(name.clone(), packed.into()));
            found.cloned().unwrap_or_default()
        })
    }

    /// Everything that ends, by time.
    pub fn ends(&self) -> &OrdSet<(Second, Ending)> {
        &self.ends
    }

    /// Indexes these attributes from now on.
    pub fn index_attributes(&mut self, names: &[SmolStr]) {
        if *self.indexed == *names {
            return;
        }
        self.indexed = names.into();
        self.by_attribute = ByAttribute::default();
        let all: Vec<(Named, Arc<Stored>)> = self
            .view
            .iter()
            .map(|(named, stored)| (named.clone(), Arc::clone(stored)))
            .collect();
        for (named, stored) in all {
            self.note_attributes(&named, &stored);
        }
    }

    fn leave(&mut self, parent: &Named, member: &Named) {
        let probe = parent.probe();
        if let Some(members) = self.members.get_mut(&probe) {
            members.remove(member);
            if members.is_empty() {
                self.members.remove(&probe);
            }
        }
    }

    fn note_ends(&mut self, stored: &Stored) {
        for ending in endings(stored) {
            self.ends.insert(ending);
        }
    }

    fn forget_ends(&mut self, stored: &Stored) {
        for ending in endings(stored) {
            self.ends.remove(&ending);
        }
    }

    fn note_attributes(&mut self, named: &Named, stored: &Stored) {
        for name in Arc::clone(&self.indexed).iter() {
            if let Ok(Some(packed)) = stored.packed_attribute(name) {
                let key = (name.clone(), packed.into());
                self.by_attribute
                    .entry(key)
                    .or_default()
                    .insert(named.clone());
            }
        }
    }

    fn forget_attributes(&mut self, named: &Named, stored: &Stored) {
        for name in Arc::clone(&self.indexed).iter() {
            if let Ok(Some(packed)) = stored.packed_attribute(name) {
                let key = (name.clone(), packed.into());
                if let Some(found) = self.by_attribute.get_mut(&key) {
                    found.remove(named);
                    if found.is_empty() {
                        self.by_attribute.remove(&key);
                    }
                }
            }
        }
    }
}

fn join(members: &mut ByName<OrdSet<Named>>, parent: &Named, member: &Named) {
    let below = members.entry(parent.clone()).or_default();
    below.insert(member.clone());
}

fn endings(stored: &Stored) -> Vec<(Second, Ending)> {
    let named = stored.name();
    let Some(ends) = &stored.ends else {
        return Vec::new();
    };
    let entity = ends
        .entity
        .map(|second| (second, Ending::Entity(named.clone())));
    let parents = ends.parents.iter().map(|(parent, second)| {
        let ending = Ending::Membership(named.clone(), parent.clone());
        (*second, ending)
    });
    entity.into_iter().chain(parents).collect()
}
