//! What each component's own template is filled with.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::config::Resolved;
use crate::config::quantity::Quantity;
use crate::config::values::{
    CsvSourceType, Persistence, PullPolicy, Resources, Service, Texts, Values,
};
use crate::model::component::Component;

use super::engine::Engine;
use super::error::RenderError;
use super::facts::Facts;
use super::images;
use super::labels;
use super::policies;
use super::view::{IdentityView, ObjectView, Parts, VolumeView, canonical};

/// User and group of the official Redis and PostgreSQL images.
const SERVER_USER: (i64, i64) = (999, 999);
/// User and group of etcd, which needs none in particular.
const ETCD_USER: (i64, i64) = (65_534, 65_534);
/// Part of Redis' memory that data may take; the rest is for clients and the append-only file.
const REDIS_DATA_PERCENT: u64 = 70;

/// Where the sample file is in the image.
const IMAGE_DATA: &str = "/data";

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
    if let Value::Object(worker) = worker(resolved, facts, component)? {
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
        Component::Redis => redis(resolved),
        Component::Postgresql => postgresql(resolved),
        Component::Etcd => etcd(resolved),
        Component::Streamer | Component::Collector | Component::ApiGateway => Value::Null,
    }
}

fn redis(resolved: &Resolved) -> Value {
    let redis = &resolved.values.redis;
    let tls = if redis.tls.enabled {
        "--tls --cacert /tls/ca.crt "
    } else {
        ""
    };
    let ping = format!("redis-cli {tls}-h 127.0.0.1 -p 6379 ping");
    let memory = redis
        .master
        .resources
        .limits
        .get("memory")
        .and_then(|limit| Quantity::parse(limit))
        .map(|limit| limit.whole() / 100 * REDIS_DATA_PERCENT);
    json!({
        "tls": redis.tls.enabled,
        "tlsSecret": redis.tls.existing_secret,
        "auth": redis.auth.enabled,
        "passwordSecret": redis.auth.existing_secret,
        "passwordKey": redis.auth.existing_secret_password_key,
        "appendonly": redis.appendonly,
        "snapshots": redis.master.persistence.enabled && !redis.appendonly,
        "maxMemory": memory,
        "configMap": labels::prefixed(resolved, "redis-config"),
        "ready": ["sh", "-c", format!("test \"$({ping})\" = PONG")],
        "alive": ["sh", "-c", alive(&ping)],
    })
}

/// Any answer of the server itself shows that it is alive. Starting it again helps neither after a
/// change of its password, nor while it loads its data or runs a script, nor on a full disk, nor
/// with too many clients.
fn alive(ping: &str) -> String {
    format!(
        "answer=$({ping} 2>&1); case \"$answer\" in \
         *PONG*|*NOAUTH*|*WRONGPASS*|*NOPERM*|*LOADING*|*MISCONF*|*BUSY*|*clients*) ;; \
         *) echo \"$answer\"; exit 1 ;; esac"
    )
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

/// Configuration files of the servers that have any.
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
fn worker(resolved: &Resolved, facts: &Facts, component: Component) -> Result<Value, RenderError> {
    let values = &resolved.values;
    let identity =
        |advertise, log_level| IdentityView::new(resolved, component, advertise, log_level);
    Ok(match component {
        Component::Streamer => json!({
            "identity": identity(&values.streamer.advertise, &values.streamer.config.log_level),
            "redis": facts.redis,
            "etcd": facts.etcd,
            "streamer": streamer(values)?,
        }),
        Component::Collector => {
            let config = &values.collector.config;
            json!({
                "identity": identity(&values.collector.advertise, &config.log_level),
                "redis": facts.redis,
                "etcd": facts.etcd,
                "database": facts.database,
                "collector": {
                    "batchSize": config.batch_size.to_string(),
                    "pollInterval": config.poll_interval,
                    "commitInterval": config.commit_interval,
                },
            })
        }
        Component::ApiGateway => {
            let config = &values.api_gateway.config;
            let secret = if values.gateway_asks_for_token() {
                config.auth.existing_secret.as_str()
            } else {
                ""
            };
            json!({
                "identity": identity(&values.api_gateway.advertise, &config.log_level),
                "etcd": facts.etcd,
                "database": facts.database,
                "gateway": {
                    "tokenSecret": secret,
                    "tokenKey": config.auth.existing_secret_token_key,
                },
            })
        }
        Component::Redis | Component::Postgresql | Component::Etcd => Value::Null,
    })
}

fn streamer(values: &Values) -> Result<Value, RenderError> {
    let streamer = &values.streamer;
    let config = &streamer.config;
    let source = &config.csv_source;
    let (folder, name, volume) = match source.kind {
        CsvSourceType::Embedded => (IMAGE_DATA, &config.csv_file, Value::Null),
        CsvSourceType::ConfigMap => (
            source.mount_path.as_str(),
            &source.config_map_key,
            json!({ "name": "csv", "configMap": { "name": source.config_map_name } }),
        ),
        CsvSourceType::Pvc => {
            let claim = json!({ "claimName": source.pvc_name, "readOnly": true });
            let name = if source.file_name.is_empty() {
                &config.csv_file
            } else {
                &source.file_name
            };
            (
                source.mount_path.as_str(),
                name,
                json!({ "name": "csv", "persistentVolumeClaim": claim }),
            )
        }
        CsvSourceType::Url => {
            return Err(RenderError::Unsupported {
                key: "streamer.config.csvSource.type",
                what: "a download",
                instead: "pvc, and download the file into the volume",
            });
        }
    };
    let limit = Quantity::parse(&config.spool.limit).unwrap_or_default();
    let scaling = values.autoscaling.overridden(&streamer.autoscaling);
    let fewest = if scaling.enabled {
        scaling.min_replicas
    } else {
        0
    };
    Ok(json!({
        "file": if name.starts_with('/') { name.clone() } else { format!("{folder}/{name}") },
        "batchSize": config.batch_size.to_string(),
        "interval": config.stream_interval,
        "loopMode": config.loop_mode.to_string(),
        "replicas": streamer.replica_count.max(fewest).to_string(),
        "spoolLimit": limit.whole().to_string(),
        "volume": volume,
        "mountPath": source.mount_path,
    }))
}
