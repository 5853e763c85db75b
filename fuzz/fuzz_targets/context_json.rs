//! Fuzzes [`deodar_fuzz::targets::context_json`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| deodar_fuzz::targets::context_json(input));
