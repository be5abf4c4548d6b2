//! Messages on their way from a streamer to a collector.

use telectl::queue::codec::{decode, encode};

/// Whatever the bytes are, decoding them answers; a message is the same after it was encoded again.
pub fn check(bytes: &[u8]) {
    let Ok(message) = decode(bytes) else { return };
    let once = encode(&message).expect("what was decoded can be encoded");
    let again = decode(&once).expect("what was encoded can be decoded");
    // Not the messages: a value may be no number, which is not even equal to itself.
    let twice = encode(&again).expect("what was decoded can be encoded");
    assert_eq!(once, twice);
    assert_eq!(message.id(), again.id());
}

/// The bytes of a message with this body, whatever it says: no damage, but malice.
pub fn with_header(kind: u8, body: &[u8]) -> Vec<u8> {
    let packed = zstd::bulk::compress(body, 1).expect("memory can be packed");
    let mut bytes = b"TELQ".to_vec();
    bytes.extend_from_slice(&[1, kind, 0, 0]);
    for length in [body.len(), packed.len()] {
        bytes.extend_from_slice(&(length as u32).to_le_bytes());
    }
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&bytes);
    checksum.update(&packed);
    bytes.extend_from_slice(&checksum.finalize().to_le_bytes());
    bytes.extend_from_slice(&packed);
    bytes
}
