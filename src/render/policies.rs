//! Network policies: what each component may reach and be reached by.
//!
//! They allow what the component itself needs and nothing else. An address outside the cluster
//! cannot be selected, so ways to servers elsewhere are open by port. The HTTP ports of the workers
//! are open to everybody: kubelets, scrapers and the API server's proxy come from addresses that
//! a policy cannot name.

use serde_json::{Value, json};

use crate::config::Resolved;
use crate::config::values::ServiceType;
use crate::model::component::Component;

use super::facts::Facts;
use super::labels;

const DNS: u16 = 53;

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
        Component::Redis => server_ingress(
            resolved,
            component,
            values.redis.service.kind,
            &[Component::Streamer, Component::Collector],
        ),
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
    let from: Vec<Value> = clients
        .iter()
        .map(|client| pods(resolved, *client))
        .collect();
    vec![json!({ "from": from, "ports": ports })]
}

fn egress(resolved: &Resolved, facts: &Facts, component: Component) -> Vec<Value> {
    let (queue, database) = match component {
        Component::Streamer => (true, false),
        Component::Collector => (true, true),
        Component::ApiGateway => (false, true),
        // The servers answer; they call nobody.
        Component::Redis | Component::Etcd | Component::Postgresql => return Vec::new(),
    };
    let mut rules = vec![json!({ "ports": [udp(DNS), tcp(DNS)] })];
    if queue {
        let (port, is_here) = (facts.redis.port, facts.redis.is_here);
        rules.push(to(resolved, is_here.then_some(Component::Redis), &[port]));
    }
    if database {
        let (port, is_here) = (facts.database.port_number, facts.database.is_here);
        rules.push(to(
            resolved,
            is_here.then_some(Component::Postgresql),
            &[port],
        ));
    }
    if !facts.etcd.ports.is_empty() {
        let here = facts.etcd.is_here.then_some(Component::Etcd);
        rules.push(to(resolved, here, &facts.etcd.ports));
    }
    rules
}

/// The way to a server: by its pods and their port, or by the Service's port to anywhere.
fn to(resolved: &Resolved, server: Option<Component>, ports: &[u16]) -> Value {
    match server {
        Some(server) => json!({
            "to": [pods(resolved, server)],
            "ports": [tcp(server.default_port())],
        }),
        None => {
            let ports: Vec<Value> = ports.iter().map(|port| tcp(*port)).collect();
            json!({ "ports": ports })
        }
    }
}

fn pods(resolved: &Resolved, component: Component) -> Value {
    json!({ "podSelector": { "matchLabels": labels::policy_selector(resolved, component) } })
}

fn tcp(port: u16) -> Value {
    json!({ "protocol": "TCP", "port": port })
}

fn udp(port: u16) -> Value {
    json!({ "protocol": "UDP", "port": port })
}
