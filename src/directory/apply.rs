//! What an operation does to the state, and when it cannot.
//!
//! The same function applies a transaction that somebody asks for and one that
//! the log has. Whether entities fit the schema and the limits is looked at
//! elsewhere ([`check`](super::check)): that was right when they were written, and the log is
//! what happened.

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::Value;
use smol_str::SmolStr;

use super::codec::Step;
use super::error::WriteFault;
use super::operation::Membership;
use super::operation::Operation;
use super::operation::Patch;
use super::operation::Precondition;
use super::operation::Put;
use super::operation::PutLink;
use super::operation::Second;
use super::state::LinkRow;
use super::state::State;
use crate::engine::footprint::Half;
use crate::engine::named::Named;
use crate::engine::named::Probe;
use crate::engine::packed::Damaged;
use crate::engine::packed::Types;
use crate::engine::scope::Atom;
use crate::engine::scope::uid_atom;
use crate::engine::stored::Ends;
use crate::engine::stored::Stored;

/// What is wrong with an operation, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    message: String,
    hint: String,
}

impl Wrong {
    /// A fault with a hint.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// The fault at a place of the transaction.
    #[must_use]
    pub fn at(self, field: impl Into<String>) -> WriteFault {
        WriteFault {
            field: field.into(),
            message: self.message,
            hint: self.hint,
        }
    }

    fn absent(uid: &EntityUID) -> Self {
        Self::new(
            format!("`{uid}` is not there"),
            "put it first, or look for it with `deodar directory get`",
        )
    }
}

impl From<Damaged> for Wrong {
    fn from(damaged: Damaged) -> Self {
        Self::new(damaged.to_string(), "report this: it is a fault of deodar")
    }
}

/// A state that a transaction is being applied to.
#[derive(Debug)]
pub struct Application<'a> {
    /// The state so far.
    pub state: &'a mut State,
    /// For reading packed values.
    pub types: &'a Types,
    /// The number of the transaction.
    pub sequence: u64,
    /// What changed: what the decision cache has to be told.
    pub changes: Vec<(Atom, Half)>,
}

impl Application<'_> {
    /// Applies an operation.
    ///
    /// # Errors
    /// When it cannot be; the state is then to be thrown away.
    pub fn apply(&mut self, operation: &Operation) -> Result<(), Wrong> {
        match operation {
            Operation::Put(put) => self.put(put),
            Operation::Patch(patch) => self.patch(patch),
            Operation::Delete {
                uid,
                detach_members,
            } => self.delete(uid, *detach_members),
            Operation::AddParent { uid, parent } => self.add_parent(uid, parent),
            Operation::RemoveParent { uid, parent } => self.remove_parent(uid, parent),
            Operation::PutLink(link) => {
                self.put_link(link);
                Ok(())
            }
            Operation::RemoveLink { id } => self.remove_link(id),
        }
    }

    /// Does again what the log says was done.
    ///
    /// # Errors
    /// As [`Application::apply`].
    pub fn repeat(&mut self, step: &Step<'_>) -> Result<(), Wrong> {
        let put = match step {
            Step::Put(put) => put,
            Step::Other(operation) => return self.apply(operation),
        };
        let (named, parents, ends) = self.placed(&put.uid, &put.parents, put.expires)?;
        let stored = Stored::of_packed(named, self.sequence, parents, ends, put.body)?;
        self.replace(stored)
    }

    fn put(&mut self, put: &Put) -> Result<(), Wrong> {
        let (named, parents, ends) = self.placed(&put.uid, &put.parents, put.expires)?;
        let stored = Stored::new(
            named,
            self.sequence,
            parents,
            ends,
            &put.attributes,
            &put.tags,
        );
        self.replace(stored)
    }

    /// Names an entity and its parents as everything else does.
    fn placed(
        &self,
        uid: &Arc<EntityUID>,
        memberships: &[Membership],
        expires: Option<Second>,
    ) -> Result<(Named, Vec<Named>, Ends), Wrong> {
        let named = self.state.shared(Named::new(Arc::clone(uid)));
        let mut parents = Vec::with_capacity(memberships.len());
        let mut ends = Ends {
            entity: expires,
            parents: Vec::new(),
        };
        for membership in memberships {
            let parent = self.state.shared(Named::new(Arc::clone(&membership.uid)));
            if parents.contains(&parent) {
                return Err(Wrong::new(
                    format!("`{}` is a parent twice", parent.uid()),
                    "name each parent once",
                ));
            }
            if let Some(second) = membership.expires {
                ends.parents.push((parent.clone(), second));
            }
            parents.push(parent);
        }
        Ok((named, parents, ends))
    }

    fn patch(&mut self, patch: &Patch) -> Result<(), Wrong> {
        let (named, before) = self.there(&patch.uid)?;
        let (attributes, tags) = before.unpack(self.types)?;
        let changed = |before: Vec<(SmolStr, Value)>, set: &BTreeMap<_, _>, unset: &_| {
            let mut after: BTreeMap<SmolStr, Value> = before.into_iter().collect();
            after.retain(|name, _| !std::collections::BTreeSet::contains(unset, name));
            after.extend(set.clone());
            after
        };
        let attributes = changed(attributes, &patch.set, &patch.unset);
        let tags = changed(tags, &patch.set_tags, &patch.unset_tags);
        let mut ends = before.ends.as_deref().cloned().unwrap_or_default();
        if let Some(expires) = patch.expires {
            ends.entity = expires;
        }
        let parents = before.parents.to_vec();
        let stored = Stored::new(named, self.sequence, parents, ends, &attributes, &tags);
        self.replace(stored)
    }

    fn delete(&mut self, uid: &Arc<EntityUID>, detach_members: bool) -> Result<(), Wrong> {
        let (named, _) = self.there(uid)?;
        let members: Vec<Named> = self.state.members(named.probe()).cloned().collect();
        if !members.is_empty() && !detach_members {
            let first = members.first().map(|member| member.uid().to_string());
            return Err(Wrong::new(
                format!(
                    "`{uid}` has {} members, the first is `{}`",
                    members.len(),
                    first.unwrap_or_default()
                ),
                "remove them from it first, or set `detach_members`",
            ));
        }
        for member in members {
            self.remove_parent(member.uid(), uid)?;
        }
        let links = self.state.links_of(named.probe()).cloned();
        for id in links.into_iter().flatten() {
            self.remove_link(&id)?;
        }
        self.changes.push((named.atom(), Half::Place));
        self.changes.push((named.atom(), Half::Body));
        self.state.remove(&named);
        Ok(())
    }

    fn add_parent(&mut self, uid: &Arc<EntityUID>, parent: &Membership) -> Result<(), Wrong> {
        let (_, before) = self.there(uid)?;
        let above = self.state.shared(Named::new(Arc::clone(&parent.uid)));
        let mut parents = before.parents.to_vec();
        if !parents.contains(&above) {
            parents.push(above.clone());
        }
        let mut ends = before.ends.as_deref().cloned().unwrap_or_default();
        ends.parents.retain(|(found, _)| *found != above);
        if let Some(second) = parent.expires {
            ends.parents.push((above, second));
        }
        let stored = before.with_parents(self.sequence, parents, ends);
        self.replace(stored)
    }

    fn remove_parent(
        &mut self,
        uid: &Arc<EntityUID>,
        parent: &Arc<EntityUID>,
    ) -> Result<(), Wrong> {
        let (_, before) = self.there(uid)?;
        let above = Named::new(Arc::clone(parent));
        if !before.parents.contains(&above) {
            return Err(Wrong::new(
                format!("`{uid}` is not a member of `{parent}`"),
                "look at its parents with `deodar directory get`",
            ));
        }
        let kept = before.parents.iter().filter(|found| **found != above);
        let parents = kept.cloned().collect();
        let mut ends = before.ends.as_deref().cloned().unwrap_or_default();
        ends.parents.retain(|(found, _)| *found != above);
        let stored = before.with_parents(self.sequence, parents, ends);
        self.replace(stored)
    }

    fn put_link(&mut self, link: &PutLink) {
        self.note_link(link);
        if let Some(before) = self.state.link(&link.id).cloned() {
            self.note_link(&before.link);
        }
        self.state.put_link(LinkRow {
            link: link.clone(),
            version: self.sequence,
        });
    }

    fn remove_link(&mut self, id: &SmolStr) -> Result<(), Wrong> {
        let Some(before) = self.state.link(id).cloned() else {
            return Err(Wrong::new(
                format!("the link `{id}` is not there"),
                "look for it with `deodar directory link list`",
            ));
        };
        self.note_link(&before.link);
        self.state.remove_link(id);
        Ok(())
    }

    fn note_link(&mut self, link: &PutLink) {
        self.changes.extend(anchor(link));
    }

    fn there(&self, uid: &EntityUID) -> Result<(Named, Arc<Stored>), Wrong> {
        let found = self.state.get(Probe::new(uid));
        let (named, stored) = found.ok_or_else(|| Wrong::absent(uid))?;
        Ok((named.clone(), Arc::clone(stored)))
    }

    /// Notes what is different, refuses cycles, stores.
    fn replace(&mut self, stored: Stored) -> Result<(), Wrong> {
        let named = stored.name();
        let before = self.state.view.get(named.probe()).cloned();
        let same_place = before
            .as_ref()
            .is_some_and(|before| before.parents == stored.parents && before.ends == stored.ends);
        if !same_place {
            self.changes.push((named.atom(), Half::Place));
            self.refuse_cycle(named, &stored.parents)?;
        }
        if before.is_none_or(|before| before.packed() != stored.packed()) {
            self.changes.push((named.atom(), Half::Body));
        }
        self.state.put(stored);
        Ok(())
    }

    /// Walks up from the parents: the entity must not be met again.
    fn refuse_cycle(&self, named: &Named, parents: &[Named]) -> Result<(), Wrong> {
        // An entity without members cannot be met, unless it is its own parent.
        if self.state.members_len(named.probe()) == 0 && !parents.contains(named) {
            return Ok(());
        }
        let mut came_from: BTreeMap<&Named, &Named> = BTreeMap::new();
        let mut open: Vec<&Named> = parents.iter().collect();
        while let Some(at) = open.pop() {
            if at == named {
                return Err(cycle(named, parents, &came_from));
            }
            let stored = self.state.view.get(at.probe());
            for above in stored.map_or(&[][..], |stored| &stored.parents) {
                if !came_from.contains_key(above) {
                    came_from.insert(above, at);
                    open.push(above);
                }
            }
        }
        Ok(())
    }
}

/// What changes with a link: who can be matched by it has what fills its slots
/// among principal, resource and their ancestors.
pub fn anchor(link: &PutLink) -> Option<(Atom, Half)> {
    // One of the two is enough, and resources are named by fewer questions.
    let anchor = link.resource.as_ref().or(link.principal.as_ref());
    anchor.map(|uid| (uid_atom(uid), Half::Place))
}

fn cycle(named: &Named, parents: &[Named], came_from: &BTreeMap<&Named, &Named>) -> Wrong {
    let mut chain = vec![named.uid().to_string()];
    let mut at = named;
    while let Some(below) = came_from.get(at)
        && chain.len() <= came_from.len() + 1
    {
        chain.push(below.uid().to_string());
        at = below;
        if parents.contains(at) {
            break;
        }
    }
    chain.push(named.uid().to_string());
    chain.reverse();
    Wrong::new(
        format!("makes a cycle: {}", chain.join(" in ").replace('`', "'")),
        "no entity may be its own ancestor: leave out one of the parents",
    )
}

/// Everything that follows from the deletion of an entity, before it: so that
/// the log, and who watches it, has every fact.
pub fn consequences(state: &State, uid: &Arc<EntityUID>, detach: bool) -> Vec<Operation> {
    let probe = Probe::new(uid);
    let links = state.links_of(probe).into_iter().flatten();
    let links = links.map(|id| Operation::RemoveLink { id: id.clone() });
    let members = if detach {
        state.members(probe).cloned().collect()
    } else {
        Vec::new()
    };
    let members = members.into_iter().map(|member| Operation::RemoveParent {
        uid: Arc::clone(member.uid()),
        parent: Arc::clone(uid),
    });
    links.chain(members).collect()
}

/// Whether a precondition holds.
///
/// # Errors
/// When it does not, why.
pub fn judge(state: &State, precondition: &Precondition) -> Result<(), Wrong> {
    let version = |uid: &EntityUID| {
        let found = state.get(Probe::new(uid));
        found.map(|(_, stored)| stored.version)
    };
    let fail = |message: String| Err(Wrong::new(message, "read it again, and decide anew"));
    match precondition {
        Precondition::Present(uid) if version(uid).is_none() => {
            fail(format!("`{uid}` is not there"))
        }
        Precondition::Absent(uid) if version(uid).is_some() => fail(format!("`{uid}` is there")),
        Precondition::Version(uid, wanted) => match version(uid) {
            Some(found) if found == *wanted => Ok(()),
            Some(found) => fail(format!("`{uid}` is at version {found}, not {wanted}")),
            None => fail(format!("`{uid}` is not there")),
        },
        Precondition::LinkPresent(id) if state.link(id).is_none() => {
            fail(format!("the link `{id}` is not there"))
        }
        Precondition::LinkAbsent(id) if state.link(id).is_some() => {
            fail(format!("the link `{id}` is there"))
        }
        _ => Ok(()),
    }
}

/// The operation that removes what has ended.
pub fn removal(ending: &super::state::Ending) -> Operation {
    use super::state::Ending;
    match ending {
        Ending::Entity(named) => Operation::Delete {
            uid: Arc::clone(named.uid()),
            detach_members: true,
        },
        Ending::Membership(member, parent) => Operation::RemoveParent {
            uid: Arc::clone(member.uid()),
            parent: Arc::clone(parent.uid()),
        },
        Ending::Link(id) => Operation::RemoveLink { id: id.clone() },
    }
}

/// How a membership is written.
pub fn memberships(stored: &Stored) -> Vec<Membership> {
    let end = |parent: &Named| -> Option<Second> {
        let ends = stored.ends.as_ref()?;
        let found = ends.parents.iter().find(|(found, _)| found == parent);
        found.map(|(_, second)| *second)
    };
    let parents = stored.parents.iter();
    parents
        .map(|parent| Membership {
            uid: Arc::clone(parent.uid()),
            expires: end(parent),
        })
        .collect()
}
