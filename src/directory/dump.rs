//! The whole state as bytes: what a snapshot of the log holds, and
//! [`restore`](super::restore) reads back.
//!
//! ```text
//! chunk  = record*
//! record = 1 uid version attributes tags parents expires    (an entity)
//!        | 2 version link
//! ```
//!
//! In order of uid and id, so that the same state has the same bytes.

use smol_str::SmolStr;

use super::apply::memberships;
use super::codec;
use super::state::LinkRow;
use super::state::State;
use crate::engine::named::Named;
use crate::engine::packed::Writer;
use crate::engine::stored::Stored;

/// The record of an entity.
pub const ENTITY: u8 = 1;
/// The record of a link.
pub const LINK: u8 = 2;

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

/// Two states that hold the same; for tests and comparisons.
pub fn digest(state: &State) -> SmolStr {
    use sha2::Digest as _;
    let mut hash = sha2::Sha256::new();
    dump(state).for_each(|chunk| hash.update(chunk));
    format!("{:x}", hash.finalize()).into()
}
