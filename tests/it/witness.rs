//! The witness type: code that allows without asking does not compile.
//!
//! `Permit`'s documentation holds the same as `compile_fail` examples, which
//! `cargo test` always runs. trybuild checks the messages too, but compiles
//! every dependency once more for it, so it runs where minutes are spent anyway.

#[test]
fn permits_cannot_be_made_outside_the_engine() {
    if std::env::var_os("DEODAR_TRYBUILD").is_none() {
        eprintln!(
            "skipped: set DEODAR_TRYBUILD=1 to compile the forgeries of tests/ui (some minutes)"
        );
        return;
    }
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
