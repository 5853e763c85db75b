//! Linked templates, by the principal or resource that they name.
//!
//! Links come and go at run time, so unlike the policies' index this one is
//! changed in place: every link is filed under the resource that fills its
//! slot, or under the principal when its template has no `?resource`. A crowd
//! under one resource is told apart by what the links demand of the principal.

use std::ops::Bound;
use std::sync::Arc;

use imbl::GenericHashMap;
use imbl::OrdMap;
use imbl::shared_ptr::DefaultSharedPtr;
use smol_str::SmolStr;

use super::named::BuildAtomHasher;
use super::policy::Policy;
use super::scope::Atom;
use super::scope::Parties;
use super::scope::Party;

/// More links than this under one atom are told apart by the other party.
const CROWDED: usize = 8;

type Shelf = GenericHashMap<Atom, Bucket, BuildAtomHasher, DefaultSharedPtr>;

/// A set of links.
#[derive(Debug, Clone, Default)]
pub struct Links {
    all: OrdMap<SmolStr, Arc<Policy>>,
    by_resource: Shelf,
    by_principal: Shelf,
}

/// The links under one atom.
#[derive(Debug, Clone)]
enum Bucket {
    Few(Vec<Arc<Policy>>),
    /// By the atom of the other party (`None` for any), then by id.
    Crowd(OrdMap<(Option<Atom>, SmolStr), Arc<Policy>>),
}

/// Where a link is filed.
#[derive(Debug, Clone, Copy)]
struct Place {
    is_resource: bool,
    atom: Atom,
    other: Option<Atom>,
}

impl Place {
    fn of(link: &Policy) -> Option<Self> {
        let (principal, resource) = (link.scope.principal.atom(), link.scope.resource.atom());
        let has_resource = link
            .cedar
            .env()
            .contains_key(&cedar_policy_core::ast::SlotId::resource());
        let place = |is_resource, atom, other| Self {
            is_resource,
            atom,
            other,
        };
        match (has_resource, resource, principal) {
            (true, Some(atom), other) => Some(place(true, atom, other)),
            (_, other, Some(atom)) => Some(place(false, atom, other)),
            (_, Some(atom), None) => Some(place(true, atom, None)),
            (_, None, None) => None,
        }
    }
}

impl Links {
    /// Files a link, in place of the one of its id.
    pub fn put(&mut self, link: Arc<Policy>) {
        let id = link.info.id.clone();
        self.remove(&id);
        if let Some(place) = Place::of(&link) {
            self.shelf(place)
                .entry(place.atom)
                .or_insert_with(|| Bucket::Few(Vec::new()))
                .put(place.other, Arc::clone(&link));
        }
        self.all.insert(id, link);
    }

    /// Removes the link of this id.
    pub fn remove(&mut self, id: &str) -> Option<Arc<Policy>> {
        let link = self.all.remove(id)?;
        if let Some(place) = Place::of(&link) {
            let shelf = self.shelf(place);
            let is_empty = shelf
                .get_mut(&place.atom)
                .is_some_and(|bucket| bucket.remove(place.other, id));
            if is_empty {
                shelf.remove(&place.atom);
            }
        }
        Some(link)
    }

    /// All links, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Policy> {
        self.all.values().map(|link| &**link)
    }

    /// The links after an id, by id; all without one.
    pub fn after<'a>(&'a self, id: Option<&str>) -> impl Iterator<Item = &'a Policy> + use<'a> {
        let start = id.map_or(Bound::Unbounded, |id| Bound::Excluded(SmolStr::new(id)));
        let links = self.all.range((start, Bound::Unbounded));
        links.map(|(_, link)| &**link)
    }

    /// The link of this id.
    pub fn get(&self, id: &str) -> Option<&Arc<Policy>> {
        self.all.get(id)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Appends the links whose scope matches, in order of id.
    pub fn matching<'a>(&'a self, parties: &Parties<'_>, into: &mut Vec<&'a Policy>) {
        if self.all.is_empty() {
            return;
        }
        let start = into.len();
        probe(
            &self.by_resource,
            &parties.resource,
            &parties.principal,
            into,
        );
        probe(
            &self.by_principal,
            &parties.principal,
            &parties.resource,
            into,
        );
        let mut kept = start;
        for at in start..into.len() {
            if into.get(at).is_some_and(|link| link.scope.holds(parties)) {
                into.swap(kept, at);
                kept += 1;
            }
        }
        into.truncate(kept);
        if let Some(found) = into.get_mut(start..) {
            found.sort_unstable_by(|a, b| a.info.id.cmp(&b.info.id));
        }
    }

    fn shelf(&mut self, place: Place) -> &mut Shelf {
        if place.is_resource {
            &mut self.by_resource
        } else {
            &mut self.by_principal
        }
    }
}

fn probe<'a>(shelf: &'a Shelf, party: &Party<'_>, other: &Party<'_>, into: &mut Vec<&'a Policy>) {
    if shelf.is_empty() {
        return;
    }
    for atom in party.atoms() {
        match shelf.get(&atom) {
            None => {}
            Some(Bucket::Few(links)) => into.extend(links.iter().map(|link| &**link)),
            Some(Bucket::Crowd(links)) => {
                let demands = std::iter::once(None).chain(other.atoms().map(Some));
                for demand in demands {
                    let first = (demand, SmolStr::default());
                    let same = links
                        .range(first..)
                        .take_while(|((found, _), _)| *found == demand);
                    into.extend(same.map(|(_, link)| &**link));
                }
            }
        }
    }
}

impl Bucket {
    fn put(&mut self, other: Option<Atom>, link: Arc<Policy>) {
        match self {
            Self::Few(links) if links.len() < CROWDED => links.push(link),
            Self::Few(links) => {
                let mut crowd = OrdMap::new();
                for link in links.drain(..) {
                    let other = Place::of(&link).and_then(|place| place.other);
                    crowd.insert((other, link.info.id.clone()), link);
                }
                crowd.insert((other, link.info.id.clone()), link);
                *self = Self::Crowd(crowd);
            }
            Self::Crowd(links) => {
                links.insert((other, link.info.id.clone()), link);
            }
        }
    }

    /// Whether nothing is left.
    fn remove(&mut self, other: Option<Atom>, id: &str) -> bool {
        match self {
            Self::Few(links) => {
                links.retain(|link| link.info.id != id);
                links.is_empty()
            }
            Self::Crowd(links) => {
                links.remove(&(other, SmolStr::new(id)));
                links.is_empty()
            }
        }
    }
}
