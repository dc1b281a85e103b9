//! Messages, whole and in fragments, with each framing.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dist::fuzz::fragment(data));
