//! Whether all pods of a first deployment together find room. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::amounts::{Amounts, add, read, requests, workloads};
use super::catalogue::CAPACITY;
use super::finding::Finding;
use super::ground::Ground;
use super::placement::is_usable;
use super::wanting::OVERLAY;
use crate::model::manifest::RenderedSet;

/// What is asked for and not free.
pub(super) fn judge(set: &RenderedSet, ground: &Ground) -> Vec<Finding> {
    let Ok(nodes) = &ground.nodes else {
        return Vec::new();
    };
    let (free, basis) = free(nodes, ground.pods.as_deref().ok());
    let mut wanted = Amounts::new();
    for (_, pod, pods) in workloads(set) {
        add(&mut wanted, &requests(pod), pods);
    }
    let short: Vec<String> = wanted
        .iter()
        .filter_map(|(resource, amount)| {
            let left = free.get(resource).copied().unwrap_or_default();
            (*amount > left).then(|| {
                let (amount, left) = (amount.canonical(), left.canonical());
                format!("{amount} {resource}, and {left} {basis}")
            })
        })
        .collect();
    if short.is_empty() || nodes.iter().all(|node| !is_usable(node)) {
        return Vec::new();
    }
    vec![Finding::warning(
        &CAPACITY,
        format!(
            "all pods of {} together ask for {}",
            set.profile,
            short.join("; ")
        ),
        "the usable nodes have room for all pods",
        format!("add nodes, lower resources.requests or replicas, or {OVERLAY}"),
    )]
}

/// What the usable nodes have left, and what that is; of other pods only those count that hold
/// room on such a node. Without a list of pods it is what the nodes have altogether.
fn free(nodes: &[Value], pods: Option<&[Value]>) -> (Amounts, &'static str) {
    let mut left: BTreeMap<&str, Amounts> = nodes
        .iter()
        .filter(|node| is_usable(node))
        .map(|node| {
            let name = node["metadata"]["name"].as_str().unwrap_or_default();
            (name, read(&node["status"]["allocatable"]))
        })
        .collect();
    let is_over = |pod: &Value| {
        let phase = pod["status"]["phase"].as_str().unwrap_or_default();
        ["Succeeded", "Failed"].contains(&phase)
    };
    for pod in pods.into_iter().flatten().filter(|pod| !is_over(pod)) {
        let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
        let Some(left) = left.get_mut(node) else {
            continue;
        };
        for (resource, amount) in requests(&pod["spec"]) {
            if let Some(left) = left.get_mut(&resource) {
                *left = left.minus(amount);
            }
        }
    }
    let mut sum = Amounts::new();
    for amounts in left.values() {
        add(&mut sum, amounts, 1);
    }
    let basis = match pods {
        Some(_) => "is free on the usable nodes",
        None => "is all that the usable nodes have",
    };
    (sum, basis)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::quantity::Quantity;

    fn amount(amounts: &Amounts, resource: &str) -> String {
        let found: Option<&Quantity> = amounts.get(resource);
        found.map(|found| found.canonical()).unwrap_or_default()
    }

    #[test]
    fn d13_pods_that_run_take_room_and_those_that_are_over_do_not() {
        let node = |name: &str| {
            json!({
                "metadata": {"name": name},
                "status": {
                    "conditions": [{"type": "Ready", "status": "True"}],
                    "allocatable": {"cpu": "4", "memory": "8Gi"},
                },
            })
        };
        let pod = |node: &str, phase: &str| {
            json!({
                "spec": {"nodeName": node, "containers": [
                    {"resources": {"requests": {"cpu": "1500m"}}},
                ]},
                "status": {"phase": phase},
            })
        };
        let nodes = [node("a"), node("b")];
        let pods = [
            pod("a", "Running"),
            pod("a", "Succeeded"),
            pod("", "Pending"),
            pod("elsewhere", "Running"),
        ];
        let (left, _) = free(&nodes, Some(&pods));
        assert_eq!(amount(&left, "cpu"), "6500m");
        assert_eq!(amount(&left, "memory"), "16Gi");
        let (all, basis) = free(&nodes, None);
        assert_eq!(amount(&all, "cpu"), "8");
        assert!(basis.contains("all that"), "{basis}");
    }
}
