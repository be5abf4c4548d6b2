//! Whether a cluster has what a set refers to: API groups, and Secrets that nobody but a person can
//! make. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::catalogue::{KINDS, SECRETS};
use super::finding::{Finding, Severity};
use super::ground::{Ground, Place};
use super::prospect::Prospect;
use crate::deploy::knowledge::SERVERS;
use crate::deploy::layout::Stage;
use crate::deploy::plan::hosts;
use crate::deploy::secrets::{Vault, host_of};
use crate::model::manifest::{RenderedSet, SecretContent};
use crate::model::shell::quoted;

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

/// Who makes the contents of Secrets in a run.
pub(super) struct Makers<'a> {
    /// What the command line gave, and what is there already.
    pub(super) vault: &'a Vault,
    /// Every stage of the run, those too that are only looked at.
    pub(super) stages: &'a [Prospect],
}

impl Makers<'_> {
    /// Whether a stage of the run makes a content, or it is known already.
    pub(super) fn make(&self, content: SecretContent) -> bool {
        let is_here = |server| {
            let mut stages = self.stages.iter();
            stages.any(|stage| hosts(&stage.set, server))
        };
        match (content, host_of(content)) {
            (SecretContent::Given, _) => self.vault.known.contains_key(&content),
            (_, Some(host)) => self.vault.known.contains_key(&content) || is_here(host),
            // What the private authority signs: it is made with the first server.
            (_, None) => self.vault.authority.is_some() || SERVERS.into_iter().any(is_here),
        }
    }
}

/// The Secrets that a person has to make and that are not there, or not whole.
pub(super) fn absent_secrets(
    prospect: &Prospect,
    place: &Place,
    ground: &Ground,
    makers: &Makers<'_>,
) -> Vec<Finding> {
    let Stage {
        context, namespace, ..
    } = &prospect.stage;
    let kubectl = format!("kubectl --context {}", quoted(context));
    let mut found = Vec::new();
    for need in &prospect.set.secrets {
        let live = ground.secrets.get(&need.name);
        let lacks = |key: &str| live.is_none_or(|live| !live.data.contains_key(key));
        let keys: Vec<&str> = need
            .keys
            .iter()
            .filter(|key| !makers.make(key.content))
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
        let before = if place.namespace_missing {
            format!("{kubectl} create namespace {namespace}; ")
        } else {
            String::new()
        };
        let finding = Finding::warning(
            &SECRETS,
            observed,
            format!(
                "it has the keys {}: no stage of this run can make them",
                keys.join(", ")
            ),
            format!(
                "{before}{kubectl} -n {namespace} create secret generic {}{from}",
                need.name
            ),
        );
        found.push(finding.being(Severity::Error));
    }
    found
}
