//! The store of samples: PostgreSQL, or SQLite.
//!
//! The ledger (source, pass, byte range) makes storing idempotent: whatever is delivered twice,
//! cut elsewhere or replayed adds no row twice and loses none.

use jiff::Timestamp;
use serde::Serialize;

use crate::model::batch::{Batch, SignedOff};
use crate::model::canary::CanaryId;
use crate::model::source::{BatchId, SourceId, StoreToken};

mod aggregate;
pub mod canary;
mod check;
mod coverage;
mod freshness;
mod identity;
mod live;
pub mod postgres;
pub mod proof;
pub mod sqlite;
mod summary;

use canary::{CanaryArrival, CanaryRecord};
use proof::file::Origin;
use proof::{Proof, Question};

pub use aggregate::{AggregateQuery, Bucket};
pub use freshness::Freshness;
pub use identity::series_id;
pub use live::{Additions, AdditionsQuery, Progress, Reading, ReadingLabels};

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Its rows are in the store now.
    Stored {
        /// How many rows this call added.
        rows: u64,
    },
    /// Its range and checksum were there already.
    AlreadyStored,
    /// Its range overlapped others: only rows that were not covered yet were added.
    Completed {
        /// How many rows this call added.
        rows: u64,
    },
    /// It cannot be stored because of what is in it.
    Refused {
        /// Why.
        reason: String,
    },
}

/// What became of batches, and which life of the data says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// In the order of the batches.
    pub outcomes: Vec<Outcome>,
    /// How many of their rows were not stored, because their day is not kept any more. They are noted,
    /// and count as rows of their batches.
    pub expired: u64,
    /// The data that the batches are in now.
    pub token: StoreToken,
}

/// What was done to the store's partitions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Upkeep {
    /// Days (as `2025-07-18`) that were indexed by series, in this order.
    pub indexed: Vec<String>,
    /// Days that were dropped, likewise.
    pub expired: Vec<String>,
}

/// A GPU that the store knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Gpu {
    /// Cluster of its source.
    #[schema(example = "edge")]
    pub cluster: String,
    /// Its identity.
    #[schema(example = "GPU-5fd4f087-86f3-7a43-b711-4771313afc50")]
    pub uuid: String,
    /// Index within its host.
    #[schema(example = "0")]
    pub gpu_id: String,
    /// Host name.
    #[schema(example = "mtv5-dgx1-hgpu-031")]
    pub hostname: String,
    /// Device name.
    #[schema(example = "nvidia0")]
    pub device: String,
    /// Model name.
    #[schema(example = "NVIDIA H100 80GB HBM3")]
    pub model_name: String,
}

/// A host that the store knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Host {
    /// Cluster of its source.
    #[schema(example = "edge")]
    pub cluster: String,
    /// Host name.
    #[schema(example = "mtv5-dgx1-hgpu-031")]
    pub hostname: String,
    /// How many GPUs of it are known.
    #[schema(example = 8)]
    pub gpu_count: u64,
}

/// Where a sample stands among all samples: the key that pages continue from.
///
/// Time and series alone do not tell two samples apart: in loop mode every round stores the same
/// times anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// Event time, microseconds since the epoch.
    pub time: i64,
    /// Id of the series.
    pub series: i64,
    /// Which of the samples of this series and time; means something to the store only.
    pub row: i64,
}

/// One sample with the labels that tell what it measures.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct TelemetryPoint {
    /// Event time, RFC 3339, UTC.
    #[schema(value_type = String, format = DateTime, example = "2025-07-18T20:42:34Z")]
    pub timestamp: Timestamp,
    /// Metric name.
    #[schema(example = "DCGM_FI_DEV_GPU_UTIL")]
    pub metric: String,
    /// The value; null where the source said blank.
    #[schema(example = 97.0)]
    pub value: Option<f64>,
    /// Identity of the GPU.
    #[schema(example = "GPU-5fd4f087-86f3-7a43-b711-4771313afc50")]
    pub uuid: String,
    /// Host name.
    #[schema(example = "mtv5-dgx1-hgpu-031")]
    pub hostname: String,
    /// Index within the host.
    #[schema(example = "0")]
    pub gpu_id: String,
    /// Cluster of the source.
    #[schema(example = "edge")]
    pub cluster: String,
    /// Where the next page continues; never shown.
    #[serde(skip)]
    pub position: Position,
}

/// In which order a page runs through time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Oldest first.
    Ascending,
    /// Newest first.
    Descending,
}

/// Which samples are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelemetryQuery {
    /// UUID of the GPU.
    pub uuid: String,
    /// Only this metric.
    pub metric: Option<String>,
    /// From this instant on.
    pub from: Option<Timestamp>,
    /// Up to but not including this instant.
    pub to: Option<Timestamp>,
    /// In which order.
    pub order: Order,
    /// At most this many.
    pub limit: u32,
    /// After this sample, in the same order.
    pub after: Option<Position>,
}

/// What the store holds, in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Statistics {
    /// Samples.
    #[schema(example = 2470)]
    pub total_records: u64,
    /// Distinct GPUs by UUID.
    #[schema(example = 247)]
    pub unique_gpus: u64,
    /// Distinct hosts.
    #[schema(example = 31)]
    pub unique_hosts: u64,
    /// Distinct series.
    #[schema(example = 2470)]
    pub unique_series: u64,
    /// Event time of the oldest sample.
    #[schema(value_type = Option<String>, format = DateTime, example = "2025-07-18T20:42:34Z")]
    pub earliest_timestamp: Option<Timestamp>,
    /// Event time of the newest sample.
    #[schema(value_type = Option<String>, format = DateTime, example = "2025-07-18T20:42:34Z")]
    pub latest_timestamp: Option<Timestamp>,
}

/// How much of a source is stored, by the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct SourceProgress {
    /// Cluster of the source.
    #[schema(example = "edge")]
    pub cluster: String,
    /// Name of the source.
    #[schema(example = "dcgm_metrics_20250718_134233.csv")]
    pub name: String,
    /// SHA-256 of its content.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub digest: String,
    /// Which reading.
    #[schema(example = "once")]
    pub pass: String,
    /// Bytes covered by the ledger.
    #[schema(example = 1048576)]
    pub covered_bytes: u64,
    /// Rows stored.
    #[schema(example = 2470)]
    pub stored_rows: u64,
    /// Rows quarantined.
    #[schema(example = 0)]
    pub quarantined_rows: u64,
    /// Size in bytes, once the source was signed off.
    #[schema(example = 1048576)]
    pub size: Option<u64>,
    /// Rows that a complete store holds, once the source was signed off.
    #[schema(example = 2470)]
    pub expected_rows: Option<u64>,
    /// Rows stored per streamer, by name.
    #[schema(example = json!({"streamer-0": 2470}))]
    pub streamers: std::collections::BTreeMap<String, u64>,
}

/// A store. Both implementations pass the conformance suite in `tests/it/conformance`.
pub trait Store: Clone + Send + Sync + 'static {
    /// Which life of the data it is. Fails while the store has no tables.
    fn token(&self) -> impl Future<Output = Result<StoreToken, StoreError>> + Send;

    /// Makes or upgrades the schema, and says which life of the data it is; safe when several callers
    /// start at once.
    fn migrate(&self) -> impl Future<Output = Result<StoreToken, StoreError>> + Send;

    /// Stores batches.
    ///
    /// Normally one transaction. Several, if a batch has to be told apart that cannot be stored:
    /// after an error some of the batches may be stored, and are [`Outcome::AlreadyStored`] when
    /// they are offered again.
    fn store(&self, batches: &[Batch]) -> impl Future<Output = Result<Stored, StoreError>> + Send;

    /// Notes the end of a source, and says in which life of the data. Noting it again changes
    /// nothing.
    fn sign_off(
        &self,
        signed_off: &SignedOff,
    ) -> impl Future<Output = Result<StoreToken, StoreError>> + Send;

    /// Keeps the bytes of an entry that cannot be stored, and says in which life of the data.
    fn dead_letter(
        &self,
        id: &BatchId,
        payload: &[u8],
        reason: &str,
    ) -> impl Future<Output = Result<StoreToken, StoreError>> + Send;

    /// Notes the arrival of a canary, or that it arrived again, and forgets old ones; says in which
    /// life of the data.
    fn note_canary(
        &self,
        arrival: &CanaryArrival,
    ) -> impl Future<Output = Result<StoreToken, StoreError>> + Send;

    /// A canary that arrived; `None` if none did under this name, or if it is forgotten.
    fn canary(
        &self,
        id: &CanaryId,
    ) -> impl Future<Output = Result<Option<CanaryRecord>, StoreError>> + Send;

    /// Every GPU, ordered by host, index and cluster.
    fn gpus(&self) -> impl Future<Output = Result<Vec<Gpu>, StoreError>> + Send;

    /// Every host, ordered by name and cluster.
    fn hosts(&self) -> impl Future<Output = Result<Vec<Host>, StoreError>> + Send;

    /// Samples of one GPU, at most `limit` of them.
    fn telemetry(
        &self,
        query: &TelemetryQuery,
    ) -> impl Future<Output = Result<Vec<TelemetryPoint>, StoreError>> + Send;

    /// The newest sample of every series of a GPU, or of all GPUs; ordered by host, index, cluster
    /// and metric.
    fn latest(
        &self,
        uuid: Option<&str>,
    ) -> impl Future<Output = Result<Vec<TelemetryPoint>, StoreError>> + Send;

    /// Samples of a metric, summed up; only buckets that have a value, in the order of time.
    fn aggregate(
        &self,
        query: &AggregateQuery,
    ) -> impl Future<Output = Result<Vec<Bucket>, StoreError>> + Send;

    /// The newest value of every series whose newest sample is from `since` on and not blank.
    fn readings(
        &self,
        since: Timestamp,
    ) -> impl Future<Output = Result<Vec<Reading>, StoreError>> + Send;

    /// Samples in the order in which they were added, each exactly once to a reader that goes on
    /// where it stands: one whose transaction is not done is not passed over, it is waited for.
    fn additions(
        &self,
        query: &AdditionsQuery,
    ) -> impl Future<Output = Result<Additions, StoreError>> + Send;

    /// What it holds, in numbers, as the ledger has them.
    fn statistics(&self) -> impl Future<Output = Result<Statistics, StoreError>> + Send;

    /// How much of every source is stored, by cluster, name, digest and pass.
    fn sources(&self) -> impl Future<Output = Result<Vec<SourceProgress>, StoreError>> + Send;

    /// How fresh the data is, by GPU and by cluster.
    fn freshness(&self) -> impl Future<Output = Result<Freshness, StoreError>> + Send;

    /// Holds ledger, signed-off records and samples against each other, as they are at one moment.
    /// Nobody waits for it, and it needs no right but to read.
    fn prove(&self, question: &Question) -> impl Future<Output = Result<Proof, StoreError>> + Send;

    /// Every source and pass with this content (SHA-256, hexadecimal), and what was quarantined of
    /// it.
    fn origins(&self, digest: &str)
    -> impl Future<Output = Result<Vec<Origin>, StoreError>> + Send;

    /// Does what is due to its partitions, for as long as that takes; nobody who stores or reads waits
    /// for it. Nothing if somebody else is at it, or if there are none.
    fn upkeep(&self) -> impl Future<Output = Result<Upkeep, StoreError>> + Send {
        async { Ok(Upkeep::default()) }
    }

    /// Whether it answers and has its tables.
    fn ping(&self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// What can go wrong with a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It does not answer, or refuses.
    #[error("the store at {address} cannot {action}")]
    Unavailable {
        /// Where.
        address: String,
        /// What was tried, as a verb phrase.
        action: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It answers, but not this question in the time that there is.
    #[error("the store at {address} cannot {action} in the time that it has")]
    TooSlow {
        /// Where.
        address: String,
        /// What was tried, as a verb phrase.
        action: String,
        /// What the server said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The settings do not say how to trust the server.
    #[error("the certificate authority for the store at {address} cannot be used: {reason}")]
    Trust {
        /// Where.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The schema belongs to a newer version of this program.
    #[error(
        "the store at {address} has schema version {found}, and this program knows up to \
         {known}: use the program version that upgraded it, or a newer one"
    )]
    SchemaTooNew {
        /// Where.
        address: String,
        /// Version in the store.
        found: i32,
        /// Newest version that this program knows.
        known: i32,
    },
    /// The server lacks what is needed, and always will.
    #[error(
        "the store at {address} is PostgreSQL {found}, and telectl needs {oldest} or newer: upgrade \
         the server (pg_upgrade, or a dump that is restored in a newer one), or set DB_HOST to another"
    )]
    ServerTooOld {
        /// Where.
        address: String,
        /// Version of the server.
        found: String,
        /// The oldest major version that is enough.
        oldest: i32,
    },
    /// Something has to be done by somebody with more rights.
    #[error("the store at {address} lacks {missing}: {remedy}")]
    Unprepared {
        /// Where.
        address: String,
        /// What is missing.
        missing: &'static str,
        /// What to do.
        remedy: &'static str,
        /// What the server said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Two different label sets have one series id.
    #[error("series {id} is `{stored}` in the store and `{offered}` in source {origin}")]
    SeriesCollision {
        /// The id.
        id: i64,
        /// Labels in the store.
        stored: String,
        /// Labels that were to be stored.
        offered: String,
        /// Where they came from.
        origin: Box<SourceId>,
    },
}

impl StoreError {
    /// Whether trying again later may help without anybody changing anything in the store.
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::TooSlow { .. })
    }
}
