//! What travels from a streamer to the store.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::canary::Canary;
use super::source::{BatchId, ByteRange, PassId, SourceId};
use super::time::EventTime;

/// The labels of one series, as the DCGM export names them. Empty means absent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SeriesLabels {
    /// The cluster that the source belongs to.
    pub cluster: String,
    /// Metric name, for example `DCGM_FI_DEV_GPU_UTIL`.
    pub metric: String,
    /// Index of the GPU in its host; unique per host only.
    pub gpu_id: String,
    /// Device name, for example `nvidia0`.
    pub device: String,
    /// UUID of the GPU: its identity.
    pub uuid: String,
    /// Model name.
    pub model: String,
    /// Host name.
    pub host: String,
    /// Container that used the GPU.
    pub container: String,
    /// Pod that used the GPU.
    pub pod: String,
    /// Namespace of that pod.
    pub namespace: String,
    /// The remaining labels, in Prometheus text form, as the source has them.
    pub labels_raw: String,
}

impl SeriesLabels {
    /// Their names, as the columns of the table `series` have them.
    pub const NAMES: [&str; 11] = [
        "cluster",
        "metric",
        "gpu_id",
        "device",
        "uuid",
        "model",
        "host",
        "container",
        "pod",
        "namespace",
        "labels_raw",
    ];

    /// Labels with these texts, in the order of [`Self::NAMES`].
    pub fn of_texts(texts: [String; 11]) -> Self {
        let [
            cluster,
            metric,
            gpu_id,
            device,
            uuid,
            model,
            host,
            container,
            pod,
            namespace,
            labels_raw,
        ] = texts;
        Self {
            cluster,
            metric,
            gpu_id,
            device,
            uuid,
            model,
            host,
            container,
            pod,
            namespace,
            labels_raw,
        }
    }

    /// Their texts, in the order of [`Self::NAMES`].
    /// Batches are written in this order: another one is another format.
    pub fn texts(&self) -> [&str; 11] {
        let Self {
            cluster,
            metric,
            gpu_id,
            device,
            uuid,
            model,
            host,
            container,
            pod,
            namespace,
            labels_raw,
        } = self;
        [
            cluster, metric, gpu_id, device, uuid, model, host, container, pod, namespace,
            labels_raw,
        ]
    }
}

impl SeriesLabels {
    /// How much memory they take, in bytes: what bounds by number alone do not bound.
    pub fn weight(&self) -> usize {
        let texts: usize = self.texts().iter().map(|text| text.len()).sum();
        size_of::<Self>() + texts
    }
}

/// The rows of a batch, one column each; all columns have the same length.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rows {
    /// Index into [`Batch::series`].
    pub series: Vec<u32>,
    /// Event time.
    pub time: Vec<EventTime>,
    /// The value; `None` where the source says blank (DCGM sentinel or empty cell).
    pub value: Vec<Option<f64>>,
    /// Where in the source the row's record starts, in bytes.
    pub offset: Vec<u64>,
}

impl Rows {
    /// How many rows.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// How much memory they take, in bytes.
    pub fn weight(&self) -> usize {
        const ROW: usize = size_of::<(u32, EventTime, Option<f64>, u64)>();
        self.len() * ROW
    }
}

/// A row that cannot be stored, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// Line in the source, from 1 (the header is line 1).
    pub line: u64,
    /// Where the record starts, in bytes.
    pub offset: u64,
    /// What is wrong with it.
    pub reason: String,
    /// The record as it stands in the source, at most 4 KiB of it.
    pub record: Vec<u8>,
}

impl Quarantined {
    /// How much memory it takes, in bytes.
    pub fn weight(&self) -> usize {
        size_of::<Self>() + self.reason.len() + self.record.len()
    }
}

/// A part of a source, ready to be stored in one transaction with others.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Its name, unique for ever.
    pub id: BatchId,
    /// The streamer that made it.
    pub streamer: String,
    /// What it was read from.
    pub source: SourceId,
    /// Which reading of the source.
    pub pass: PassId,
    /// The bytes of the source that it covers.
    pub range: ByteRange,
    /// Checksum (CRC-32) over the covered bytes of the source.
    pub checksum: u32,
    /// Dictionary of the series in this batch; batches of one source share the labels.
    pub series: Vec<Arc<SeriesLabels>>,
    /// The rows.
    pub rows: Rows,
    /// Rows of the range that are not in `rows`.
    pub quarantined: Vec<Quarantined>,
}

/// What a streamer that has read a source to its end knows about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedOff {
    /// Its name, unique for ever.
    pub id: BatchId,
    /// The streamer that read it.
    pub streamer: String,
    /// The source; its digest is the hash of the content.
    pub source: SourceId,
    /// Which reading.
    pub pass: PassId,
    /// Size in bytes.
    pub size: u64,
    /// Rows that can be stored.
    pub rows: u64,
    /// Rows that cannot.
    pub quarantined: u64,
}

/// What one entry of the queue holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// Rows.
    Batch(Batch),
    /// The end of a source.
    SignedOff(SignedOff),
    /// A record that only proves that the way is open.
    Canary(Canary),
}

impl Message {
    /// The name of the message.
    pub const fn id(&self) -> &BatchId {
        match self {
            Self::Batch(batch) => &batch.id,
            Self::SignedOff(signed_off) => &signed_off.id,
            Self::Canary(canary) => &canary.route,
        }
    }
}
