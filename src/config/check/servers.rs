//! The servers between the workers: logins, certificates, tuning.

use super::exposure::is_host;
use super::{Broken, Quantity};
use crate::config::values::{ExternalRedis, Postgresql, RedisArchitecture, Values};
use crate::model::endpoint::Endpoint;

/// What telectl itself has to say in `postgresql.conf`.
const RESERVED: [&str; 9] = [
    "listen_addresses",
    "port",
    "hba_file",
    "unix_socket_directories",
    "ssl",
    "ssl_cert_file",
    "ssl_key_file",
    "data_directory",
    "config_file",
];

pub(super) fn check(values: &Values, broken: &mut Vec<Broken>) {
    redis(values, broken);
    cluster(values, broken);
    database(values, broken);
    if values.etcd.auth.enabled && !values.etcd.enabled && values.etcd.auth.username.is_empty() {
        let text = "must be given while etcd.auth.enabled is true".to_owned();
        broken.push(("etcd.auth.username".to_owned(), text));
    }
    if values.postgresql.enabled {
        tuning(&values.postgresql, broken);
    }
}

fn redis(values: &Values, broken: &mut Vec<Broken>) {
    let external = &values.external_redis;
    instead_of_host(external, broken);
    if external.tls.skip_verify {
        let text = "must be false: whoever answers could then read the password and the data; \
                    give the authority's certificate with externalRedis.tls.caCert or caSecret";
        broken.push(("externalRedis.tls.skipVerify".to_owned(), text.to_owned()));
    }
    if external.service_name.is_empty() {
        return;
    }
    let name = &external.service_name;
    if !is_host(name) || name.contains('.') {
        let text = format!("is `{name}`, which is no name for a Service");
        broken.push(("externalRedis.serviceName".to_owned(), text));
    }
    if external.enabled && !external.host.is_empty() && !is_host(&external.host) {
        let text = format!(
            "cannot stand for `{}`: a Service of type ExternalName needs a DNS name",
            external.host
        );
        broken.push(("externalRedis.serviceName".to_owned(), text));
    }
}

/// Sentinels, or nodes of a cluster, stand for the host.
fn instead_of_host(external: &ExternalRedis, broken: &mut Vec<Broken>) {
    let (sentinel, cluster) = (&external.sentinel, &external.cluster);
    let mut add = |key: &str, text: &str| {
        broken.push((format!("externalRedis.{key}"), text.to_owned()));
    };
    if sentinel.enabled && cluster.enabled {
        add(
            "cluster.enabled",
            "is true, and so is externalRedis.sentinel.enabled: choose one",
        );
    }
    if sentinel.enabled && sentinel.master_name.is_empty() {
        add(
            "sentinel.masterName",
            "must be given while externalRedis.sentinel.enabled is true",
        );
    }
    if cluster.enabled && external.database != 0 {
        add(
            "database",
            "must be 0: a Redis Cluster has no other database",
        );
    }
    let Some((nodes, usual)) = external.addresses() else {
        return;
    };
    let key = if sentinel.enabled {
        "sentinel.nodes"
    } else {
        "cluster.nodes"
    };
    if nodes.is_empty() {
        add(key, "must name at least one host:port");
    }
    for node in nodes {
        if Endpoint::parse(node, usual).is_none() {
            add(key, &format!("has `{node}`, which is no host or host:port"));
        }
    }
    if !external.service_name.is_empty() {
        add(
            "serviceName",
            "stands for externalRedis.host, which nobody uses: leave it empty",
        );
    }
}

/// Redis Cluster.
fn cluster(values: &Values, broken: &mut Vec<Broken>) {
    let redis = &values.redis;
    if redis.architecture == RedisArchitecture::Standalone {
        return;
    }
    let mut add = |key: &str, text: String| broken.push((key.to_owned(), text));
    let cluster = &redis.cluster;
    if cluster.masters < 3 {
        let text = format!("is {}; a cluster has at least 3 masters", cluster.masters);
        add("redis.cluster.masters", text);
    }
    let nodes = cluster.nodes();
    let lists = [
        ("redis.cluster.announce", cluster.announce.len()),
        (
            "redis.cluster.nodeService.nodePorts",
            cluster.node_service.node_ports.len(),
        ),
    ];
    for (key, count) in lists {
        if count != 0 && count != nodes as usize {
            add(key, format!("has {count} entries for {nodes} nodes"));
        }
    }
}

fn database(values: &Values, broken: &mut Vec<Broken>) {
    const SSL_MODES: [&str; 5] = ["disable", "prefer", "require", "verify-ca", "verify-full"];
    let external = &values.external_database;
    let mode = external.ssl_mode.as_str();
    if !SSL_MODES.contains(&mode) {
        let text = format!("must be one of {}", SSL_MODES.join(", "));
        broken.push(("externalDatabase.sslMode".to_owned(), text));
    }
    let is_used = values.uses_database() && !values.postgresql.enabled;
    if is_used && mode.starts_with("verify-") && external.ca_secret.is_empty() {
        let text = format!("is {mode}, which needs externalDatabase.caSecret (ca.crt)");
        broken.push(("externalDatabase.sslMode".to_owned(), text));
    }
}

/// The lines of `postgresql.conf`: what telectl itself sets, and more memory than there is.
fn tuning(postgresql: &Postgresql, broken: &mut Vec<Broken>) {
    let key = "postgresql.primary.extendedConfiguration";
    let limit = postgresql.primary.resources.limits.get("memory");
    let limit = limit.and_then(|text| Quantity::parse(text));
    for (name, value) in settings(&postgresql.primary.extended_configuration) {
        if RESERVED.contains(&name.as_str()) {
            let text = format!("sets `{name}`, which telectl sets itself");
            broken.push((key.to_owned(), text));
        }
        let bytes = (name == "shared_buffers").then(|| memory(&value)).flatten();
        if let (Some(bytes), Some(limit)) = (bytes, limit)
            && bytes >= limit.whole()
        {
            let text = format!(
                "asks for shared_buffers = {value}, but the server gets {} at most \
                 (postgresql.primary.resources.limits.memory)",
                limit.canonical()
            );
            broken.push((key.to_owned(), text));
        }
    }
}

/// Names in lower case and values without quotes.
fn settings(text: &str) -> impl Iterator<Item = (String, String)> {
    text.lines().filter_map(|line| {
        let line = line.split('#').next().unwrap_or_default().trim();
        let end = line.find(|symbol: char| symbol == '=' || symbol.is_whitespace())?;
        let value = line[end..].trim_start().trim_start_matches('=').trim();
        let value = value.trim_matches('\'').to_owned();
        Some((line[..end].to_ascii_lowercase(), value))
    })
}

/// Bytes of a size as PostgreSQL writes it; without a unit it counts blocks of 8 KiB.
fn memory(text: &str) -> Option<u64> {
    let digits = text.find(|symbol: char| !symbol.is_ascii_digit());
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let unit: u64 = match unit.trim() {
        "" => 8 << 10,
        "B" => 1,
        "kB" => 1 << 10,
        "MB" => 1 << 20,
        "GB" => 1 << 30,
        "TB" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

/// Settings that have no effect.
pub(super) fn odd(values: &Values, odd: &mut Vec<String>) {
    let external = &values.external_redis;
    if values.uses_queue()
        && external.enabled
        && !external.tls.enabled
        && !external.tls.client_secret.is_empty()
    {
        odd.push(
            "externalRedis.tls.clientSecret has no effect: externalRedis.tls.enabled is false"
                .to_owned(),
        );
    }
    if values.etcd.auth.enabled && values.etcd.enabled {
        odd.push(
            "etcd.auth has no effect: the etcd that telectl deploys takes the certificate of \
             etcd.tls.clientSecret"
                .to_owned(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r19_settings_are_read_as_postgresql_writes_them() {
        let text = "Max_Connections = 200\nshared_buffers '1GB' # half\n\n# port = 1\nwork_mem=8MB";
        let read: Vec<(String, String)> = settings(text).collect();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let wanted = [
            pair("max_connections", "200"),
            pair("shared_buffers", "1GB"),
            pair("work_mem", "8MB"),
        ];
        assert_eq!(read, wanted);
        assert_eq!(memory("256MB"), Some(256 << 20));
        assert_eq!(memory("16384"), Some(128 << 20));
        assert_eq!(memory("lots"), None);
    }
}
