//! Distribution headers on one connection.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dist::fuzz::header(data));
