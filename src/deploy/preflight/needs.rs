//! Whether a cluster has what a set refers to: API groups, and Secrets that only a person can
//! make. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::catalogue::{KINDS, SECRETS};
use super::finding::{Finding, Severity};
use super::ground::Ground;
use super::prospect::Prospect;
use crate::model::manifest::{RenderedSet, SecretContent};

/// The kinds whose API group and version are not served.
pub(super) fn unserved(set: &RenderedSet, served: &BTreeSet<String>) -> Vec<Finding> {
    let mut lacking: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for manifest in &set.manifests {
        let version = manifest.value["apiVersion"].as_str().unwrap_or_default();
        if version.contains('/') && !served.contains(version) {
            let kind = manifest.object.kind.name();
            lacking.entry(version).or_default().insert(kind);
        }
    }
    let finding = |(version, kinds): (&str, BTreeSet<&str>)| {
        let kinds: Vec<&str> = kinds.into_iter().collect();
        let group = version.split('/').next().unwrap_or_default();
        let remedy = match group {
            "monitoring.coreos.com" => {
                "install the Prometheus operator first, or --set monitoring.enabled=false"
            }
            group if is_of_kubernetes(group) => {
                "use a newer Kubernetes, or one that has it switched on"
            }
            _ => "install the CustomResourceDefinitions of this group",
        };
        let observed = format!("{version} is not served, and {} needs it", kinds.join(", "));
        Finding::warning(&KINDS, observed, "every kind is served", remedy).being(Severity::Error)
    };
    lacking.into_iter().map(finding).collect()
}

/// The groups that every Kubernetes serves by itself have no dot or end like this.
fn is_of_kubernetes(group: &str) -> bool {
    !group.contains('.') || group.ends_with(".k8s.io")
}

/// The Secrets that a person has to make and that are not there, or not whole. `is_given` says what
/// the command line gave.
pub(super) fn absent_secrets(
    prospect: &Prospect,
    ground: &Ground,
    is_given: impl Fn(SecretContent) -> bool,
) -> Vec<Finding> {
    let namespace = &prospect.stage.namespace;
    let mut found = Vec::new();
    for need in &prospect.set.secrets {
        let live = ground.secrets.get(&need.name);
        let lacks = |key: &str| live.is_none_or(|live| !live.data.contains_key(key));
        let keys: Vec<&str> = need
            .keys
            .iter()
            .filter(|key| key.content == SecretContent::Given && !is_given(key.content))
            .map(|key| key.key.as_str())
            .filter(|key| lacks(key))
            .collect();
        if keys.is_empty() {
            continue;
        }
        let observed = match live {
            None => format!("there is no Secret {namespace}/{}", need.name),
            Some(_) => format!("Secret {namespace}/{} lacks {}", need.name, keys.join(", ")),
        };
        let from: String = keys
            .iter()
            .map(|key| format!(" --from-file={key}=FILE"))
            .collect();
        let finding = Finding::warning(
            &SECRETS,
            observed,
            format!("it has the keys {}", keys.join(", ")),
            format!(
                "kubectl -n {namespace} create secret generic {}{from}",
                need.name
            ),
        );
        found.push(finding.being(Severity::Error));
    }
    found
}
