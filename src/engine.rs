//! The decision itself: pure functions over immutable values.
//!
//! ```text
//! files --compile--> Snapshot ---+
//! entities, links ---> View -----+--> decide(&snapshot, &view, &query) -> Decision
//! wire values -----> Query ------+
//! ```
//!
//! Nothing in here does I/O, reads a clock or the environment, or is `async`:
//! time arrives as `context.now`, files arrive as bytes. That is what makes a
//! decision repeatable, testable against Cedar's own `Authorizer`, and fast.
//!
//! Reading order: [`query`] and [`decision`] (what goes in and comes out),
//! [`mod@compile`] (files to a [`Snapshot`]), [`index`] and [`mod@decide`] (the hot
//! path), [`mod@explain`] (why), [`access`] (what a policy can read).

pub mod access;
pub mod closest;
pub mod compile;
pub mod conform;
pub mod cost;
pub mod datetime;
pub mod decide;
pub mod decision;
pub mod depth;
pub mod digest;
pub mod examine;
pub mod explain;
pub mod extensions;
pub mod fault;
pub mod files;
pub mod footprint;
pub mod index;
pub mod json;
pub mod json_text;
pub mod keep;
pub mod link;
pub mod links;
pub mod manifest;
pub mod named;
pub(crate) mod nesting;
pub mod overlay;
pub mod packed;
pub mod policy;
pub mod query;
mod reach;
pub mod replace;
pub mod schema;
pub mod scope;
mod slice;
pub mod snapshot;
pub mod stored;
pub mod strip;
pub mod value;
pub mod view;
mod warm;

#[cfg(test)]
mod tests;

pub use compile::compile;
pub use decide::decide;
pub use decision::Cause;
pub use decision::Decision;
pub use decision::Outcome;
pub use decision::Permit;
pub use digest::Digest;
pub use examine::examine;
pub use explain::explain;
pub use fault::Fault;
pub use files::Files;
pub use query::Query;
pub use reach::ANCESTORS_MAX;
pub use snapshot::Snapshot;
pub use view::View;
