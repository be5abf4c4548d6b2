//! The inner loops of the data path without servers: `scripts/profile` counts their instructions.
//!
//! `profile STEP FILE`: `parse` reads the file into chunks and encodes them; `store` then decodes what was
//! encoded and makes the bytes of binary COPYs of it. What `store` costs is the difference of the two.

#![expect(clippy::unwrap_used, reason = "whatever fails makes the count void")]

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use telectl::model::batch::{Batch, Message};
use telectl::model::source::{BatchId, IncarnationId, PassId, SourceId};
use telectl::queue::codec::{Decoder, encode};
use telectl::store::postgres::copy;
use telectl::store::series_id;
use telectl::workers::streamer::csv::{Chunk, Limits, Reader};

/// As streamers have them unless told otherwise.
const LIMITS: Limits = Limits {
    records: 5000,
    bytes: 4 * 1024 * 1024,
};
/// Entries that a collector stores in one transaction when many wait.
const GROUP: usize = 10;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, step, file] = &arguments[..] else {
        panic!("profile STEP FILE");
    };
    let (entries, rows) = parse(Path::new(file));
    match step.as_str() {
        "parse" => {}
        "store" => assert_eq!(store(&entries), rows),
        other => panic!("there is no step `{other}`"),
    }
}

/// The entries, and how many rows are in them.
fn parse(path: &Path) -> (Vec<Bytes>, usize) {
    let mut reader = Reader::open(File::open(path).unwrap(), path, "edge", LIMITS).unwrap();
    let mut entries = Vec::new();
    let mut rows = 0;
    while let Some(chunk) = reader.next_chunk().unwrap() {
        rows += chunk.rows.len();
        entries.push(encode(&message(chunk, entries.len() as u64)).unwrap());
    }
    assert!(rows > 0, "no rows in {}", path.display());
    (entries, rows)
}

fn message(chunk: Chunk, sequence: u64) -> Message {
    Message::Batch(Batch {
        id: BatchId {
            incarnation: IncarnationId("0123456789abcdef0123456789abcdef".to_owned()),
            sequence,
        },
        streamer: "edge.telemetry-system.streamer-0".to_owned(),
        source: SourceId {
            cluster: "edge".to_owned(),
            name: "rows.csv".to_owned(),
            digest: "0".repeat(64),
        },
        pass: PassId::once(),
        range: chunk.range,
        checksum: chunk.checksum,
        series: chunk.series,
        rows: chunk.rows,
        quarantined: chunk.quarantined,
    })
}

/// How many rows were copied.
fn store(entries: &[Bytes]) -> usize {
    let mut decoder = Decoder::default();
    // As the collector has it: the decoder keeps the labels that it knows, so that their place tells them.
    let mut known = HashMap::new();
    let mut copied = 0;
    for group in entries.chunks(GROUP) {
        let mut samples = Vec::new();
        for entry in group {
            let Message::Batch(batch) = decoder.decode(entry).unwrap() else {
                panic!("an entry that is no batch");
            };
            let id = |labels| {
                *known
                    .entry(Arc::as_ptr(labels))
                    .or_insert_with(|| series_id(labels))
            };
            let ids: Vec<i64> = batch.series.iter().map(id).collect();
            let rows = &batch.rows;
            for row in 0..rows.len() {
                let series = ids[rows.series[row] as usize];
                samples.push((series, rows.time[row].0, rows.value[row]));
            }
        }
        copied += samples.len();
        let bytes: usize = copy::frames(samples).map(|frame| frame.len()).sum();
        assert!(bytes > 0);
    }
    copied
}
