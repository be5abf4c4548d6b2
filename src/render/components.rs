//! What each component's own template is filled with.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::config::Resolved;
use crate::config::values::{Ingest, Persistence, PullPolicy, Resources, Service, Texts, Values};
use crate::model::component::Component;

use super::engine::Engine;
use super::error::RenderError;
use super::facts::Facts;
use super::images;
use super::labels;
use super::policies;
use super::redis;
use super::source;
use super::view::{IdentityView, ObjectView, Parts, VolumeView, canonical};

/// User and group of the official Redis and PostgreSQL images.
pub(super) const SERVER_USER: (i64, i64) = (999, 999);
/// User and group of etcd, which needs none in particular.
const ETCD_USER: (i64, i64) = (65_534, 65_534);

/// The values of all templates of one component.
pub(super) struct Filled {
    /// The metadata of its objects.
    pub(super) object: ObjectView,
    /// The version label of its workload.
    pub(super) version: String,
    /// The whole context.
    pub(super) context: Value,
}

/// Whether a component is deployed.
pub(super) const fn is_enabled(values: &Values, component: Component) -> bool {
    match component {
        Component::Streamer => values.streamer.enabled,
        Component::Collector => values.collector.enabled,
        Component::ApiGateway => values.api_gateway.enabled,
        Component::Redis => values.deploys_redis(),
        Component::Postgresql => values.postgresql.enabled,
        Component::Etcd => values.etcd.enabled,
    }
}

/// Fills the context of a component.
pub(super) fn fill(
    engine: &Engine,
    resolved: &Resolved,
    facts: &Facts,
    component: Component,
) -> Result<Filled, RenderError> {
    let server = server(resolved, component);
    let files = files(engine, resolved, component, &server)?;
    let mut parts = parts(&resolved.values, component);
    if !files.is_empty() {
        let checksum = checksum(&files);
        parts
            .pod_annotations
            .insert(labels::CHECKSUM.to_owned(), checksum);
    }
    let object = parts.object(resolved);
    let version = labels::label_text(&parts.version);
    let rules = policies::rules(resolved, facts, component);
    let mut context = json!({
        "object": object,
        "component": parts.view(resolved, rules, files),
        "server": server,
    });
    if let Value::Object(worker) = worker(resolved, facts, component) {
        for (name, value) in worker {
            context[name] = value;
        }
    }
    Ok(Filled {
        object,
        version,
        context,
    })
}

fn parts(values: &Values, component: Component) -> Parts<'_> {
    let none = || VolumeView {
        persistent: false,
        size: String::new(),
        storage_class: None,
    };
    match component {
        Component::Streamer => {
            let spool = &values.streamer.config.spool;
            let volume = VolumeView {
                persistent: true,
                size: canonical(&spool.size),
                storage_class: Some(spool.storage_class.clone()).filter(|class| !class.is_empty()),
            };
            Parts::of_worker(values, component, &values.streamer, volume)
        }
        Component::Collector => Parts::of_worker(values, component, &values.collector, none()),
        Component::ApiGateway => Parts::of_worker(values, component, &values.api_gateway, none()),
        Component::Redis | Component::Postgresql | Component::Etcd => {
            server_parts(values, component)
        }
    }
}

/// What differs between the servers.
struct ServerSettings<'a> {
    image: &'a str,
    user: (i64, i64),
    service: &'a Service,
    resources: &'a Resources,
    placement: (&'a Texts, &'a [Value], &'a Map<String, Value>),
    persistence: &'a Persistence,
}

fn server_settings(values: &Values, component: Component) -> ServerSettings<'_> {
    let (redis, postgresql, etcd) = (&values.redis, &values.postgresql, &values.etcd);
    let (master, primary) = (&redis.master, &postgresql.primary);
    match component {
        Component::Redis => ServerSettings {
            image: &redis.image,
            user: SERVER_USER,
            service: &redis.service,
            resources: &master.resources,
            placement: (&master.node_selector, &master.tolerations, &master.affinity),
            persistence: &master.persistence,
        },
        Component::Postgresql => ServerSettings {
            image: &postgresql.image,
            user: SERVER_USER,
            service: &postgresql.service,
            resources: &primary.resources,
            placement: (
                &primary.node_selector,
                &primary.tolerations,
                &primary.affinity,
            ),
            persistence: &primary.persistence,
        },
        _ => ServerSettings {
            image: &etcd.image,
            user: ETCD_USER,
            service: &etcd.service,
            resources: &etcd.resources,
            placement: (&etcd.node_selector, &etcd.tolerations, &etcd.affinity),
            persistence: &etcd.persistence,
        },
    }
}

fn server_parts(values: &Values, component: Component) -> Parts<'_> {
    let settings = server_settings(values, component);
    Parts {
        component,
        image: images::server(values, settings.image),
        version: images::server_tag(settings.image).to_owned(),
        pull_policy: json!(PullPolicy::IfNotPresent),
        user: settings.user,
        service: settings.service,
        resources: settings.resources,
        placement: settings.placement,
        pod_labels: Texts::new(),
        pod_annotations: Texts::new(),
        volume: VolumeView::new(settings.persistence),
        scaling: None,
    }
}

/// What only the server's own templates need.
fn server(resolved: &Resolved, component: Component) -> Value {
    match component {
        Component::Redis => redis::server(resolved),
        Component::Postgresql => postgresql(resolved),
        Component::Etcd => etcd(resolved),
        Component::Streamer | Component::Collector | Component::ApiGateway => Value::Null,
    }
}

fn postgresql(resolved: &Resolved) -> Value {
    let postgresql = &resolved.values.postgresql;
    let auth = &postgresql.auth;
    json!({
        "tls": postgresql.tls.enabled,
        "tlsSecret": postgresql.tls.existing_secret,
        "user": auth.username,
        "database": auth.database,
        "passwordSecret": auth.existing_secret,
        "passwordKey": auth.existing_secret_password_key,
        "configMap": labels::prefixed(resolved, "postgresql-config"),
        // Over TCP: while the database is being made, the server listens on its socket only.
        "ping": [
            "pg_isready", "--quiet", "--host=127.0.0.1", "--port=5432",
            format!("--username={}", auth.username), format!("--dbname={}", auth.database),
        ],
    })
}

fn etcd(resolved: &Resolved) -> Value {
    let etcd = &resolved.values.etcd;
    let scheme = if etcd.tls.enabled { "https" } else { "http" };
    let name = labels::object_name(resolved, Component::Etcd);
    let host = format!("{name}.{}.svc", resolved.namespace());
    json!({
        "tls": etcd.tls.enabled,
        "tlsSecret": etcd.tls.existing_secret,
        "clientSecret": etcd.tls.client_secret,
        "local": format!("{scheme}://127.0.0.1:2379"),
        "listen": format!("--listen-client-urls={scheme}://0.0.0.0:2379"),
        "advertise": format!("--advertise-client-urls={scheme}://{host}:{}", etcd.service.port),
    })
}

/// Configuration files of the servers that have any, and the source that the values hold.
fn files(
    engine: &Engine,
    resolved: &Resolved,
    component: Component,
    server: &Value,
) -> Result<Texts, RenderError> {
    let context = json!({ "server": server });
    let mut files = Texts::new();
    match component {
        Component::Redis => {
            files.insert(
                "redis.conf".to_owned(),
                engine.text("redis.conf", &context)?,
            );
            if redis::is_cluster(&resolved.values) {
                let script = engine.text("redis-cluster.sh", &context)?;
                files.insert("form.sh".to_owned(), script);
            }
        }
        Component::Postgresql => {
            let mut text = engine.text("postgresql.conf", &context)?;
            text.push_str("# postgresql.primary.extendedConfiguration\n");
            text.push_str(&resolved.values.postgresql.primary.extended_configuration);
            files.insert("postgresql.conf".to_owned(), text);
            files.insert(
                "pg_hba.conf".to_owned(),
                engine.text("pg_hba.conf", &context)?,
            );
            files.insert(
                "password.sh".to_owned(),
                engine.text("postgresql-password.sh", &context)?,
            );
        }
        Component::Streamer => {
            let source = source::config_map(&resolved.values);
            files.extend(source.map(|(_, key, text)| (key.to_owned(), text.to_owned())));
        }
        _ => {}
    }
    Ok(files)
}

fn checksum(files: &Texts) -> String {
    let mut hash = Sha256::new();
    for (name, text) in files {
        hash.update(name.len().to_le_bytes());
        hash.update(name);
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    }
    hex::encode(hash.finalize())
}

/// What only the worker's own template needs; null for a server.
fn worker(resolved: &Resolved, facts: &Facts, component: Component) -> Value {
    let values = &resolved.values;
    let (streamer, collector) = (&values.streamer, &values.collector);
    let gateway = &values.api_gateway;
    let identity = |exposed, log_level| IdentityView::new(resolved, component, exposed, log_level);
    match component {
        Component::Streamer => json!({
            "identity": identity(
                (&streamer.advertise, &streamer.service), &streamer.config.log_level,
            ),
            "redis": facts.redis,
            "etcd": facts.etcd,
            "streamer": source::streamer(values),
        }),
        Component::Collector => {
            let config = &collector.config;
            json!({
                "identity": identity((&collector.advertise, &collector.service), &config.log_level),
                "redis": facts.redis,
                "etcd": facts.etcd,
                "database": facts.database,
                "collector": {
                    "batchSize": config.batch_size.to_string(),
                    "pollInterval": config.poll_interval,
                    "commitInterval": config.commit_interval,
                    "isIngestMax": config.ingest == Ingest::Max,
                    "ingestQuiet": config.ingest_quiet,
                    "retention": Some(config.retention).filter(|days| *days > 0)
                        .map(|days| days.to_string()),
                },
            })
        }
        Component::ApiGateway => {
            let config = &gateway.config;
            let secret = if values.gateway_asks_for_token() {
                config.auth.existing_secret.as_str()
            } else {
                ""
            };
            json!({
                "identity": identity((&gateway.advertise, &gateway.service), &config.log_level),
                "etcd": facts.etcd,
                "database": facts.database,
                "gateway": {
                    "tokenSecret": secret,
                    "tokenKey": config.auth.existing_secret_token_key,
                    "corsOrigins": config.cors_origins.join(","),
                    "streamLimit": config.stream_limit.to_string(),
                },
            })
        }
        Component::Redis | Component::Postgresql | Component::Etcd => Value::Null,
    }
}
