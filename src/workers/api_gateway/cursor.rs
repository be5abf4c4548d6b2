//! Where the next page continues, as an opaque word.
//!
//! It is bound to the filters of its first page, and carries the instants that relative times meant
//! then: `now-5m` must not move between two pages.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::store::Position;

/// First byte of every cursor.
const VERSION: u8 = 1;
/// Bytes of the digest of the filters.
const DIGEST: usize = 8;
const LENGTH: usize = 1 + DIGEST + 5 * 8;
/// No bound in time.
const UNBOUNDED: i64 = i64::MIN;

/// What a cursor says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    /// After this sample.
    pub(super) after: Position,
    /// From this microsecond on.
    pub(super) from: Option<i64>,
    /// Up to but not including this microsecond.
    pub(super) to: Option<i64>,
}

impl Cursor {
    /// As a word for these filters.
    pub(super) fn encode(self, filters: &[&str]) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend(digest(filters));
        let Position { time, series, row } = self.after;
        let (from, to) = (self.from.unwrap_or(UNBOUNDED), self.to.unwrap_or(UNBOUNDED));
        for number in [time, series, row, from, to] {
            bytes.extend(number.to_be_bytes());
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// From a word; `None` if it is none, or was made for other filters.
    pub(super) fn decode(word: &str, filters: &[&str]) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(word).ok()?;
        if bytes.len() != LENGTH || bytes[0] != VERSION || bytes[1..=DIGEST] != digest(filters) {
            return None;
        }
        let mut numbers = [0_i64; 5];
        for (number, raw) in numbers.iter_mut().zip(bytes[1 + DIGEST..].chunks_exact(8)) {
            *number = i64::from_be_bytes(raw.try_into().ok()?);
        }
        let [time, series, row, from, to] = numbers;
        let bound = |number: i64| (number != UNBOUNDED).then_some(number);
        Some(Self {
            after: Position { time, series, row },
            from: bound(from),
            to: bound(to),
        })
    }
}

fn digest(filters: &[&str]) -> [u8; DIGEST] {
    let mut hash = Sha256::new();
    for filter in filters {
        hash.update((filter.len() as u64).to_be_bytes());
        hash.update(filter.as_bytes());
    }
    let mut first = [0; DIGEST];
    first.copy_from_slice(&hash.finalize()[..DIGEST]);
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    const CURSOR: Cursor = Cursor {
        after: Position {
            time: -1,
            series: i64::MIN + 1,
            row: 65_537,
        },
        from: None,
        to: Some(7),
    };

    #[test]
    fn a_cursor_says_what_it_was_made_from() {
        let word = CURSOR.encode(&["GPU", "asc"]);
        assert_eq!(Cursor::decode(&word, &["GPU", "asc"]), Some(CURSOR));
    }

    #[test]
    fn a_cursor_of_other_filters_or_no_cursor_is_none() {
        let word = CURSOR.encode(&["GPU", "asc"]);
        assert_eq!(Cursor::decode(&word, &["GPUa", "sc"]), None);
        assert_eq!(Cursor::decode(&word[1..], &["GPU", "asc"]), None);
        assert_eq!(Cursor::decode("", &["GPU", "asc"]), None);
        assert_eq!(Cursor::decode("%%%", &["GPU", "asc"]), None);
    }
}
