//! What operators see: counters and log lines.
//!
//! An event is one function: it writes its log line and moves its counter, so
//! that the two cannot tell different stories.

pub mod cache;
pub mod counters;
pub mod events;
pub mod logs;

pub use counters::Counters;
