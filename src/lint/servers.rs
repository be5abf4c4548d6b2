//! Rules about the servers: that there is one, that its name is one, that the login reaches it.

use std::net::Ipv6Addr;

use serde_json::Value;

use crate::config::worker::REDIS_ADDRESSES;
use crate::model::component::Component;
use crate::model::labels::COMPONENT;
use crate::model::manifest::Manifest;
use crate::model::profile::Profile;

use super::finding::Finding;
use super::rule;
use super::subject::{Subject, items, texts};

/// The label that one pod of a StatefulSet is selected by.
const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";

/// Libraries that come with PostgreSQL itself and may be loaded at its start.
const CONTRIB: &[&str] = &[
    "auth_delay",
    "auto_explain",
    "basic_archive",
    "passwordcheck",
    "pg_overexplain",
    "pg_prewarm",
    "pg_stat_statements",
    "sepgsql",
    "test_decoding",
];

/// There is a server, or an address of one, for everything that workers are told to reach.
pub(super) fn queue_exists(subject: Subject<'_>) -> Vec<Finding> {
    let values = subject.values();
    // A deployment finds the addresses of the shared profile's servers for these two.
    let is_told = matches!(subject.profile(), Profile::Edge | Profile::Central);
    let mut found = Vec::new();
    let mut missing = |key: &str, says: &str| {
        found.push(subject.about_key(&rule::QUEUE_EXISTS, key, says));
    };
    if values.uses_queue()
        && !values.deploys_redis()
        && values.external_redis.hosts() == [""]
        && !is_told
    {
        missing("redis.enabled", "is false, and externalRedis.host is empty");
    }
    let registers = values.discovery.enabled && values.has_workers();
    if registers && !values.etcd.enabled && values.etcd.endpoints.is_empty() && !is_told {
        missing("etcd.enabled", "is false, and etcd.endpoints is empty");
    }
    if values.uses_database()
        && !values.postgresql.enabled
        && values.external_database.host.is_empty()
    {
        missing(
            "postgresql.enabled",
            "is false, and externalDatabase.host is empty",
        );
    }
    for variable in REDIS_ADDRESSES {
        found.extend(without_service(subject, variable));
    }
    found.extend(without_service(subject, "ETCD_ENDPOINTS"));
    found
}

/// Names of Services of this namespace that nobody makes, in a variable of the workers.
fn without_service(subject: Subject<'_>, variable: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    for pod in subject.workers() {
        let urls = pod.variable(variable).unwrap_or_default().split(',');
        for host in urls.map(host) {
            if subject.service(host) == Some(Err(())) {
                let says = format!("is told to reach `{host}`, a Service that nobody makes");
                found.push(subject.about_object(&rule::QUEUE_EXISTS, pod.manifest, says));
            }
        }
    }
    found
}

/// The host of a URL, or of `host:port`.
pub(super) fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split('/').next().unwrap_or_default();
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    match rest.strip_prefix('[') {
        Some(inner) => inner.split(']').next().unwrap_or_default(),
        None => rest.rsplit_once(':').map_or(rest, |(host, _)| host),
    }
}

/// User, password and authority of an external Redis reach the workers.
pub(super) fn login(subject: Subject<'_>) -> Vec<Finding> {
    let values = subject.values();
    let mut found = Vec::new();
    if values.uses_queue() && !values.deploys_redis() {
        let redis = &values.external_redis;
        let mut wrong = |key: &str, says: &str| {
            found.push(subject.about_key(&rule::LOGIN, key, says));
        };
        if !redis.username.is_empty() && !redis.auth.enabled {
            let says = "is given, and externalRedis.auth.enabled is false: nobody logs in";
            wrong("externalRedis.username", says);
        }
        if !redis.tls.ca_cert.is_empty() && !redis.tls.enabled {
            let says = "is given, and externalRedis.tls.enabled is false: nobody looks at it";
            wrong("externalRedis.tls.caCert", says);
        }
        if redis.auth.enabled && redis.auth.existing_secret.is_empty() {
            let says = "is empty, so the password reaches nobody";
            wrong("externalRedis.auth.existingSecret", says);
        }
    }
    let asks = if values.deploys_redis() {
        values.redis.auth.enabled && !values.redis.auth.existing_secret.is_empty()
    } else {
        let auth = &values.external_redis.auth;
        auth.enabled && !auth.existing_secret.is_empty()
    };
    let clients = subject
        .workers()
        .filter(|pod| REDIS_ADDRESSES.iter().any(|name| pod.has_variable(name)));
    let without = clients.filter(|pod| asks && !pod.has_variable("REDIS_PASSWORD"));
    found.extend(without.map(|pod| {
        let says = "is not given the password that Redis asks for";
        subject.about_object(&rule::LOGIN, pod.manifest, says)
    }));
    found
}

/// The database's address is the one that the workers use.
pub(super) fn database_address(subject: Subject<'_>) -> Vec<Finding> {
    let values = subject.values();
    let mut found = Vec::new();
    if values.postgresql.enabled && !values.external_database.host.is_empty() {
        let says = "has no effect: postgresql.enabled is true, and the workers use that one";
        let key = "externalDatabase.host";
        found.push(subject.about_key(&rule::DATABASE_ADDRESS, key, says));
    }
    for pod in subject.workers() {
        let host = pod.variable("DB_HOST").unwrap_or_default();
        if subject.service(host) == Some(Err(())) {
            let says = format!("is told to reach `{host}`, a Service that nobody makes");
            found.push(subject.about_object(&rule::DATABASE_ADDRESS, pod.manifest, says));
        }
    }
    found
}

/// The database's image has the libraries that its configuration names.
pub(super) fn preloaded(subject: Subject<'_>) -> Vec<Finding> {
    let postgresql = &subject.values().postgresql;
    let image = postgresql
        .image
        .split(['@', ':'])
        .next()
        .unwrap_or_default();
    let is_official = image == "postgres" || image.ends_with("library/postgres");
    if !postgresql.enabled || !is_official {
        return Vec::new();
    }
    let settings = postgresql.primary.extended_configuration.lines();
    let settings = settings.filter_map(|line| line.split('#').next()?.split_once('='));
    settings
        .filter(|(name, _)| name.trim() == "shared_preload_libraries")
        .flat_map(|(_, list)| list.split(','))
        .map(|library| library.trim().trim_matches(['\'', '"']).trim())
        .filter(|library| !library.is_empty() && !CONTRIB.contains(library))
        .map(|library| {
            let image = &postgresql.image;
            let says = format!("loads `{library}`, which the image `{image}` does not have");
            let key = "postgresql.primary.extendedConfiguration";
            subject.about_key(&rule::PRELOADED, key, says)
        })
        .collect()
}

/// Several nodes of Redis form a cluster, and each is reached by itself.
pub(super) fn redis_nodes(subject: Subject<'_>) -> Vec<Finding> {
    let is_redis = |value: &Value| value == Component::Redis.name();
    let files: Vec<_> = subject
        .of_kind("ConfigMap")
        .filter(|manifest| is_redis(&manifest.value["metadata"]["labels"][COMPONENT]))
        .collect();
    let says_in_a_file = |line: &str| {
        let mut all = files.iter().flat_map(|file| texts(&file.value["data"]));
        all.any(|(_, text)| text.lines().any(|known| known.trim() == line))
    };
    let mut found = Vec::new();
    for file in files
        .iter()
        .filter(|_| says_in_a_file("tls-auth-clients yes"))
    {
        let says = "asks for client certificates, which the workers do not have";
        found.push(subject.about_object(&rule::REDIS_NODES, file, says));
    }
    let nodes = subject
        .pods()
        .filter(|pod| is_redis(&pod.template["metadata"]["labels"][COMPONENT]))
        .filter(|pod| pod.manifest.value["spec"]["replicas"].as_u64() > Some(1));
    for pod in nodes {
        if !says_in_a_file("cluster-enabled yes") {
            let says = "has several nodes that are not one cluster";
            found.push(subject.about_object(&rule::REDIS_NODES, pod.manifest, says));
        }
        let external = |service: &&Manifest| {
            let spec = &service.value["spec"];
            let is_external = spec["type"] == "LoadBalancer" || spec["type"] == "NodePort";
            is_external && is_redis(&spec["selector"][COMPONENT])
        };
        let is_of_one = |service: &Manifest| !service.value["spec"]["selector"][POD_NAME].is_null();
        let external: Vec<&Manifest> = subject.of_kind("Service").filter(external).collect();
        if external.iter().any(|service| is_of_one(service)) {
            continue;
        }
        let in_front = external.into_iter();
        found.extend(in_front.map(|service| {
            let says = "is in front of all nodes at once, where each needs an address of its own";
            subject.about_object(&rule::REDIS_NODES, service, says)
        }));
    }
    found
}

/// Hosts are hosts: no port, no scheme, no path.
pub(super) fn server_names(subject: Subject<'_>) -> Vec<Finding> {
    let values = subject.values();
    let mut hosts = vec![
        (
            "externalRedis.host".to_owned(),
            values.external_redis.host.as_str(),
        ),
        (
            "externalDatabase.host".to_owned(),
            values.external_database.host.as_str(),
        ),
    ];
    let advertised = [
        ("streamer", &values.streamer.advertise),
        ("collector", &values.collector.advertise),
        ("apiGateway", &values.api_gateway.advertise),
    ];
    for (key, advertise) in advertised {
        let addresses = [
            ("serviceAddress", &advertise.service_address),
            (
                "externalServiceAddress",
                &advertise.external_service_address,
            ),
        ];
        hosts.extend(
            addresses.map(|(name, address)| (format!("{key}.advertise.{name}"), address.as_str())),
        );
    }
    hosts
        .into_iter()
        .filter(|(_, host)| !is_host(host))
        .map(|(key, host)| {
            let inner = self::host(host);
            let says = format!("is more than a host; the host in it is `{inner}`");
            subject.about_key(&rule::SERVER_NAME, &key, says)
        })
        .collect()
}

/// Whether a text is a name or an address alone; an empty one is not looked at.
fn is_host(text: &str) -> bool {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<Ipv6Addr>().is_ok()
        || !text.contains(|symbol: char| ":/@".contains(symbol) || symbol.is_whitespace())
}

/// The names of the ports of a pod's containers, with their numbers.
pub(super) fn port_named(template: &Value, name: &str) -> Option<u64> {
    items(&template["spec"]["containers"])
        .flat_map(|container| items(&container["ports"]))
        .find(|port| port["name"] == name)?["containerPort"]
        .as_u64()
}

#[cfg(test)]
mod tests {
    use super::{host, is_host};

    #[test]
    fn the_host_of_a_url_is_found() {
        for (url, expected) in [
            ("rediss://user:pw@redis.example:6379/0", "redis.example"),
            ("https://[fd00::1]:2379", "fd00::1"),
            ("etcd:2379", "etcd"),
            ("redis.example", "redis.example"),
        ] {
            assert_eq!(host(url), expected, "{url}");
        }
    }

    #[test]
    fn a_host_with_more_in_it_is_none() {
        for text in ["redis.example", "192.0.2.1", "fd00::1", "[fd00::1]", ""] {
            assert!(is_host(text), "{text}");
        }
        for text in ["redis:6379", "rediss://redis", "redis/0", "a b", "u@redis"] {
            assert!(!is_host(text), "{text}");
        }
    }
}
