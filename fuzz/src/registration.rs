//! What workers write into the registry.

use telectl::model::service_record::ServiceRecord;

/// A record that is read says the same after it was written and read again.
pub fn check(bytes: &[u8]) {
    let Ok(record) = serde_json::from_slice::<ServiceRecord>(bytes) else {
        return;
    };
    let written = serde_json::to_vec(&record).expect("it can be written");
    let again: ServiceRecord = serde_json::from_slice(&written).expect("it can be read");
    assert_eq!(record, again);
    assert!(record.key().starts_with("/services/"));
    let namespace = record.metadata.get("namespace").cloned();
    assert!(record.is_in(namespace.as_slice()));
}
