//! The index: from the parties of a query to the few policies that can match.
//!
//! ```text
//! action atom -> by resource | by principal -> (a crowded bucket: by the other one) -> policy numbers
//! ```
//!
//! Every policy is filed under each action that it names (or under "any"), and
//! there under whichever of its principal and resource is named by fewer other
//! policies. A bucket that is still crowded is filed once more by the other
//! party, so that `principal in Team::"t7", resource in Site::"s3"` stays cheap
//! when there are 300 teams and 300 sites. A look-up probes the party itself,
//! its type and its ancestors; what comes out is a superset of the matching
//! policies, which [`Scope::holds`] then checks in full.

use rustc_hash::FxHashMap;

use super::scope::Atom;
use super::scope::Parties;
use super::scope::Party;
use super::scope::Scope;

/// A bucket with more policies than this is filed by the other party as well.
const CROWDED: usize = 8;

/// Policy numbers by scope.
#[derive(Debug, Default)]
pub struct Index {
    by_action: FxHashMap<Atom, Shelf>,
    any_action: Shelf,
}

/// The policies of one action.
#[derive(Debug, Default)]
struct Shelf {
    by_resource: FxHashMap<Atom, Bucket>,
    by_principal: FxHashMap<Atom, Bucket>,
    unconstrained: Vec<u32>,
}

/// The policies under one atom.
#[derive(Debug)]
enum Bucket {
    Plain(Vec<u32>),
    Split {
        by_other: FxHashMap<Atom, Vec<u32>>,
        any_other: Vec<u32>,
    },
}

impl Index {
    /// Files policies; the number of a policy is its place in `scopes`.
    pub fn new<'a>(scopes: impl IntoIterator<Item = &'a Scope>) -> Self {
        let scopes: Vec<&Scope> = scopes.into_iter().collect();
        let mut by_action: FxHashMap<Atom, Vec<u32>> = FxHashMap::default();
        let mut any_action = Vec::new();
        for (number, scope) in (0u32..).zip(&scopes) {
            let atoms = scope.action.atoms();
            if atoms.is_empty() {
                any_action.push(number);
            }
            for atom in atoms {
                by_action.entry(atom).or_default().push(number);
            }
        }
        Self {
            by_action: by_action
                .into_iter()
                .map(|(atom, numbers)| (atom, Shelf::new(&numbers, &scopes)))
                .collect(),
            any_action: Shelf::new(&any_action, &scopes),
        }
    }

    /// Appends the numbers of all policies whose scope may hold, ascending and
    /// without repetition.
    pub fn candidates(&self, parties: &Parties<'_>, into: &mut Vec<u32>) {
        self.any_action.probe(parties, into);
        let mut shelves = 1;
        for atom in parties.action.atoms() {
            if let Some(shelf) = self.by_action.get(&atom) {
                shelf.probe(parties, into);
                shelves += 1;
            }
        }
        into.sort_unstable();
        if shelves > 1 {
            into.dedup();
        }
    }
}

impl Shelf {
    fn new(numbers: &[u32], scopes: &[&Scope]) -> Self {
        let named = || {
            numbers
                .iter()
                .filter_map(|number| Some((*number, *scopes.get(*number as usize)?)))
        };
        let mut crowd: FxHashMap<(bool, Atom), usize> = FxHashMap::default();
        for (_, scope) in named() {
            for (is_resource, constraint) in [(true, &scope.resource), (false, &scope.principal)] {
                if let Some(atom) = constraint.atom() {
                    *crowd.entry((is_resource, atom)).or_default() += 1;
                }
            }
        }
        let crowd_of = |is_resource, atom: Option<Atom>| {
            atom.and_then(|atom| crowd.get(&(is_resource, atom)))
                .copied()
                .unwrap_or(usize::MAX)
        };

        let mut by_resource: FxHashMap<Atom, Vec<(u32, Option<Atom>)>> = FxHashMap::default();
        let mut by_principal: FxHashMap<Atom, Vec<(u32, Option<Atom>)>> = FxHashMap::default();
        let mut unconstrained = Vec::new();
        for (number, scope) in named() {
            let (principal, resource) = (scope.principal.atom(), scope.resource.atom());
            let resource_is_rarer = crowd_of(true, resource) <= crowd_of(false, principal);
            match (resource, principal) {
                (Some(atom), _) if resource_is_rarer => {
                    by_resource
                        .entry(atom)
                        .or_default()
                        .push((number, principal));
                }
                (_, Some(atom)) => by_principal
                    .entry(atom)
                    .or_default()
                    .push((number, resource)),
                (Some(atom), None) => by_resource.entry(atom).or_default().push((number, None)),
                (None, None) => unconstrained.push(number),
            }
        }
        let buckets = |filed: FxHashMap<Atom, Vec<(u32, Option<Atom>)>>| {
            filed
                .into_iter()
                .map(|(atom, entries)| (atom, Bucket::new(entries)))
                .collect()
        };
        Self {
            by_resource: buckets(by_resource),
            by_principal: buckets(by_principal),
            unconstrained,
        }
    }

    fn probe(&self, parties: &Parties<'_>, into: &mut Vec<u32>) {
        into.extend_from_slice(&self.unconstrained);
        probe_side(
            &self.by_resource,
            &parties.resource,
            &parties.principal,
            into,
        );
        probe_side(
            &self.by_principal,
            &parties.principal,
            &parties.resource,
            into,
        );
    }
}

fn probe_side(
    buckets: &FxHashMap<Atom, Bucket>,
    party: &Party<'_>,
    other: &Party<'_>,
    into: &mut Vec<u32>,
) {
    if buckets.is_empty() {
        return;
    }
    for atom in party.atoms() {
        match buckets.get(&atom) {
            None => {}
            Some(Bucket::Plain(numbers)) => into.extend_from_slice(numbers),
            Some(Bucket::Split {
                by_other,
                any_other,
            }) => {
                into.extend_from_slice(any_other);
                for numbers in other.atoms().filter_map(|atom| by_other.get(&atom)) {
                    into.extend_from_slice(numbers);
                }
            }
        }
    }
}

impl Bucket {
    fn new(entries: Vec<(u32, Option<Atom>)>) -> Self {
        if entries.len() <= CROWDED {
            return Self::Plain(entries.into_iter().map(|(number, _)| number).collect());
        }
        let mut by_other: FxHashMap<Atom, Vec<u32>> = FxHashMap::default();
        let mut any_other = Vec::new();
        for (number, other) in entries {
            match other {
                Some(atom) => by_other.entry(atom).or_default().push(number),
                None => any_other.push(number),
            }
        }
        Self::Split {
            by_other,
            any_other,
        }
    }
}
