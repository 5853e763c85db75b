//! Tests of policies: what they are, and running them.
//!
//! ```text
//! *.test.yaml --read--> Suite of Cases --run--> Report --cli/test--> pretty, json, junit, ..
//!                         |  case.asked(snapshot, view): the question, for any policies
//!                         |  case.expected.compare(decision): what is not as expected
//! ```
//!
//! Built on the engine of the service, so that what is tested is what decides.
//! Reading order: [`suite`], then what reads it: [`read`](mod@read), which takes a
//! file to a tree with places (`node`), gathers faults (`page`), and makes cases
//! (`cases`, `table`, `cedar_json`) of parameters, fixtures and settings.

mod cases;
mod cedar_json;
mod expect;
mod fixtures;
mod known;
mod node;
mod page;
mod parameters;
pub mod read;
mod setting;
pub mod suite;
mod table;

#[cfg(test)]
mod tests;

pub use read::Read;
pub use read::read;
pub use suite::Case;
pub use suite::Suite;
