//! Batches for the tests of stores: of a made-up source, and of the real sample file.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use telectl::model::batch::{Batch, Quarantined, Rows, SeriesLabels, SignedOff};
use telectl::model::source::{BatchId, ByteRange, IncarnationId, PassId, SourceId};
use telectl::model::time::EventTime;

/// Bytes of the header and of every record of a made-up source.
const HEADER: u64 = 100;
const RECORD: u64 = 10;
/// 2025-07-18T23:59:00Z: a source of more than 60 rows reaches into a second day.
pub(crate) const START: i64 = 1_752_883_140_000_000;

/// A made-up source: one row per second, seven series on three GPUs, every fifth row blank, every
/// eleventh one quarantined.
#[derive(Debug, Clone)]
pub(crate) struct MadeUp {
    /// Its identity.
    pub(crate) id: SourceId,
    /// Which reading.
    pub(crate) pass: PassId,
    /// Records.
    pub(crate) records: u64,
}

impl MadeUp {
    /// A source of a cluster.
    pub(crate) fn of(cluster: &str, name: &str, records: u64) -> Self {
        Self {
            id: SourceId {
                cluster: cluster.to_owned(),
                name: name.to_owned(),
                digest: format!("{name:0>64}"),
            },
            pass: PassId::once(),
            records,
        }
    }

    /// Size in bytes.
    pub(crate) fn size(&self) -> u64 {
        HEADER + RECORD * self.records
    }

    fn is_quarantined(record: u64) -> bool {
        record % 11 == 10
    }

    /// How many rows can be stored.
    pub(crate) fn rows(&self) -> u64 {
        (0..self.records)
            .filter(|record| !Self::is_quarantined(*record))
            .count() as u64
    }

    /// How many cannot.
    pub(crate) fn quarantined(&self) -> u64 {
        self.records - self.rows()
    }

    /// The bytes of some records; the header belongs to the first.
    pub(crate) fn range(records: &Range<u64>) -> ByteRange {
        let start = |record: u64| {
            if record == 0 {
                0
            } else {
                HEADER + RECORD * record
            }
        };
        ByteRange {
            start: start(records.start),
            end: HEADER + RECORD * records.end,
        }
    }

    /// A batch of some records.
    pub(crate) fn batch(&self, records: Range<u64>) -> Batch {
        let range = Self::range(&records);
        let mut rows = Rows::default();
        let mut quarantined = Vec::new();
        for record in records.clone() {
            let offset = HEADER + RECORD * record;
            if Self::is_quarantined(record) {
                quarantined.push(Quarantined {
                    line: record + 2,
                    offset,
                    reason: "not a number".to_owned(),
                    record: vec![b'x', 0, 0xff],
                });
                continue;
            }
            rows.series.push(u32::try_from(record % 7).unwrap());
            rows.time.push(EventTime(
                START + i64::try_from(record).unwrap() * 1_000_000,
            ));
            let blank = record.is_multiple_of(5);
            rows.value.push((!blank).then_some(record as f64 + 0.5));
            rows.offset.push(offset);
        }
        Batch {
            id: BatchId {
                incarnation: IncarnationId(format!("incarnation-of-{}", self.id.name)),
                sequence: records.start * 100_000 + records.end,
            },
            streamer: if records.start.is_multiple_of(2) {
                "streamer-0"
            } else {
                "streamer-1"
            }
            .to_owned(),
            source: self.id.clone(),
            pass: self.pass.clone(),
            range,
            checksum: u32::try_from(range.start * 31 + range.end).unwrap(),
            series: (0..7).map(|number| Arc::new(self.labels(number))).collect(),
            rows,
            quarantined,
        }
    }

    /// All of it, cut after every `size` records.
    pub(crate) fn cut(&self, size: u64) -> Vec<Batch> {
        (0..self.records)
            .step_by(usize::try_from(size).unwrap())
            .map(|start| self.batch(start..(start + size).min(self.records)))
            .collect()
    }

    fn labels(&self, number: u64) -> SeriesLabels {
        SeriesLabels {
            cluster: self.id.cluster.clone(),
            metric: format!("METRIC_{}", number / 3),
            gpu_id: (number % 3).to_string(),
            device: format!("nvidia{}", number % 3),
            uuid: uuid(number % 3),
            model: "NVIDIA H100 80GB HBM3".to_owned(),
            host: format!("host-{}", number % 3 / 2),
            container: String::new(),
            pod: String::new(),
            namespace: String::new(),
            labels_raw: format!("number=\"{number}\""),
        }
    }

    /// The record that ends it.
    pub(crate) fn signed_off(&self) -> SignedOff {
        SignedOff {
            id: BatchId {
                incarnation: IncarnationId(format!("incarnation-of-{}", self.id.name)),
                sequence: 99_999,
            },
            streamer: "streamer-0".to_owned(),
            source: self.id.clone(),
            pass: self.pass.clone(),
            size: self.size(),
            rows: self.rows(),
            quarantined: self.quarantined(),
        }
    }
}

/// UUID of a GPU of made-up sources.
pub(crate) fn uuid(gpu: u64) -> String {
    format!("GPU-0000-{gpu}")
}

/// A sample as an independent reading of the file has it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Expected {
    /// Event time, microseconds.
    pub(crate) time: i64,
    /// Metric, GPU, host and index.
    pub(crate) labels: [String; 4],
    /// The value.
    pub(crate) value: Option<f64>,
}

/// The real sample file, read by the `csv` crate.
pub(crate) struct RealFile {
    /// Every row, in the order of the file.
    pub(crate) rows: Vec<Expected>,
    labels: Vec<SeriesLabels>,
    offsets: Vec<u64>,
    size: u64,
    cluster: String,
}

impl RealFile {
    /// Reads it as a streamer of this cluster would.
    pub(crate) fn read(cluster: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/data/dcgm_metrics_20250718_134233.csv");
        let size = std::fs::metadata(&path).unwrap().len();
        let mut reader = csv::Reader::from_path(path).unwrap();
        let (mut rows, mut labels, mut offsets) = (Vec::new(), Vec::new(), Vec::new());
        for record in reader.records() {
            let record = record.unwrap();
            let field = |column: usize| record[column].to_owned();
            let time: jiff::Timestamp = record[0].parse().unwrap();
            offsets.push(record.position().unwrap().byte());
            rows.push(Expected {
                time: time.as_microsecond(),
                labels: [field(1), field(4), field(6), field(2)],
                value: Some(record[10].parse().unwrap()),
            });
            labels.push(SeriesLabels {
                cluster: cluster.to_owned(),
                metric: field(1),
                gpu_id: field(2),
                device: field(3),
                uuid: field(4),
                model: field(5),
                host: field(6),
                container: field(7),
                pod: field(8),
                namespace: field(9),
                labels_raw: field(11),
            });
        }
        Self {
            rows,
            labels,
            offsets,
            size,
            cluster: cluster.to_owned(),
        }
    }

    /// Batches of `size` rows that cover the file.
    pub(crate) fn cut(&self, size: usize) -> Vec<Batch> {
        let starts: Vec<usize> = (0..self.rows.len()).step_by(size).collect();
        starts
            .iter()
            .map(|first| self.batch(*first, (*first + size).min(self.rows.len())))
            .collect()
    }

    fn batch(&self, first: usize, end: usize) -> Batch {
        let mut series: Vec<SeriesLabels> = self.labels[first..end].to_vec();
        series.sort();
        series.dedup();
        let mut rows = Rows::default();
        for row in first..end {
            let place = series.binary_search(&self.labels[row]).unwrap();
            rows.series.push(u32::try_from(place).unwrap());
            rows.time.push(EventTime(self.rows[row].time));
            rows.value.push(self.rows[row].value);
            rows.offset.push(self.offsets[row]);
        }
        let start = if first == 0 { 0 } else { self.offsets[first] };
        Batch {
            id: BatchId {
                incarnation: IncarnationId(format!("real-{}", self.cluster)),
                sequence: first as u64,
            },
            streamer: format!("streamer-{}", first % 2),
            source: SourceId {
                cluster: self.cluster.clone(),
                name: "dcgm.csv".to_owned(),
                digest: "d".repeat(64),
            },
            pass: PassId::once(),
            range: ByteRange {
                start,
                end: self.offsets.get(end).copied().unwrap_or(self.size),
            },
            checksum: u32::try_from(first).unwrap(),
            series: series.into_iter().map(Arc::new).collect(),
            rows,
            quarantined: Vec::new(),
        }
    }
}
