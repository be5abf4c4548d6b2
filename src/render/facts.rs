//! Where the servers are and how the workers log in: decided once, used by environment, network
//! policies and the list of Secrets.

use serde::Serialize;

use crate::config::Resolved;
use crate::config::values::PasswordAuth;
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
    /// Empty where sentinels or nodes stand for it.
    pub(super) url: String,
    /// Comma-separated; empty without Sentinel.
    pub(super) sentinels: String,
    pub(super) master_name: String,
    pub(super) sentinel_username: String,
    /// Empty if sentinels ask for no password.
    pub(super) sentinel_secret: String,
    pub(super) sentinel_key: String,
    /// Empty where it is in the URL.
    pub(super) database: String,
    /// Comma-separated; empty without a cluster.
    pub(super) nodes: String,
    pub(super) tls_text: String,
    pub(super) username: String,
    /// Empty if there is no password.
    pub(super) password_secret: String,
    pub(super) password_key: String,
    pub(super) ca_cert: String,
    /// Empty if there is no TLS, or `ca_cert` has the text.
    pub(super) ca_secret: String,
    /// Empty if the server asks for no certificate.
    pub(super) client_secret: String,
    pub(super) pipeline: String,
    pub(super) shards: String,
    pub(super) claim_idle: String,
    /// Of everything that workers connect to, elsewhere than at the pods here.
    #[serde(skip)]
    pub(super) ports: Vec<u16>,
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
    /// Empty if there is no TLS.
    pub(super) ca_secret: String,
    /// Empty if workers log in without a certificate.
    pub(super) client_secret: String,
    /// Empty if workers log in without a password.
    pub(super) username: String,
    pub(super) password_secret: String,
    pub(super) password_key: String,
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
    let external = &values.external_redis;
    let is_unknown = external.host.is_empty() && external.addresses().is_none();
    if values.uses_queue() && !values.deploys_redis() && is_unknown {
        missing.push(MissingSetting {
            key: "externalRedis.host",
            flag: Some("--redis-host"),
            meaning: "address of Redis",
        });
    }
    let registers = values.discovery.enabled && values.has_workers();
    if registers && !values.etcd.enabled && values.etcd.endpoints.is_empty() {
        missing.push(MissingSetting {
            key: "etcd.endpoints",
            flag: Some("--etcd-endpoints"),
            meaning: "URLs of etcd",
        });
    }
    let uses_external = values.uses_database() && !values.postgresql.enabled;
    if uses_external && values.external_database.host.is_empty() {
        missing.push(MissingSetting {
            key: "externalDatabase.host",
            flag: None,
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
    if resolved.values.deploys_redis() {
        own_redis(resolved)
    } else {
        external_redis(resolved)
    }
}

/// What holds wherever Redis is.
fn any_redis(resolved: &Resolved, auth: &PasswordAuth) -> RedisFacts {
    let values = &resolved.values;
    RedisFacts {
        url: String::new(),
        sentinels: String::new(),
        master_name: String::new(),
        sentinel_username: String::new(),
        sentinel_secret: String::new(),
        sentinel_key: String::new(),
        database: String::new(),
        nodes: String::new(),
        tls_text: String::new(),
        username: String::new(),
        password_secret: when(auth.enabled, &auth.existing_secret),
        password_key: auth.existing_secret_password_key.clone(),
        ca_cert: String::new(),
        ca_secret: String::new(),
        client_secret: String::new(),
        pipeline: resolved.pipeline().to_owned(),
        shards: values.queue.shards.to_string(),
        claim_idle: values.queue.claim_idle.clone(),
        ports: Vec::new(),
        is_here: true,
    }
}

fn own_redis(resolved: &Resolved) -> RedisFacts {
    let redis = &resolved.values.redis;
    let host = service_host(resolved, Component::Redis);
    let address = Endpoint::new(host, redis.service.port);
    let nodes = super::redis::announced(resolved);
    let usual = Component::Redis.default_port();
    RedisFacts {
        url: when(nodes.is_empty(), &redis_url(redis.tls.enabled, address, 0)),
        // Under the pods' names they are the pods.
        ports: if redis.cluster.announce.is_empty() {
            Vec::new()
        } else {
            ports_of(&nodes, usual)
        },
        nodes: with_ports(&nodes, usual),
        tls_text: redis.tls.enabled.to_string(),
        ca_secret: when(redis.tls.enabled, &redis.tls.ca_secret),
        ..any_redis(resolved, &redis.auth)
    }
}

fn external_redis(resolved: &Resolved) -> RedisFacts {
    let external = &resolved.values.external_redis;
    let tls = &external.tls;
    // The certificate names the host, not the Service that stands for it.
    let host = match external.service_name.as_str() {
        alias if !alias.is_empty() && !tls.enabled => {
            format!("{alias}.{}.svc", resolved.namespace())
        }
        _ => or_placeholder(&external.host, PLACEHOLDER_REDIS),
    };
    let address = Endpoint::new(host, external.port);
    let (sentinel, cluster) = (&external.sentinel, &external.cluster);
    let mut ports = vec![external.port];
    let mut addresses = String::new();
    if let Some((nodes, usual)) = external.addresses() {
        addresses = with_ports(nodes, usual);
        ports.extend(ports_of(nodes, usual));
        ports.sort_unstable();
        ports.dedup();
    }
    RedisFacts {
        url: when(
            addresses.is_empty(),
            &redis_url(tls.enabled, address, external.database),
        ),
        sentinels: when(sentinel.enabled, &addresses),
        master_name: when(sentinel.enabled, &sentinel.master_name),
        sentinel_username: when(
            sentinel.enabled && sentinel.auth.enabled,
            &sentinel.username,
        ),
        sentinel_secret: when(
            sentinel.enabled && sentinel.auth.enabled,
            &sentinel.auth.existing_secret,
        ),
        sentinel_key: sentinel.auth.existing_secret_password_key.clone(),
        database: when(sentinel.enabled, &external.database.to_string()),
        nodes: when(cluster.enabled, &addresses),
        tls_text: tls.enabled.to_string(),
        username: when(external.auth.enabled, &external.username),
        ca_cert: when(tls.enabled, &tls.ca_cert),
        ca_secret: when(tls.enabled && tls.ca_cert.is_empty(), &tls.ca_secret),
        client_secret: when(tls.enabled, &tls.client_secret),
        ports,
        is_here: false,
        ..any_redis(resolved, &external.auth)
    }
}

/// Comma-separated addresses, each with its port. What is no address stays as it is written: the
/// values are checked before.
fn with_ports(addresses: &[String], usual: u16) -> String {
    let whole = |address: &String| match Endpoint::parse(address, usual) {
        Some(endpoint) => endpoint.to_string(),
        None => address.clone(),
    };
    addresses.iter().map(whole).collect::<Vec<_>>().join(",")
}

fn ports_of(addresses: &[String], usual: u16) -> Vec<u16> {
    let endpoints = addresses.iter();
    let endpoints = endpoints.filter_map(|address| Endpoint::parse(address, usual));
    endpoints.map(|endpoint| endpoint.port).collect()
}

fn redis_url(tls: bool, address: Endpoint, database: u32) -> String {
    let scheme = if tls { "rediss" } else { "redis" };
    format!("{scheme}://{address}/{database}")
}

fn when(condition: bool, text: &str) -> String {
    if condition { text } else { "" }.to_owned()
}

/// The Service that stands for a Redis elsewhere: its name, and what it stands for.
pub(super) fn redis_alias(resolved: &Resolved) -> Option<(String, Endpoint)> {
    let values = &resolved.values;
    let external = &values.external_redis;
    let is_wanted = external.enabled && values.uses_queue() && !external.service_name.is_empty();
    let host = || or_placeholder(&external.host, PLACEHOLDER_REDIS);
    is_wanted.then(|| {
        (
            external.service_name.clone(),
            Endpoint::new(host(), external.port),
        )
    })
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
    let (tls, auth) = (&values.etcd.tls, &values.etcd.auth);
    let takes_ca_only = !is_here && !tls.ca_secret.is_empty();
    let (ca_secret, client_secret) = match (tls.enabled, takes_ca_only) {
        (false, _) => ("", ""),
        (true, false) => (&*tls.client_secret, &*tls.client_secret),
        (true, true) => (&*tls.ca_secret, ""),
    };
    let username = match (auth.enabled, is_here) {
        (true, false) => auth.username.as_str(),
        _ => "",
    };
    EtcdFacts {
        endpoints: endpoints.join(","),
        lease_ttl: values.discovery.lease_ttl.clone(),
        ca_secret: ca_secret.to_owned(),
        client_secret: client_secret.to_owned(),
        username: username.to_owned(),
        password_secret: auth.existing_secret.clone(),
        password_key: auth.existing_secret_password_key.clone(),
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
