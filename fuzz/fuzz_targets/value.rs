//! Fuzzes [`deodar_fuzz::targets::value`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| deodar_fuzz::targets::value(input));
