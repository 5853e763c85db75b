//! Fuzzes [`deodar_fuzz::targets::import_split`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| deodar_fuzz::targets::import_split(input));
