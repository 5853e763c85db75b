//! The latest state, as readers see it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;
use cedar_policy_core::ast::EntityUID;
use parking_lot::Mutex;
use smol_str::SmolStr;
use tokio::sync::watch;

use super::apply::memberships;
use super::log::Head;
use super::log::Log;
use super::log::LogError;
use super::record::Counts;
use super::record::EntityRecord;
use super::record::LinkRecord;
use super::revision::Revision;
use super::state::State;
use crate::engine::Snapshot;
use crate::engine::named::Named;
use crate::engine::named::Probe;
use crate::engine::packed::Types;
use crate::engine::packed::Writer;
use crate::engine::stored::Stored;

/// So many revisions are remembered, so that recent tokens are told without
/// reading the log.
const REMEMBERED: usize = 1 << 16;

/// The state of the directory at one revision; it never changes.
pub struct Tip {
    /// Which revision.
    pub revision: Revision,
    pub(super) millis: i64,
    pub(super) state: State,
    pub(super) snapshot: Option<Arc<Snapshot>>,
}

impl fmt::Debug for Tip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tip")
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

/// What the writer and all readers share.
#[derive(Debug)]
pub struct Shared {
    tip: ArcSwap<Tip>,
    heads: watch::Sender<Revision>,
    recent: Mutex<VecDeque<Revision>>,
    snapshotting: AtomicBool,
}

impl Shared {
    /// Begins at a state.
    pub fn new(tip: Tip) -> Self {
        let (heads, _) = watch::channel(tip.revision);
        Self {
            recent: Mutex::new([tip.revision].into()),
            tip: ArcSwap::from_pointee(tip),
            heads,
            snapshotting: AtomicBool::new(false),
        }
    }

    /// The latest state.
    pub fn tip(&self) -> Arc<Tip> {
        self.tip.load_full()
    }

    /// Tells of each new head.
    pub fn heads(&self) -> watch::Receiver<Revision> {
        self.heads.subscribe()
    }

    /// What is remembered of this sequence number.
    pub fn remembered(&self, sequence: u64) -> Option<Revision> {
        let recent = self.recent.lock();
        let at = recent.partition_point(|revision| revision.sequence < sequence);
        let found = recent.get(at).copied();
        found.filter(|revision| revision.sequence == sequence)
    }

    /// The latest state, with its whole place in the log.
    pub(super) fn tip_and_head(&self, log: &dyn Log) -> Result<(Arc<Tip>, Head), LogError> {
        let tip = self.tip();
        let sequence = tip.revision.sequence;
        let hash = log.hash_at(sequence)?.ok_or(LogError::Unknown)?;
        let head = Head {
            log: log.head().log,
            sequence,
            hash,
        };
        Ok((tip, head))
    }

    pub(super) fn advance(&self, tip: Tip) {
        let revision = tip.revision;
        self.tip.store(Arc::new(tip));
        let mut recent = self.recent.lock();
        if recent
            .back()
            .is_none_or(|last| last.sequence < revision.sequence)
        {
            recent.push_back(revision);
            if recent.len() > REMEMBERED {
                recent.pop_front();
            }
        }
        drop(recent);
        self.heads.send_replace(revision);
    }
}

/// The turn of who writes a snapshot: one at a time. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct SnapshotTurn(Arc<Shared>);

impl SnapshotTurn {
    /// Takes the turn, unless somebody has it.
    pub(super) fn take(shared: &Arc<Shared>) -> Option<Self> {
        let is_free = !shared.snapshotting.swap(true, Ordering::AcqRel);
        is_free.then(|| Self(Arc::clone(shared)))
    }
}

impl Drop for SnapshotTurn {
    fn drop(&mut self) {
        self.0.snapshotting.store(false, Ordering::Release);
    }
}

impl Tip {
    /// When it was written, in milliseconds since 1970.
    pub fn millis(&self) -> i64 {
        self.millis
    }

    /// A stored entity.
    pub fn entity(&self, uid: &EntityUID) -> Option<EntityRecord> {
        let (named, stored) = self.state.get(Probe::new(uid))?;
        Some(self.record(named, stored))
    }

    /// A stored link.
    pub fn link(&self, id: &str) -> Option<LinkRecord> {
        let row = self.state.link(id)?;
        Some(LinkRecord {
            link: row.link.clone(),
            version: row.version,
        })
    }

    /// How many entities there are.
    pub fn entities_len(&self) -> usize {
        self.state.view.len()
    }

    /// How many links there are.
    pub fn links_len(&self) -> usize {
        self.state.links().len()
    }

    /// How much there is. Looks at everything.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts {
            expiring: self.state.ends().len() as u64,
            next_expiry: self.state.ends().get_min().map(|(second, _)| *second),
            ..Counts::default()
        };
        let mut last: Option<(&Named, u64)> = None;
        // Entities are in order of type: a type is written out once.
        for named in self.state.ordered() {
            last = Some(match last {
                Some((first, count)) if first.uid().entity_type() == named.uid().entity_type() => {
                    (first, count + 1)
                }
                before => {
                    count_type(&mut counts, before);
                    (named, 1)
                }
            });
        }
        count_type(&mut counts, last);
        for row in self.state.links().values() {
            *counts.links.entry(row.link.template.clone()).or_default() += 1;
        }
        counts
    }

    /// The state as bytes; equal for equal states.
    pub fn digest(&self) -> SmolStr {
        super::dump::digest(&self.state)
    }

    pub(super) fn record(&self, named: &Named, stored: &Stored) -> EntityRecord {
        let unpacked = match &self.snapshot {
            Some(snapshot) => stored.unpack(snapshot.types()),
            None => stored.unpack(&Types::default()),
        };
        // What is stored was read back once when it came in.
        let (attributes, tags) = unpacked.unwrap_or_default();
        EntityRecord {
            uid: Arc::clone(named.uid()),
            version: stored.version,
            attributes: attributes.into_iter().collect(),
            tags: tags.into_iter().collect(),
            parents: memberships(stored),
            expires: stored.ends.as_ref().and_then(|ends| ends.entity),
        }
    }
}

fn count_type(counts: &mut Counts, group: Option<(&Named, u64)>) {
    if let Some((first, count)) = group {
        let name = first.uid().entity_type().to_string();
        *counts.entities.entry(name).or_default() += count;
    }
}

/// The packed form of a value, as indexes have it.
pub(super) fn packed(value: &cedar_policy_core::ast::Value) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.value(value);
    writer.into_bytes()
}
