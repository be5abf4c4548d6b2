//! Whether images can be pulled, as far as that can be told without asking a registry. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::amounts::workloads;
use super::catalogue::IMAGES;
use super::finding::{Finding, Severity};
use super::ground::Ground;
use super::placement::is_usable;
use super::prospect::Prospect;
use super::wanting::items;

/// A kubelet names at most this many images of its node, the largest first.
const NAMED_AT_MOST: usize = 50;

/// What keeps images away from nodes.
pub(super) fn judge(prospect: &Prospect, ground: &Ground) -> Vec<Finding> {
    let mut found: Vec<Finding> = absent_pull_secrets(prospect, ground).into_iter().collect();
    let Ok(nodes) = &ground.nodes else {
        return found;
    };
    let usable: Vec<&Value> = nodes.iter().filter(|node| is_usable(node)).collect();
    if usable.is_empty() {
        return found;
    }
    let there: BTreeSet<&str> = usable.iter().flat_map(|node| names(node)).collect();
    let (mut never, mut unknown) = (BTreeSet::new(), BTreeSet::new());
    for (image, policy) in images(prospect) {
        if there.contains(normal(image).as_str()) || there.contains(image) {
            continue;
        }
        if policy == "Never" {
            never.insert(image);
        } else {
            unknown.insert(image);
        }
    }
    let all_are_named = usable
        .iter()
        .all(|node| items(&node["status"]["images"]).count() < NAMED_AT_MOST);
    if !never.is_empty() {
        let severity = if all_are_named {
            Severity::Error
        } else {
            Severity::Warning
        };
        found.push(on_no_node(&listed(&never)).being(severity));
    }
    if !unknown.is_empty() {
        let observed = format!("not checked: whether {} can be pulled", listed(&unknown));
        let finding = Finding::warning(&IMAGES, observed, "the registry has them", "");
        found.push(finding.being(Severity::Note));
    }
    found
}

fn listed(names: &BTreeSet<&str>) -> String {
    let names: Vec<&str> = names.iter().copied().collect();
    names.join(", ")
}

fn on_no_node(images: &str) -> Finding {
    Finding::warning(
        &IMAGES,
        format!("no usable node has {images}, and imagePullPolicy is Never"),
        "what is never pulled is on every node already",
        "load the image into the nodes, or set image.pullPolicy=IfNotPresent",
    )
}

fn absent_pull_secrets(prospect: &Prospect, ground: &Ground) -> Option<Finding> {
    let named: BTreeSet<&str> = prospect.pull_secrets().collect();
    let absent: BTreeSet<&str> = named
        .into_iter()
        .filter(|name| !ground.secrets.contains_key(*name))
        .collect();
    let first = absent.first()?;
    let namespace = &prospect.stage.namespace;
    Some(Finding::warning(
        &IMAGES,
        format!(
            "namespace {namespace} has no pull secret {}",
            listed(&absent)
        ),
        "every pull secret that is named exists; without it images are pulled anonymously",
        format!("kubectl -n {namespace} create secret docker-registry {first} …"),
    ))
}

/// Every image of a set and its pull policy.
fn images(prospect: &Prospect) -> BTreeMap<&str, &str> {
    let pods = workloads(&prospect.set).map(|(_, pod, _)| pod);
    let containers =
        pods.flat_map(|pod| items(&pod["containers"]).chain(items(&pod["initContainers"])));
    containers
        .filter_map(|container| {
            let policy = container["imagePullPolicy"].as_str().unwrap_or_default();
            Some((container["image"].as_str()?, policy))
        })
        .collect()
}

/// The names of a node's images.
fn names(node: &Value) -> impl Iterator<Item = &str> {
    items(&node["status"]["images"])
        .flat_map(|image| items(&image["names"]))
        .filter_map(Value::as_str)
}

/// An image's full name: `redis:8` is `docker.io/library/redis:8`.
fn normal(image: &str) -> String {
    let (first, rest) = image.split_once('/').unwrap_or(("", image));
    let is_registry = first.contains(['.', ':']) || first == "localhost";
    let named = match (is_registry, first) {
        (true, _) => image.to_owned(),
        (false, "") => format!("docker.io/library/{rest}"),
        (false, _) => format!("docker.io/{image}"),
    };
    let last = named.rsplit('/').next().unwrap_or_default();
    if last.contains([':', '@']) {
        named
    } else {
        format!("{named}:latest")
    }
}

#[cfg(test)]
mod tests {
    use super::normal;

    #[test]
    fn an_image_has_one_full_name() {
        assert_eq!(normal("redis:8"), "docker.io/library/redis:8");
        assert_eq!(normal("a/b"), "docker.io/a/b:latest");
        assert_eq!(normal("localhost/telectl:1"), "localhost/telectl:1");
        assert_eq!(normal("r.io:5000/a"), "r.io:5000/a:latest");
        assert_eq!(normal("r.io/a@sha256:0"), "r.io/a@sha256:0");
    }
}
