//! Deodar: a policy decision point for connected things.

pub mod config;
pub mod directory;
pub mod engine;
pub mod source;
