//! What a spool finds on its disk when it is opened.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use telectl::queue::spool::Spool;

/// Length after which a segment is full, in bytes.
const SEGMENT: u64 = 256;

fn undone(spool: &Spool<Value>) -> BTreeMap<u64, (Value, Vec<u8>)> {
    let found = spool.undone().map(|(sequence, note)| {
        let payload = spool
            .load(sequence)
            .expect("it was sound when it was opened");
        let payload = payload.expect("it is not done").to_vec();
        (sequence, (note.clone(), payload))
    });
    found.collect()
}

fn open(folder: &Path) -> Spool<Value> {
    Spool::open(folder, SEGMENT).expect("what is on the disk is no reason not to work")
}

/// Whatever segments and marks hold: the spool opens, gives what is sound, takes more, and keeps it.
pub fn check(segments: [&[u8]; 2], marks: &[u8]) {
    let folder = tempfile::TempDir::new_in("/dev/shm").expect("there is room");
    let file = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.path().join(name), bytes).expect("there is room");
    };
    file("00000000000000000000.log", segments[0]);
    file("00000000000000000000.done", marks);
    if !segments[1].is_empty() {
        file("00000000000000000003.log", segments[1]);
    }
    let mut spool = open(folder.path());
    let incarnation = spool.incarnation().clone();
    let mut expected = undone(&spool);
    let note = Value::from("new");
    for payload in [&b"first"[..], b"second"] {
        let sequence = spool.append(note.clone(), payload).expect("there is room");
        let before = expected.insert(sequence, (note.clone(), payload.to_vec()));
        assert!(before.is_none(), "{sequence} was used twice");
    }
    let done: BTreeSet<u64> = expected.keys().copied().step_by(2).collect();
    spool.mark_done(&done).expect("there is room");
    expected.retain(|sequence, _| !done.contains(sequence));
    drop(spool);
    let mut spool = open(folder.path());
    assert_eq!(undone(&spool), expected);
    assert_eq!(*spool.incarnation(), incarnation);
    let rest: BTreeSet<u64> = expected.keys().copied().collect();
    spool.mark_done(&rest).expect("there is room");
    assert_eq!(spool.undone_count(), 0);
    drop(spool);
    assert_eq!(open(folder.path()).undone_count(), 0);
}

/// A record that is sound, whatever its number and its note are.
pub fn record(sequence: u64, note: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut content = sequence.to_le_bytes().to_vec();
    content.extend_from_slice(&(note.len() as u32).to_le_bytes());
    content.extend_from_slice(note);
    content.extend_from_slice(payload);
    let mut bytes = (content.len() as u32).to_le_bytes().to_vec();
    bytes.extend_from_slice(&crc32fast::hash(&content).to_le_bytes());
    bytes.extend_from_slice(&content);
    bytes
}
