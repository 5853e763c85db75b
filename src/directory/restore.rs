//! A snapshot read back into a state.
//!
//! Two threads share the work, since a start waits for it: one reads entities and
//! fills the view, the other files them in the indexes.
//!
//! ```text
//! chunk -> uid, parents, packed attributes -> view
//!                          └─ in batches ──> order, members, endings
//! ```

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::sync_channel;

use foldhash::fast::RandomState;

use super::codec;
use super::dump::ENTITY;
use super::dump::LINK;
use super::log::LogError;
use super::operation::Second;
use super::state::Indexes;
use super::state::LinkRow;
use super::state::State;
use crate::engine::View;
use crate::engine::named::Named;
use crate::engine::packed::Damaged;
use crate::engine::packed::Reader;
use crate::engine::packed::Types;
use crate::engine::stored::Ends;
use crate::engine::stored::Stored;

/// Batches on their way to the indexes.
const WAITING: usize = 4;

type Batch = Vec<Arc<Stored>>;

/// Reads all chunks of a snapshot.
///
/// # Errors
/// When it is damaged, or the log fails.
pub fn restore(
    chunks: impl Iterator<Item = Result<Vec<u8>, LogError>>,
    types: &Types,
) -> Result<State, LogError> {
    let mut reading = Reading {
        types,
        view: View::empty(""),
        parents: HashMap::default(),
        links: Vec::new(),
    };
    let indexes = std::thread::scope(|scope| {
        let (batches, filed) = sync_channel(WAITING);
        let filing = std::thread::Builder::new().spawn_scoped(scope, || file(filed));
        let filing = filing.map_err(no_thread)?;
        let read = reading.all(chunks, &batches);
        // Who files ends when there is nobody left to send.
        drop(batches);
        read?;
        let filed = filing.join();
        filed.map_err(|_| no_thread(io::Error::other("it panicked")))
    })?;
    let mut state = State::of(reading.view, indexes);
    for row in reading.links {
        state.put_link(row);
    }
    Ok(state)
}

fn no_thread(error: io::Error) -> LogError {
    LogError::Io {
        what: "a thread for the indexes".to_owned(),
        error,
    }
}

fn file(batches: Receiver<Batch>) -> Indexes {
    let mut indexes = Indexes::default();
    for batch in batches {
        for stored in &batch {
            indexes.note(stored);
        }
    }
    indexes
}

/// What was read so far.
struct Reading<'a> {
    types: &'a Types,
    view: View,
    /// Those with members, by the bytes of their uid: the one name that is shared
    /// by all who name them. Keyed at random: callers chose the names.
    parents: HashMap<Box<[u8]>, Named, RandomState>,
    links: Vec<LinkRow>,
}

impl Reading<'_> {
    fn all(
        &mut self,
        chunks: impl Iterator<Item = Result<Vec<u8>, LogError>>,
        into: &SyncSender<Batch>,
    ) -> Result<(), LogError> {
        for chunk in chunks {
            let batch = self.chunk(&chunk?);
            let batch = batch.map_err(|fault| LogError::Damaged {
                what: format!("the snapshot: {fault}"),
            })?;
            // Who files ends early only by a panic, which is told when it is joined.
            into.send(batch).ok();
        }
        Ok(())
    }

    fn chunk(&mut self, chunk: &[u8]) -> Result<Batch, Damaged> {
        let mut reader = Reader::new(chunk);
        let mut batch = Batch::new();
        while !reader.is_at_end() {
            match reader.byte()? {
                ENTITY => batch.push(self.entity(&mut reader)?),
                LINK => {
                    let version = reader.number()?;
                    let link = codec::read_link(&mut reader, self.types)?;
                    self.links.push(LinkRow { link, version });
                }
                _ => return Err(Damaged::new("a record is of no known kind")),
            }
        }
        Ok(batch)
    }

    fn entity(&mut self, reader: &mut Reader<'_>) -> Result<Arc<Stored>, Damaged> {
        let key = uid_bytes(reader)?;
        let named = match self.parents.get(key) {
            Some(named) => named.clone(),
            None => named(key, self.types)?,
        };
        let version = reader.number()?;
        let packed = reader.blob()?;
        let count = reader.count()?;
        let mut parents = Vec::with_capacity(count);
        let mut ends = Ends::default();
        for _ in 0..count {
            let parent = self.parent(reader)?;
            let expires: Option<Second> = codec::optional(reader)?;
            ends.parents
                .extend(expires.map(|second| (parent.clone(), second)));
            parents.push(parent);
        }
        ends.entity = codec::optional(reader)?;
        let stored = Arc::new(Stored::of_packed(named, version, parents, ends, packed)?);
        let before = self.view.put(Arc::clone(&stored));
        if before.is_some() {
            return Err(Damaged::new("an entity is there twice"));
        }
        Ok(stored)
    }

    fn parent(&mut self, reader: &mut Reader<'_>) -> Result<Named, Damaged> {
        let key = uid_bytes(reader)?;
        if let Some(named) = self.parents.get(key) {
            return Ok(named.clone());
        }
        let new = named(key, self.types)?;
        let stored = self.view.get_named(new.probe());
        let named = stored.map_or(new, |(named, _)| named.clone());
        self.parents.insert(key.into(), named.clone());
        Ok(named)
    }
}

/// Passes over a uid, and gives its bytes.
fn uid_bytes<'r>(reader: &mut Reader<'r>) -> Result<&'r [u8], Damaged> {
    let before = reader.bytes();
    reader.text()?;
    reader.text()?;
    let length = before.len() - reader.bytes().len();
    Ok(before.get(..length).unwrap_or_default())
}

fn named(uid: &[u8], types: &Types) -> Result<Named, Damaged> {
    let uid = Reader::new(uid).uid(types)?;
    Ok(Named::new(Arc::new(uid)))
}
