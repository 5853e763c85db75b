//! Who and what exists: entities and links.
//!
//! For now the directory is what the policy repository's `entities/` and
//! `links/` hold, loaded whole into an immutable view. The transaction log and
//! the embedded store that follow will yield the same [`View`]s.

pub mod load;
pub mod log;

pub use load::load;

/// The view that decisions use.
pub use crate::engine::View;
