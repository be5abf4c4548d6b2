//! Rules about network policies, as they are rendered and as values add to them.

use serde_json::Value;

use crate::model::component::Component;
use crate::model::labels::COMPONENT;

use super::finding::Finding;
use super::rule;
use super::subject::{Subject, items};

/// The two lists of rules that values add, and where the peers stand in a rule.
const ADDED: [(&str, &str); 2] = [("ingress", "from"), ("egress", "to")];

/// Rules that values add, with their list and their number.
fn added(
    subject: Subject<'_>,
) -> impl Iterator<Item = (&'static str, &'static str, usize, &Value)> {
    let policy = &subject.resolved.tree()["networkPolicy"];
    let has_workers = subject.values().network_policy.enabled && subject.values().has_workers();
    ADDED
        .into_iter()
        .filter(move |_| has_workers)
        .flat_map(move |(list, peers)| {
            let rules = items(&policy[list]).enumerate();
            rules.map(move |(index, rule)| (list, peers, index, rule))
        })
}

fn key(list: &str, index: usize) -> String {
    format!("networkPolicy.{list}.{index}")
}

/// Policies that close everything, and rules that let in who never calls.
pub(super) fn dead(subject: Subject<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for policy in subject.of_kind("NetworkPolicy") {
        let spec = &policy.value["spec"];
        let is_of_worker = Component::WORKERS
            .iter()
            .any(|worker| spec["podSelector"]["matchLabels"][COMPONENT] == worker.name());
        let shuts = |kind: &str, list: &str| {
            items(&spec["policyTypes"]).any(|known| known == kind)
                && items(&spec[list]).next().is_none()
        };
        if is_of_worker && shuts("Egress", "egress") {
            let says = "lets its pods reach nothing, not even DNS";
            found.push(subject.about_object(&rule::DEAD_POLICY, policy, says));
        }
    }
    for (list, peers, index, added) in added(subject).filter(|(list, ..)| *list == "ingress") {
        let servers = [Component::Redis, Component::Postgresql, Component::Etcd];
        let calls_nobody = |peer: &Value| {
            let label = &peer["podSelector"]["matchLabels"][COMPONENT];
            servers.iter().any(|server| label == server.name())
        };
        if items(&added[peers]).any(calls_nobody) {
            let says = "lets in a server, and servers call nobody: it belongs into egress";
            found.push(subject.about_key(&rule::DEAD_POLICY, &key(list, index), says));
        }
    }
    found
}

/// Namespaces are selected by the label that all of them have.
pub(super) fn namespace_labels(subject: Subject<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let tree = subject.resolved.tree();
    for place in ["networkPolicy", "streamer", "collector", "apiGateway"] {
        for (path, label) in own_labels(&tree[place], place) {
            let says = format!("selects namespaces by the label `{label}`");
            found.push(subject.about_key(&rule::NAMESPACE_LABEL, &path, says));
        }
    }
    found
}

/// Namespace selectors below a value that use a label of nobody's: `name` and its like.
fn own_labels(value: &Value, path: &str) -> Vec<(String, String)> {
    const UNSET: &[&str] = &["name", "namespace", "kubernetes.io/name", "ns"];
    let mut found = Vec::new();
    match value {
        Value::Object(map) => {
            for (key, below) in map {
                let path = format!("{path}.{key}");
                if key == "namespaceSelector" {
                    let labels = below["matchLabels"].as_object().into_iter().flatten();
                    let labels = labels.map(|(label, _)| label.as_str());
                    let expressions = items(&below["matchExpressions"])
                        .filter_map(|expression| expression["key"].as_str());
                    let wrong = labels.chain(expressions).filter(|one| UNSET.contains(one));
                    found.extend(wrong.map(|label| (path.clone(), label.to_owned())));
                } else {
                    found.extend(own_labels(below, &path));
                }
            }
        }
        Value::Array(list) => {
            for (index, below) in list.iter().enumerate() {
                found.extend(own_labels(below, &format!("{path}.{index}")));
            }
        }
        _ => {}
    }
    found
}

/// Added rules that open everything, or nothing.
pub(super) fn open(subject: Subject<'_>) -> Vec<Finding> {
    let listened: Vec<u64> = subject
        .workers()
        .flat_map(super::subject::Pod::ports)
        .collect();
    let mut found = Vec::new();
    for (list, peers, index, added) in added(subject) {
        let mut says = Vec::new();
        let has = |part: &str| items(&added[part]).next().is_some();
        if !has(peers) && !has("ports") {
            says.push("names neither peers nor ports, so it opens everything".to_owned());
        }
        let numbers = items(&added["ports"]).filter_map(|port| port["port"].as_u64());
        if list == "ingress" {
            let unheard = numbers.filter(|port| !listened.contains(port));
            says.extend(
                unheard.map(|port| format!("opens the port {port}, on which no worker listens")),
            );
        }
        found.extend(
            says.into_iter()
                .map(|says| subject.about_key(&rule::OPEN_POLICY, &key(list, index), says)),
        );
    }
    found
}
