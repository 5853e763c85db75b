//! Integration tests: one binary, so that Cedar is linked once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a failed test may panic, and says what it skipped"
)]

mod cases;
mod convert;
mod doors;
mod examples;
mod fuzz_seeds;
mod grpc;
mod health;
mod peer;
mod proto_lint;
mod reload;
mod support;
mod tidy;
mod witness;

#[path = "../../xtask/src/places.rs"]
mod places;
#[path = "../../fuzz/src/targets.rs"]
#[expect(unreachable_pub, reason = "shared with the fuzz package")]
mod targets;
#[path = "../../fuzz/src/world.rs"]
#[expect(unreachable_pub, reason = "shared with the fuzz package")]
mod world;
