//! A handshake with a peer that dials us.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dist::fuzz::acceptor(data));
