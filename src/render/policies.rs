//! Network policies: what each component may reach and be reached by.
//!
//! They allow what the component itself needs and nothing else. An address outside the cluster
//! cannot be selected, so ways to servers elsewhere are open by port. The HTTP ports of the workers
//! are open to everybody: kubelets, scrapers and the API server's proxy come from addresses that
//! a policy cannot name.

use serde_json::{Value, json};

use crate::config::Resolved;
use crate::config::values::{BackupStorageType, ServiceType};
use crate::model::component::Component;

use super::backup::BACKUP;
use super::facts::Facts;
use super::labels;
use super::redis::{BUS, is_cluster};
use super::source::ports as source_ports;

const DNS: u16 = 53;
const HTTPS: u16 = 443;

/// The rules of one component, as Kubernetes has them.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) ingress: Vec<Value>,
    pub(super) egress: Vec<Value>,
}

/// The rules of a component.
pub(super) fn rules(resolved: &Resolved, facts: &Facts, component: Component) -> Rules {
    let mut rules = Rules {
        ingress: ingress(resolved, component),
        egress: egress(resolved, facts, component),
    };
    if Component::WORKERS.contains(&component) {
        rules
            .ingress
            .extend(resolved.values.network_policy.ingress.iter().cloned());
        rules
            .egress
            .extend(resolved.values.network_policy.egress.iter().cloned());
    }
    rules
}

fn ingress(resolved: &Resolved, component: Component) -> Vec<Value> {
    let values = &resolved.values;
    match component {
        Component::Streamer | Component::Collector | Component::ApiGateway => {
            vec![json!({ "ports": [tcp(super::view::listen_port(values, component))] })]
        }
        Component::Redis => {
            let kind = values.redis.service.kind;
            let clients = [Component::Streamer, Component::Collector];
            let mut rules = server_ingress(resolved, component, kind, &clients);
            rules.extend(is_cluster(values).then(|| {
                let ports = json!([tcp(component.default_port()), tcp(BUS)]);
                json!({ "from": [pods(resolved, component.name())], "ports": ports })
            }));
            rules
        }
        Component::Etcd => server_ingress(
            resolved,
            component,
            values.etcd.service.kind,
            &Component::WORKERS,
        ),
        Component::Postgresql => server_ingress(
            resolved,
            component,
            values.postgresql.service.kind,
            &[Component::Collector, Component::ApiGateway],
        ),
    }
}

/// A server that other clusters reach is open by its port; another only to its clients.
fn server_ingress(
    resolved: &Resolved,
    component: Component,
    service: ServiceType,
    clients: &[Component],
) -> Vec<Value> {
    let ports = json!([tcp(component.default_port())]);
    if service.is_external() || !resolved.values.has_workers() {
        return vec![json!({ "ports": ports })];
    }
    let mut from: Vec<Value> = clients
        .iter()
        .map(|client| pods(resolved, client.name()))
        .collect();
    if component == Component::Postgresql && resolved.values.dumps_database() {
        from.push(pods(resolved, BACKUP));
    }
    vec![json!({ "from": from, "ports": ports })]
}

/// The rules of the backup's pods: nobody calls them.
pub(super) fn of_backup(resolved: &Resolved, facts: &Facts) -> Rules {
    let mut egress = vec![names(), to_database(resolved, facts)];
    let storage = &resolved.values.backup.storage;
    if storage.kind == BackupStorageType::S3 {
        let endpoint = url::Url::parse(&storage.endpoint).ok();
        let port = endpoint.and_then(|url| url.port_or_known_default());
        egress.push(to(resolved, None, &[port.unwrap_or(HTTPS)]));
    }
    Rules {
        ingress: Vec::new(),
        egress,
    }
}

fn egress(resolved: &Resolved, facts: &Facts, component: Component) -> Vec<Value> {
    let (queue, database) = match component {
        Component::Streamer => (true, false),
        Component::Collector => (true, true),
        Component::ApiGateway => (false, true),
        // The nodes of a cluster call each other.
        Component::Redis if is_cluster(&resolved.values) => {
            let ports = json!([tcp(component.default_port()), tcp(BUS)]);
            let nodes = json!({ "to": [pods(resolved, component.name())], "ports": ports });
            return vec![names(), nodes];
        }
        // The servers answer; they call nobody.
        Component::Redis | Component::Etcd | Component::Postgresql => return Vec::new(),
    };
    let mut rules = vec![names()];
    if queue {
        if facts.redis.is_here {
            rules.push(to(resolved, Some(Component::Redis), &[]));
        }
        if !facts.redis.ports.is_empty() {
            rules.push(to(resolved, None, &facts.redis.ports));
        }
    }
    if database {
        rules.push(to_database(resolved, facts));
    }
    if component == Component::Streamer {
        let ports = source_ports(&resolved.values);
        rules.extend((!ports.is_empty()).then(|| to(resolved, None, &ports)));
    }
    if !facts.etcd.ports.is_empty() {
        let here = facts.etcd.is_here.then_some(Component::Etcd);
        rules.push(to(resolved, here, &facts.etcd.ports));
    }
    rules
}

fn names() -> Value {
    json!({ "ports": [udp(DNS), tcp(DNS)] })
}

fn to_database(resolved: &Resolved, facts: &Facts) -> Value {
    let here = facts.database.is_here.then_some(Component::Postgresql);
    to(resolved, here, &[facts.database.port_number])
}

/// The way to a server: by its pods and their port, or by the Service's port to anywhere.
fn to(resolved: &Resolved, server: Option<Component>, ports: &[u16]) -> Value {
    match server {
        Some(server) => json!({
            "to": [pods(resolved, server.name())],
            "ports": [tcp(server.default_port())],
        }),
        None => {
            let ports: Vec<Value> = ports.iter().map(|port| tcp(*port)).collect();
            json!({ "ports": ports })
        }
    }
}

fn pods(resolved: &Resolved, part: &str) -> Value {
    json!({ "podSelector": { "matchLabels": labels::part_selector(resolved, part) } })
}

fn tcp(port: u16) -> Value {
    json!({ "protocol": "TCP", "port": port })
}

fn udp(port: u16) -> Value {
    json!({ "protocol": "UDP", "port": port })
}
