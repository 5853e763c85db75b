//! A log that fails when told, as a full disk does.

use deodar::directory::log::Entry;
use deodar::directory::log::Hash;
use deodar::directory::log::Head;
use deodar::directory::log::Log;
use deodar::directory::log::LogError;
use deodar::directory::log::Mark;
use deodar::directory::log::Memory;
use deodar::directory::log::Snapshot;
use parking_lot::Mutex;

/// A log in memory whose disk fills.
#[derive(Debug, Default)]
pub struct Faulty {
    log: Memory,
    fault: Mutex<Fault>,
}

/// What goes wrong next.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fault {
    /// So many appends succeed; `None` is all.
    pub appends: Option<usize>,
    /// The one that fails was written all the same.
    pub is_applied: bool,
    /// Of the one that fails the first entry was written all the same.
    pub is_begun: bool,
    /// So many changes of the mark succeed; `None` is all.
    pub marks: Option<usize>,
    /// So many snapshots end by a panic.
    pub panics: usize,
    /// So many recoveries fail after it.
    pub recoveries: usize,
    /// An append failed, and nobody has recovered yet.
    pub is_unknown: bool,
}

impl Faulty {
    pub fn fail(&self, fault: Fault) {
        *self.fault.lock() = fault;
    }

    /// The disk has room again.
    pub fn heal(&self) {
        let mut fault = self.fault.lock();
        fault.recoveries = 0;
        fault.appends = None;
    }

    pub fn bodies(&self) -> Vec<Vec<u8>> {
        let entries = self.log.read(0, usize::MAX, usize::MAX).unwrap();
        entries.into_iter().map(|entry| entry.body).collect()
    }

    fn check(&self) -> Result<(), LogError> {
        if self.fault.lock().is_unknown {
            return Err(LogError::Unknown);
        }
        Ok(())
    }
}

fn full() -> LogError {
    LogError::Full {
        what: "log".to_owned(),
    }
}

impl Log for Faulty {
    fn head(&self) -> Head {
        self.log.head()
    }

    fn oldest(&self) -> u64 {
        self.log.oldest()
    }

    fn append(&self, bodies: &[Vec<u8>]) -> Result<Head, LogError> {
        self.check()?;
        let mut fault = self.fault.lock();
        match &mut fault.appends {
            Some(0) => {
                if fault.is_applied {
                    self.log.append(bodies)?;
                } else if fault.is_begun {
                    self.log.append(&bodies[..1])?;
                }
                fault.appends = None;
                fault.is_unknown = true;
                return Err(full());
            }
            Some(left) => *left -= 1,
            None => {}
        }
        self.log.append(bodies)
    }

    fn read(&self, after: u64, entries: usize, bytes: usize) -> Result<Vec<Entry>, LogError> {
        self.check()?;
        self.log.read(after, entries, bytes)
    }

    fn hash_at(&self, sequence: u64) -> Result<Option<Hash>, LogError> {
        self.check()?;
        self.log.hash_at(sequence)
    }

    fn put_snapshot(
        &self,
        at: Head,
        chunks: &mut dyn Iterator<Item = Vec<u8>>,
    ) -> Result<(), LogError> {
        self.check()?;
        let mut fault = self.fault.lock();
        if fault.panics > 0 {
            fault.panics -= 1;
            drop(fault);
            std::panic::resume_unwind(Box::new(()));
        }
        drop(fault);
        self.log.put_snapshot(at, chunks)
    }

    fn snapshot(&self) -> Result<Option<Snapshot>, LogError> {
        self.check()?;
        self.log.snapshot()
    }

    fn trim(&self, through: u64) -> Result<(), LogError> {
        self.check()?;
        self.log.trim(through)
    }

    fn mark(&self) -> Result<Option<Mark>, LogError> {
        self.check()?;
        self.log.mark()
    }

    fn set_mark(&self, mark: Option<Mark>) -> Result<(), LogError> {
        self.check()?;
        let mut fault = self.fault.lock();
        match &mut fault.marks {
            Some(0) => {
                if fault.is_applied {
                    self.log.set_mark(mark)?;
                }
                fault.marks = None;
                fault.is_unknown = true;
                return Err(full());
            }
            Some(left) => *left -= 1,
            None => {}
        }
        self.log.set_mark(mark)
    }

    fn recover(&self) -> Result<Head, LogError> {
        let mut fault = self.fault.lock();
        if fault.recoveries > 0 {
            fault.recoveries -= 1;
            return Err(full());
        }
        fault.is_unknown = false;
        Ok(self.log.head())
    }
}
