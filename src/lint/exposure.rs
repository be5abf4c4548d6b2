//! Rules about what crosses the border of a cluster.

use std::net::IpAddr;

use crate::config::values::{
    BackupStorageType, RedisArchitecture, Service, ServiceType, Texts, Values,
};
use crate::model::profile::Profile;

use super::finding::Finding;
use super::rule;
use super::servers::host;
use super::subject::Subject;

/// Annotations with which clouds are asked for an internal load balancer, and their values.
const INTERNAL: &[(&str, &str)] = &[
    (
        "service.beta.kubernetes.io/aws-load-balancer-scheme",
        "internal",
    ),
    (
        "service.beta.kubernetes.io/aws-load-balancer-internal",
        "true",
    ),
    (
        "service.beta.kubernetes.io/azure-load-balancer-internal",
        "true",
    ),
    ("networking.gke.io/load-balancer-type", "Internal"),
    ("cloud.google.com/load-balancer-type", "Internal"),
];

/// Modes of the database's client that go on without TLS.
const WITHOUT_TLS: [&str; 2] = ["disable", "prefer"];

/// Whether a name means something inside one cluster only.
fn is_local(host: &str) -> bool {
    if let Ok(address) = host.parse::<IpAddr>() {
        return address.is_loopback();
    }
    host == "localhost"
        || host.ends_with(".svc")
        || host.ends_with(".cluster.local")
        || (!host.is_empty() && !host.contains('.'))
}

/// Whether a connection from this profile to this host goes to another cluster. An empty host is
/// one that a deployment finds out.
fn leaves(profile: Profile, host: &str) -> bool {
    match profile {
        Profile::Edge => true,
        Profile::Central => !is_local(host),
        Profile::Dev | Profile::SameCluster | Profile::Shared => {
            !host.is_empty() && !is_local(host)
        }
    }
}

/// Connections between clusters without TLS.
pub(super) fn plaintext(subject: Subject<'_>) -> Vec<Finding> {
    let mut found = outgoing(subject);
    let values = subject.values();
    let (etcd, postgresql) = (&values.etcd, &values.postgresql);
    let offered = [
        (
            "redis.tls.enabled",
            values.deploys_redis() && !values.redis.tls.enabled,
            way_to_redis(values),
        ),
        (
            "etcd.tls.enabled",
            etcd.enabled && !etcd.tls.enabled,
            etcd.service.kind,
        ),
        (
            "postgresql.tls.enabled",
            postgresql.enabled && !postgresql.tls.enabled,
            postgresql.service.kind,
        ),
    ];
    let offered = offered
        .into_iter()
        .filter(|(_, is_plain, way)| *is_plain && way.is_external());
    found.extend(offered.map(|(key, _, way)| {
        let says = format!(
            "is false, and the Service is a {}, reached from outside",
            name(way)
        );
        subject.about_key(&rule::PLAINTEXT, key, says)
    }));
    let storage = &values.backup.storage;
    let in_bucket = values.dumps_database() && storage.kind == BackupStorageType::S3;
    if in_bucket && storage.endpoint.starts_with("http://") {
        let says = "has no TLS, and dumps of the database go there";
        found.push(subject.about_key(&rule::PLAINTEXT, "backup.storage.endpoint", says));
    }
    found
}

/// How Redis is reached: by its Service, or node by node.
const fn way_to_redis(values: &Values) -> ServiceType {
    let redis = &values.redis;
    if matches!(redis.architecture, RedisArchitecture::Cluster) && !redis.service.kind.is_external()
    {
        return redis.cluster.node_service.kind;
    }
    redis.service.kind
}

fn outgoing(subject: Subject<'_>) -> Vec<Finding> {
    let values = subject.values();
    let leaves = |host: &str| leaves(subject.profile(), host);
    let mut found = Vec::new();
    let mut plain = |key: &str, says: String| {
        found.push(subject.about_key(&rule::PLAINTEXT, key, says));
    };
    let redis = &values.external_redis;
    let uses_external = values.uses_queue() && !values.deploys_redis();
    if uses_external && !redis.tls.enabled && redis.hosts().into_iter().any(leaves) {
        let says = "is false, and Redis is in another cluster";
        plain("externalRedis.tls.enabled", says.to_owned());
    }
    if values.discovery.enabled && values.has_workers() && !values.etcd.enabled {
        let encrypted = values.etcd.tls.enabled;
        for url in &values.etcd.endpoints {
            let is_plain = url.starts_with("http://") || (!url.contains("://") && !encrypted);
            if is_plain && leaves(host(url)) {
                let says = format!("names {} without TLS", host(url));
                plain("etcd.endpoints", says);
            }
        }
        if values.etcd.endpoints.is_empty() && !encrypted && leaves("") {
            let says = "is false, and etcd is in another cluster";
            plain("etcd.tls.enabled", says.to_owned());
        }
    }
    let database = &values.external_database;
    let uses_external = values.uses_database() && !values.postgresql.enabled;
    let mode = database.ssl_mode.as_str();
    let is_elsewhere = !database.host.is_empty() && leaves(&database.host);
    if uses_external && is_elsewhere && WITHOUT_TLS.contains(&mode) {
        let says = format!("is {mode}, and the database is in another cluster");
        plain("externalDatabase.sslMode", says);
    }
    found
}

/// Names of one cluster that another one is told.
pub(super) fn local_names(subject: Subject<'_>) -> Vec<Finding> {
    let values = subject.values();
    let is_wrong = |host: &str| match subject.profile() {
        Profile::Edge => is_local(host),
        // The shared profile may be in the same cluster, in a namespace of its own.
        Profile::Central => is_local(host) && !host.contains(".svc"),
        Profile::Dev | Profile::SameCluster | Profile::Shared => false,
    };
    let mut found = Vec::new();
    let mut local = |key: &str, host: &str| {
        let says = format!("is `{host}`, which only its own cluster knows");
        found.push(subject.about_key(&rule::LOCAL_NAME, key, says));
    };
    let redis = &values.external_redis;
    let key = match (redis.sentinel.enabled, redis.cluster.enabled) {
        (true, _) => "externalRedis.sentinel.nodes",
        (_, true) => "externalRedis.cluster.nodes",
        _ => "externalRedis.host",
    };
    let uses_external = values.uses_queue() && !values.deploys_redis();
    for host in redis
        .hosts()
        .into_iter()
        .filter(|host| uses_external && is_wrong(host))
    {
        local(key, host);
    }
    let registers = values.discovery.enabled && values.has_workers() && !values.etcd.enabled;
    let endpoints = values.etcd.endpoints.iter().map(|url| host(url));
    for host in endpoints.filter(|host| registers && is_wrong(host)) {
        local("etcd.endpoints", host);
    }
    let (streamer, collector) = (&values.streamer, &values.collector);
    let gateway = &values.api_gateway;
    let advertised = [
        ("streamer", streamer.enabled, &streamer.advertise),
        ("collector", collector.enabled, &collector.advertise),
        ("apiGateway", gateway.enabled, &gateway.advertise),
    ];
    let is_one_of_several = matches!(subject.profile(), Profile::Edge | Profile::Central);
    for (key, enabled, advertise) in advertised {
        let address = advertise.external_service_address.as_str();
        if enabled && is_one_of_several && is_local(address) {
            local(&format!("{key}.advertise.externalServiceAddress"), address);
        }
    }
    found
}

/// A database that is offered to whoever reaches its cluster.
pub(super) fn public_database(subject: Subject<'_>) -> Vec<Finding> {
    let postgresql = &subject.values().postgresql;
    let service = &postgresql.service;
    if !postgresql.enabled || !service.kind.is_external() || is_internal(service) {
        return Vec::new();
    }
    let says = format!(
        "is {}, which offers the database outside",
        name(service.kind)
    );
    vec![subject.about_key(&rule::PUBLIC_DATABASE, "postgresql.service.type", says)]
}

fn is_internal(service: &Service) -> bool {
    let asks = |annotations: &Texts| {
        INTERNAL
            .iter()
            .any(|(name, value)| annotations.get(*name).is_some_and(|text| text == value))
    };
    service.kind == ServiceType::LoadBalancer && asks(&service.annotations)
}

/// Servers that are reached from outside and ask for nothing.
pub(super) fn open_servers(subject: Subject<'_>) -> Vec<Finding> {
    let values = subject.values();
    let gateway = &values.api_gateway;
    let mut open = Vec::new();
    if values.deploys_redis() && !values.redis.auth.enabled {
        open.push(("redis.auth.enabled", way_in(way_to_redis(values))));
    }
    if values.etcd.enabled && !values.etcd.tls.enabled {
        open.push(("etcd.tls.enabled", way_in(values.etcd.service.kind)));
    }
    if gateway.enabled && !values.gateway_asks_for_token() {
        let ingress = gateway.ingress.enabled.then(|| "an Ingress".to_owned());
        let way = way_in(gateway.service.kind).or(ingress);
        open.push(("apiGateway.config.auth.enabled", way));
    }
    open.into_iter()
        .filter_map(|(key, way)| {
            let says = format!("is false, and there is {} in front of it", way?);
            Some(subject.about_key(&rule::OPEN_SERVER, key, says))
        })
        .collect()
}

/// How a Service is reached from outside, if it is.
fn way_in(kind: ServiceType) -> Option<String> {
    kind.is_external().then(|| format!("a {}", name(kind)))
}

const fn name(kind: ServiceType) -> &'static str {
    match kind {
        ServiceType::ClusterIp => "ClusterIP",
        ServiceType::NodePort => "NodePort",
        ServiceType::LoadBalancer => "LoadBalancer",
    }
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn x13_names_of_one_cluster_are_told_from_those_that_all_know() {
        for host in [
            "redis",
            "redis.shared-infrastructure.svc",
            "redis.shared-infrastructure.svc.cluster.local",
            "localhost",
            "127.0.0.1",
            "::1",
        ] {
            assert!(is_local(host), "{host}");
        }
        for host in ["redis.example.com", "192.0.2.7", "fd00::7", ""] {
            assert!(!is_local(host), "{host}");
        }
    }
}
