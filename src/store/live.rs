//! What the store holds now, and what is added to it.

use jiff::Timestamp;

use crate::model::source::StoreToken;

use super::{Position, TelemetryPoint};

/// The newest value of a series.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Metric name.
    pub metric: String,
    /// The labels of the series, as the source has them.
    pub labels: ReadingLabels,
    /// Event time.
    pub at: Timestamp,
    /// The value.
    pub value: f64,
}

/// What tells one series of a metric from another; empty where the source said nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReadingLabels {
    /// Index within the host.
    pub gpu_id: String,
    /// Identity of the GPU.
    pub uuid: String,
    /// Device name.
    pub device: String,
    /// Model name.
    pub model_name: String,
    /// Host name.
    pub hostname: String,
    /// Container that uses the GPU.
    pub container: String,
    /// Namespace of that container.
    pub namespace: String,
    /// Pod of that container.
    pub pod: String,
    /// Cluster of the source.
    pub cluster: String,
}

/// How far a reader of what is added has come. Means something to the store that said it, and only
/// in the life of the data in which it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Progress {
    /// The transaction that is next, or being read.
    pub transaction: i64,
    /// The last sample of it that was read.
    pub after: Option<Position>,
}

/// Which of the added samples are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AdditionsQuery {
    /// From here on; `None` asks where the end is now.
    pub from: Option<Progress>,
    /// Only this GPU.
    pub uuid: Option<String>,
    /// Only GPUs of this host.
    pub hostname: Option<String>,
    /// Only this metric.
    pub metric: Option<String>,
    /// At most so many samples.
    pub limit: u32,
}

/// Samples in the order in which they were added.
#[derive(Debug, Clone, PartialEq)]
pub struct Additions {
    /// In which life of the data.
    pub token: StoreToken,
    /// The samples, each with where a reader stands after it.
    pub samples: Vec<(Progress, TelemetryPoint)>,
    /// Where to go on.
    pub next: Progress,
    /// Where the end is at present.
    pub end: Progress,
    /// Whether there may be more already.
    pub has_more: bool,
}
