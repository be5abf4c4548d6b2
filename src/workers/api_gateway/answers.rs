//! The bodies of answers.

use serde::Serialize;
use utoipa::ToSchema;

use crate::store::{Gpu, Host, SourceProgress, TelemetryPoint};

/// A list of GPUs.
#[derive(Serialize, ToSchema)]
pub(super) struct Gpus {
    /// By host, index and cluster.
    pub(super) gpus: Vec<Gpu>,
    /// How many.
    #[schema(example = 1)]
    pub(super) count: usize,
}

/// A list of hosts.
#[derive(Serialize, ToSchema)]
pub(super) struct Hosts {
    /// By name and cluster.
    pub(super) hosts: Vec<Host>,
    /// How many.
    #[schema(example = 1)]
    pub(super) count: usize,
}

/// A page of samples.
#[derive(Serialize, ToSchema)]
pub(super) struct Page {
    /// By time, in the order asked for.
    pub(super) data_points: Vec<TelemetryPoint>,
    /// How many are on this page.
    #[schema(example = 1)]
    pub(super) count: usize,
    /// Whether there are more.
    #[schema(example = false)]
    pub(super) has_more: bool,
    /// What `cursor` has to be to get them.
    #[schema(example = json!(null))]
    pub(super) next_cursor: Option<String>,
}

/// The newest sample of each series.
#[derive(Serialize, ToSchema)]
pub(super) struct Latest {
    /// By host, index, cluster and metric.
    pub(super) data_points: Vec<TelemetryPoint>,
    /// How many.
    #[schema(example = 1)]
    pub(super) count: usize,
}

/// How much of each source is stored.
#[derive(Serialize, ToSchema)]
pub(super) struct Sources {
    /// By cluster, name, digest and pass.
    pub(super) sources: Vec<SourceProgress>,
    /// How many.
    #[schema(example = 1)]
    pub(super) count: usize,
}
