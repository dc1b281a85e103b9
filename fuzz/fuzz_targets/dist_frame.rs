//! A byte stream cut into frames.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dist::fuzz::frame(data));
