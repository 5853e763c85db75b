//! Tests of policies: what they are, and running them.
//!
//! ```text
//! *.test.yaml --read--> Suite of Cases --run--> Report --cli/test--> pretty, json, junit, ..
//!                         |  case.asked(snapshot, view): the question, for any policies
//!                         |  case.expected.compare(decision): what is not as expected
//! ```
//!
//! Built on the engine of the service, so that what is tested is what decides.
//! Reading order: [`suite`], then what reads and runs it.

pub mod coverage;
pub mod mutation;
pub mod subject;
pub mod suite;
pub mod workers;

pub use suite::Case;
pub use suite::Suite;
