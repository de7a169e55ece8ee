//! See `fuzz::auth_header`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::auth_header(data));
