//! The whole state as bytes: what a snapshot of the log holds.
//!
//! ```text
//! chunk  = record*
//! record = 1 uid version attributes tags parents expires    (an entity)
//!        | 2 version link
//! ```
//!
//! In order of uid and id, so that the same state has the same bytes.

use std::sync::Arc;

use smol_str::SmolStr;

use super::apply::memberships;
use super::codec;
use super::operation::Second;
use super::state::LinkRow;
use super::state::State;
use crate::engine::named::Named;
use crate::engine::packed::Damaged;
use crate::engine::packed::Reader;
use crate::engine::packed::Types;
use crate::engine::packed::Writer;
use crate::engine::stored::Ends;
use crate::engine::stored::Stored;

const ENTITY: u8 = 1;
const LINK: u8 = 2;

/// A chunk is closed when it has so many bytes.
const CHUNK: usize = 256 << 10;

/// Writes a state in chunks.
pub fn dump(state: &State) -> impl Iterator<Item = Vec<u8>> + '_ {
    let entities = state.ordered().iter().filter_map(|named| {
        let stored = state.view.get(named.probe())?;
        Some((Some((named, stored)), None))
    });
    let links = state.links().values().map(|row| (None, Some(row)));
    let mut records = entities.chain(links);
    std::iter::from_fn(move || {
        let mut writer = Writer::default();
        while writer.bytes().len() < CHUNK {
            match records.next() {
                Some((Some((named, stored)), _)) => write_entity(&mut writer, named, stored),
                Some((None, Some(row))) => write_link(&mut writer, row),
                Some((None, None)) => {}
                None => break,
            }
        }
        Some(writer.into_bytes()).filter(|bytes| !bytes.is_empty())
    })
}

fn write_entity(writer: &mut Writer, named: &Named, stored: &Stored) {
    writer.byte(ENTITY);
    writer.uid(named.uid());
    writer.number(stored.version);
    writer.blob(stored.packed());
    let parents = memberships(stored);
    writer.number(parents.len() as u64);
    for parent in &parents {
        writer.uid(&parent.uid);
        codec::write_optional(writer, parent.expires);
    }
    let expires = stored.ends.as_ref().and_then(|ends| ends.entity);
    codec::write_optional(writer, expires);
}

fn write_link(writer: &mut Writer, row: &LinkRow) {
    writer.byte(LINK);
    writer.number(row.version);
    codec::write_link(writer, &row.link);
}

/// Reads a chunk into a state.
///
/// # Errors
/// When it is damaged.
pub fn restore(chunk: &[u8], types: &Types, into: &mut State) -> Result<(), Damaged> {
    let mut reader = Reader::new(chunk);
    while !reader.is_at_end() {
        match reader.byte()? {
            ENTITY => restore_entity(&mut reader, types, into)?,
            LINK => {
                let version = reader.number()?;
                let link = codec::read_link(&mut reader, types)?;
                into.put_link(LinkRow { link, version });
            }
            _ => return Err(Damaged::new("a record is of no known kind")),
        }
    }
    Ok(())
}

fn restore_entity(reader: &mut Reader<'_>, types: &Types, into: &mut State) -> Result<(), Damaged> {
    let named = into.shared(Named::new(Arc::new(reader.uid(types)?)));
    let version = reader.number()?;
    let packed = reader.blob()?;
    let count = reader.count()?;
    let mut parents = Vec::with_capacity(count);
    let mut ends = Ends::default();
    for _ in 0..count {
        let parent = into.shared(Named::new(Arc::new(reader.uid(types)?)));
        let expires: Option<Second> = codec::optional(reader)?;
        ends.parents
            .extend(expires.map(|second| (parent.clone(), second)));
        parents.push(parent);
    }
    ends.entity = codec::optional(reader)?;
    let stored = Stored::of_packed(version, parents, ends, packed)?;
    into.put(&named, stored);
    Ok(())
}

/// Two states that hold the same; for tests and comparisons.
pub fn digest(state: &State) -> SmolStr {
    use sha2::Digest as _;
    let mut hash = sha2::Sha256::new();
    dump(state).for_each(|chunk| hash.update(chunk));
    format!("{:x}", hash.finalize()).into()
}
