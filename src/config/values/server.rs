//! The servers between the workers: deployed here, or elsewhere.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::endpoint::host_of;

use super::{Resources, Service, ServiceType, Texts};

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Persistence {
    /// Whether data outlives the pod.
    pub enabled: bool,
    /// Size, a Kubernetes quantity.
    pub size: String,
    /// Storage class; empty for the cluster's default.
    #[serde(default)]
    pub storage_class: String,
}

/// TLS of a server that telectl deploys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerTls {
    /// Whether the server speaks TLS, and nothing else.
    pub enabled: bool,
    /// Secret with `tls.crt`, `tls.key` and `ca.crt`.
    pub existing_secret: String,
    /// Secret with `ca.crt` for the clients.
    pub ca_secret: String,
}

/// A password in a Secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PasswordAuth {
    /// Whether there is a password.
    pub enabled: bool,
    /// Secret with the password.
    pub existing_secret: String,
    /// Its key.
    pub existing_secret_password_key: String,
}

/// PostgreSQL that telectl deploys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Postgresql {
    /// Whether it is deployed.
    pub enabled: bool,
    /// Image, honouring the official image's contract.
    pub image: String,
    /// User, database and password.
    pub auth: PostgresqlAuth,
    /// TLS.
    pub tls: ServerTls,
    /// The Service in front of it.
    pub service: Service,
    /// The server.
    pub primary: PostgresqlPrimary,
}

/// User, database and password of PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PostgresqlAuth {
    /// The user.
    pub username: String,
    /// The database.
    pub database: String,
    /// Secret with the password.
    pub existing_secret: String,
    /// Its key.
    pub existing_secret_password_key: String,
}

/// The PostgreSQL server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PostgresqlPrimary {
    /// Its volume.
    pub persistence: Persistence,
    /// What it asks of its node.
    pub resources: Resources,
    /// Labels of the nodes that it runs on.
    #[serde(default)]
    pub node_selector: Texts,
    /// Tolerations, as Kubernetes has them.
    #[serde(default)]
    pub tolerations: Vec<Value>,
    /// Affinity, as Kubernetes has it.
    #[serde(default)]
    pub affinity: Map<String, Value>,
    /// Lines of `postgresql.conf`.
    #[serde(default)]
    pub extended_configuration: String,
}

/// A database that somebody else runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalDatabase {
    /// Host; empty if there is none.
    #[serde(default)]
    pub host: String,
    /// Port.
    pub port: u16,
    /// User.
    pub username: String,
    /// Database.
    pub database: String,
    /// How strictly the certificate is looked at.
    pub ssl_mode: String,
    /// Secret with the password.
    pub existing_secret: String,
    /// Its key.
    pub existing_secret_password_key: String,
    /// Secret with `ca.crt`; empty for none.
    #[serde(default)]
    pub ca_secret: String,
}

/// Redis that telectl deploys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Redis {
    /// Whether it is deployed.
    pub enabled: bool,
    /// Image, honouring the official image's contract.
    pub image: String,
    /// One server, or several that are one cluster.
    pub architecture: RedisArchitecture,
    /// What only a cluster has.
    pub cluster: RedisCluster,
    /// Whether every write goes to a log on the volume.
    pub appendonly: bool,
    /// Password.
    pub auth: PasswordAuth,
    /// TLS.
    pub tls: ServerTls,
    /// The Service in front of it.
    pub service: Service,
    /// The server.
    pub master: RedisMaster,
}

/// One Redis, or several that are one cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RedisArchitecture {
    /// One server.
    Standalone,
    /// Redis Cluster.
    Cluster,
}

/// Redis Cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RedisCluster {
    /// Number of masters, from 3 on.
    pub masters: u32,
    /// Replicas of each master.
    pub replicas: u32,
    /// Milliseconds of silence after which a node counts as lost.
    pub node_timeout: u32,
    /// `host` or `host:port` of each node, as its clients reach it; empty for the pods' names.
    #[serde(default)]
    pub announce: Vec<String>,
    /// A Service in front of each node.
    pub node_service: RedisNodeService,
}

impl RedisCluster {
    /// Number of nodes.
    pub const fn nodes(&self) -> u32 {
        self.masters.saturating_mul(self.replicas.saturating_add(1))
    }
}

/// A Service in front of each node of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RedisNodeService {
    /// From where it is reached; inside the cluster, the pods' names do, and there is none.
    #[serde(rename = "type")]
    pub kind: ServiceType,
    /// The nodes' ports, one after the other; empty for what Kubernetes chooses.
    #[serde(default)]
    pub node_ports: Vec<u16>,
    /// Their annotations.
    #[serde(default)]
    pub annotations: Texts,
}

/// The Redis server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RedisMaster {
    /// Its volume.
    pub persistence: Persistence,
    /// What it asks of its node.
    pub resources: Resources,
    /// Labels of the nodes that it runs on.
    #[serde(default)]
    pub node_selector: Texts,
    /// Tolerations, as Kubernetes has them.
    #[serde(default)]
    pub tolerations: Vec<Value>,
    /// Affinity, as Kubernetes has it.
    #[serde(default)]
    pub affinity: Map<String, Value>,
}

/// A queue elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalRedis {
    /// Whether the workers use it; then no Redis is deployed here.
    pub enabled: bool,
    /// Host; empty while nobody knows it.
    #[serde(default)]
    pub host: String,
    /// Port.
    pub port: u16,
    /// User; empty for Redis' `default`.
    #[serde(default)]
    pub username: String,
    /// Number of the database.
    pub database: u32,
    /// Name of a Service of this namespace that stands for the host; empty for none.
    #[serde(default)]
    pub service_name: String,
    /// TLS.
    pub tls: CaSource,
    /// Password.
    pub auth: PasswordAuth,
    /// Sentinels that name the server, instead of the host.
    pub sentinel: RedisSentinel,
    /// Nodes of a Redis Cluster, instead of the host.
    pub cluster: ExternalRedisCluster,
}

impl ExternalRedis {
    /// The sentinels or nodes that stand for the host, with the port of those that name none.
    pub fn addresses(&self) -> Option<(&[String], u16)> {
        if self.sentinel.enabled {
            Some((&self.sentinel.nodes, SENTINEL_PORT))
        } else {
            let nodes = self.cluster.enabled.then_some(&*self.cluster.nodes);
            nodes.map(|nodes| (nodes, self.port))
        }
    }

    /// The hosts that workers are told.
    pub fn hosts(&self) -> Vec<&str> {
        match self.addresses() {
            None => vec![&*self.host],
            Some((nodes, _)) => nodes.iter().map(|node| host_of(node)).collect(),
        }
    }
}

/// Where sentinels usually listen.
const SENTINEL_PORT: u16 = 26_379;

/// Redis Sentinel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RedisSentinel {
    /// Whether sentinels name the server.
    pub enabled: bool,
    /// The name by which they know it.
    #[serde(default)]
    pub master_name: String,
    /// `host` or `host:port` of each sentinel.
    #[serde(default)]
    pub nodes: Vec<String>,
    /// User at the sentinels; empty for their `default`.
    #[serde(default)]
    pub username: String,
    /// Password at the sentinels.
    pub auth: PasswordAuth,
}

/// A Redis Cluster elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalRedisCluster {
    /// Whether the queue is a cluster.
    pub enabled: bool,
    /// `host` or `host:port` of some nodes; the others are learnt.
    #[serde(default)]
    pub nodes: Vec<String>,
}

/// TLS of a queue elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CaSource {
    /// Whether it speaks TLS.
    pub enabled: bool,
    /// Must be false: certificates are always verified.
    #[serde(default)]
    pub skip_verify: bool,
    /// PEM text of the authority; empty for `ca_secret`.
    #[serde(default)]
    pub ca_cert: String,
    /// Secret with `ca.crt`.
    pub ca_secret: String,
    /// Secret with `tls.crt` and `tls.key` of a client; empty if the server asks for none.
    #[serde(default)]
    pub client_secret: String,
}

/// The registry that telectl deploys, or where it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Etcd {
    /// Whether it is deployed.
    pub enabled: bool,
    /// Image with `etcd` and `etcdctl` in the path.
    pub image: String,
    /// URLs of a registry elsewhere.
    #[serde(default)]
    pub endpoints: Vec<String>,
    /// User and password of a registry elsewhere.
    pub auth: EtcdAuth,
    /// TLS.
    pub tls: EtcdTls,
    /// The Service in front of it.
    pub service: Service,
    /// Its volume.
    pub persistence: Persistence,
    /// What it asks of its node.
    pub resources: Resources,
    /// Labels of the nodes that it runs on.
    #[serde(default)]
    pub node_selector: Texts,
    /// Tolerations, as Kubernetes has them.
    #[serde(default)]
    pub tolerations: Vec<Value>,
    /// Affinity, as Kubernetes has it.
    #[serde(default)]
    pub affinity: Map<String, Value>,
}

/// User and password of a registry elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EtcdAuth {
    /// Whether workers log in with them.
    pub enabled: bool,
    /// The user.
    pub username: String,
    /// Secret with the password.
    pub existing_secret: String,
    /// Its key.
    pub existing_secret_password_key: String,
}

/// TLS of etcd; the clients' certificates are their login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EtcdTls {
    /// Whether etcd speaks TLS and asks for client certificates.
    pub enabled: bool,
    /// Secret with the server's `tls.crt`, `tls.key` and `ca.crt`.
    pub existing_secret: String,
    /// Secret with the clients' `tls.crt`, `tls.key` and `ca.crt`.
    pub client_secret: String,
    /// Secret with `ca.crt` of a registry elsewhere that asks for no certificate of its clients;
    /// empty for `client_secret`.
    #[serde(default)]
    pub ca_secret: String,
}
