//! A folder of a spool. The first byte says whether the rest are files or what records say; parts are
//! divided by `|`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use telectl_fuzz::spool::{check, record};

/// Records from this number on; the first byte of each says how long its note is, or that the number
/// is one that no checksum tells to be damage.
fn sound(part: &[u8], first: u64) -> Vec<u8> {
    let records = part.split(|byte| *byte == b'\n').zip(first..);
    let records = records.map(|(one, sequence)| match one {
        [255, rest @ ..] => record(u64::MAX - sequence, rest, b""),
        [note_length, rest @ ..] => {
            let (note, payload) = rest.split_at(usize::from(*note_length).min(rest.len()));
            record(sequence, note, payload)
        }
        [] => Vec::new(),
    });
    records.flatten().collect()
}

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else {
        return;
    };
    let mut parts = rest.split(|byte| *byte == b'|');
    let mut part = || parts.next().unwrap_or_default();
    let (one, other, marks) = (part(), part(), part());
    if first % 2 == 0 {
        check([one, other], marks);
    } else {
        check([&sound(one, 0), &sound(other, 10_000)], marks);
    }
});
