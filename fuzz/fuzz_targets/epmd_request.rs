//! What our own EPMD is asked.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dist::fuzz::epmd_request(data));
