//! Whether each pod of a set finds a node: with the right labels, with tolerated taints only, large
//! enough for one pod. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::amounts::{Amounts, requests};
use super::catalogue::PLACEMENT;
use super::finding::Finding;
use super::ground::Ground;
use super::wanting::{OVERLAY, Wanting, items, set_all};
use crate::config::quantity::Quantity;
use crate::deploy::keys;
use crate::model::manifest::RenderedSet;

/// What keeps a pod off every node.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Obstacle {
    NoNode,
    Labels(String),
    Taints(String),
    Size(String),
}

/// The pods that would wait for a node.
pub(super) fn judge(set: &RenderedSet, ground: &Ground) -> Vec<Finding> {
    let nodes = match &ground.nodes {
        Ok(nodes) => nodes,
        Err(why) => return vec![Finding::unchecked(&PLACEMENT, "nodes", why)],
    };
    let usable: Vec<&Value> = nodes.iter().filter(|node| is_usable(node)).collect();
    let mut found: BTreeMap<Obstacle, Wanting> = BTreeMap::new();
    for manifest in &set.manifests {
        let pod = &manifest.value["spec"]["template"]["spec"];
        let Some(obstacle) = pod.as_object().and_then(|_| obstacle(pod, &usable)) else {
            continue;
        };
        let field = match &obstacle {
            Obstacle::NoNode => None,
            Obstacle::Labels(_) => Some("nodeSelector"),
            Obstacle::Taints(_) => Some("tolerations"),
            Obstacle::Size(_) => Some("resources.requests"),
        };
        found
            .entry(obstacle)
            .or_default()
            .add(manifest, |component| {
                Some(format!("{}.{}", keys::placement(component), field?))
            });
    }
    found
        .iter()
        .map(|(obstacle, wanting)| obstructed(obstacle, wanting))
        .collect()
}

fn obstructed(obstacle: &Obstacle, wanting: &Wanting) -> Finding {
    let (workloads, listed) = (wanting.workloads(), wanting.keys());
    let (observed, remedy) = match obstacle {
        Obstacle::NoNode => (
            format!("no node is Ready and schedulable, so {workloads} cannot start"),
            String::new(),
        ),
        Obstacle::Labels(labels) => {
            let all = set_all(&wanting.keys, "null");
            (
                format!(
                    "no Ready, schedulable node has the labels {labels}; asked for by {workloads}"
                ),
                format!("label a node, or {all}, or {OVERLAY}"),
            )
        }
        Obstacle::Taints(taints) => (
            format!("no node is left for {workloads}"),
            format!("none of {listed} tolerates the taint {taints}"),
        ),
        Obstacle::Size(amounts) => (
            format!("one pod of {workloads} asks for {amounts}"),
            format!("lower {listed}, or {OVERLAY}"),
        ),
    };
    let expected = "a node that takes the pod";
    Finding::warning(&PLACEMENT, observed, expected, remedy)
}

/// Whether a node takes new pods at all.
pub(super) fn is_usable(node: &Value) -> bool {
    let is_ready = items(&node["status"]["conditions"])
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
    is_ready && node["spec"]["unschedulable"] != true
}

/// Why a pod cannot run on any of the nodes; `None` if it can.
fn obstacle(pod: &Value, usable: &[&Value]) -> Option<Obstacle> {
    if usable.is_empty() {
        return Some(Obstacle::NoNode);
    }
    let selector = pod["nodeSelector"].as_object();
    let labels: Vec<(&String, &Value)> = selector.into_iter().flatten().collect();
    let fits = |node: &&&Value| {
        let of_node = &node["metadata"]["labels"];
        labels
            .iter()
            .all(|(label, value)| of_node.get(*label) == Some(value))
    };
    let labelled: Vec<&Value> = usable.iter().filter(fits).copied().collect();
    if labelled.is_empty() {
        let text = |(label, value): &(&String, &Value)| {
            format!("{label}={}", value.as_str().unwrap_or_default())
        };
        let labels: Vec<String> = labels.iter().map(text).collect();
        return Some(Obstacle::Labels(labels.join(",")));
    }
    let open: Vec<&Value> = labelled
        .iter()
        .filter(|node| untolerated(pod, node).is_none())
        .copied()
        .collect();
    if open.is_empty() {
        let taints: BTreeSet<String> = labelled
            .iter()
            .filter_map(|node| untolerated(pod, node))
            .collect();
        let taints: Vec<String> = taints.into_iter().collect();
        return Some(Obstacle::Taints(taints.join(", ")));
    }
    too_large(&requests(pod), &open).map(Obstacle::Size)
}

/// A taint of a node that keeps a pod away.
fn untolerated(pod: &Value, node: &Value) -> Option<String> {
    let keeps_away = |taint: &&Value| {
        let effect = taint["effect"].as_str().unwrap_or_default();
        ["NoSchedule", "NoExecute"].contains(&effect)
            && !items(&pod["tolerations"]).any(|toleration| tolerates(toleration, taint))
    };
    let taint = items(&node["spec"]["taints"]).find(keeps_away)?;
    let text = |field: &str| taint[field].as_str().unwrap_or_default();
    Some(match text("value") {
        "" => format!("{}:{}", text("key"), text("effect")),
        value => format!("{}={value}:{}", text("key"), text("effect")),
    })
}

fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (key, effect) = (text(&toleration["key"]), text(&toleration["effect"]));
    let any_value = toleration["operator"] == "Exists";
    (key == text(&taint["key"]) || (key.is_empty() && any_value))
        && (effect.is_empty() || effect == text(&taint["effect"]))
        && (any_value || text(&toleration["value"]) == text(&taint["value"]))
}

/// What of the requests no single node has, with the most that there is.
fn too_large(requests: &Amounts, nodes: &[&Value]) -> Option<String> {
    let has = |node: &Value, resource: &str| match node["status"]["allocatable"].get(resource) {
        None => Some(Quantity::default()),
        Some(amount) => amount.as_str().and_then(Quantity::parse),
    };
    // An amount in a form that is not understood is not held against a node.
    let fits = |node: &&&Value| {
        requests
            .iter()
            .all(|(resource, amount)| has(node, resource).is_none_or(|has| has >= *amount))
    };
    if nodes.iter().any(|node| fits(&node)) {
        return None;
    }
    let texts = requests.iter().map(|(resource, amount)| {
        let most = nodes.iter().filter_map(|node| has(node, resource)).max();
        (resource, *amount, most.unwrap_or_default())
    });
    let (beyond, within): (Vec<_>, Vec<_>) = texts.partition(|(_, amount, most)| amount > most);
    if beyond.is_empty() {
        let texts = within
            .iter()
            .map(|(resource, amount, _)| format!("{} {resource}", amount.canonical()));
        let texts: Vec<String> = texts.collect();
        return Some(format!(
            "{}, which no node has together",
            texts.join(" and ")
        ));
    }
    let texts = beyond.iter().map(|(resource, amount, most)| {
        let (amount, most) = (amount.canonical(), most.canonical());
        format!("{amount} {resource} (the largest node has {most})")
    });
    let texts: Vec<String> = texts.collect();
    Some(texts.join(" and "))
}
