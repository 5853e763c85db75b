//! Telling when a policy directory has changed.

use std::path::Path;
use std::time::Duration;

use notify::RecommendedWatcher;
use notify::RecursiveMode;
use notify::Watcher as _;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How long changes may keep coming before the directory is read all the same,
/// in units of the debounce time.
const PATIENCE: u32 = 20;

/// A watch on a directory and everything below it.
#[derive(Debug)]
pub struct Watch {
    events: mpsc::Receiver<()>,
    debounce: Duration,
    /// A change came that nobody was told of yet.
    is_changed: bool,
    /// Watching ends when this is dropped.
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// Starts watching.
    ///
    /// # Errors
    /// When the system cannot watch the directory, for example because it does
    /// not exist or the limit of watches is reached.
    pub fn new(root: &Path, debounce: Duration) -> notify::Result<Self> {
        // One place is enough: what counts is that something changed.
        let (sender, events) = mpsc::channel(1);
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                let is_read = event.is_ok_and(|event| event.kind.is_access());
                if !is_read {
                    sender.try_send(()).ok();
                }
            })?;
        watcher.watch(root, RecursiveMode::Recursive)?;
        Ok(Self {
            events,
            debounce,
            is_changed: false,
            _watcher: watcher,
        })
    }

    /// Waits for a change, and then until none has come for the debounce time,
    /// so that an editor's or git's many writes are seen as one. Who stops waiting
    /// and asks again misses nothing.
    ///
    /// Returns `false` when watching has ended.
    pub async fn changed(&mut self) -> bool {
        if !self.is_changed && self.events.recv().await.is_none() {
            return false;
        }
        self.is_changed = true;
        for _ in 0..PATIENCE {
            match timeout(self.debounce, self.events.recv()).await {
                Ok(Some(())) => {}
                Ok(None) => return false,
                Err(_) => break,
            }
        }
        self.is_changed = false;
        true
    }
}
