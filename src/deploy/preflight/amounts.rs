//! What pods ask for. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::wanting::items;
use crate::config::quantity::Quantity;
use crate::model::manifest::{Manifest, RenderedSet};
use crate::model::object::ObjectKind;

/// Amounts by resource, such as `cpu`.
pub(super) type Amounts = BTreeMap<String, Quantity>;

/// A workload of a set, its pod's spec and how many pods it starts with.
pub(super) fn workloads(set: &RenderedSet) -> impl Iterator<Item = (&Manifest, &Value, u32)> {
    let manifests = set.manifests.iter();
    manifests.filter_map(|manifest| {
        let spec = &manifest.value["spec"];
        let pod = &spec["template"]["spec"];
        pod.as_object()?;
        let pods = match manifest.object.kind {
            ObjectKind::Job => 1,
            _ => spec["replicas"].as_u64().unwrap_or(1),
        };
        Some((manifest, pod, u32::try_from(pods).unwrap_or(u32::MAX)))
    })
}

/// Adds amounts, that many times.
pub(super) fn add(sum: &mut Amounts, amounts: &Amounts, times: u32) {
    for (resource, amount) in amounts {
        let all = sum.entry(resource.clone()).or_default();
        *all = all.plus(amount.times(times));
    }
}

/// What one pod asks for: its containers together, or a single container that runs before them.
pub(super) fn requests(pod: &Value) -> Amounts {
    of_pod(pod, |container| {
        of_container(container, &["limits", "requests"])
    })
}

/// What one pod may take at most, as far as its containers say.
pub(super) fn limits(pod: &Value) -> Amounts {
    of_pod(pod, |container| of_container(container, &["limits"]))
}

fn of_pod(pod: &Value, amounts: impl Fn(&Value) -> Amounts) -> Amounts {
    let mut sum = Amounts::new();
    for container in items(&pod["containers"]) {
        add(&mut sum, &amounts(container), 1);
    }
    for container in items(&pod["initContainers"]) {
        for (resource, amount) in amounts(container) {
            let most = sum.entry(resource).or_default();
            *most = amount.max(*most);
        }
    }
    sum
}

/// The amounts of a container, later parts first. Where a container says only what it may take at
/// most, it asks for that.
fn of_container(container: &Value, parts: &[&str]) -> Amounts {
    let mut amounts = Amounts::new();
    for part in parts {
        amounts.extend(read(&container["resources"][part]));
    }
    amounts
}

/// A map of quantities. One in a form that is not understood is left out.
pub(super) fn read(map: &Value) -> Amounts {
    let entries = map.as_object().into_iter().flatten();
    let known = entries.filter_map(|(resource, amount)| {
        let text = amount.as_str().map(str::to_owned);
        let text = text.unwrap_or_else(|| amount.to_string());
        Some((resource.clone(), Quantity::parse(&text)?))
    });
    known.collect()
}
