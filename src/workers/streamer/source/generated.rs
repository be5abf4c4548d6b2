//! Telemetry of GPUs that do not exist, computed from its place: any byte of it can be had at any
//! time, so that it is read, shared, repeated and proven like a file.
//!
//! Every row of one metric and one GPU's number is as long as every other, so that a place tells a
//! row and a row tells its place. Numbers are computed with integers: another machine has to write
//! the same bytes.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::config::worker::GenerateSettings;
use crate::model::time::EventTime;

const HEADER: &str = "timestamp,metric_name,gpu_id,device,uuid,modelName,Hostname,container,pod,\
                      namespace,value,labels_raw\n";
const MODEL: &str = "NVIDIA H100 80GB HBM3";
/// What is written of every GPU at every look.
const METRICS: [&str; 10] = [
    "DCGM_FI_DEV_GPU_UTIL",
    "DCGM_FI_DEV_MEM_COPY_UTIL",
    "DCGM_FI_DEV_POWER_USAGE",
    "DCGM_FI_DEV_GPU_TEMP",
    "DCGM_FI_DEV_FB_USED",
    "DCGM_FI_DEV_FB_FREE",
    "DCGM_FI_DEV_DEC_UTIL",
    "DCGM_FI_DEV_ENC_UTIL",
    "DCGM_FI_DEV_SM_CLOCK",
    "DCGM_FI_DEV_MEM_CLOCK",
];
/// Frame buffer of a GPU in MiB.
const FRAME_BUFFER: u64 = 81_007;
/// Looks in which the load of a GPU goes up and down once.
const PERIOD: u64 = 240;

/// What is written, and from when on. Cheap to clone.
#[derive(Debug, Clone)]
pub(in super::super) struct Generated(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: GenerateSettings,
    /// Time of the first look.
    start: EventTime,
    /// How the names of the hosts begin.
    prefix: String,
    /// Where the rows of a host begin within its part of a look, and behind them where it ends.
    starts: Vec<u64>,
}

impl Generated {
    /// Rows whose last time is `end`, of hosts whose names begin with `prefix`.
    pub(in super::super) fn ending(
        settings: &GenerateSettings,
        end: EventTime,
        prefix: &str,
    ) -> Self {
        let length = (looks(settings) - 1).saturating_mul(micros(settings.interval));
        // Whole milliseconds, as they are written.
        let start = EventTime(end.0.saturating_sub(length).div_euclid(1000) * 1000);
        Self::starting(settings, start, prefix)
    }

    /// As many rows again, from the next look on.
    pub(in super::super) fn following(&self) -> Self {
        let Inner {
            settings,
            start,
            prefix,
            ..
        } = &*self.0;
        let length = self.0.looks().saturating_mul(micros(settings.interval));
        Self::starting(settings, EventTime(start.0.saturating_add(length)), prefix)
    }

    /// Time of the last row.
    pub(in super::super) fn end(&self) -> EventTime {
        let Inner {
            settings, start, ..
        } = &*self.0;
        let length = (self.0.looks() - 1).saturating_mul(micros(settings.interval));
        EventTime(start.0.saturating_add(length))
    }

    /// Rows from `start` on.
    pub(in super::super) fn starting(
        settings: &GenerateSettings,
        start: EventTime,
        prefix: &str,
    ) -> Self {
        let mut inner = Inner {
            settings: settings.clone(),
            start,
            prefix: prefix.to_owned(),
            starts: vec![0],
        };
        let mut end = 0;
        for gpu in 0..settings.gpus {
            for metric in 0..METRICS.len() {
                end += inner.row(0, 0, gpu, metric).len() as u64;
                inner.starts.push(end);
            }
        }
        Self(Arc::new(inner))
    }

    pub(in super::super) fn start(&self) -> EventTime {
        self.0.start
    }

    /// Bytes of the whole.
    pub(super) fn size(&self) -> u64 {
        self.0.place(self.0.settings.rows)
    }

    /// What tells this content from every other.
    pub(super) fn digest(&self) -> String {
        let Inner {
            settings,
            start,
            prefix,
            ..
        } = &*self.0;
        let GenerateSettings {
            hosts,
            gpus,
            rows,
            interval,
        } = settings;
        let interval = interval.as_micros();
        let told = format!(
            "telectl generated 1\n{prefix}\n{hosts} hosts\n{gpus} gpus\n{rows} rows\n\
             {interval} us\n{} us\n",
            start.0
        );
        hex::encode(Sha256::digest(told))
    }
}

/// How often all GPUs are looked at; the last time some may be left out.
fn looks(settings: &GenerateSettings) -> i64 {
    let rows_of_look = settings.hosts * settings.gpus * METRICS.len() as u64;
    i64::try_from(settings.rows.div_ceil(rows_of_look)).unwrap_or(i64::MAX)
}

fn micros(interval: Duration) -> i64 {
    i64::try_from(interval.as_micros()).unwrap_or(i64::MAX)
}

impl Inner {
    fn looks(&self) -> i64 {
        looks(&self.settings)
    }

    fn rows_of_host(&self) -> u64 {
        self.settings.gpus * METRICS.len() as u64
    }

    fn host_length(&self) -> u64 {
        self.starts.last().copied().unwrap_or_default()
    }

    /// Where a row begins.
    fn place(&self, row: u64) -> u64 {
        let (hosts, within) = (row / self.rows_of_host(), row % self.rows_of_host());
        // A host's rows are as many at every look.
        let within = usize::try_from(within).unwrap_or(usize::MAX);
        HEADER.len() as u64 + hosts * self.host_length() + self.starts[within]
    }

    /// The row that has this byte.
    fn row_at(&self, place: u64) -> u64 {
        let place = place - HEADER.len() as u64;
        let (hosts, within) = (place / self.host_length(), place % self.host_length());
        let index = self.starts.partition_point(|start| *start <= within) - 1;
        hosts * self.rows_of_host() + index as u64
    }

    fn text(&self, row: u64) -> String {
        let (hosts, within) = (row / self.rows_of_host(), row % self.rows_of_host());
        let (look, host) = (hosts / self.settings.hosts, hosts % self.settings.hosts);
        let (gpu, metric) = (
            within / METRICS.len() as u64,
            (within % METRICS.len() as u64) as usize,
        );
        self.row(look, host, gpu, metric)
    }

    fn row(&self, look: u64, host: u64, gpu: u64, metric: usize) -> String {
        let since = i64::try_from(look)
            .unwrap_or(i64::MAX)
            .saturating_mul(micros(self.settings.interval));
        let time = Timestamp::from_microsecond(self.start.0.saturating_add(since));
        let time = time.unwrap_or(Timestamp::MAX);
        let host_name = format!("{}-host-{host:07}", self.prefix);
        let uuid = uuid(&host_name, gpu);
        let thousandths = value(look, host * self.settings.gpus + gpu, metric);
        let (whole, fraction) = (thousandths / 1000, thousandths % 1000);
        format!(
            "{time:.3},{},{gpu},nvidia{gpu},{uuid},{MODEL},{host_name},,,,{whole:05}.{fraction:03},\n",
            METRICS[metric]
        )
    }
}

/// A GPU's name, the same at every look.
fn uuid(host: &str, gpu: u64) -> String {
    let digits = hex::encode(Sha256::digest(format!("{host}/{gpu}")));
    let part = |from: usize, to: usize| &digits[from..to];
    format!(
        "GPU-{}-{}-{}-{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32)
    )
}

/// A value in thousandths. The load of each GPU goes up and down; what depends on it follows.
fn value(look: u64, gpu: u64, metric: usize) -> u64 {
    let phase = mixed(gpu) % PERIOD;
    let step = (look + phase) % PERIOD;
    // From 0 to 1000 and back.
    let load = step.min(PERIOD - step) * 2000 / PERIOD;
    let noise = mixed(look ^ mixed(gpu << 8 | metric as u64)) % 1000;
    let used = 4 + (FRAME_BUFFER - 4) * (mixed(gpu ^ 0x5bd1) % 900) / 1000 + load * 8;
    match metric {
        0 => load / 10 * 1000,
        1 => load * 6 / 100 * 1000,
        2 => 66_000 + load * 620 + noise,
        3 => (26 + load * 54 / 1000) * 1000,
        4 => used * 1000,
        5 => (FRAME_BUFFER - used) * 1000,
        8 => (345 + load * 1635 / 1000) * 1000,
        9 => 2_619_000,
        // Nobody decodes or encodes video.
        _ => 0,
    }
}

/// The finalizer of splitmix64: spreads what differs little.
const fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Reads what is generated.
#[derive(Debug)]
pub(in super::super) struct GeneratedReader {
    generated: Generated,
    place: u64,
}

impl GeneratedReader {
    pub(super) const fn of(generated: Generated) -> Self {
        Self {
            generated,
            place: 0,
        }
    }
}

impl Read for GeneratedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let inner = &*self.generated.0;
        let mut filled = 0;
        while filled < buffer.len() && self.place < self.generated.size() {
            let (text, begins) = if self.place < HEADER.len() as u64 {
                (HEADER.to_owned(), 0)
            } else {
                let row = inner.row_at(self.place);
                (inner.text(row), inner.place(row))
            };
            let skipped = usize::try_from(self.place - begins).map_err(io::Error::other)?;
            let rest = &text.as_bytes()[skipped..];
            let taken = rest.len().min(buffer.len() - filled);
            if taken == 0 {
                return Err(io::Error::other("a row is not as long as its like"));
            }
            buffer[filled..filled + taken].copy_from_slice(&rest[..taken]);
            filled += taken;
            self.place += taken as u64;
        }
        Ok(filled)
    }
}

impl Seek for GeneratedReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::Current(by) => self.place.checked_add_signed(by),
            SeekFrom::End(by) => self.generated.size().checked_add_signed(by),
        };
        self.place = place.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.place)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn generated(hosts: u64, gpus: u64, rows: u64) -> Generated {
        let settings = GenerateSettings {
            hosts,
            gpus,
            rows,
            interval: Duration::from_millis(1500),
        };
        // 2025-07-18T20:42:34.567891Z
        Generated::ending(&settings, EventTime(1_752_871_354_567_891), "edge")
    }

    fn whole(generated: &Generated) -> String {
        let mut text = String::new();
        GeneratedReader::of(generated.clone())
            .read_to_string(&mut text)
            .unwrap();
        text
    }

    #[test]
    fn w21_times_end_now_and_every_gpu_has_every_metric_at_every_look() {
        let generated = generated(2, 11, 2 * 11 * 10 * 3);
        let text = whole(&generated);
        assert_eq!(text.len() as u64, generated.size());
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let records: Vec<_> = reader.records().map(Result::unwrap).collect();
        assert_eq!(records.len(), 660);
        assert_eq!(&records[0][0], "2025-07-18T20:42:31.567Z");
        assert_eq!(&records[659][0], "2025-07-18T20:42:34.567Z");
        let mut seen = std::collections::BTreeSet::new();
        for record in &records {
            assert!(seen.insert([0, 6, 2, 1].map(|column: usize| record[column].to_owned())));
            let value: f64 = record[10].parse().unwrap();
            assert!((0.0..=81_007.0).contains(&value), "{record:?}");
        }
        let gpus: std::collections::BTreeSet<_> = records.iter().map(|record| &record[4]).collect();
        assert_eq!(gpus.len(), 22);
        // It is no straight line.
        let loads: std::collections::BTreeSet<_> = records
            .iter()
            .filter(|record| &record[1] == "DCGM_FI_DEV_GPU_UTIL")
            .map(|record| record[10].to_owned())
            .collect();
        assert!(loads.len() > 10, "{loads:?}");
    }

    #[test]
    fn w21_rounds_follow_each_other_by_one_interval() {
        let first = generated(2, 3, 61);
        let second = first.following();
        // Two looks: the second one is cut short.
        assert_eq!(first.end().0 - first.start().0, 1_500_000);
        assert_eq!(second.start().0 - first.end().0, 1_500_000);
        assert_ne!(first.digest(), second.digest());
    }

    #[test]
    fn w21_the_same_is_known_by_the_same_digest_and_whatever_else_is_not() {
        let one = generated(2, 2, 100);
        assert_eq!(one.digest(), generated(2, 2, 100).digest());
        let settings = &one.0.settings;
        let again = Generated::starting(settings, one.start(), "edge");
        assert_eq!(whole(&one), whole(&again));
        let others = [
            generated(3, 2, 100),
            generated(2, 3, 100),
            generated(2, 2, 101),
            Generated::starting(settings, one.start(), "edge-2"),
            Generated::starting(settings, EventTime(one.start().0 + 1000), "edge"),
        ];
        for other in others {
            assert_ne!(one.digest(), other.digest());
        }
    }

    proptest! {
        #[test]
        fn w21_every_part_is_the_same_as_in_the_whole(
            (hosts, gpus, rows) in (1..4_u64, 1..12_u64, 1..400_u64),
            parts in prop::collection::vec((0..60_000_usize, 1..3000_usize), 1..8),
        ) {
            let generated = generated(hosts, gpus, rows);
            let text = whole(&generated).into_bytes();
            prop_assert_eq!(text.iter().filter(|byte| **byte == b'\n').count() as u64, rows + 1);
            prop_assert_eq!(text.last(), Some(&b'\n'));
            let mut reader = GeneratedReader::of(generated);
            for (from, length) in parts {
                let from = from.min(text.len());
                reader.seek(SeekFrom::Start(from as u64)).unwrap();
                let mut part = vec![0; length];
                let mut filled = 0;
                while filled < length {
                    let read = reader.read(&mut part[filled..]).unwrap();
                    if read == 0 { break; }
                    filled += read;
                }
                prop_assert_eq!(&part[..filled], &text[from..(from + length).min(text.len())]);
            }
        }
    }
}
