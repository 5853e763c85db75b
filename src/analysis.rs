//! What can be said of policies without asking them one question at a time: lints,
//! differences of two repositories, recorded questions decided again, proofs.
//!
//! Built on the engine of the service, so that what is analysed is what decides.

pub mod diff;
pub mod flip;
pub mod replay;
pub mod world;
