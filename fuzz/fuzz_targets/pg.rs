//! What other nodes say to a scope of process groups.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dist::fuzz::pg(data));
