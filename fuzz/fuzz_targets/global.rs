//! What other nodes say to `global`, and what else happens to it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dist::fuzz::global(data));
