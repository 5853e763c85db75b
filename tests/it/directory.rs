//! The directory and the decision cache in front of it.

mod bytes;
mod changes;
mod crowded;
mod drafts;
mod endings;
mod facts;
mod faulty;
mod fitted;
mod foreign;
mod full;
mod heights;
mod isolation;
mod killed;
mod lists;
mod misfits;
mod model;
mod plain;
mod recorded;
mod rules;
pub mod site;
mod stamps_model;
mod store;
