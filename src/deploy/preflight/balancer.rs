//! Whether Services of type LoadBalancer are likely to get an address. Pure.

use serde_json::Value;

use super::catalogue::LOAD_BALANCER;
use super::finding::Finding;
use super::ground::Ground;
use super::prospect::Prospect;
use super::wanting::items;

/// Words in the names of pods that give addresses to Services.
const CONTROLLERS: [&str; 6] = [
    "metallb",
    "kube-vip",
    "svclb-",
    "cloud-controller-manager",
    "loxilb",
    "cloud-provider-kind",
];

/// What hints at nobody who gives addresses.
pub(super) fn judge(prospect: &Prospect, ground: &Ground) -> Option<Finding> {
    let services = ground.services.as_ref().ok()?;
    let is_wanting = |(name, class): &(&str, Option<&str>)| {
        let is_it = |service: &&Value| {
            service["metadata"]["name"] == *name
                && service["metadata"]["namespace"] == prospect.stage.namespace.as_str()
        };
        class.is_none() && !services.iter().find(is_it).is_some_and(has_address)
    };
    let wanting: Vec<&str> = prospect
        .load_balancers()
        .filter(is_wanting)
        .map(|(name, _)| name)
        .collect();
    if wanting.is_empty() || services.iter().any(has_address) || has_controller(ground) {
        return None;
    }
    Some(Finding::warning(
        &LOAD_BALANCER,
        format!(
            "nothing hints at a controller that gives load balancers an address, and {} {} one",
            wanting.join(", "),
            if wanting.len() == 1 { "needs" } else { "need" }
        ),
        "some Service of type LoadBalancer has an address",
        "install one, or set service.type=NodePort of the component",
    ))
}

fn has_address(service: &Value) -> bool {
    service["spec"]["type"] == "LoadBalancer"
        && items(&service["status"]["loadBalancer"]["ingress"])
            .next()
            .is_some()
}

/// A cloud names its machines (`aws:///…`), and controllers run as pods.
fn has_controller(ground: &Ground) -> bool {
    let of_cloud = |node: &Value| {
        let id = node["spec"]["providerID"].as_str().unwrap_or_default();
        !id.is_empty() && !id.starts_with("kind://")
    };
    let is_controller = |pod: &Value| {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
        CONTROLLERS
            .iter()
            .any(|word| name.contains(word) || namespace.contains(word))
    };
    let nodes = ground.nodes.iter().flatten();
    let pods = ground.pods.iter().flatten();
    nodes.into_iter().any(of_cloud) || pods.into_iter().any(is_controller)
}
