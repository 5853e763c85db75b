//! Environments by several threads, each with a solver of its own.

use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;

use parking_lot::Mutex;

use super::Options;
use super::solver::Solver;

/// Compiling formulas recurses over expressions.
const STACK_BYTES: usize = 64 << 20;

/// Does the work for each job, in any order; results are in the order of jobs.
/// `done` is told after each. A job that could not be finished is `None`.
pub(super) fn for_each<J: Sync, R: Send>(
    jobs: &[J],
    options: &Options,
    done: &(dyn Fn() + Sync),
    work: impl Fn(&mut Solver, &J) -> R + Sync,
) -> Vec<Option<R>> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<Option<R>>> = Mutex::new(jobs.iter().map(|_| None).collect());
    let worker = || {
        let mut solver = Solver::new(options);
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(at) else {
                return;
            };
            // A fault in the compiler of formulas costs this job, not the others.
            let result = catch_unwind(AssertUnwindSafe(|| work(&mut solver, job)));
            if let Some(place) = results.lock().get_mut(at) {
                *place = result.ok();
            }
            done();
        }
    };
    thread::scope(|scope| {
        for _ in 0..options.workers.get().min(jobs.len()) {
            let builder = thread::Builder::new().stack_size(STACK_BYTES);
            // Where a thread cannot be had, the others do its work.
            builder.spawn_scoped(scope, worker).ok();
        }
    });
    results.into_inner()
}
