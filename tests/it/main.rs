//! Integration tests: one binary, so that Cedar is linked once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::format_push_string,
    clippy::too_many_lines,
    clippy::format_collect,
    clippy::redundant_pub_crate,
    unreachable_pub,
    unnameable_types,
    missing_debug_implementations,
    reason = "a failed test may panic, and says what it skipped"
)]

mod audit;
mod audit_record;
mod audit_service;
mod audited;
mod batches;
mod cases;
mod cli;
mod compile_faults;
mod convert;
mod directory;
mod directory_service;
mod docs_cli;
mod doors;
mod engine_oracle;
mod examine;
mod examples;
mod fuzz_seeds;
mod grpc;
mod guide;
mod health;
mod kills;
mod log;
mod operations;
mod peer;
mod policy_tests;
mod proto_lint;
mod readme;
mod records;
mod reference;
mod reload;
mod replayed;
mod round_trips;
mod secrets;
mod served;
mod served_killed;
mod support;
mod telemetry;
mod test_files;
mod tidy;
mod witness;
mod words;

#[path = "../../xtask/src/devices.rs"]
#[expect(dead_code, reason = "shared with xtask, which has a command line")]
mod devices;
#[path = "../../xtask/src/docs/page.rs"]
mod page;
#[path = "../../xtask/src/places.rs"]
mod places;
#[path = "../../fuzz/src/targets.rs"]
#[expect(unreachable_pub, reason = "shared with the fuzz package")]
mod targets;
#[path = "../../fuzz/src/world.rs"]
#[expect(unreachable_pub, reason = "shared with the fuzz package")]
mod world;
