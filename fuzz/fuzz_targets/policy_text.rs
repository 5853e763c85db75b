//! Fuzzes [`deodar_fuzz::targets::policy_text`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| deodar_fuzz::targets::policy_text(input));
