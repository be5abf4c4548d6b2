//! What a running worker says about itself.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::config::worker::IdentitySettings;
use crate::model::component::Component;

/// Who a worker is; fixed while it runs.
#[derive(Debug, Clone)]
pub struct About {
    /// Which part of the pipeline.
    pub component: Component,
    /// Name, unique in its type.
    pub id: String,
    /// Name of the cluster.
    pub cluster_id: String,
    /// Namespace of the pod, if it is one.
    pub namespace: Option<String>,
    /// Version of this program.
    pub version: &'static str,
    /// Random, 16 hexadecimal digits: tells two processes with one name apart.
    pub instance_uid: String,
    /// When it started.
    pub started_at: Timestamp,
    started: Instant,
}

impl About {
    /// A worker that starts now.
    pub fn starting_now(component: Component, identity: &IdentitySettings) -> Self {
        Self {
            component,
            id: identity.id.clone(),
            cluster_id: identity.cluster_id.clone(),
            namespace: identity.namespace.clone(),
            version: env!("CARGO_PKG_VERSION"),
            instance_uid: format!("{:016x}", rand::random::<u64>()),
            started_at: Timestamp::now(),
            started: Instant::now(),
        }
    }

    /// The type under which it is registered, for example `nexus-streamer`.
    pub fn service(&self) -> &'static str {
        self.component
            .registry_type()
            .unwrap_or_else(|| self.component.name())
    }

    /// For how long it has been running.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }
}
