//! Whether a cluster has what the pods of a set will ask for, so that a deployment does not wait in
//! vain: storage classes, nodes with the right labels, nodes that are large enough. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::ground::Ground;
use super::keys;
use crate::config::quantity::Quantity;
use crate::model::manifest::{Manifest, RenderedSet};

/// What takes the profiles' demands away.
const OVERLAY: &str = "-f lab (for small machines)";

/// What the cluster lacks, each with the values to set; `claims` are those of the namespace.
pub(super) fn warnings(set: &RenderedSet, ground: &Ground, claims: &[Value]) -> Vec<String> {
    let mut found = storage(set, ground, claims);
    match &ground.nodes {
        Err(why) => found.push(format!("nodes were not checked: {why}")),
        Ok(nodes) => found.extend(placement(set, nodes)),
    }
    found
}

/// A workload, as messages name it.
fn named(manifest: &Manifest) -> String {
    format!("{}/{}", manifest.object.kind, manifest.object.name)
}

/// `--set A=VALUE,B=VALUE` for the keys that are known.
fn set_all(keys: &BTreeSet<String>, value: &str) -> String {
    let settings: Vec<String> = keys.iter().map(|key| format!("{key}={value}")).collect();
    format!("--set {}", settings.join(","))
}

/// Those that lack one thing, and the keys that name it.
#[derive(Debug, Default)]
struct Wanting {
    workloads: BTreeSet<String>,
    keys: BTreeSet<String>,
}

impl Wanting {
    fn add(
        &mut self,
        manifest: &Manifest,
        key: impl Fn(crate::model::component::Component) -> Option<String>,
    ) {
        self.workloads.insert(named(manifest));
        self.keys
            .extend(keys::component_of(&manifest.value).and_then(key));
    }

    fn workloads(&self) -> String {
        let names: Vec<&str> = self.workloads.iter().map(String::as_str).collect();
        names.join(", ")
    }
}

fn storage(set: &RenderedSet, ground: &Ground, claims: &[Value]) -> Vec<String> {
    let mut wanted: BTreeMap<Option<&str>, Wanting> = BTreeMap::new();
    for manifest in &set.manifests {
        for template in items(&manifest.value["spec"]["volumeClaimTemplates"]) {
            if !is_to_be_made(manifest, template, claims) {
                continue;
            }
            let class = template["spec"]["storageClassName"].as_str();
            wanted.entry(class).or_default().add(manifest, |component| {
                Some(format!("{}.storageClass", keys::volume(component)?))
            });
        }
    }
    if wanted.is_empty() {
        return Vec::new();
    }
    match &ground.classes {
        Err(why) => vec![format!("StorageClasses were not checked: {why}")],
        Ok(classes) => wanted
            .iter()
            .filter_map(|(class, wanting)| lacking_class(*class, wanting, classes))
            .collect(),
    }
}

/// Whether any pod of a workload has no claim by this template yet.
fn is_to_be_made(manifest: &Manifest, template: &Value, claims: &[Value]) -> bool {
    let replicas = manifest.value["spec"]["replicas"].as_u64().unwrap_or(1);
    let name = template["metadata"]["name"].as_str().unwrap_or_default();
    (0..replicas).any(|ordinal| {
        let claim = format!("{name}-{}-{ordinal}", manifest.object.name);
        !claims
            .iter()
            .any(|found| found["metadata"]["name"] == claim)
    })
}

fn is_default(class: &Value) -> bool {
    let annotations = &class["metadata"]["annotations"];
    annotations["storageclass.kubernetes.io/is-default-class"] == "true"
}

fn lacking_class(class: Option<&str>, wanting: &Wanting, classes: &[Value]) -> Option<String> {
    let name = |class: &Value| {
        class["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let default = classes.iter().find(|class| is_default(class)).map(name);
    let is_met = match class {
        Some(wanted) => classes.iter().any(|class| name(class) == wanted),
        None => default.is_some(),
    };
    if is_met {
        return None;
    }
    let there = match classes {
        [] => "there is none at all".to_owned(),
        several => {
            let names: Vec<String> = several
                .iter()
                .map(|class| {
                    let mark = if is_default(class) { " (default)" } else { "" };
                    format!("`{}`{mark}", name(class))
                })
                .collect();
            format!("there are {}", names.join(", "))
        }
    };
    let workloads = wanting.workloads();
    let lack = match class {
        Some(class) => format!("no StorageClass is called `{class}`; asked for by {workloads}"),
        None => format!("no StorageClass is the default; one is needed by {workloads}"),
    };
    let advice = match (&default, classes.first()) {
        (Some(default), _) => {
            let all = set_all(&wanting.keys, "");
            format!("{all} takes `{default}`; or {OVERLAY}")
        }
        (None, Some(first)) => set_all(&wanting.keys, &name(first)),
        (None, None) => "install a provisioner of volumes".to_owned(),
    };
    Some(format!("{lack} ({there}): {advice}"))
}

/// What keeps a pod off every node.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Obstacle {
    NoNode,
    Labels(String),
    Taints(String),
    Size(String),
}

fn placement(set: &RenderedSet, nodes: &[Value]) -> Vec<String> {
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

fn obstructed(obstacle: &Obstacle, wanting: &Wanting) -> String {
    let (workloads, keys) = (wanting.workloads(), &wanting.keys);
    let listed: Vec<&str> = keys.iter().map(String::as_str).collect();
    let listed = listed.join(", ");
    match obstacle {
        Obstacle::NoNode => {
            format!("no node is Ready and schedulable, so {workloads} cannot start")
        }
        Obstacle::Labels(labels) => {
            let all = set_all(keys, "null");
            format!(
                "no Ready, schedulable node has the labels {labels}; asked for by {workloads}: \
                 label a node, or {all}, or {OVERLAY}"
            )
        }
        Obstacle::Taints(taints) => format!(
            "no node is left for {workloads}: none of {listed} tolerates the taint {taints}"
        ),
        Obstacle::Size(amounts) => {
            format!("one pod of {workloads} asks for {amounts}: lower {listed}, or {OVERLAY}")
        }
    }
}

/// Whether a node takes new pods at all.
fn is_usable(node: &Value) -> bool {
    let is_ready = items(&node["status"]["conditions"])
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
    is_ready && node["spec"]["unschedulable"] != true
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
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

type Amounts = BTreeMap<String, Quantity>;

/// What one pod asks for: its containers together, or a single container that runs before them.
fn requests(pod: &Value) -> Amounts {
    let mut sum = Amounts::new();
    for container in items(&pod["containers"]) {
        for (resource, amount) in of_container(container) {
            let all = sum.entry(resource).or_default();
            *all = all.plus(amount);
        }
    }
    for container in items(&pod["initContainers"]) {
        for (resource, amount) in of_container(container) {
            let most = sum.entry(resource).or_default();
            *most = amount.max(*most);
        }
    }
    sum
}

/// Where a container says only what it may take at most, it asks for that.
fn of_container(container: &Value) -> Amounts {
    let mut amounts = Amounts::new();
    for part in ["limits", "requests"] {
        for (resource, amount) in container["resources"][part]
            .as_object()
            .into_iter()
            .flatten()
        {
            if let Some(amount) = amount.as_str().and_then(Quantity::parse) {
                amounts.insert(resource.clone(), amount);
            }
        }
    }
    amounts
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

#[cfg(test)]
#[path = "preflight_tests.rs"]
mod tests;
