//! The same, read where they stand.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| etf::fuzz::view(data));
