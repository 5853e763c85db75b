//! What decisions cost, by policy and by condition.
//!
//! ```text
//! cases or triples --Questions--> asked --measure--> Report --save--> file --compare--> Comparison
//! ```
//!
//! A decision is measured whole, and then in parts: finding candidates and
//! gathering entities, and the condition of each policy over the questions of
//! which it is a candidate. Reading order: [`questions`], [`batches`], [`measure`](mod@measure),
//! [`report`], [`compare`](mod@compare).

pub mod atoms;
pub mod batches;
pub mod compare;
pub mod measure;
pub mod questions;
pub mod report;

pub use batches::Plan;
pub use compare::Comparison;
pub use compare::compare;
pub use measure::measure;
pub use questions::Questions;
pub use report::Machine;
pub use report::Report;
