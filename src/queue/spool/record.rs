//! One record: length u32 · CRC-32 u32 · sequence u64 · length of the note u32 · note · payload.
//!
//! The length counts what follows the checksum, and the checksum covers it.

use serde::Serialize;

pub(super) const HEADER: usize = 8;
/// Fixed part of what follows the header.
const FIXED: usize = 12;
/// Shortest possible record, in bytes.
pub(super) const SHORTEST: u64 = (HEADER + FIXED) as u64;
/// No record is longer: what claims to be is damage.
const LONGEST: usize = 128 * 1024 * 1024;

/// No spool counts so far, and no store could hold it: what claims to is damage.
pub(super) const HIGHEST: u64 = i64::MAX as u64;

/// A record in a buffer.
pub(super) struct Record<'a> {
    pub(super) sequence: u64,
    pub(super) note: &'a [u8],
    pub(super) payload: &'a [u8],
}

pub(super) fn encode(
    sequence: u64,
    note: &impl Serialize,
    payload: &[u8],
) -> Result<Vec<u8>, serde_json::Error> {
    let note = serde_json::to_vec(note)?;
    let length = (FIXED + note.len() + payload.len()) as u32;
    let mut bytes = Vec::with_capacity(HEADER + length as usize);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&sequence.to_le_bytes());
    bytes.extend_from_slice(&(note.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&note);
    bytes.extend_from_slice(payload);
    let checksum = crc32fast::hash(&bytes[HEADER..]);
    bytes[4..HEADER].copy_from_slice(&checksum.to_le_bytes());
    Ok(bytes)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_le_bytes(field))
}

/// Bytes of the record that begins with this header; `None` if there can be no such record.
pub(super) fn length(header: &[u8]) -> Option<usize> {
    let length = number(header, 0)? as usize;
    (FIXED..=LONGEST)
        .contains(&length)
        .then_some(HEADER + length)
}

/// The record at the start of `bytes`; `None` if it is cut off or damaged.
pub(super) fn decode(bytes: &[u8]) -> Option<Record<'_>> {
    let length = length(bytes)?;
    let content = bytes.get(HEADER..length)?;
    if crc32fast::hash(content) != number(bytes, 4)? {
        return None;
    }
    let sequence = u64::from_le_bytes(content.get(..8)?.try_into().ok()?);
    if sequence > HIGHEST {
        return None;
    }
    let note_length = number(content, 8)? as usize;
    let (note, payload) = content[FIXED..].split_at_checked(note_length)?;
    Some(Record {
        sequence,
        note,
        payload,
    })
}
