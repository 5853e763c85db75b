//! The atomics of the decision cache, by a name that a model checker can take
//! the place of (`tests/it/stamps_model.rs`).

pub use std::sync::atomic::AtomicU64;
pub use std::sync::atomic::Ordering;
