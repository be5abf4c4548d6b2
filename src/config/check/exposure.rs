//! What is reached from outside: Services and Ingresses of the workers.

use super::Broken;
use crate::config::values::{Ingress, Service, ServiceType, Values};
use crate::config::worker::parse_origins;

/// How a worker is reached.
struct Exposed<'a> {
    key: &'static str,
    enabled: bool,
    service: &'a Service,
    ingress: &'a Ingress,
}

fn all(values: &Values) -> [Exposed<'_>; 3] {
    let (streamer, collector) = (&values.streamer, &values.collector);
    let gateway = &values.api_gateway;
    [
        Exposed {
            key: "streamer",
            enabled: streamer.enabled,
            service: &streamer.service,
            ingress: &streamer.ingress,
        },
        Exposed {
            key: "collector",
            enabled: collector.enabled,
            service: &collector.service,
            ingress: &collector.ingress,
        },
        Exposed {
            key: "apiGateway",
            enabled: gateway.enabled,
            service: &gateway.service,
            ingress: &gateway.ingress,
        },
    ]
}

pub(super) fn check(values: &Values, broken: &mut Vec<Broken>) {
    for worker in all(values) {
        if worker.enabled && worker.ingress.enabled {
            ingress(worker.key, worker.ingress, broken);
        }
    }
    origins(values, broken);
}

fn origins(values: &Values, broken: &mut Vec<Broken>) {
    let origins = &values.api_gateway.config.cors_origins;
    if !origins.is_empty() && parse_origins(&origins.join(",")).is_none() {
        let text = format!(
            "is {origins:?}, but must be origins such as https://app.example.com, without a path, \
             or * alone"
        );
        broken.push(("apiGateway.config.corsOrigins".to_owned(), text));
    }
}

fn ingress(key: &str, ingress: &Ingress, broken: &mut Vec<Broken>) {
    let hosts = format!("{key}.ingress.hosts");
    if ingress.hosts.is_empty() {
        let text = "needs at least one host name while the Ingress is enabled".to_owned();
        broken.push((hosts.clone(), text));
    }
    for host in &ingress.hosts {
        if !is_host(host.host.strip_prefix("*.").unwrap_or(&host.host)) {
            let text = format!("names the host `{}`, which is no DNS name", host.host);
            broken.push((hosts.clone(), text));
        }
        for path in &host.paths {
            if !path.path.starts_with('/') {
                let text = format!("has the path `{}`; paths begin with `/`", path.path);
                broken.push((hosts.clone(), text));
            }
        }
    }
    for tls in &ingress.tls {
        if tls.secret_name.is_empty() {
            let text = "needs the name of a Secret in each entry".to_owned();
            broken.push((format!("{key}.ingress.tls"), text));
        }
    }
}

/// Whether a text is a DNS name (of lower-case letters, as Kubernetes wants it), not an address.
pub(super) fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|symbol| {
                symbol.is_ascii_lowercase() || symbol.is_ascii_digit() || symbol == b'-'
            })
    };
    text.len() <= 253 && text.parse::<std::net::IpAddr>().is_err() && text.split('.').all(is_label)
}

/// Settings that have no effect, or another one than was meant.
pub(super) fn odd(values: &Values, odd: &mut Vec<String>) {
    for worker in all(values).iter().filter(|worker| worker.enabled) {
        let key = worker.key;
        if worker.service.node_port.is_some() && worker.service.kind == ServiceType::ClusterIp {
            odd.push(format!(
                "{key}.service.nodePort has no effect: {key}.service.type is ClusterIP"
            ));
        }
        if worker.ingress.enabled {
            let (_, changed) = worker.ingress.sound_annotations();
            odd.extend(changed.into_iter().map(|(annotation, why)| {
                format!("{key}.ingress.annotations: `{annotation}` is left out: {why}")
            }));
        }
    }
}
