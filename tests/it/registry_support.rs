//! What the tests of the registry share.

#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use std::collections::BTreeMap;
use std::process::Output;
use std::time::Duration;

use etcd_client::PutOptions;
use serde_json::Value;
use telectl::model::service_record::ServiceRecord;
use telectl::registry::Registry as _;

use crate::program::run;
use crate::servers::etcd::EtcdServer;

/// A record with fixed contents; its lease lives for 3 s.
pub(crate) fn record(service_type: &str, id: &str) -> ServiceRecord {
    let metadata = [
        ("cluster_id", "edge"),
        ("mode", "once"),
        ("version", "0.1.0"),
        ("endpoint", "10.1.2.3:8081"),
    ];
    ServiceRecord {
        id: id.to_owned(),
        service_type: service_type.to_owned(),
        address: "10.1.2.3".to_owned(),
        port: 8081,
        metadata: BTreeMap::from(metadata.map(|(key, value)| (key.to_owned(), value.to_owned()))),
        health: "healthy".to_owned(),
        version: "0.1.0".to_owned(),
        registered_at: "2026-01-15T10:30:00Z".to_owned(),
        instance_uid: "5c1f0a52e8c94b1c".to_owned(),
        started_at: "2026-01-15T10:29:59.5Z".to_owned(),
        lease_ttl: 3,
    }
}

/// A run: its exit code, standard output and standard error.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// `telectl registry` and more words, with the server's address in `ETCD_ENDPOINTS`.
pub(crate) async fn registry(server: &EtcdServer, words: &str) -> Ran {
    let url = server.settings().endpoints.join(",");
    let words: Vec<&str> = std::iter::once("registry")
        .chain(words.split(' '))
        .collect();
    run(&words, &[("ETCD_ENDPOINTS", &url)]).await.into()
}

pub(crate) fn in_cluster(service_type: &str, id: &str, cluster: &str) -> ServiceRecord {
    let mut made = record(service_type, id);
    let cluster = cluster.to_owned();
    made.metadata.insert("cluster_id".to_owned(), cluster);
    made
}

/// Registers for five minutes.
pub(crate) async fn keep(server: &EtcdServer, record: &ServiceRecord) {
    let registry = server.registry();
    let lease = registry.grant(Duration::from_secs(300)).await.unwrap();
    registry.put(record, lease).await.unwrap();
}

/// Writes a value without a lease.
pub(crate) async fn leave(server: &EtcdServer, key: &str, value: &str) {
    let mut client = server.client().await;
    client.put(key, value, None).await.unwrap();
}

/// Two well, one stale, one unreadable without and one with a lease.
pub(crate) async fn populated() -> Option<EtcdServer> {
    let server = EtcdServer::start().await?;
    keep(&server, &in_cluster("nexus-streamer", "edge.s-0", "edge")).await;
    keep(&server, &in_cluster("nexus-collector", "c-0", "central")).await;
    let stale = in_cluster("nexus-streamer", "far.s-0", "far");
    let value = serde_json::to_string(&stale).unwrap();
    leave(&server, &stale.key(), &value).await;
    leave(&server, "/services/nexus-gateway/broken", "{").await;
    let mut client = server.client().await;
    let lease = client.lease_grant(300, None).await.unwrap().id();
    let options = PutOptions::new().with_lease(lease);
    let key = "/services/nexus-gateway/leased";
    client.put(key, "[]", Some(options)).await.unwrap();
    Some(server)
}

pub(crate) fn ids(list: &Value) -> Vec<&str> {
    let all = list["registrations"].as_array().unwrap().iter();
    all.map(|one| one["id"].as_str().unwrap()).collect()
}
