//! Records that differ from an earlier one in time and value only.
//!
//! Everything else of such a record is compared as bytes, many at a time, instead of being taken
//! apart again: that is most of what reading costs.

use super::header::Layout;
use super::record::{Field, field};

/// What a record has around its time and its value, without the line break: the bytes before the
/// first of these two, between them, and behind the second.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Frame {
    bytes: Vec<u8>,
    /// Where in `bytes` the second and the third part begin.
    parts: (usize, usize),
}

/// A record that fits a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fitting {
    pub(super) time: Field,
    pub(super) value: Field,
    /// Length of the record with its line break.
    pub(super) with_end: usize,
}

impl Frame {
    /// How much memory it takes, in bytes.
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>() + self.bytes.len()
    }

    /// Becomes the frame of a record whose fields are found.
    pub(super) fn become_of(&mut self, record: &[u8], fields: &[Field], layout: &Layout) {
        let (first, second) = in_order(layout, fields[layout.timestamp], fields[layout.value]);
        self.bytes.clear();
        self.bytes.extend_from_slice(&record[..first.start]);
        self.parts.0 = self.bytes.len();
        self.bytes
            .extend_from_slice(&record[first.end..second.start]);
        self.parts.1 = self.bytes.len();
        self.bytes.extend_from_slice(&record[second.end..]);
    }

    /// Becomes a key that no record fits: of this number and these cells.
    pub(super) fn become_key<'a>(&mut self, number: usize, cells: impl Iterator<Item = &'a [u8]>) {
        self.bytes.clear();
        self.bytes.extend_from_slice(&number.to_le_bytes());
        for cell in cells {
            self.bytes.extend_from_slice(&cell.len().to_le_bytes());
            self.bytes.extend_from_slice(cell);
        }
        self.parts = (0, 0);
    }

    /// The record at the start of `bytes`, if it has this frame and its line ends within them. It
    /// is then what taking it apart would find: the frame's own record was taken apart once, and
    /// where a field ends does not depend on the fields before it.
    pub(super) fn fit(&self, bytes: &[u8], layout: &Layout) -> Option<Fitting> {
        let (before, rest) = self.bytes.split_at(self.parts.0);
        let (between, behind) = rest.split_at(self.parts.1 - self.parts.0);
        bytes.strip_prefix(before)?;
        let first = field(bytes, before.len()).ok()?;
        let rest = bytes[first.end..].strip_prefix(between)?;
        let second = field(bytes, bytes.len() - rest.len()).ok()?;
        let rest = bytes[second.end..].strip_prefix(behind)?;
        let end = match rest {
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            _ => return None,
        };
        let (time, value) = in_order(layout, first, second);
        Some(Fitting {
            time,
            value,
            with_end: bytes.len() - rest.len() + end,
        })
    }
}

/// Swaps two things if the value stands before the time.
fn in_order<T>(layout: &Layout, one: T, other: T) -> (T, T) {
    if layout.timestamp < layout.value {
        (one, other)
    } else {
        (other, one)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::path::Path;

    use proptest::prelude::*;

    use super::super::{Chunk, Limits, Reader};

    /// Every chunk of a file, with chunks of three records, so that a series comes again in
    /// another one.
    fn chunks(bytes: &[u8]) -> Vec<Chunk> {
        let limits = Limits {
            records: 3,
            bytes: u64::MAX,
        };
        let mut reader =
            Reader::open(Cursor::new(bytes), Path::new("a.csv"), "edge", limits).unwrap();
        std::iter::from_fn(|| reader.next_chunk().unwrap()).collect()
    }

    /// What each record of a file says, or what is wrong with it, in the order of the file.
    fn said(chunks: &[Chunk]) -> Vec<(u64, String)> {
        let mut all = Vec::new();
        for chunk in chunks {
            let rows = &chunk.rows;
            for row in 0..rows.len() {
                let labels = &chunk.series[rows.series[row] as usize];
                let text = format!("{labels:?} {:?} {:?}", rows.time[row], rows.value[row]);
                all.push((rows.offset[row], text));
            }
            let bad = chunk.quarantined.iter();
            all.extend(bad.map(|bad| (bad.offset, bad.reason.clone())));
        }
        all.sort();
        all
    }

    proptest! {
        /// Records that repeat each other nearly or wholly, in any order, say what each of them says
        /// in a file of its own, where nothing can be remembered.
        #[test]
        fn what_a_record_says_does_not_depend_on_those_before_it(
            (value_first, records) in (any::<bool>(), prop::collection::vec((
                prop::sample::select(vec!["2025-07-18T20:42:34Z", "\"2025-07-18T20:42:35Z\"", "\"2025\"-07", "soon", ""]),
                prop::sample::select(vec!["M,0,G,h", "M,0,\"G\",h", "M,0,\"G,\"\"\",h", "M,0,G", "M,\"0,G,h"]),
                prop::sample::select(vec!["1", "\"2.5\"", "\"1\"5", "", "x", "7,8"]),
                prop::sample::select(vec![",\"a=\"\"b\"\"\"", ",a", ",", ",\"a\nb\"", ""]),
                prop::sample::select(vec!["\n", "\r\n", "\n\n", "\r"]),
            ), 1..40)),
        ) {
            let header = if value_first {
                "value,metric,gpu,uuid,host,timestamp,labels\n"
            } else {
                "timestamp,metric,gpu,uuid,host,value,labels\n"
            };
            let written: Vec<String> = records.iter().map(|(time, labels, value, behind, end)| {
                let (first, second) = if value_first { (value, time) } else { (time, value) };
                format!("{first},{labels},{second}{behind}{end}")
            }).collect();
            let together = said(&chunks(format!("{header}{}", written.concat()).as_bytes()));
            // A record that swallows the next ones cannot be read alone: what it spoils is compared
            // as far as the records of the file can be told apart.
            let mut position = header.len();
            let mut alone = Vec::new();
            for record in &written {
                let after: String = written.concat()[position - header.len()..].to_owned();
                let only = said(&chunks(format!("{header}{after}").as_bytes()));
                if let Some((_, first)) = only.into_iter().next() {
                    alone.push((position as u64, first));
                }
                position += record.len();
            }
            for (offset, text) in &together {
                if let Some((_, expected)) = alone.iter().find(|(position, _)| position == offset) {
                    prop_assert_eq!(text, expected);
                }
            }
        }
    }
}
