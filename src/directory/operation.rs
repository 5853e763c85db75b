//! What a transaction does to the directory, and on what conditions.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::Value;
use smol_str::SmolStr;

/// Whole seconds since 1970: when something ends.
pub type Second = i64;

/// One change. A transaction has several, which happen in their order and all
/// at once or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Stores an entity, in place of the one of this uid if there is one.
    Put(Put),
    /// Changes some attributes and tags of an entity, which has to be there.
    Patch(Patch),
    /// Removes an entity, the links that name it and, when asked to, its
    /// place above its members.
    Delete {
        /// The entity, which has to be there.
        uid: Arc<EntityUID>,
        /// Whether members are detached first; otherwise an entity that has
        /// members is not deleted.
        detach_members: bool,
    },
    /// Makes an entity a member of another.
    AddParent {
        /// The member, which has to be there.
        uid: Arc<EntityUID>,
        /// What it becomes a member of.
        parent: Membership,
    },
    /// Ends a membership, which has to be there.
    RemoveParent {
        /// The member.
        uid: Arc<EntityUID>,
        /// What it is a member of.
        parent: Arc<EntityUID>,
    },
    /// Links a template, in place of the link of this id if there is one.
    PutLink(PutLink),
    /// Removes a link, which has to be there.
    RemoveLink {
        /// The id of the link.
        id: SmolStr,
    },
}

/// A whole entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// The entity.
    pub uid: Arc<EntityUID>,
    /// Its attributes.
    pub attributes: BTreeMap<SmolStr, Value>,
    /// Its tags.
    pub tags: BTreeMap<SmolStr, Value>,
    /// What it is a member of.
    pub parents: Vec<Membership>,
    /// When it is removed; `None` is never.
    pub expires: Option<Second>,
}

/// A parent, for good or until a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The parent; it need not be there (yet).
    pub uid: Arc<EntityUID>,
    /// When the membership ends; `None` is never.
    pub expires: Option<Second>,
}

/// Changes of attributes and tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// The entity.
    pub uid: Arc<EntityUID>,
    /// Attributes to set.
    pub set: BTreeMap<SmolStr, Value>,
    /// Attributes to remove; one that is not there is no error.
    pub unset: BTreeSet<SmolStr>,
    /// Tags to set.
    pub set_tags: BTreeMap<SmolStr, Value>,
    /// Tags to remove; one that is not there is no error.
    pub unset_tags: BTreeSet<SmolStr>,
    /// When the entity is removed from now on, if that changes: `Some(None)` is
    /// never.
    pub expires: Option<Option<Second>>,
}

/// A template with its slots filled: a grant made at run time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutLink {
    /// The id, unique among links, policies and templates.
    pub id: SmolStr,
    /// The id of the template.
    pub template: SmolStr,
    /// What fills `?principal`, if the template has that slot.
    pub principal: Option<Arc<EntityUID>>,
    /// What fills `?resource`, if the template has that slot.
    pub resource: Option<Arc<EntityUID>>,
    /// When the link is removed; `None` is never.
    pub expires: Option<Second>,
}

/// What has to hold when a transaction is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// The entity is there.
    Present(Arc<EntityUID>),
    /// The entity is not there.
    Absent(Arc<EntityUID>),
    /// The entity is there and was last changed by the transaction of this
    /// sequence number.
    Version(Arc<EntityUID>, u64),
    /// The link is there.
    LinkPresent(SmolStr),
    /// The link is not there.
    LinkAbsent(SmolStr),
}

/// A transaction as somebody asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Draft {
    /// Who asks, for the log.
    pub actor: SmolStr,
    /// What has to hold, judged when it is applied.
    pub preconditions: Vec<Precondition>,
    /// What is done.
    pub operations: Vec<Operation>,
}

/// A transaction as the log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Its place in the log, from 1.
    pub sequence: u64,
    /// When it was applied, in milliseconds since 1970. The time is a record;
    /// nothing is decided by it.
    pub millis: i64,
    /// Who asked for it.
    pub actor: SmolStr,
    /// What had to hold, and did.
    pub preconditions: Vec<Precondition>,
    /// What it did. What follows from an operation is among them: the deletion
    /// of an entity comes after the removal of its links and members.
    pub operations: Vec<Operation>,
}
