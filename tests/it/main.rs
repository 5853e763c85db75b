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
mod grpc;
mod health;
mod reload;
mod support;
mod tidy;
mod witness;
