//! How fresh data is, as collectors say it on `/api/v1/freshness`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Version of [`FreshnessReport`] as JSON; fields are only ever added.
pub const SCHEMA_VERSION: u32 = 1;

/// A GPU whose last event is older than the newest one of its cluster by more than these seconds
/// is behind. Files that were recorded long ago are not: their GPUs end together.
pub const BEHIND_SECONDS: i64 = 300;

/// How fresh the samples of a GPU are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuFreshness {
    /// Cluster of its source.
    pub cluster: String,
    /// Host name.
    pub hostname: String,
    /// Index within the host.
    pub gpu_id: String,
    /// Its identity.
    pub uuid: String,
    /// Event time of its newest sample.
    pub last_event: Timestamp,
    /// When the last batch of its cluster was stored whose times cover `last_event`; `None` if that
    /// is none of the newest batches.
    pub last_ingest: Option<Timestamp>,
}

/// How fresh the data of a cluster is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterFreshness {
    /// `CLUSTER_ID` of its streamers.
    pub cluster: String,
    /// Hosts with samples.
    pub hosts: usize,
    /// GPUs with samples.
    pub gpus: usize,
    /// Hosts with a GPU that is behind.
    pub hosts_behind: usize,
    /// GPUs that are behind ([`BEHIND_SECONDS`]).
    pub gpus_behind: usize,
    /// The newest event time.
    pub newest_event: Option<Timestamp>,
    /// The oldest of the GPUs' last event times.
    pub oldest_event: Option<Timestamp>,
    /// When the last batch was stored.
    pub last_ingest: Option<Timestamp>,
    /// Sources of which something is stored.
    pub sources: usize,
    /// Those that are not stored whole, or whose end is not known yet.
    pub incomplete_sources: usize,
}

/// How fresh the data of a store is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreshnessReport {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// When the store was asked.
    pub at: Timestamp,
    /// The clusters, by name.
    pub clusters: Vec<ClusterFreshness>,
    /// The GPUs whose last event is the oldest, oldest first.
    pub stalest: Vec<GpuFreshness>,
}
