//! What can be said of policies without asking them one question at a time: lints,
//! differences of two repositories, recorded questions decided again, proofs.
//!
//! Built on the engine of the service, so that what is analysed is what decides.
//!
//! [`lint`] and [`format`](mod@format) read texts; [`cost`] measures; [`diff`] and
//! [`replay`] compare decisions, which [`flip`] sums up; [`turn`] looks for the
//! smallest change that turns a decision; [`symbolic`] speaks of every possible
//! request, by a solver, and [`invariants`] are what it is asked to prove.

pub mod cost;
pub mod diff;
pub mod flip;
pub mod format;
pub mod invariants;
pub mod lint;
pub mod replay;
pub mod symbolic;
pub mod turn;
pub mod world;
