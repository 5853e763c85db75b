//! Fuzzes [`deodar_fuzz::targets::transaction`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| deodar_fuzz::targets::transaction(input));
