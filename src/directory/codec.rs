//! Transactions as bytes, as the log keeps them.
//!
//! ```text
//! transaction  = version (1) millis actor preconditions operations
//! precondition = kind, then what it names
//! operation    = kind, then its fields in the order of their declaration
//! ```
//!
//! Lists are preceded by their count, optional parts by 0 or 1. Values are
//! packed ([`packed`](crate::engine::packed)). The sequence number and the hash are the log's.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::Value;
use smol_str::SmolStr;

use super::operation::Membership;
use super::operation::Operation;
use super::operation::Patch;
use super::operation::Precondition;
use super::operation::Put;
use super::operation::PutLink;
use super::operation::Second;
use super::operation::Transaction;
use crate::engine::packed::Damaged;
use crate::engine::packed::Reader;
use crate::engine::packed::Types;
use crate::engine::packed::Writer;

const VERSION: u8 = 1;

/// The kind of a put.
const PUT: u8 = 0;

/// Writes a transaction.
pub fn encode(transaction: &Transaction) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.byte(VERSION);
    writer.long(transaction.millis);
    writer.text(&transaction.actor);
    writer.number(transaction.preconditions.len() as u64);
    for precondition in &transaction.preconditions {
        write_precondition(&mut writer, precondition);
    }
    writer.number(transaction.operations.len() as u64);
    for operation in &transaction.operations {
        write_operation(&mut writer, operation);
    }
    writer.into_bytes()
}

/// Reads a transaction.
///
/// # Errors
/// When the bytes are not one: the store is damaged, or of a newer version.
pub fn decode(sequence: u64, bytes: &[u8], types: &Types) -> Result<Transaction, Damaged> {
    let mut reader = Reader::new(bytes);
    let mut transaction = read_head(&mut reader, types)?;
    transaction.sequence = sequence;
    let count = reader.count()?;
    transaction.operations = (0..count)
        .map(|_| read_operation(&mut reader, types))
        .collect::<Result<_, _>>()?;
    reader.end()?;
    Ok(transaction)
}

/// What a transaction did, to be done again.
#[derive(Debug)]
pub enum Step<'a> {
    /// Stores a whole entity.
    Put(PackedPut<'a>),
    /// Anything else.
    Other(Operation),
}

/// A [`Put`] whose attributes and tags stay packed: that is how they are stored,
/// and unpacking them is most of the work of reading it.
#[derive(Debug)]
pub struct PackedPut<'a> {
    /// The entity.
    pub uid: Arc<EntityUID>,
    /// Attributes, then tags. That they can be read was not looked at.
    pub body: &'a [u8],
    /// What it is a member of, directly.
    pub parents: Vec<Membership>,
    /// When it is removed.
    pub expires: Option<Second>,
}

/// Reads what a transaction did, for doing it again.
///
/// # Errors
/// As [`decode`].
pub fn steps<'a>(bytes: &'a [u8], types: &Types) -> Result<Vec<Step<'a>>, Damaged> {
    let mut reader = Reader::new(bytes);
    read_head(&mut reader, types)?;
    let count = reader.count()?;
    let steps = (0..count)
        .map(|_| match reader.bytes().first() {
            Some(&PUT) => {
                reader.byte()?;
                read_packed_put(&mut reader, types).map(Step::Put)
            }
            _ => read_operation(&mut reader, types).map(Step::Other),
        })
        .collect::<Result<_, _>>()?;
    reader.end()?;
    Ok(steps)
}

/// Everything before the operations.
fn read_head(reader: &mut Reader<'_>, types: &Types) -> Result<Transaction, Damaged> {
    if reader.byte()? != VERSION {
        return Err(Damaged::new("a transaction is of another version"));
    }
    let (millis, actor) = (reader.long()?, SmolStr::new(reader.text()?));
    let count = reader.count()?;
    let preconditions = (0..count)
        .map(|_| read_precondition(reader, types))
        .collect::<Result<_, _>>()?;
    Ok(Transaction {
        sequence: 0,
        millis,
        actor,
        preconditions,
        operations: Vec::new(),
    })
}

fn write_precondition(writer: &mut Writer, precondition: &Precondition) {
    match precondition {
        Precondition::Present(uid) => {
            writer.byte(0);
            writer.uid(uid);
        }
        Precondition::Absent(uid) => {
            writer.byte(1);
            writer.uid(uid);
        }
        Precondition::Version(uid, version) => {
            writer.byte(2);
            writer.uid(uid);
            writer.number(*version);
        }
        Precondition::LinkPresent(id) => {
            writer.byte(3);
            writer.text(id);
        }
        Precondition::LinkAbsent(id) => {
            writer.byte(4);
            writer.text(id);
        }
    }
}

fn read_precondition(reader: &mut Reader<'_>, types: &Types) -> Result<Precondition, Damaged> {
    Ok(match reader.byte()? {
        0 => Precondition::Present(uid(reader, types)?),
        1 => Precondition::Absent(uid(reader, types)?),
        2 => Precondition::Version(uid(reader, types)?, reader.number()?),
        3 => Precondition::LinkPresent(SmolStr::new(reader.text()?)),
        4 => Precondition::LinkAbsent(SmolStr::new(reader.text()?)),
        _ => return Err(Damaged::new("a precondition is of no known kind")),
    })
}

fn write_operation(writer: &mut Writer, operation: &Operation) {
    match operation {
        Operation::Put(put) => {
            writer.byte(PUT);
            write_put(writer, put);
        }
        Operation::Patch(patch) => {
            writer.byte(1);
            write_patch(writer, patch);
        }
        Operation::Delete {
            uid,
            detach_members,
        } => {
            writer.byte(2);
            writer.uid(uid);
            writer.byte(u8::from(*detach_members));
        }
        Operation::AddParent { uid, parent } => {
            writer.byte(3);
            writer.uid(uid);
            write_membership(writer, parent);
        }
        Operation::RemoveParent { uid, parent } => {
            writer.byte(4);
            writer.uid(uid);
            writer.uid(parent);
        }
        Operation::PutLink(link) => {
            writer.byte(5);
            write_link(writer, link);
        }
        Operation::RemoveLink { id } => {
            writer.byte(6);
            writer.text(id);
        }
    }
}

fn read_operation(reader: &mut Reader<'_>, types: &Types) -> Result<Operation, Damaged> {
    Ok(match reader.byte()? {
        PUT => Operation::Put(read_put(reader, types)?),
        1 => Operation::Patch(read_patch(reader, types)?),
        2 => Operation::Delete {
            uid: uid(reader, types)?,
            detach_members: flag(reader)?,
        },
        3 => Operation::AddParent {
            uid: uid(reader, types)?,
            parent: read_membership(reader, types)?,
        },
        4 => Operation::RemoveParent {
            uid: uid(reader, types)?,
            parent: uid(reader, types)?,
        },
        5 => Operation::PutLink(read_link(reader, types)?),
        6 => Operation::RemoveLink {
            id: SmolStr::new(reader.text()?),
        },
        _ => return Err(Damaged::new("an operation is of no known kind")),
    })
}

/// Writes a whole entity; snapshots have them too.
pub fn write_put(writer: &mut Writer, put: &Put) {
    writer.uid(&put.uid);
    writer.fields(put.attributes.len(), put.attributes.iter());
    writer.fields(put.tags.len(), put.tags.iter());
    writer.number(put.parents.len() as u64);
    for parent in &put.parents {
        write_membership(writer, parent);
    }
    write_optional(writer, put.expires);
}

fn read_put(reader: &mut Reader<'_>, types: &Types) -> Result<Put, Damaged> {
    let uid = uid(reader, types)?;
    let (attributes, tags) = (fields(reader, types)?, fields(reader, types)?);
    let count = reader.count()?;
    let parents = (0..count)
        .map(|_| read_membership(reader, types))
        .collect::<Result<_, _>>()?;
    Ok(Put {
        uid,
        attributes,
        tags,
        parents,
        expires: optional(reader)?,
    })
}

fn read_packed_put<'a>(reader: &mut Reader<'a>, types: &Types) -> Result<PackedPut<'a>, Damaged> {
    let uid = uid(reader, types)?;
    let before = reader.bytes();
    reader.skip_fields()?;
    reader.skip_fields()?;
    let length = before.len() - reader.bytes().len();
    let count = reader.count()?;
    let parents = (0..count)
        .map(|_| read_membership(reader, types))
        .collect::<Result<_, _>>()?;
    Ok(PackedPut {
        uid,
        body: before.get(..length).unwrap_or_default(),
        parents,
        expires: optional(reader)?,
    })
}

fn write_patch(writer: &mut Writer, patch: &Patch) {
    writer.uid(&patch.uid);
    writer.fields(patch.set.len(), patch.set.iter());
    write_names(writer, &patch.unset);
    writer.fields(patch.set_tags.len(), patch.set_tags.iter());
    write_names(writer, &patch.unset_tags);
    writer.byte(u8::from(patch.expires.is_some()));
    if let Some(expires) = patch.expires {
        write_optional(writer, expires);
    }
}

fn read_patch(reader: &mut Reader<'_>, types: &Types) -> Result<Patch, Damaged> {
    Ok(Patch {
        uid: uid(reader, types)?,
        set: fields(reader, types)?,
        unset: names(reader)?,
        set_tags: fields(reader, types)?,
        unset_tags: names(reader)?,
        expires: flag(reader)?.then(|| optional(reader)).transpose()?,
    })
}

/// Writes a link; snapshots have them too.
pub fn write_link(writer: &mut Writer, link: &PutLink) {
    writer.text(&link.id);
    writer.text(&link.template);
    for slot in [&link.principal, &link.resource] {
        writer.byte(u8::from(slot.is_some()));
        if let Some(uid) = slot {
            writer.uid(uid);
        }
    }
    write_optional(writer, link.expires);
}

/// Reads a link.
///
/// # Errors
/// When it is damaged.
pub fn read_link(reader: &mut Reader<'_>, types: &Types) -> Result<PutLink, Damaged> {
    let (id, template) = (SmolStr::new(reader.text()?), SmolStr::new(reader.text()?));
    let mut slot = || flag(reader)?.then(|| uid(reader, types)).transpose();
    let (principal, resource) = (slot()?, slot()?);
    Ok(PutLink {
        id,
        template,
        principal,
        resource,
        expires: optional(reader)?,
    })
}

fn write_membership(writer: &mut Writer, membership: &Membership) {
    writer.uid(&membership.uid);
    write_optional(writer, membership.expires);
}

fn read_membership(reader: &mut Reader<'_>, types: &Types) -> Result<Membership, Damaged> {
    Ok(Membership {
        uid: uid(reader, types)?,
        expires: optional(reader)?,
    })
}

fn write_names(writer: &mut Writer, names: &BTreeSet<SmolStr>) {
    writer.number(names.len() as u64);
    for name in names {
        writer.text(name);
    }
}

fn names(reader: &mut Reader<'_>) -> Result<BTreeSet<SmolStr>, Damaged> {
    let count = reader.count()?;
    (0..count)
        .map(|_| Ok(SmolStr::new(reader.text()?)))
        .collect()
}

/// Writes a time that may be missing.
pub fn write_optional(writer: &mut Writer, second: Option<Second>) {
    writer.byte(u8::from(second.is_some()));
    if let Some(second) = second {
        writer.long(second);
    }
}

/// Reads a time that may be missing.
///
/// # Errors
/// When it is damaged.
pub fn optional(reader: &mut Reader<'_>) -> Result<Option<Second>, Damaged> {
    flag(reader)?.then(|| reader.long()).transpose()
}

fn flag(reader: &mut Reader<'_>) -> Result<bool, Damaged> {
    match reader.byte()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Damaged::new("a flag is neither 0 nor 1")),
    }
}

fn uid(reader: &mut Reader<'_>, types: &Types) -> Result<Arc<EntityUID>, Damaged> {
    reader.uid(types).map(Arc::new)
}

fn fields(reader: &mut Reader<'_>, types: &Types) -> Result<BTreeMap<SmolStr, Value>, Damaged> {
    let mut fields = reader.fields()?;
    let mut read = BTreeMap::new();
    while let Some((name, mut value)) = fields.next()? {
        read.insert(SmolStr::new(name), value.value(types)?);
        value.end()?;
    }
    *reader = fields.rest;
    Ok(read)
}
