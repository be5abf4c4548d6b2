//! What a worker writes into the registry about itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The JSON value under `/services/<type>/<id>`, field names as the seed has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRecord {
    /// Unique within the type: the pod's name in a cluster.
    pub id: String,
    /// `nexus-streamer`, `nexus-collector` or `nexus-gateway`.
    #[serde(rename = "type")]
    pub service_type: String,
    /// The advertised host name or address, without port or brackets.
    pub address: String,
    /// The advertised port, which may differ from the one listened on.
    pub port: u16,
    /// `cluster_id`, `mode`, `version`, `endpoint` (host:port) and more.
    pub metadata: BTreeMap<String, String>,
    /// `healthy` or `unhealthy`, as the worker sees itself.
    pub health: String,
    /// Version of the worker.
    pub version: String,
    /// RFC 3339, UTC: when this registration was written.
    pub registered_at: String,
    /// Random per process, so that two processes with one id are told apart.
    pub instance_uid: String,
    /// RFC 3339, UTC: when the process started.
    pub started_at: String,
    /// Seconds for which the registration outlives its worker.
    pub lease_ttl: i64,
}

impl ServiceRecord {
    /// The key of this record in the registry.
    pub fn key(&self) -> String {
        format!("/services/{}/{}", self.service_type, self.id)
    }

    /// Whether the worker is in one of these namespaces, as far as it tells: one registry may serve
    /// several pipelines.
    pub fn is_in(&self, namespaces: &[String]) -> bool {
        let namespace = self.metadata.get("namespace");
        namespace.is_none_or(|namespace| namespaces.contains(namespace))
    }
}
