//! Terms as a peer sends them, decoded.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| etf::fuzz::decode(data));
