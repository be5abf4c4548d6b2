//! Ingresses, and what a worker registers when it is reached from outside.

use serde_json::{Value, json};

use crate::config::Resolved;
use crate::config::values::{Advertise, Ingress, IngressHost, Service, ServiceType, Values};
use crate::model::component::Component;

use super::view::annotations;

/// The ports of an Ingress controller.
const HTTP: u16 = 80;
const HTTPS: u16 = 443;

/// The Ingress in front of a component, if there is one.
pub(super) fn of(values: &Values, component: Component) -> Option<&Ingress> {
    let ingress = match component {
        Component::Streamer => &values.streamer.ingress,
        Component::Collector => &values.collector.ingress,
        Component::ApiGateway => &values.api_gateway.ingress,
        Component::Redis | Component::Postgresql | Component::Etcd => return None,
    };
    ingress.enabled.then_some(ingress)
}

/// What the template is filled with.
pub(super) fn view(resolved: &Resolved, ingress: &Ingress, service: &str, port: &str) -> Value {
    let (sound, _) = ingress.sound_annotations();
    let class = (!ingress.class_name.is_empty()).then_some(&ingress.class_name);
    let rules: Vec<Value> = ingress
        .hosts
        .iter()
        .map(|host| rule(host, service, port))
        .collect();
    let tls: Vec<Value> = ingress
        .tls
        .iter()
        .map(|tls| {
            let hosts = (!tls.hosts.is_empty()).then_some(&tls.hosts);
            json!({ "secretName": tls.secret_name, "hosts": hosts })
        })
        .collect();
    json!({
        "annotations": annotations(&resolved.values, Some(&sound)),
        "className": class,
        "rules": rules,
        "tls": (!tls.is_empty()).then_some(tls),
    })
}

fn rule(host: &IngressHost, service: &str, port: &str) -> Value {
    let backend = json!({ "service": { "name": service, "port": { "name": port } } });
    let path =
        |path: &str, kind: Value| json!({ "path": path, "pathType": kind, "backend": backend });
    let paths: Vec<Value> = if host.paths.is_empty() {
        vec![path("/", json!("Prefix"))]
    } else {
        host.paths
            .iter()
            .map(|chosen| path(&chosen.path, json!(chosen.path_type)))
            .collect()
    };
    json!({ "host": host.host, "http": { "paths": paths } })
}

/// Under which address others reach a worker, as far as the values say.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outside {
    /// `EXTERNAL_SERVICE_ADDRESS`; empty if the values give none.
    pub(super) address: String,
    /// `HTTP_PORT`.
    pub(super) port: u16,
    /// `ADVERTISED_SCHEME`; empty if the values give none.
    pub(super) scheme: String,
}

/// What a worker registers. Whatever is set explicitly counts; the rest follows from the way that
/// leads from the address to the worker.
pub(super) fn outside(
    advertise: &Advertise,
    ingress: Option<&Ingress>,
    service: &Service,
    listen_port: u16,
) -> Outside {
    let by_ingress = ingress.and_then(Ingress::external);
    let address = match (advertise.external_service_address.as_str(), by_ingress) {
        ("", Some((host, _))) => host,
        (chosen, _) => chosen,
    };
    let through_ingress = by_ingress.filter(|(host, _)| *host == address);
    // An address that is set for everybody says nothing about the way.
    let is_external = advertise.service_address.is_empty() && !address.is_empty();
    let (port, scheme) = match (is_external, through_ingress, service.kind) {
        (true, Some((_, true)), _) => (HTTPS, "https"),
        (true, Some((_, false)), _) => (HTTP, "http"),
        (true, None, ServiceType::NodePort) => (service.node_port.unwrap_or(listen_port), ""),
        (true, None, ServiceType::LoadBalancer) => (service.port, ""),
        _ => (listen_port, ""),
    };
    let scheme = match advertise.scheme.as_str() {
        "" => scheme,
        chosen => chosen,
    };
    Outside {
        address: address.to_owned(),
        port: if advertise.port == 0 {
            port
        } else {
            advertise.port
        },
        scheme: scheme.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::values::{IngressTls, Texts};

    const LISTEN: u16 = 8081;

    fn service(kind: ServiceType, node_port: Option<u16>) -> Service {
        Service {
            kind,
            port: 8081,
            node_port,
            annotations: Texts::new(),
        }
    }

    fn advertised(address: &str) -> Advertise {
        Advertise {
            external_service_address: address.to_owned(),
            ..Advertise::default()
        }
    }

    fn ingress(tls: bool) -> Ingress {
        let host = "streamer.cluster-a.example.com".to_owned();
        let certificate = IngressTls {
            secret_name: "tls".to_owned(),
            hosts: vec![host.clone()],
        };
        Ingress {
            enabled: true,
            hosts: vec![IngressHost {
                host,
                paths: Vec::new(),
            }],
            tls: if tls { vec![certificate] } else { Vec::new() },
            ..Ingress::default()
        }
    }

    #[track_caller]
    fn check(found: &Outside, address: &str, port: u16, scheme: &str) {
        let wanted = Outside {
            address: address.to_owned(),
            port,
            scheme: scheme.to_owned(),
        };
        assert_eq!(*found, wanted);
    }

    #[test]
    fn r27_behind_an_ingress_its_host_and_port_are_registered() {
        let inside = service(ServiceType::ClusterIp, None);
        let host = "streamer.cluster-a.example.com";
        let encrypted = outside(&advertised(""), Some(&ingress(true)), &inside, LISTEN);
        check(&encrypted, host, 443, "https");
        let plain = outside(&advertised(host), Some(&ingress(false)), &inside, LISTEN);
        check(&plain, host, 80, "http");
        let explicit = Advertise {
            port: 443,
            scheme: "https".to_owned(),
            ..advertised(host)
        };
        let chosen = outside(&explicit, Some(&ingress(false)), &inside, LISTEN);
        check(&chosen, host, 443, "https");
        let elsewhere = outside(
            &advertised("192.0.2.1"),
            Some(&ingress(true)),
            &inside,
            LISTEN,
        );
        check(&elsewhere, "192.0.2.1", 8081, "");
    }

    #[test]
    fn r26_the_port_belongs_to_the_address() {
        let node = service(ServiceType::NodePort, Some(30_081));
        check(
            &outside(&advertised("192.0.2.1"), None, &node, LISTEN),
            "192.0.2.1",
            30_081,
            "",
        );
        // Without an address the pod's own is registered, on which nothing listens at 30081.
        check(&outside(&advertised(""), None, &node, LISTEN), "", 8081, "");
        let balancer = Service {
            port: 9000,
            ..service(ServiceType::LoadBalancer, None)
        };
        check(
            &outside(&advertised("192.0.2.2"), None, &balancer, LISTEN),
            "192.0.2.2",
            9000,
            "",
        );
        let fixed = Advertise {
            service_address: "own".to_owned(),
            ..advertised("192.0.2.1")
        };
        check(&outside(&fixed, None, &node, LISTEN), "192.0.2.1", 8081, "");
    }
}
