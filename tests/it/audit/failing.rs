//! A gate in front of the disk that fails, waits or crashes when told.

use std::collections::BTreeMap;
use std::io;
use std::io::ErrorKind;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use deodar::audit::files::Call;
use deodar::audit::files::Files;
use deodar::audit::files::Refused;
use parking_lot::Condvar;
use parking_lot::Mutex;

/// What the gate does next.
#[derive(Debug, Default)]
pub struct Plan {
    /// So many calls are let through; then, all fail.
    pub calls: Option<u64>,
    /// Of the first write that fails so many bytes are made.
    pub written: usize,
    /// Only these fail: the names of calls. All do, if there are none.
    pub only: Vec<&'static str>,
    /// So many calls fail; then, all are let through. `None` is all.
    pub failures: Option<u64>,
    /// Bytes that were not synced are gone when a sync fails, as they are from
    /// a page cache.
    pub forgets: bool,
    /// Calls wait until the gate is opened.
    pub is_shut: bool,
}

#[derive(Debug, Default)]
struct State {
    plan: Plan,
    /// Calls so far.
    calls: u64,
    failed: u64,
    /// How many bytes of each file are durable.
    durable: BTreeMap<PathBuf, u64>,
    /// Files whose names are not.
    unnamed: Vec<PathBuf>,
    waiting: u64,
}

/// The gate.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

fn name(call: &Call<'_>) -> &'static str {
    match call {
        Call::Open => "open",
        Call::Write(_) => "write",
        Call::Truncate(_) => "truncate",
        Call::Sync => "sync",
        Call::Rename => "rename",
        Call::Remove => "remove",
        Call::SyncDirectory => "sync directory",
    }
}

impl Gate {
    pub fn files(self: &Arc<Self>) -> Files {
        let gate = Arc::clone(self);
        Files::behind(Arc::new(move |path, call| gate.pass(path, call)))
    }

    pub fn plan(&self, plan: Plan) {
        let mut state = self.state.lock();
        (state.plan, state.calls, state.failed) = (plan, 0, 0);
        self.changed.notify_all();
    }

    /// Everything works again.
    pub fn heal(&self) {
        self.plan(Plan::default());
    }

    /// Returns when so many calls have failed.
    pub fn wait_for_failures(&self, failures: u64) {
        let mut state = self.state.lock();
        while state.failed < failures {
            self.changed.wait(&mut state);
        }
    }

    /// Returns when a call waits at the gate.
    pub fn wait_until_waiting(&self) {
        let mut state = self.state.lock();
        while state.waiting == 0 {
            self.changed.wait(&mut state);
        }
    }

    /// What power failure may leave: each file as far as it is durable, and the
    /// rest of it as `torn` makes it. Files without a durable name may be gone.
    pub fn lose_power(&self, torn: impl Fn(&mut Vec<u8>), is_unnamed_gone: bool) {
        let state = self.state.lock();
        for (path, durable) in &state.durable {
            let Ok(mut bytes) = std::fs::read(path) else {
                continue;
            };
            let durable = usize::try_from(*durable).unwrap().min(bytes.len());
            let mut rest = bytes.split_off(durable);
            torn(&mut rest);
            bytes.extend(rest);
            std::fs::write(path, bytes).unwrap();
        }
        if is_unnamed_gone {
            for path in &state.unnamed {
                std::fs::remove_file(path).ok();
            }
        }
    }

    fn pass(&self, path: &Path, call: Call<'_>) -> Result<(), Refused> {
        let mut state = self.state.lock();
        while state.plan.is_shut {
            state.waiting += 1;
            self.changed.notify_all();
            self.changed.wait(&mut state);
            state.waiting -= 1;
        }
        state.calls += 1;
        let plan = &state.plan;
        let is_meant = plan.only.is_empty() || plan.only.contains(&name(&call));
        let is_over = plan
            .failures
            .is_some_and(|failures| state.failed >= failures);
        let is_early = plan.calls.is_none_or(|calls| state.calls <= calls);
        if is_meant && !is_over && !is_early {
            return Err(self.refuse(&mut state, path, call));
        }
        state.note(path, call);
        Ok(())
    }

    fn refuse(&self, state: &mut State, path: &Path, call: Call<'_>) -> Refused {
        state.failed += 1;
        self.changed.notify_all();
        if state.plan.forgets && call == Call::Sync {
            let durable = state.durable.get(path).copied().unwrap_or(0);
            let mut bytes = std::fs::read(path).unwrap();
            bytes[usize::try_from(durable).unwrap()..].fill(0);
            std::fs::write(path, bytes).unwrap();
        }
        let is_write = matches!(call, Call::Write(_));
        let written = if is_write && state.failed == 1 {
            state.plan.written
        } else {
            0
        };
        if let Call::Open = call
            && !path.exists()
        {
            // Made, but not to be used: a crash in between.
            std::fs::write(path, "").ok();
            state.unnamed.push(path.to_owned());
            state.durable.insert(path.to_owned(), 0);
        }
        Refused {
            written,
            error: io::Error::from(ErrorKind::StorageFull),
        }
    }
}

impl State {
    fn note(&mut self, path: &Path, call: Call<'_>) {
        match call {
            Call::Open if !path.exists() => {
                self.unnamed.push(path.to_owned());
                self.durable.insert(path.to_owned(), 0);
            }
            Call::Open => {
                let length = std::fs::metadata(path).unwrap().len();
                self.durable.entry(path.to_owned()).or_insert(length);
            }
            Call::Sync => {
                let length = std::fs::metadata(path).unwrap().len();
                self.durable.insert(path.to_owned(), length);
            }
            Call::Truncate(to) => {
                let durable = self.durable.entry(path.to_owned()).or_insert(to);
                *durable = to.min(*durable);
            }
            Call::SyncDirectory => self.unnamed.clear(),
            Call::Rename => {
                // Made durable under its other name.
                let length = std::fs::metadata(format!("{}.new", path.display()))
                    .unwrap()
                    .len();
                self.durable.insert(path.to_owned(), length);
            }
            Call::Remove => {
                self.durable.remove(path);
            }
            Call::Write(_) => {}
        }
    }
}
