//! The picture, as it is written as JSON and YAML.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::component::Component;
use crate::model::freshness::{ClusterFreshness, GpuFreshness};

/// Version of [`StatusReport`] as JSON and YAML; fields are only ever added.
pub const SCHEMA_VERSION: u32 = 1;

/// How it stands, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything that was asked for is ready.
    Ready,
    /// Nothing that was seen is not ready, and something that has to be there could not be seen.
    Unknown,
    /// Something is not ready.
    Degraded,
    /// Something is there and no pod of it is ready.
    Down,
    /// Something that has to be there is not.
    Missing,
    /// A cluster does not answer: nothing is known about it.
    Unreachable,
}

impl Verdict {
    /// The verdict as it stands in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Unknown => "unknown",
            Self::Degraded => "degraded",
            Self::Down => "down",
            Self::Missing => "missing",
            Self::Unreachable => "unreachable",
        }
    }
}

/// How the pipeline stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatusReport {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// When it was asked, RFC 3339, UTC.
    pub at: String,
    /// The worst of all clusters.
    pub verdict: Verdict,
    /// The clusters.
    pub clusters: Vec<ClusterStatus>,
    /// The queue, as the collectors see it.
    pub queue: Option<QueueStatus>,
    /// What etcd holds.
    pub registrations: Vec<RegistrationStatus>,
    /// Why the registrations are not known, if they are not.
    pub registrations_unknown: Option<String>,
    /// When registrations and certificates were looked at, RFC 3339.
    pub probed_at: Option<String>,
    /// What runs where.
    pub versions: Vec<VersionStatus>,
    /// How fresh the data in the store is, by source cluster.
    pub data: Vec<DataStatus>,
    /// The GPUs whose last event is the oldest, oldest first.
    pub stalest: Vec<GpuFreshness>,
    /// Why that is not known, if it is not.
    pub data_unknown: Option<String>,
    /// Certificates of the servers.
    pub certificates: Vec<CertificateStatus>,
    /// Why they are not known, if they are not.
    pub certificates_unknown: Option<String>,
    /// What is not well, and what is worth a look; problems first.
    pub concerns: Vec<Concern>,
}

/// How much something matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It is not well.
    Problem,
    /// It works, and is worth a look.
    Notice,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Concern {
    /// How much it matters.
    pub severity: Severity,
    /// In which cluster; `None` for the pipeline as a whole.
    pub cluster: Option<String>,
    /// With what.
    pub subject: String,
    /// What it is.
    pub says: String,
}

/// How a cluster stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClusterStatus {
    /// Context.
    pub context: String,
    /// Its roles.
    pub roles: Vec<&'static str>,
    /// URL of the API server.
    pub server: String,
    /// Version of the API server; `None` if it does not answer.
    pub version: Option<String>,
    /// Why it does not answer.
    pub unreachable: Option<String>,
    /// When it answered last, RFC 3339; only while it is watched.
    pub answered_at: Option<String>,
    /// How it stands.
    pub verdict: Verdict,
    /// The workloads, and those that have to be there and are not.
    pub workloads: Vec<WorkloadStatus>,
    /// Addresses for everybody else.
    pub addresses: Vec<AddressStatus>,
    /// Spools of streamers.
    pub spools: Vec<SpoolStatus>,
    /// The last deployments.
    pub deployed: Vec<DeployedStatus>,
    /// What could not be read, and why.
    pub gaps: Vec<String>,
}

/// How a workload stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorkloadStatus {
    /// The component.
    pub component: Option<Component>,
    /// Namespace.
    pub namespace: String,
    /// Kind; empty if it is missing.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Pods that are ready.
    pub ready: usize,
    /// Pods that are asked for.
    pub desired: i64,
    /// The images of its pods, with how many have each.
    pub images: BTreeMap<String, usize>,
    /// How often its containers were started again.
    pub restarts: i64,
    /// The autoscaler, if there is one.
    pub autoscaler: Option<AutoscalerStatus>,
    /// What keeps it from being ready, where something says so.
    pub trouble: Option<String>,
    /// How it stands.
    pub verdict: Verdict,
}

/// How an autoscaler stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AutoscalerStatus {
    /// Replicas now.
    pub current: i64,
    /// Replicas that it wants.
    pub desired: i64,
    /// Fewest.
    pub min: i64,
    /// Most.
    pub max: i64,
    /// What it sees and what it aims at, for example `cpu 35%/70%`; `?` where it sees nothing.
    pub metrics: Vec<String>,
    /// Why it cannot change the number of replicas, if it cannot.
    pub unable: Option<String>,
    /// For how many seconds it has not been able to.
    pub unable_seconds: Option<i64>,
    /// Why it does not know the load, if it does not.
    pub blind: Option<String>,
}

/// An address for everybody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AddressStatus {
    /// Namespace of the Service.
    pub namespace: String,
    /// The Service.
    pub service: String,
    /// `address:port`; empty while the load balancer has given none.
    pub address: String,
    /// Endpoints behind it that are ready; `None` if they could not be read.
    pub endpoints: Option<usize>,
}

/// A streamer's spool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SpoolStatus {
    /// The pod.
    pub pod: String,
    /// Batches that are not acknowledged yet.
    pub undrained: Option<u64>,
    /// Bytes on the volume.
    pub bytes: Option<u64>,
}

/// How full the queue is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QueueStatus {
    /// Entries, delivered or not.
    pub entries: u64,
    /// Entries that are delivered and not acknowledged.
    pub pending: u64,
    /// Entries that no collector has got yet: the consumers' lag.
    pub lag: u64,
    /// Age of the oldest entry in seconds; 0 if there is none.
    pub oldest_seconds: f64,
    /// Entries set aside.
    pub dead: u64,
    /// Which collector said so.
    pub seen_by: String,
}

/// A registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RegistrationStatus {
    /// The key.
    pub key: String,
    /// `CLUSTER_ID` of the worker.
    pub cluster: String,
    /// Advertised `host:port`.
    pub endpoint: String,
    /// As the worker sees itself.
    pub health: String,
    /// Seconds since it was written; `None` if its time cannot be read.
    pub age_seconds: Option<i64>,
    /// Seconds that its lease has left; `None` without a lease.
    pub lease_remaining_seconds: Option<i64>,
}

/// The last deployment of a profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeployedStatus {
    /// The profile.
    pub profile: &'static str,
    /// RFC 3339.
    pub at: String,
    /// By whom.
    pub by: String,
    /// With which version of telectl.
    pub version: String,
    /// Seconds since then; `None` if no deployment came to its end.
    pub age_seconds: Option<i64>,
    /// Which deployment it was, where that was recorded.
    pub generation: Option<u64>,
}

/// What runs where, for things that have to be the same everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VersionStatus {
    /// `workers`, `telectl` (what deployed) or the name of a server.
    pub of: &'static str,
    /// What there is.
    pub seen: Vec<VersionSeen>,
    /// Whether there is more than one version.
    pub is_skewed: bool,
}

/// A version in a cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct VersionSeen {
    /// Context.
    pub cluster: String,
    /// Tag or digest of the image, or the version itself.
    pub version: String,
    /// What the program itself says.
    pub reported: Option<String>,
    /// Pods that have it.
    pub pods: usize,
}

/// How fresh the data of a source cluster is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DataStatus {
    /// What the store knows.
    #[serde(flatten)]
    pub freshness: ClusterFreshness,
    /// Seconds since the last batch was stored.
    pub ingest_age_seconds: Option<i64>,
    /// Nothing has come in for a while, although a source is not stored whole.
    pub is_stalled: bool,
}

/// The certificate of a server, as a worker is shown it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CertificateStatus {
    /// Which server.
    pub server: &'static str,
    /// Where.
    pub endpoint: String,
    /// Until when, RFC 3339.
    pub not_after: String,
    /// Whole days until then; negative once it has passed.
    pub days_left: i64,
}
