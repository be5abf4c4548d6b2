//! Dumps of the database: a CronJob and what it needs.

use serde_json::{Value, json};

use crate::config::Resolved;
use crate::config::values::{BackupStorage, BackupStorageType};

use super::components::SERVER_USER;
use super::facts::Facts;
use super::images;
use super::labels;
use super::policies;
use super::view::{ObjectView, canonical, filled, pull_secrets, resources};

/// The label and, with the values' prefix, the name of its objects.
pub(super) const BACKUP: &str = "backup";

/// The values of its templates.
pub(super) fn fill(resolved: &Resolved, facts: &Facts) -> Value {
    let values = &resolved.values;
    let backup = &values.backup;
    let image = match backup.image.as_str() {
        "" => values.postgresql.image.as_str(),
        chosen => chosen,
    };
    let primary = &values.postgresql.primary;
    let rules = policies::of_backup(resolved, facts);
    json!({
        "object": object(resolved),
        "database": facts.database,
        "volume": {
            "size": canonical(&backup.storage.size),
            "storageClass": Some(&backup.storage.storage_class).filter(|class| !class.is_empty()),
        },
        // What the shared templates of accounts and policies read.
        "component": {
            "serviceAccount": name(resolved),
            "serviceAccountAnnotations": filled(values.common_annotations.clone()),
            "policySelector": labels::part_selector(resolved, BACKUP),
            "ingress": rules.ingress,
            "egress": rules.egress,
            "files": {},
        },
        "backup": {
            "schedule": backup.schedule,
            "retentionDays": backup.retention_days().unwrap_or(30).to_string(),
            "image": images::server(values, image),
            "pullSecrets": pull_secrets(values),
            "podLabels": labels::part(resolved, BACKUP),
            "podAnnotations": filled(values.common_annotations.clone()),
            "user": SERVER_USER.0,
            "resources": resources(&backup.resources),
            "nodeSelector": filled(primary.node_selector.clone()),
            "tolerations": (!primary.tolerations.is_empty()).then_some(&primary.tolerations),
            "claim": claim(resolved),
            "size": canonical(&backup.storage.size),
            "upload": upload(resolved),
        },
    })
}

fn name(resolved: &Resolved) -> String {
    labels::prefixed(resolved, BACKUP)
}

fn object(resolved: &Resolved) -> ObjectView {
    ObjectView {
        name: name(resolved),
        namespace: resolved.namespace().to_owned(),
        labels: labels::part(resolved, BACKUP),
        annotations: filled(resolved.values.common_annotations.clone()),
    }
}

/// The claim that dumps go into; empty if they go into a bucket.
fn claim(resolved: &Resolved) -> String {
    let storage = &resolved.values.backup.storage;
    match (storage.kind, storage.existing_claim.as_str()) {
        (BackupStorageType::S3, _) => String::new(),
        (BackupStorageType::Volume, "") => name(resolved),
        (BackupStorageType::Volume, existing) => existing.to_owned(),
    }
}

/// Whether telectl makes the claim.
pub(super) fn has_own_claim(storage: &BackupStorage) -> bool {
    storage.kind == BackupStorageType::Volume && storage.existing_claim.is_empty()
}

/// Without an image if dumps stay in the volume.
fn upload(resolved: &Resolved) -> Value {
    let storage = &resolved.values.backup.storage;
    if storage.kind == BackupStorageType::Volume {
        return json!({ "image": "", "command": [], "env": [] });
    }
    let plain = [
        ("S3_BUCKET", &storage.bucket),
        ("S3_PREFIX", &storage.prefix),
        ("AWS_REGION", &storage.region),
        ("AWS_ENDPOINT_URL", &storage.endpoint),
    ];
    let mut env: Vec<Value> = plain
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect();
    // The image's user has no home of its own here.
    env.push(json!({ "name": "HOME", "value": "/tmp" }));
    if !storage.existing_secret.is_empty() {
        env.extend(CREDENTIALS.map(|key| {
            let reference = json!({ "name": storage.existing_secret, "key": key });
            json!({ "name": key, "valueFrom": { "secretKeyRef": reference } })
        }));
    }
    json!({
        "image": images::server(&resolved.values, &storage.upload_image),
        "command": storage.upload_command,
        "env": env,
    })
}

/// The keys of the Secret for the bucket, which are also the variables' names.
pub(super) const CREDENTIALS: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
