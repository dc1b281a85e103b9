//! What an EPMD answers to us.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dist::fuzz::epmd_answer(data));
