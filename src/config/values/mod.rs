//! Typed values: what `profiles/base.yaml` names, key for key.
//!
//! A test holds the two together. A key that is set to null takes the field's default where there
//! is one; elsewhere it is an error.

mod ingress;
mod operation;
mod scaling;
mod server;
mod worker;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::component::Component;

pub use ingress::{Ingress, IngressHost, IngressPath, IngressTls, PathType};
pub use operation::{Backup, BackupStorage, BackupStorageType, Monitoring, ServiceMonitor};
pub use scaling::{Autoscaling, AutoscalingOverride, Budget, BudgetOverride};
pub use server::{
    CaSource, Etcd, EtcdTls, ExternalDatabase, ExternalRedis, ExternalRedisCluster, PasswordAuth,
    Persistence, Postgresql, PostgresqlAuth, PostgresqlPrimary, Redis, RedisArchitecture,
    RedisCluster, RedisMaster, RedisNodeService, RedisSentinel, ServerTls,
};
pub use worker::{
    Advertise, CollectorConfig, CsvSource, CsvSourceType, GatewayAuth, GatewayConfig,
    ImageOverride, Ingest, Resources, Service, ServiceType, Spool, StreamerConfig, Upload, Worker,
    WorkerTls,
};

/// Free maps of text, for labels and annotations.
pub type Texts = BTreeMap<String, String>;

/// All values of one profile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Values {
    /// Prefix of every object's name; empty for none.
    #[serde(default)]
    pub name_override: String,
    /// Namespace; empty for the profile's own.
    #[serde(default)]
    pub namespace: String,
    /// What holds for everything.
    pub global: Global,
    /// The image of the workers.
    pub image: Image,
    /// Service accounts of the workers.
    pub service_account: ServiceAccount,
    /// User and group of the workers.
    pub pod_security_context: PodSecurityContext,
    /// The streamer.
    pub streamer: Worker<StreamerConfig>,
    /// The collector.
    pub collector: Worker<CollectorConfig>,
    /// The gateway.
    pub api_gateway: Worker<GatewayConfig>,
    /// The database that telectl deploys.
    pub postgresql: Postgresql,
    /// A database that somebody else runs.
    pub external_database: ExternalDatabase,
    /// The queue that telectl deploys.
    pub redis: Redis,
    /// A queue elsewhere.
    pub external_redis: ExternalRedis,
    /// The registry that telectl deploys, or where it is.
    pub etcd: Etcd,
    /// The streams.
    pub queue: Queue,
    /// Registration of the workers.
    pub discovery: Discovery,
    /// Autoscalers of the workers.
    pub autoscaling: Autoscaling,
    /// Disruption budgets of the workers.
    pub pod_disruption_budget: Budget,
    /// Network policies.
    pub network_policy: NetworkPolicy,
    /// Metrics for Prometheus.
    pub monitoring: Monitoring,
    /// Dumps of the database.
    pub backup: Backup,
    /// Labels of every object.
    #[serde(default)]
    pub common_labels: Texts,
    /// Annotations of every object.
    #[serde(default)]
    pub common_annotations: Texts,
    /// Quota of the namespace.
    pub resource_quota: ResourceQuota,
    /// What `telectl lint` lets pass.
    pub lint: Lint,
}

/// What holds for everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Global {
    /// `CLUSTER_ID` of the workers; empty for what the cluster was deployed with before, else for
    /// the context's name (`render`: the profile's).
    #[serde(default)]
    pub cluster_id: String,
    /// Name of the pipeline; empty for the namespace.
    #[serde(default)]
    pub pipeline: String,
    /// Registry of every image, unless `image.registry` names another one for the workers; empty to
    /// take images as they are.
    #[serde(default)]
    pub image_registry: String,
    /// Names of Secrets with registry logins.
    #[serde(default)]
    pub image_pull_secrets: Vec<String>,
}

/// The image of the workers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// Registry; empty for `global.imageRegistry`.
    #[serde(default)]
    pub registry: String,
    /// Name without registry and tag.
    pub repository: String,
    /// Tag; empty for the version of this telectl.
    #[serde(default)]
    pub tag: String,
    /// When nodes pull it.
    pub pull_policy: PullPolicy,
}

/// When nodes pull an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PullPolicy {
    /// For every container.
    Always,
    /// When the node does not have it.
    IfNotPresent,
    /// Never.
    Never,
}

/// Service accounts of the workers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAccount {
    /// Whether telectl makes them.
    pub create: bool,
    /// Their annotations.
    #[serde(default)]
    pub annotations: Texts,
    /// One account for all workers; empty for one per component.
    #[serde(default)]
    pub name: String,
}

/// User and group of the workers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodSecurityContext {
    /// Group of the volumes.
    pub fs_group: i64,
    /// User of the processes; never 0.
    pub run_as_user: i64,
}

/// The streams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Queue {
    /// Number of streams, from 1 on.
    pub shards: u32,
    /// Silence after which another collector takes over an entry, for example `8s`.
    pub claim_idle: String,
}

/// Registration of the workers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Discovery {
    /// Whether workers register.
    pub enabled: bool,
    /// Life of a registration after its worker's, for example `15s`.
    #[serde(rename = "leaseTTL")]
    pub lease_ttl: String,
}

/// Network policies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPolicy {
    /// Whether there are any.
    pub enabled: bool,
    /// Whether everything else in the namespace is denied, other tools' pods included; there are
    /// policies of the components then, too.
    #[serde(default)]
    pub default_deny: bool,
    /// Ingress rules added for every worker, as Kubernetes has them.
    #[serde(default)]
    pub ingress: Vec<Value>,
    /// Egress rules added for every worker, as Kubernetes has them.
    #[serde(default)]
    pub egress: Vec<Value>,
}

/// Quota of the namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceQuota {
    /// Whether there is one.
    pub enabled: bool,
    /// Quantities by resource, for example `limits.cpu`.
    #[serde(default, deserialize_with = "worker::quantities")]
    pub hard: Texts,
}

/// What `telectl lint` lets pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lint {
    /// Ids of rules that may be broken.
    #[serde(default)]
    pub allow: Vec<String>,
}

impl Values {
    /// Whether a Redis is deployed here: an external one makes it needless.
    pub const fn deploys_redis(&self) -> bool {
        self.redis.enabled && !self.external_redis.enabled
    }

    /// Whether any worker is deployed here that uses the database.
    pub const fn uses_database(&self) -> bool {
        self.collector.enabled || self.api_gateway.enabled
    }

    /// Whether dumps are made here: of the database that is deployed here, or that is used here.
    pub const fn dumps_database(&self) -> bool {
        self.backup.enabled && (self.postgresql.enabled || self.uses_database())
    }

    /// Whether any worker is deployed here that uses the queue.
    pub const fn uses_queue(&self) -> bool {
        self.streamer.enabled || self.collector.enabled
    }

    /// Whether any worker is deployed here.
    pub const fn has_workers(&self) -> bool {
        self.uses_queue() || self.uses_database()
    }

    /// TLS of a worker's HTTP port; `None` for plain HTTP, and for a server.
    pub fn worker_tls(&self, component: Component) -> Option<&WorkerTls> {
        let tls = match component {
            Component::Streamer => &self.streamer.tls,
            Component::Collector => &self.collector.tls,
            Component::ApiGateway => &self.api_gateway.tls,
            Component::Redis | Component::Postgresql | Component::Etcd => return None,
        };
        tls.enabled.then_some(tls)
    }

    /// Whether the gateway asks for a token.
    pub fn gateway_asks_for_token(&self) -> bool {
        let gateway = &self.api_gateway;
        let exposed = gateway.service.kind.is_external() || gateway.ingress.enabled;
        gateway.config.auth.enabled.unwrap_or(exposed)
    }
}
