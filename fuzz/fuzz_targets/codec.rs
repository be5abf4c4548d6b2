//! The first byte says whether the rest is a message or the body of one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use telectl_fuzz::codec::{check, with_header};

fuzz_target!(|bytes: &[u8]| match bytes {
    [kind @ 0..8, body @ ..] => check(&with_header(*kind, body)),
    bytes => check(bytes),
});
