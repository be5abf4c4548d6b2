//! Whether volumes that are to be made find a storage class. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::catalogue::STORAGE;
use super::finding::Finding;
use super::ground::Ground;
use super::wanting::{OVERLAY, Wanting, items, set_all};
use crate::deploy::keys;
use crate::model::manifest::{Manifest, RenderedSet};

/// The volumes that would never be made.
pub(super) fn judge(set: &RenderedSet, ground: &Ground) -> Vec<Finding> {
    let mut wanted: BTreeMap<Option<&str>, Wanting> = BTreeMap::new();
    for manifest in &set.manifests {
        for template in items(&manifest.value["spec"]["volumeClaimTemplates"]) {
            if ground
                .claims
                .as_ref()
                .is_ok_and(|claims| !is_to_be_made(manifest, template, claims))
            {
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
    match (&ground.classes, &ground.claims) {
        (Err(why), _) | (_, Err(why)) => {
            vec![Finding::unchecked(&STORAGE, "StorageClasses", why)]
        }
        (Ok(classes), Ok(_)) => wanted
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

fn lacking_class(class: Option<&str>, wanting: &Wanting, classes: &[Value]) -> Option<Finding> {
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
    Some(Finding::warning(
        &STORAGE,
        format!("{lack} ({there})"),
        "every volume that is to be made finds its StorageClass",
        advice,
    ))
}
