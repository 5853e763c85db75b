//! What operators see: metrics and log lines.
//!
//! An event is one function: it writes its log line and moves its counter, so
//! that the two cannot tell different stories.

pub mod cache;
pub mod counters;
pub mod events;
pub mod logs;
pub mod metrics;
pub mod otlp;
pub mod trace;

pub use counters::Counters;

use metrics::Family;
use metrics::directory::DirectoryCounters;
use metrics::process::Process;

/// What is counted, and what the system says of the process.
pub fn families(counters: &Counters, directory: &DirectoryCounters) -> Vec<Family> {
    let mut families = counters.families();
    families.extend(directory.families());
    families.extend(Process::read().families());
    families
}
