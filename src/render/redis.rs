//! Redis, alone or as a cluster of nodes.

use serde_json::{Value, json};

use crate::config::Resolved;
use crate::config::quantity::Quantity;
use crate::config::values::{RedisArchitecture, ServiceType, Values};
use crate::model::component::Component;

use super::labels;
use super::view::annotations;

/// Part of Redis' memory that data may take; the rest is for clients and the append-only file.
const REDIS_DATA_PERCENT: u64 = 70;
/// On which the nodes of a cluster talk to each other.
pub(super) const BUS: u16 = 16_379;

/// Whether the deployed Redis is a cluster.
pub(super) fn is_cluster(values: &Values) -> bool {
    values.deploys_redis() && values.redis.architecture == RedisArchitecture::Cluster
}

/// The nodes; a Redis that is alone is one.
struct Nodes {
    count: u32,
    /// The Service that gives each pod its name.
    governing: String,
    addresses: Vec<String>,
    /// What clients are told.
    announced: Vec<String>,
}

impl Nodes {
    fn new(resolved: &Resolved) -> Self {
        let name = labels::object_name(resolved, Component::Redis);
        if !is_cluster(&resolved.values) {
            return Self {
                count: 1,
                governing: name,
                addresses: Vec::new(),
                announced: Vec::new(),
            };
        }
        let cluster = &resolved.values.redis.cluster;
        let governing = format!("{name}-nodes");
        let port = Component::Redis.default_port();
        let of_node = |number| {
            let namespace = resolved.namespace();
            format!("{name}-{number}.{governing}.{namespace}.svc:{port}")
        };
        let addresses: Vec<String> = (0..cluster.nodes()).map(of_node).collect();
        let with_port = |address: &String| match address.rsplit_once(':') {
            Some(_) => address.clone(),
            None => format!("{address}:{port}"),
        };
        let announced = if cluster.announce.is_empty() {
            addresses.clone()
        } else {
            cluster.announce.iter().map(with_port).collect()
        };
        Self {
            count: cluster.nodes(),
            governing,
            addresses,
            announced,
        }
    }
}

/// How clients are told the nodes of the deployed cluster, `host:port`; none if it is none.
pub(super) fn announced(resolved: &Resolved) -> Vec<String> {
    if is_cluster(&resolved.values) {
        Nodes::new(resolved).announced
    } else {
        Vec::new()
    }
}

/// What the templates of the nodes' Services are filled with: the one that names the pods, and one
/// per node where others have to reach each.
pub(super) fn node_services(resolved: &Resolved) -> Vec<Value> {
    if !is_cluster(&resolved.values) {
        return Vec::new();
    }
    let nodes = Nodes::new(resolved);
    let selector = labels::selector(resolved, Component::Redis);
    let redis = json!({ "name": "redis", "port": 6379, "targetPort": "redis", "protocol": "TCP" });
    let bus = json!({ "name": "bus", "port": BUS, "targetPort": "bus", "protocol": "TCP" });
    let mut services = vec![json!({
        "name": nodes.governing,
        "annotations": annotations(&resolved.values, None),
        "type": "ClusterIP",
        "clusterIP": "None",
        "all": true,
        "selector": selector,
        "ports": [redis, bus],
    })];
    let service = &resolved.values.redis.cluster.node_service;
    if service.kind == ServiceType::ClusterIp {
        return services;
    }
    let name = labels::object_name(resolved, Component::Redis);
    services.extend((0..nodes.count).map(|number| {
        let pod = format!("{name}-{number}");
        let mut of_pod = selector.clone();
        of_pod.insert("statefulset.kubernetes.io/pod-name".to_owned(), pod.clone());
        let mut port = redis.clone();
        port["nodePort"] = json!(service.node_ports.get(number as usize));
        json!({
            "name": pod,
            "annotations": annotations(&resolved.values, Some(&service.annotations)),
            "type": service.kind,
            "clusterIP": null,
            "all": null,
            "selector": of_pod,
            "ports": [port],
        })
    }));
    services
}

/// A node of a cluster is of use once all of them are one.
fn ready(ping: &str, count: u32) -> String {
    let answers = format!("test \"$({ping})\" = PONG");
    if count == 1 {
        return answers;
    }
    let command = ping.trim_end_matches("ping");
    format!("{answers} && {command}cluster info | grep -q '^cluster_state:ok'")
}

/// What the server's own templates are filled with.
pub(super) fn server(resolved: &Resolved) -> Value {
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
    let nodes = Nodes::new(resolved);
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
        "ready": ["sh", "-c", ready(&ping, nodes.count)],
        "alive": ["sh", "-c", alive(&ping)],
        "cluster": is_cluster(&resolved.values),
        "count": nodes.count,
        "governing": nodes.governing,
        "masters": redis.cluster.masters.to_string(),
        "nodeTimeout": redis.cluster.node_timeout,
        "nodes": nodes.addresses.join(" "),
        "announce": nodes.announced.join(" "),
        "announcePort": if redis.tls.enabled {
            "cluster-announce-tls-port"
        } else {
            "cluster-announce-port"
        },
        "tlsArguments": tls.trim_end(),
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
