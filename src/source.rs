//! Where policies come from: files of a revision, as bytes.
//!
//! A source knows nothing of Cedar. It yields whole revisions, never part of
//! one; whether a revision can be used is for the engine to say.

pub mod git;
pub mod limits;
pub mod read;
pub mod watch;

pub use limits::Limits;
pub use read::SourceError;
pub use read::read;
pub use read::read_all;
pub use watch::Watch;
