//! Entities and links as they are read from the directory, and filters.

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy_core::ast::EntityType;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::Value;
use smol_str::SmolStr;

use super::operation::Membership;
use super::operation::PutLink;
use super::operation::Second;

/// A stored entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityRecord {
    /// The entity.
    pub uid: Arc<EntityUID>,
    /// The sequence number of the transaction that last changed it.
    pub version: u64,
    /// Its attributes.
    pub attributes: BTreeMap<SmolStr, Value>,
    /// Its tags.
    pub tags: BTreeMap<SmolStr, Value>,
    /// What it is a member of, directly.
    pub parents: Vec<Membership>,
    /// When it is removed; `None` is never.
    pub expires: Option<Second>,
}

/// A stored link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkRecord {
    /// The link.
    pub link: PutLink,
    /// The sequence number of the transaction that put it.
    pub version: u64,
}

/// Which entities are listed; everything given has to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntityFilter {
    /// Of this type.
    pub entity_type: Option<EntityType>,
    /// Whose id starts so.
    pub id_prefix: Option<SmolStr>,
    /// A direct member of this entity.
    pub parent: Option<Arc<EntityUID>>,
    /// With exactly this value of this attribute. Quick for attributes that the
    /// manifest marks as indexed.
    pub attribute: Option<(SmolStr, Value)>,
}

/// Which links are listed; everything given has to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkFilter {
    /// Of this template.
    pub template: Option<SmolStr>,
    /// With this principal.
    pub principal: Option<Arc<EntityUID>>,
    /// With this resource.
    pub resource: Option<Arc<EntityUID>>,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What it holds, in ascending order of uid or id.
    pub items: Vec<T>,
    /// Whether more may follow; the next page is after `last`.
    pub has_more: bool,
    /// The uid or id up to which the list was looked through. A page may be short,
    /// even empty, with more to follow: looking is limited, not only finding.
    pub last: Option<Cursor>,
}

/// A place in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cursor {
    /// After this entity.
    Entity(Arc<EntityUID>),
    /// After this link.
    Link(SmolStr),
}

/// How much there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Entities by type.
    pub entities: BTreeMap<String, u64>,
    /// Links by template.
    pub links: BTreeMap<SmolStr, u64>,
    /// Entities, memberships and links that end some time.
    pub expiring: u64,
    /// When the next of them ends.
    pub next_expiry: Option<Second>,
}
