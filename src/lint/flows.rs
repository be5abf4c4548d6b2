//! The flows that a worker needs, held against the network policies of its pods.

use serde_json::Value;

use crate::config::worker::REDIS_ADDRESSES;

use super::finding::Finding;
use super::rule;
use super::servers::{host, port_named};
use super::subject::{Pod, Subject, items, selects};

/// A connection that a worker has to make.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Flow<'a> {
    /// To what, in words.
    to: String,
    protocol: &'static str,
    port: u64,
    /// Labels of the pods at its end; `None` if it leaves the namespace.
    pods: Option<&'a Value>,
}

/// Flows of the workers that no policy of theirs lets out.
pub(super) fn blocked(subject: Subject<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for pod in subject.workers() {
        let labels = &pod.template["metadata"]["labels"];
        let policies: Vec<&Value> = subject
            .of_kind("NetworkPolicy")
            .map(|manifest| &manifest.value["spec"])
            .filter(|spec| selects(&spec["podSelector"]["matchLabels"], labels))
            .filter(|spec| items(&spec["policyTypes"]).any(|kind| kind == "Egress"))
            .collect();
        if policies.is_empty() {
            continue;
        }
        let rules: Vec<&Value> = policies
            .iter()
            .flat_map(|spec| items(&spec["egress"]))
            .collect();
        let closed = flows(subject, pod)
            .into_iter()
            .filter(|flow| !rules.iter().any(|rule| lets(rule, flow)));
        found.extend(closed.map(|flow| {
            let says = format!("cannot reach {}: {} {}", flow.to, flow.protocol, flow.port);
            subject.about_object(&rule::BLOCKED_FLOW, pod.manifest, says)
        }));
    }
    found
}

fn flows<'a>(subject: Subject<'a>, pod: Pod<'a>) -> Vec<Flow<'a>> {
    let dns = |protocol| Flow {
        to: "DNS".to_owned(),
        protocol,
        port: 53,
        pods: None,
    };
    let mut flows = vec![dns("UDP"), dns("TCP")];
    let mut add = |to: &str, host: &str, port: Option<u64>| {
        let Some(port) = port else { return };
        flows.push(end(subject, to, host, port));
    };
    let lists = REDIS_ADDRESSES.iter();
    let lists = lists.filter_map(|name| pod.variable(name));
    for url in lists.flat_map(|list| list.split(',')) {
        add("Redis", host(url), port(url));
    }
    for url in pod
        .variable("ETCD_ENDPOINTS")
        .into_iter()
        .flat_map(|list| list.split(','))
    {
        add("etcd", host(url), port(url));
    }
    if let Some(name) = pod.variable("DB_HOST") {
        let number = pod.variable("DB_PORT").and_then(|text| text.parse().ok());
        add("PostgreSQL", name, number);
    }
    for url in downloads(pod) {
        add("the source", host(url), port(url));
    }
    flows
}

/// Where a connection ends: at the pods behind a Service of this namespace, or outside of it.
fn end<'a>(subject: Subject<'a>, to: &str, host: &str, port: u64) -> Flow<'a> {
    let outside = Flow {
        to: to.to_owned(),
        protocol: "TCP",
        port,
        pods: None,
    };
    let Some(Ok(service)) = subject.service(host) else {
        return outside;
    };
    let spec = &service.value["spec"];
    let behind = subject
        .pods()
        .find(|pod| selects(&spec["selector"], &pod.template["metadata"]["labels"]));
    let Some(behind) = behind else { return outside };
    let entry = items(&spec["ports"]).find(|entry| entry["port"] == port);
    let target = entry.map_or(&Value::Null, |entry| &entry["targetPort"]);
    let named = target
        .as_str()
        .and_then(|name| port_named(behind.template, name));
    Flow {
        port: target.as_u64().or(named).unwrap_or(port),
        pods: Some(&behind.template["metadata"]["labels"]),
        ..outside
    }
}

/// What is downloaded before the containers start.
fn downloads<'a>(pod: Pod<'a>) -> impl Iterator<Item = &'a str> {
    items(&pod.template["spec"]["initContainers"])
        .flat_map(|container| {
            let words = items(&container["args"]).chain(items(&container["command"]));
            let variables = items(&container["env"]).map(|variable| &variable["value"]);
            words.chain(variables)
        })
        .filter_map(Value::as_str)
        .filter(|text| text.starts_with("https://") || text.starts_with("http://"))
}

/// The port of a URL; that of its scheme if it names none.
fn port(url: &str) -> Option<u64> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split('/').next().unwrap_or_default();
    let number = authority
        .rsplit_once(':')
        .and_then(|(_, number)| number.parse().ok());
    number.or(match scheme {
        "https" => Some(443),
        "http" => Some(80),
        "redis" | "rediss" => Some(6379),
        _ => None,
    })
}

fn lets(rule: &Value, flow: &Flow<'_>) -> bool {
    let is_open = |part: &str| items(&rule[part]).next().is_none();
    let port = is_open("ports") || items(&rule["ports"]).any(|entry| lets_port(entry, flow));
    let peer = is_open("to") || items(&rule["to"]).any(|peer| lets_peer(peer, flow));
    port && peer
}

fn lets_port(entry: &Value, flow: &Flow<'_>) -> bool {
    let protocol = entry["protocol"].as_str().unwrap_or("TCP");
    let last = entry["endPort"].as_u64();
    let number = match entry["port"].as_u64() {
        Some(first) => (first..=last.unwrap_or(first)).contains(&flow.port),
        None => entry["port"].is_null(),
    };
    protocol == flow.protocol && number
}

fn lets_peer(peer: &Value, flow: &Flow<'_>) -> bool {
    let pods = &peer["podSelector"]["matchLabels"];
    match flow.pods {
        Some(labels) if peer["namespaceSelector"].is_null() => selects(pods, labels),
        Some(_) => false,
        // Which addresses are behind a name is not known here: whoever names them knows.
        None => peer["ipBlock"].is_object() || peer["namespaceSelector"].is_object(),
    }
}
