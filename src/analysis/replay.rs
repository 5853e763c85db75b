//! Recorded questions, decided again by other policies.
//!
//! ```text
//! log: files -> chunks of whole lines -> workers: judge each line -> tally -> report
//! ```
//!
//! Reading order: [`log`] (which files, and their lines in chunks), [`record`] (what
//! of a line is looked at), [`judge`] (a line decided and compared), [`tally`] (added
//! up, the same in whatever order lines are judged).

pub mod judge;
pub mod log;
pub mod record;
pub mod tally;

use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;

use parking_lot::Mutex;

use self::judge::Judge;
use self::log::Chunk;
use self::log::Log;
use self::log::LogError;
use self::tally::Tally;
use super::world::World;
use crate::audit::filter::Filter;

/// Chunks that wait for each worker.
const WAITING: usize = 4;

/// What answers are compared with.
#[derive(Debug, Clone, Copy)]
pub enum Baseline<'a> {
    /// With what was recorded.
    Recorded,
    /// With what these policies answer.
    Policies(World<'a>),
}

/// How recorded questions are decided again.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which records.
    pub filter: Filter,
    /// Of each group of flips so many examples are kept.
    pub examples: usize,
    /// So many threads decide.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            filter: Filter::default(),
            examples: 3,
            threads: thread::available_parallelism().map_or(1, NonZero::get),
        }
    }
}

/// Decides every decision that logs tell of again. Paths are directories of logs, or
/// segments of them. `progress` is told now and then how many records are done, and
/// how many bytes of the files were read.
///
/// # Errors
/// When a path is no log. What is wrong within a log is in the tally.
pub fn replay(
    candidate: World<'_>,
    baseline: Baseline<'_>,
    paths: &[PathBuf],
    options: &Options,
    mut progress: impl FnMut(u64, u64),
) -> Result<Tally, LogError> {
    let log = Log::find(paths)?;
    let done = AtomicU64::new(0);
    let threads = options.threads.max(1);
    let (sender, receiver) = mpsc::sync_channel::<Chunk>(threads * WAITING);
    let receiver = Arc::new(Mutex::new(receiver));
    let mut total = Tally::new(&log.names(), options.examples);
    thread::scope(|scope| {
        let mut workers = Vec::new();
        for _ in 0..threads {
            let (receiver, done) = (Arc::clone(&receiver), &done);
            let mut judge = Judge::new(candidate, baseline, options);
            let mut tally = Tally::new(&[], options.examples);
            workers.push(scope.spawn(move || {
                loop {
                    // The lock is let go before the chunk is looked at.
                    let chunk = receiver.lock().recv();
                    let Ok(chunk) = chunk else { break };
                    let count = tally.chunk(&chunk, &mut judge);
                    done.fetch_add(count, Ordering::Relaxed);
                }
                tally
            }));
        }
        // With the last of them gone, there is nobody to send to.
        drop(receiver);
        let faults = log.read(|chunk, bytes| {
            progress(done.load(Ordering::Relaxed), bytes);
            sender.send(chunk).is_ok()
        });
        drop(sender);
        for worker in workers {
            match worker.join() {
                Ok(tally) => total.merge(tally),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        for fault in faults {
            total.fault(fault);
        }
    });
    total.look_for_holes(&log);
    Ok(total)
}
