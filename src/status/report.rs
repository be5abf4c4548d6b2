//! The picture, as it is written as JSON and YAML.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::component::Component;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AutoscalerStatus {
    /// Replicas now.
    pub current: i64,
    /// Fewest.
    pub min: i64,
    /// Most.
    pub max: i64,
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
}
