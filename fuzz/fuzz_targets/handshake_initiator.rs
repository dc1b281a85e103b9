//! A handshake with a peer that we dial.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dist::fuzz::initiator(data));
