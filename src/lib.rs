//! Deodar: a policy decision point for connected things.

pub mod analysis;
pub mod audit;
pub mod cli;
pub mod config;
pub mod directory;
pub mod engine;
pub mod identity;
pub mod parallel;
pub mod pdp;
pub mod proto;
pub mod run;
pub mod serve;
pub mod source;
pub mod telemetry;
pub mod testing;
