//! See `fuzz::layer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::layer(data));
