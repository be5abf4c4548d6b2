//! Whether Secrets in different places hold the same value, without showing any.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::cluster::Cluster;
use crate::deploy::secrets::AUTHORITY_SECRET;
use crate::model::object::{ObjectKind, ObjectRef};

use super::SiteFacts;

/// A key of a Secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretKeyRef {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Key.
    pub key: String,
}

impl SecretKeyRef {
    /// A reference from its parts.
    pub fn new(namespace: &str, name: &str, key: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            key: key.to_owned(),
        }
    }
}

/// Equal for equal values. It stays in the process and cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of a value.
    pub fn of(value: &str) -> Self {
        Self(Sha256::digest(value.trim()).into())
    }
}

impl std::fmt::Debug for Fingerprint {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("[fingerprint]")
    }
}

/// Fingerprints of every Secret that a workload of the cluster uses, and the Secrets (namespace and
/// name) that could not be read: the remedy is then less exact.
pub(super) async fn fingerprints(
    cluster: &Cluster,
    facts: &SiteFacts,
) -> (
    BTreeMap<SecretKeyRef, Fingerprint>,
    BTreeSet<(String, String)>,
) {
    let mut wanted: BTreeSet<(&str, &str)> = BTreeSet::new();
    for workload in &facts.objects.workloads {
        let namespace = workload.namespace.as_str();
        wanted.extend(workload.secret_keys().map(|(name, _)| (namespace, name)));
        wanted.extend(
            workload
                .mounted_secrets
                .iter()
                .map(|name| (namespace, name.as_str())),
        );
    }
    let namespaces = facts.namespaces.iter();
    wanted.extend(namespaces.map(|namespace| (namespace.as_str(), AUTHORITY_SECRET)));
    let reading = wanted.into_iter().map(async |(namespace, name)| {
        let object = ObjectRef::new(ObjectKind::Secret, namespace, name);
        (namespace, name, cluster.get(&object).await)
    });
    let mut found = BTreeMap::new();
    let mut unread = BTreeSet::new();
    for (namespace, name, secret) in join_all(reading).await {
        let Ok(secret) = secret else {
            unread.insert((namespace.to_owned(), name.to_owned()));
            continue;
        };
        let data = secret.as_ref().map(|secret| &secret["data"]);
        for (key, value) in data.and_then(Value::as_object).into_iter().flatten() {
            let value = value.as_str().unwrap_or_default();
            found.insert(
                SecretKeyRef::new(namespace, name, key),
                Fingerprint::of(value),
            );
        }
    }
    (found, unread)
}
