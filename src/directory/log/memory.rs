//! A log in memory: for tests, and for servers that keep no state.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Entry;
use super::Hash;
use super::Head;
use super::Log;
use super::LogError;
use super::LogId;
use super::Mark;
use super::Snapshot;
use super::check_sizes;

/// How many snapshots are kept.
const SNAPSHOTS_MAX: usize = 2;

/// A log that ends with the process.
#[derive(Debug)]
pub struct Memory {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The place before the first entry that is still there.
    base: Head,
    head: Head,
    entries: VecDeque<Entry>,
    /// The newest last.
    snapshots: Vec<(Head, Arc<[Vec<u8>]>)>,
    mark: Option<Mark>,
}

impl Default for Memory {
    fn default() -> Self {
        let base = Head::before_first(LogId::random());
        Self {
            state: Mutex::new(State {
                base,
                head: base,
                entries: VecDeque::new(),
                snapshots: Vec::new(),
                mark: None,
            }),
        }
    }
}

impl State {
    fn hash_at(&self, sequence: u64) -> Option<Hash> {
        if sequence == self.base.sequence {
            return Some(self.base.hash);
        }
        let index = sequence.checked_sub(self.base.sequence)?.checked_sub(1)?;
        let entry = self.entries.get(usize::try_from(index).ok()?)?;
        Some(entry.hash)
    }

    fn oldest(&self) -> u64 {
        self.base.sequence + 1
    }
}

impl Log for Memory {
    fn head(&self) -> Head {
        self.state.lock().head
    }

    fn oldest(&self) -> u64 {
        self.state.lock().oldest()
    }

    fn append(&self, bodies: &[Vec<u8>]) -> Result<Head, LogError> {
        check_sizes(bodies)?;
        let mut state = self.state.lock();
        for body in bodies {
            state.head = state.head.after(body);
            let entry = Entry {
                sequence: state.head.sequence,
                hash: state.head.hash,
                body: body.clone(),
            };
            state.entries.push_back(entry);
        }
        Ok(state.head)
    }

    fn read(
        &self,
        after: u64,
        entries_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Entry>, LogError> {
        let state = self.state.lock();
        let Some(skip) = after.checked_sub(state.base.sequence) else {
            let oldest = state.oldest();
            return Err(LogError::Trimmed { oldest });
        };
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let mut bytes = 0_usize;
        let fits = |(index, entry): &(usize, &Entry)| {
            bytes = bytes.saturating_add(entry.body.len());
            *index == 0 || (*index < entries_max && bytes <= bytes_max)
        };
        let entries = state.entries.iter().skip(skip).enumerate();
        Ok(entries
            .take_while(fits)
            .map(|(_, entry)| entry.clone())
            .collect())
    }

    fn hash_at(&self, sequence: u64) -> Result<Option<Hash>, LogError> {
        Ok(self.state.lock().hash_at(sequence))
    }

    fn put_snapshot(
        &self,
        at: Head,
        chunks: &mut dyn Iterator<Item = Vec<u8>>,
    ) -> Result<(), LogError> {
        super::check_place(self, &at)?;
        let mut kept = Vec::new();
        for chunk in chunks {
            check_sizes(std::slice::from_ref(&chunk))?;
            kept.push(chunk);
        }
        let mut state = self.state.lock();
        state
            .snapshots
            .retain(|(other, _)| other.sequence != at.sequence);
        state.snapshots.push((at, kept.into()));
        state.snapshots.sort_by_key(|(at, _)| at.sequence);
        let surplus = state.snapshots.len().saturating_sub(SNAPSHOTS_MAX);
        state.snapshots.drain(..surplus);
        Ok(())
    }

    fn snapshot(&self) -> Result<Option<Snapshot>, LogError> {
        let state = self.state.lock();
        Ok(state.snapshots.last().map(|(at, chunks)| {
            let chunks = Arc::clone(chunks);
            let count = chunks.len();
            Snapshot {
                at: *at,
                chunks: Box::new((0..count).filter_map(move |i| chunks.get(i).cloned().map(Ok))),
            }
        }))
    }

    fn trim(&self, through: u64) -> Result<(), LogError> {
        let mut state = self.state.lock();
        if through <= state.base.sequence {
            return Ok(());
        }
        let newest = state.snapshots.last().map_or(0, |(at, _)| at.sequence);
        if through > newest {
            return Err(LogError::Uncovered { through });
        }
        while state.base.sequence < through {
            let Some(entry) = state.entries.pop_front() else {
                break;
            };
            state.base.sequence = entry.sequence;
            state.base.hash = entry.hash;
        }
        Ok(())
    }

    fn mark(&self) -> Result<Option<Mark>, LogError> {
        Ok(self.state.lock().mark)
    }

    fn set_mark(&self, mark: Option<Mark>) -> Result<(), LogError> {
        self.state.lock().mark = mark;
        Ok(())
    }

    fn recover(&self) -> Result<Head, LogError> {
        Ok(self.head())
    }
}

#[cfg(test)]
mod tests {
    use super::Memory;
    use crate::directory::log::conformance;

    #[test]
    fn it_conforms() {
        conformance::suite(|| Box::new(Memory::default()));
    }
}
