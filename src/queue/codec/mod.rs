//! Messages as bytes: columns instead of rows, a dictionary of series, zstd, a checksum.
//!
//! ```text
//! magic "TELQ" · version u8 · kind u8 · 0 u16 · length of the plain body u32 ·
//! length of the packed body u32 · CRC-32 of everything before and after this field u32 ·
//! packed body
//! ```
//!
//! Numbers are little-endian; inside the body they are variable-length. Whatever the bytes are,
//! [`decode`] answers within bounded memory and never panics.

use bytes::Bytes;

use crate::model::batch::Message;

mod body;
mod labels;
mod wire;

/// First bytes of every message.
const MAGIC: [u8; 4] = *b"TELQ";
/// The only version so far.
const VERSION: u8 = 1;
const BATCH: u8 = 1;
const SIGNED_OFF: u8 = 2;
const CANARY: u8 = 3;
const HEADER: usize = 20;
const CHECKSUM_AT: usize = 16;
/// Level 1: no smaller at 3, and three times as fast.
const ZSTD_LEVEL: i32 = 1;

/// Longest body in bytes, unpacked. Far above what a streamer makes (some 20 MiB at the worst), so
/// that only damage and malice are refused.
pub const LONGEST_BODY: usize = 64 * 1024 * 1024;

/// Bytes that are no message, or not one that this version can read. Such an entry is poison: it
/// stays what it is however often it is delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Shorter than a header, or the magic bytes are missing.
    #[error("not a message: it does not begin with a message header")]
    NoHeader,
    /// Made by another version.
    #[error("message of version {0}, only version {VERSION} is known")]
    UnknownVersion(u8),
    /// Made by a newer version, for a purpose that this one does not know.
    #[error("message of kind {0}, which this version does not know")]
    UnknownKind(u8),
    /// Header and content do not belong together.
    #[error("checksum mismatch: the message was damaged or cut off")]
    Checksum,
    /// It says that it is longer than any message may be.
    #[error("message body of {0} bytes, at most {LONGEST_BODY} are allowed")]
    TooLong(u64),
    /// The content contradicts itself.
    #[error("malformed message: {0}")]
    Malformed(&'static str),
}

/// A message that cannot be encoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// Its body would be longer than [`LONGEST_BODY`].
    #[error("message body of {0} bytes, at most {LONGEST_BODY} are allowed")]
    TooLong(usize),
    /// Its columns differ in length or name series that do not exist.
    #[error("the columns of the batch do not fit together")]
    Columns,
    /// The compressor failed.
    #[error("cannot compress the message")]
    Compress(#[source] std::io::Error),
}

/// The bytes of a message.
pub fn encode(message: &Message) -> Result<Bytes, EncodeError> {
    let mut plain = wire::Writer::default();
    let kind = match message {
        Message::Batch(batch) => {
            body::write_batch(&mut plain, batch)?;
            BATCH
        }
        Message::SignedOff(signed_off) => {
            body::write_signed_off(&mut plain, signed_off);
            SIGNED_OFF
        }
        Message::Canary(canary) => {
            body::write_canary(&mut plain, canary);
            CANARY
        }
    };
    let plain = plain.into_bytes();
    let too_long = || EncodeError::TooLong(plain.len());
    if plain.len() > LONGEST_BODY {
        return Err(too_long());
    }
    let packed = zstd::bulk::compress(&plain, ZSTD_LEVEL).map_err(EncodeError::Compress)?;
    let mut bytes = Vec::with_capacity(HEADER + packed.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&[VERSION, kind, 0, 0]);
    for length in [plain.len(), packed.len()] {
        let length = u32::try_from(length).map_err(|_| too_long())?;
        bytes.extend_from_slice(&length.to_le_bytes());
    }
    let checksum = checksum(&bytes, &packed);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes.extend_from_slice(&packed);
    Ok(bytes.into())
}

fn checksum(before: &[u8], after: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(before);
    hasher.update(after);
    hasher.finalize()
}

fn number(bytes: &[u8], at: usize) -> Result<u32, DecodeError> {
    bytes
        .get(at..at + 4)
        .and_then(|field| field.try_into().ok())
        .map(u32::from_le_bytes)
        .ok_or(DecodeError::NoHeader)
}

/// The message in these bytes. Whoever decodes many of them takes a [`Decoder`].
pub fn decode(bytes: &[u8]) -> Result<Message, DecodeError> {
    Decoder::default().decode(bytes)
}

/// Decodes one message after the other; those that name the same series share its labels.
#[derive(Default)]
pub struct Decoder {
    known: labels::KnownLabels,
}

impl Decoder {
    /// Bytes of the labels that were not known when they came, of all messages so far.
    pub fn learnt(&self) -> usize {
        self.known.learnt()
    }

    /// The message in these bytes.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<Message, DecodeError> {
        if bytes.len() < HEADER || !bytes.starts_with(&MAGIC) {
            return Err(DecodeError::NoHeader);
        }
        // Before the checksum: another version may compute it otherwise.
        if bytes[4] != VERSION {
            return Err(DecodeError::UnknownVersion(bytes[4]));
        }
        let (header, packed) = bytes.split_at(HEADER);
        if checksum(&header[..CHECKSUM_AT], packed) != number(header, CHECKSUM_AT)? {
            return Err(DecodeError::Checksum);
        }
        let plain_length = number(header, 8)?;
        if plain_length as usize > LONGEST_BODY {
            return Err(DecodeError::TooLong(plain_length.into()));
        }
        if number(header, 12)? as usize != packed.len() {
            return Err(DecodeError::Malformed("the body has another length"));
        }
        let plain = zstd::bulk::decompress(packed, plain_length as usize)
            .map_err(|_| DecodeError::Malformed("the body cannot be unpacked"))?;
        if plain.len() != plain_length as usize {
            return Err(DecodeError::Malformed(
                "the unpacked body has another length",
            ));
        }
        let mut reader = wire::Reader::new(&plain);
        let message = match header[5] {
            BATCH => Message::Batch(body::read_batch(&mut reader, &mut self.known)?),
            SIGNED_OFF => Message::SignedOff(body::read_signed_off(&mut reader)?),
            // Later versions add fields to it; what follows the known ones is theirs.
            CANARY => return Ok(Message::Canary(body::read_canary(&mut reader)?)),
            kind => return Err(DecodeError::UnknownKind(kind)),
        };
        reader.finish()?;
        Ok(message)
    }
}

#[cfg(test)]
mod tests;
