//! What other nodes broadcast.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dist::fuzz::pubsub(data));
