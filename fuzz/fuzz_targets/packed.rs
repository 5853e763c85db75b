//! Fuzzes [`deodar_fuzz::targets::packed`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| deodar_fuzz::targets::packed(input));
