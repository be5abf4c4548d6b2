//! What a profile renders to.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::component::Component;
use super::object::ObjectRef;
use super::profile::Profile;

/// One rendered object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Which object it is.
    pub object: ObjectRef,
    /// The whole object as the API server takes it, `apiVersion` and `kind` included.
    pub value: Value,
}

/// Everything that one profile needs in one namespace of one cluster.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RenderedSet {
    /// The profile.
    pub profile: Profile,
    /// The namespace of every namespaced object in the set.
    pub namespace: String,
    /// `CLUSTER_ID` of the workers.
    pub cluster_id: String,
    /// The objects, in the order of [`super::object::ObjectKind::ALL`] and then by name. No Secrets.
    pub manifests: Vec<Manifest>,
    /// The Secrets that the objects refer to and that must exist, by name.
    pub secrets: Vec<SecretNeed>,
}

/// A Secret that must exist before the workloads of a set can start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretNeed {
    /// The name of the Secret.
    pub name: String,
    /// Its keys and where each comes from when the Secret is missing.
    pub keys: Vec<SecretKey>,
}

/// One key of a needed Secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretKey {
    /// The key within the Secret.
    pub key: String,
    /// What the value is.
    pub content: SecretContent,
}

/// What the value of a Secret's key is, so that telectl can make or hand it over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SecretContent {
    /// Password of the queue's user.
    RedisPassword,
    /// Password of the database's user.
    DatabasePassword,
    /// Password of the database's superuser.
    DatabaseSuperuserPassword,
    /// Bearer token of the gateway.
    ApiToken,
    /// Certificate (PEM) of the authority that signed for a component: telectl's private one where
    /// telectl deploys it. No secret in itself.
    CaCertificate(Component),
    /// Server certificate (PEM) of Redis; its names include the Service's addresses.
    RedisServerCertificate,
    /// Key (PEM) of that certificate.
    RedisServerKey,
    /// Server certificate (PEM) of etcd.
    EtcdServerCertificate,
    /// Key (PEM) of that certificate.
    EtcdServerKey,
    /// Server certificate (PEM) of PostgreSQL.
    DatabaseServerCertificate,
    /// Key (PEM) of that certificate.
    DatabaseServerKey,
    /// Client certificate (PEM) with which workers log in to etcd.
    EtcdClientCertificate,
    /// Key (PEM) of that certificate.
    EtcdClientKey,
    /// Server certificate (PEM) of a worker's HTTP port.
    WorkerCertificate(Component),
    /// Key (PEM) of that certificate.
    WorkerKey(Component),
    /// telectl cannot make it: somebody has to create the Secret.
    Given,
}
