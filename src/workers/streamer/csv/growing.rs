//! Reading a file that somebody is still writing.

use std::io::{Read, Seek};

use memchr::memchr;

use super::record::Split;
use super::{LONGEST_RECORD, Place, ReadError, Reader, file_error};

impl<R: Read + Seek> Reader<R> {
    /// From now on, more may follow what is there.
    pub fn growing(mut self) -> Self {
        self.is_growing = true;
        self
    }

    /// Nothing more will follow: what is there without an end is the last record.
    pub const fn ended(&mut self) {
        self.is_growing = false;
    }

    /// Where the next chunk begins.
    pub const fn place(&self) -> Place {
        self.place
    }

    /// Lets go of what it has of the file beyond the last chunk, so that the next one is made of what
    /// is there by then.
    pub fn rest(&mut self) -> Result<(), ReadError> {
        let failed = file_error(&self.path, self.place.start);
        self.window.rest().map_err(failed)
    }
}

/// Whether a record goes on where these bytes end. Also one that is malformed: what follows up to the
/// end of its line belongs to it.
pub(super) fn is_unfinished(seen: &[u8], found: &Split) -> bool {
    let goes_on = match found {
        Split::Record { .. } => false,
        Split::Unfinished => true,
        Split::Malformed(_) => memchr(b'\n', seen).is_none(),
    };
    goes_on && seen.len() < LONGEST_RECORD
}

#[cfg(test)]
mod tests {
    use std::io::{self, Cursor, SeekFrom};
    use std::path::Path;
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;

    use super::super::{Chunk, Limits};
    use super::*;

    const LIMITS: Limits = Limits {
        records: 3,
        bytes: 1 << 20,
    };

    /// A file that others write to.
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>, u64);

    impl Read for Shared {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let bytes = self.0.lock().unwrap();
            let read = Cursor::new(&bytes[self.1 as usize..]).read(buffer)?;
            self.1 += read as u64;
            Ok(read)
        }
    }

    impl Seek for Shared {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            let SeekFrom::Start(offset) = to else {
                unreachable!("only from the start");
            };
            self.1 = offset;
            Ok(offset)
        }
    }

    fn rows(chunks: &[Chunk]) -> Vec<(u64, Option<f64>)> {
        let rows = |chunk: &Chunk| {
            let (offsets, values) = (chunk.rows.offset.clone(), chunk.rows.value.clone());
            offsets.into_iter().zip(values).collect::<Vec<_>>()
        };
        chunks.iter().flat_map(rows).collect()
    }

    fn bad(chunks: &[Chunk]) -> Vec<(u64, u64, String)> {
        let bad = chunks.iter().flat_map(|chunk| &chunk.quarantined);
        bad.map(|bad| (bad.line, bad.offset, bad.reason.clone()))
            .collect()
    }

    fn all(reader: &mut Reader<Shared>) -> Vec<Chunk> {
        std::iter::from_fn(|| reader.next_chunk().unwrap()).collect()
    }

    fn file(records: &[String], last_ends: bool) -> Vec<u8> {
        let mut text = "timestamp,metric_name,gpu_id,uuid,Hostname,value\n".to_owned();
        text.push_str(&records.join("\n"));
        if last_ends {
            text.push('\n');
        }
        text.into_bytes()
    }

    fn record() -> impl Strategy<Value = String> {
        let row = (0..3_u8, 0..9_u8).prop_map(|(gpu, value)| {
            format!("2025-07-18T20:42:34Z,m,{gpu},\"GPU\n{gpu}\",h,{value}\r")
        });
        let plain = (0..9_u8).prop_map(|value| format!("2025-07-18T20:42:34Z,m,0,G,h,{value}"));
        let other =
            prop::sample::select(vec!["", "a\"b,c", "1,2", "2025-07-18T20:42:34Z,m,0,G,h,x"]);
        prop_oneof![row, plain, other.prop_map(str::to_owned)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// However a file grows, every row and every bad record of it is found where one that reads it
        /// when it is whole finds them.
        #[test]
        fn a_file_that_grows_is_read_like_one_that_is_whole(
            records in prop::collection::vec(record(), 0..12),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
            last_ends in any::<bool>(),
        ) {
            let text = file(&records, last_ends);
            let header = 1 + text.iter().position(|byte| *byte == b'\n').unwrap();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| header + cut.index(text.len() - header + 1)).collect();
            cuts.push(text.len());
            cuts.sort_unstable();
            let shared = Shared::default();
            shared.0.lock().unwrap().extend(&text[..cuts[0]]);
            let mut reader = Reader::open(shared.clone(), Path::new("a.csv"), "edge", LIMITS).unwrap().growing();
            let mut found = all(&mut reader);
            for pair in cuts.windows(2) {
                shared.0.lock().unwrap().extend(&text[pair[0]..pair[1]]);
                reader.rest().unwrap();
                found.append(&mut all(&mut reader));
            }
            reader.ended();
            reader.rest().unwrap();
            found.append(&mut all(&mut reader));
            let whole = Shared::default();
            whole.0.lock().unwrap().extend(&text);
            let whole = all(&mut Reader::open(whole, Path::new("a.csv"), "edge", LIMITS).unwrap());
            prop_assert_eq!(rows(&found), rows(&whole));
            prop_assert_eq!(bad(&found), bad(&whole));
            let mut reach = 0;
            for chunk in &found {
                prop_assert_eq!(chunk.range.start, reach);
                prop_assert_eq!(chunk.checksum, crc32fast::hash(&text[reach as usize..chunk.range.end as usize]));
                reach = chunk.range.end;
            }
            prop_assert_eq!(reach, text.len() as u64);
        }
    }
}
