//! Fuzzes [`deodar_fuzz::targets::wire_authorize`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| deodar_fuzz::targets::wire_authorize(input));
