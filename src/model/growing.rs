//! What a growing file is known by.
//!
//! Its content is not there yet, so it cannot be its hash. It is the hash of the file's head: its first
//! two lines that are not empty, which are the header and the first record. They are whole before
//! anything of the file is streamed, and never change while the file grows.

use sha2::{Digest as _, Sha256};

/// Within how many bytes the head has to end.
pub const LONGEST_HEAD: usize = 2 * 1024 * 1024;
/// Keeps the digest of a head apart from that of a file with this content.
const DOMAIN: &[u8] = b"telectl growing file\0";

/// How many bytes the head of a file has that begins so; `None` as long as it is not whole.
pub fn head_length(bytes: &[u8]) -> Option<usize> {
    let (mut start, mut lines) = (0, 0);
    for (at, byte) in bytes.iter().enumerate() {
        if *byte != b'\n' {
            continue;
        }
        let is_empty = bytes[start..at].iter().all(|byte| *byte == b'\r');
        lines += usize::from(!is_empty);
        if lines == 2 {
            return Some(at + 1);
        }
        start = at + 1;
    }
    None
}

/// The digest of a growing file with this head, 64 hexadecimal digits. `generation` is 0, and one
/// more for each file that began with the same head and ended before.
pub fn digest(head: &[u8], generation: u32) -> String {
    let mut hash = Sha256::new();
    hash.update(DOMAIN);
    hash.update(generation.to_le_bytes());
    hash.update(head);
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_two_lines_and_known_by_them_alone() {
        let text = b"a,b\r\n\r\n1,2\n3,4\n";
        assert_eq!(head_length(text), Some(11));
        for end in 0..11 {
            assert_eq!(head_length(&text[..end]), None);
        }
        let (head, other) = (&text[..11], b"a,b\r\n\r\n1,3\n");
        assert_eq!(digest(head, 0), digest(b"a,b\r\n\r\n1,2\n", 0));
        assert_ne!(digest(head, 0), digest(head, 1));
        assert_ne!(digest(head, 0), digest(other, 0));
        assert_ne!(digest(head, 0), hex::encode(Sha256::digest(head)));
    }
}
