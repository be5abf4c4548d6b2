//! Where the servers are and how the workers log in: decided once, used by environment, network
//! policies and the list of Secrets.

use serde::Serialize;

use crate::config::Resolved;
use crate::model::component::Component;
use crate::model::endpoint::Endpoint;

use super::Unknown;
use super::error::{MissingSetting, RenderError};
use super::labels;

/// Stands for an address that a deployment finds out.
pub const PLACEHOLDER_REDIS: &str = "redis-address-known-after-deploying-shared";
/// Stands for an address that a deployment finds out.
pub const PLACEHOLDER_ETCD: &str = "https://etcd-address-known-after-deploying-shared:2379";
/// Stands for an address that nobody gave.
pub const PLACEHOLDER_DATABASE: &str = "database-address-not-given";

/// The queue, as the workers see it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RedisFacts {
    pub(super) url: String,
    pub(super) tls_text: String,
    pub(super) username: String,
    /// Empty if there is no password.
    pub(super) password_secret: String,
    pub(super) password_key: String,
    pub(super) ca_cert: String,
    /// Empty if there is no TLS, or `ca_cert` has the text.
    pub(super) ca_secret: String,
    pub(super) pipeline: String,
    pub(super) shards: String,
    pub(super) claim_idle: String,
    #[serde(skip)]
    pub(super) port: u16,
    #[serde(skip)]
    pub(super) is_here: bool,
}

/// The database, as the workers see it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DatabaseFacts {
    pub(super) host: String,
    pub(super) port: String,
    pub(super) name: String,
    pub(super) user: String,
    pub(super) password_secret: String,
    pub(super) password_key: String,
    pub(super) ssl_mode: String,
    /// Empty if the certificate is not looked at.
    pub(super) ca_secret: String,
    #[serde(skip)]
    pub(super) port_number: u16,
    #[serde(skip)]
    pub(super) is_here: bool,
}

/// The registry, as the workers see it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EtcdFacts {
    /// Comma-separated; empty if workers do not register.
    pub(super) endpoints: String,
    pub(super) lease_ttl: String,
    pub(super) tls: bool,
    pub(super) client_secret: String,
    #[serde(skip)]
    pub(super) ports: Vec<u16>,
    #[serde(skip)]
    pub(super) is_here: bool,
}

/// All three.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) redis: RedisFacts,
    pub(super) database: DatabaseFacts,
    pub(super) etcd: EtcdFacts,
}

impl Facts {
    /// Decides; what is needed and unknown is an error or a placeholder.
    pub(super) fn new(resolved: &Resolved, unknown: Unknown) -> Result<Self, RenderError> {
        let facts = Self {
            redis: redis(resolved),
            database: database(resolved),
            etcd: etcd(resolved),
        };
        let missing = missing(resolved);
        if unknown == Unknown::Refuse && !missing.is_empty() {
            return Err(RenderError::Missing {
                profile: resolved.profile,
                missing,
            });
        }
        Ok(facts)
    }
}

/// What the workers of this profile need to be told and nobody told.
fn missing(resolved: &Resolved) -> Vec<MissingSetting> {
    let values = &resolved.values;
    let mut missing = Vec::new();
    if values.uses_queue() && !values.deploys_redis() && values.external_redis.host.is_empty() {
        missing.push(MissingSetting {
            key: "externalRedis.host",
            flag: "--redis-host",
            meaning: "address of Redis",
        });
    }
    let registers = values.discovery.enabled && values.has_workers();
    if registers && !values.etcd.enabled && values.etcd.endpoints.is_empty() {
        missing.push(MissingSetting {
            key: "etcd.endpoints",
            flag: "--etcd-endpoints",
            meaning: "URLs of etcd",
        });
    }
    let uses_external = values.uses_database() && !values.postgresql.enabled;
    if uses_external && values.external_database.host.is_empty() {
        missing.push(MissingSetting {
            key: "externalDatabase.host",
            flag: "-f FILE",
            meaning: "address of PostgreSQL",
        });
    }
    missing
}

/// The name of a Service as every pod of the cluster finds it.
fn service_host(resolved: &Resolved, component: Component) -> String {
    let name = labels::object_name(resolved, component);
    format!("{name}.{}.svc", resolved.namespace())
}

fn or_placeholder(text: &str, placeholder: &str) -> String {
    if text.is_empty() { placeholder } else { text }.to_owned()
}

fn redis(resolved: &Resolved) -> RedisFacts {
    let values = &resolved.values;
    let is_here = values.deploys_redis();
    let (host, port, tls, database) = if is_here {
        let host = service_host(resolved, Component::Redis);
        (host, values.redis.service.port, values.redis.tls.enabled, 0)
    } else {
        let external = &values.external_redis;
        let host = or_placeholder(&external.host, PLACEHOLDER_REDIS);
        (host, external.port, external.tls.enabled, external.database)
    };
    let (auth, username, ca_cert, ca_secret) = if is_here {
        let redis = &values.redis;
        (
            &redis.auth,
            String::new(),
            String::new(),
            redis.tls.ca_secret.clone(),
        )
    } else {
        let external = &values.external_redis;
        let tls = &external.tls;
        let secret = if tls.ca_cert.is_empty() {
            tls.ca_secret.clone()
        } else {
            String::new()
        };
        (
            &external.auth,
            external.username.clone(),
            tls.ca_cert.clone(),
            secret,
        )
    };
    let when = |condition: bool, text: String| if condition { text } else { String::new() };
    let scheme = if tls { "rediss" } else { "redis" };
    RedisFacts {
        url: format!("{scheme}://{}/{database}", Endpoint::new(host, port)),
        tls_text: tls.to_string(),
        username: when(auth.enabled, username),
        password_secret: when(auth.enabled, auth.existing_secret.clone()),
        password_key: auth.existing_secret_password_key.clone(),
        ca_cert: when(tls, ca_cert),
        ca_secret: when(tls, ca_secret),
        pipeline: resolved.pipeline().to_owned(),
        shards: values.queue.shards.to_string(),
        claim_idle: values.queue.claim_idle.clone(),
        port,
        is_here,
    }
}

fn database(resolved: &Resolved) -> DatabaseFacts {
    let values = &resolved.values;
    if values.postgresql.enabled {
        let server = &values.postgresql;
        let port = server.service.port;
        return DatabaseFacts {
            host: service_host(resolved, Component::Postgresql),
            port: port.to_string(),
            name: server.auth.database.clone(),
            user: server.auth.username.clone(),
            password_secret: server.auth.existing_secret.clone(),
            password_key: server.auth.existing_secret_password_key.clone(),
            ssl_mode: if server.tls.enabled {
                "verify-full"
            } else {
                "disable"
            }
            .to_owned(),
            ca_secret: if server.tls.enabled {
                server.tls.ca_secret.clone()
            } else {
                String::new()
            },
            port_number: port,
            is_here: true,
        };
    }
    let external = &values.external_database;
    DatabaseFacts {
        host: or_placeholder(&external.host, PLACEHOLDER_DATABASE),
        port: external.port.to_string(),
        name: external.database.clone(),
        user: external.username.clone(),
        password_secret: external.existing_secret.clone(),
        password_key: external.existing_secret_password_key.clone(),
        ssl_mode: external.ssl_mode.clone(),
        ca_secret: external.ca_secret.clone(),
        port_number: external.port,
        is_here: false,
    }
}

fn etcd(resolved: &Resolved) -> EtcdFacts {
    let values = &resolved.values;
    let is_here = values.etcd.enabled;
    let endpoints = if !values.discovery.enabled {
        Vec::new()
    } else if is_here {
        let scheme = if values.etcd.tls.enabled {
            "https"
        } else {
            "http"
        };
        let host = service_host(resolved, Component::Etcd);
        vec![format!("{scheme}://{host}:{}", values.etcd.service.port)]
    } else if values.etcd.endpoints.is_empty() {
        vec![PLACEHOLDER_ETCD.to_owned()]
    } else {
        values.etcd.endpoints.clone()
    };
    let mut ports: Vec<u16> = endpoints.iter().map(|endpoint| port_of(endpoint)).collect();
    ports.sort_unstable();
    ports.dedup();
    EtcdFacts {
        endpoints: endpoints.join(","),
        lease_ttl: values.discovery.lease_ttl.clone(),
        tls: values.etcd.tls.enabled,
        client_secret: values.etcd.tls.client_secret.clone(),
        ports,
        is_here,
    }
}

/// The port of `https://host:2379` or `host:2379`; etcd's own if there is none.
fn port_of(endpoint: &str) -> u16 {
    endpoint
        .trim_end_matches('/')
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok())
        .unwrap_or(Component::Etcd.default_port())
}
