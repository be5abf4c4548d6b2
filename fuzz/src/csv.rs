//! Files of telemetry, in the long and in the wide form.

use std::io::Cursor;
use std::path::Path;

use telectl::workers::streamer::csv::{Chunk, Limits, Reader};

/// Chunks of many records, and of few.
const LARGE: Limits = Limits {
    records: 5000,
    bytes: 4 * 1024 * 1024,
};

/// Everything that a file says of a row: where, which series, when, what.
type Row = (u64, [String; 11], i64, Option<u64>);

fn chunks(bytes: &[u8], limits: Limits) -> Option<Vec<Chunk>> {
    let mut reader =
        Reader::open(Cursor::new(bytes), Path::new("host.csv"), "edge", limits).ok()?;
    let next = || reader.next_chunk().expect("memory can be read");
    Some(std::iter::from_fn(next).collect())
}

fn rows(chunks: &[Chunk]) -> Vec<Row> {
    let of_chunk = |chunk: &Chunk| -> Vec<Row> {
        let rows = &chunk.rows;
        let row = |index: usize| {
            let labels = chunk.series[rows.series[index] as usize].texts();
            let value = rows.value[index].map(f64::to_bits);
            (
                rows.offset[index],
                labels.map(str::to_owned),
                rows.time[index].0,
                value,
            )
        };
        (0..rows.len()).map(row).collect()
    };
    chunks.iter().flat_map(of_chunk).collect()
}

/// The chunks of a file tile it, whatever it holds, and say the same however it is cut.
pub fn check(bytes: &[u8], records: usize) {
    let Some(large) = chunks(bytes, LARGE) else {
        return;
    };
    let limits = Limits { records, ..LARGE };
    let small = chunks(bytes, limits).expect("the header is the same");
    for chunks in [&large, &small] {
        check_tiles(chunks, bytes);
    }
    assert_eq!(
        rows(&large),
        rows(&small),
        "rows depend on where chunks begin"
    );
    let quarantined = |chunks: &[Chunk]| -> Vec<_> {
        let all = chunks.iter().flat_map(|chunk| chunk.quarantined.clone());
        all.collect()
    };
    assert_eq!(quarantined(&large), quarantined(&small));
    let mut reader = Reader::open(Cursor::new(bytes), Path::new("host.csv"), "edge", limits)
        .expect("the header is the same");
    for chunk in small.iter().rev().take(3) {
        reader = reader.go_to(chunk.place).expect("memory can be read");
        let again = reader.next_chunk().expect("memory can be read");
        assert_eq!(rows(again.as_slice()), rows(std::slice::from_ref(chunk)));
        assert_eq!(again.map(|again| again.checksum), Some(chunk.checksum));
    }
    compare_with_oracle(bytes, &large);
}

fn check_tiles(chunks: &[Chunk], bytes: &[u8]) {
    let mut end = 0;
    for chunk in chunks {
        assert_eq!((chunk.range.start, chunk.place.start), (end, end));
        end = chunk.range.end;
        let covered = &bytes[chunk.range.start as usize..end as usize];
        assert_eq!(chunk.checksum, crc32fast::hash(covered));
        let is_inside = |offset: u64| (chunk.range.start..end).contains(&offset);
        assert!(chunk.rows.offset.iter().all(|offset| is_inside(*offset)));
        assert!(chunk.rows.offset.is_sorted());
        for bad in &chunk.quarantined {
            assert!(is_inside(bad.offset));
            assert!(bytes[bad.offset as usize..].starts_with(&bad.record));
            let lines = bytes[..bad.offset as usize]
                .iter()
                .filter(|byte| **byte == b'\n');
            assert_eq!(bad.line, 1 + lines.count() as u64);
        }
    }
    assert_eq!(end, bytes.len() as u64);
}

/// Where every record is RFC 4180 to the letter, the `csv` crate cuts it into the same fields. Where
/// one is not, it takes what follows for something else.
fn compare_with_oracle(bytes: &[u8], chunks: &[Chunk]) {
    let is_malformed = |reason: &str| {
        ["unbalanced quote", "carriage return", "record longer"]
            .iter()
            .any(|beginning| reason.starts_with(beginning))
    };
    let bad = chunks.iter().flat_map(|chunk| &chunk.quarantined);
    let bad: Vec<(u64, &str)> = bad.map(|one| (one.offset, one.reason.as_str())).collect();
    if bad.iter().any(|(_, reason)| is_malformed(reason)) {
        return;
    }
    let mut oracle = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
    let header = oracle.byte_headers().expect("memory can be read").clone();
    let column = |name: &str| header.iter().position(|column| column == name.as_bytes());
    let (Some(uuid), Some(raw)) = (column("uuid"), column("labels_raw")) else {
        return;
    };
    if column("metric_name").is_none() {
        return;
    }
    let rows = rows(chunks);
    let (mut good, mut bad) = (rows.iter().peekable(), bad.iter().peekable());
    for record in oracle.byte_records() {
        let record = record.expect("memory can be read");
        let is_good = match (good.peek(), bad.peek()) {
            (Some((offset, ..)), Some((other, _))) => offset < other,
            (next, _) => next.is_some(),
        };
        if !is_good {
            assert!(bad.next().is_some(), "the oracle has one more: {record:?}");
            continue;
        }
        let (_, labels, ..) = good.next().expect("it was seen");
        assert_eq!(labels[4].as_bytes(), &record[uuid]);
        assert_eq!(labels[10].as_bytes(), &record[raw]);
    }
    assert!(
        good.next().is_none() && bad.next().is_none(),
        "the oracle has fewer"
    );
}
