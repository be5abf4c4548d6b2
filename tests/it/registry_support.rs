//! What the tests of the registry share.

use std::collections::BTreeMap;

use telectl::model::service_record::ServiceRecord;

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
