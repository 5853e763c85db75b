//! Deodar: a policy decision point for connected things.

pub mod cli;
pub mod config;
pub mod directory;
pub mod engine;
pub mod run;
pub mod source;
