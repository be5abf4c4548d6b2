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
use crate::deploy::run::Part;
use crate::deploy::secrets::{Vault, host_of};
use crate::model::component::Component;
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
    /// Whether that includes what the clusters hold: not if one of them could not be asked.
    pub(super) has_looked: bool,
    /// Every stage of the run, those too that are only looked at.
    pub(super) stages: &'a [Prospect],
}

impl Makers<'_> {
    /// Whether a stage of the run makes a content, or it is known already.
    pub(super) fn make(&self, content: SecretContent) -> bool {
        let is_known = self.vault.known.contains_key(&content);
        match content {
            SecretContent::Given => is_known,
            SecretContent::CaCertificate(component) => self.run(component) && self.sign(),
            SecretContent::EtcdClientCertificate | SecretContent::EtcdClientKey => {
                self.run(Component::Etcd) && self.sign()
            }
            _ => match host_of(content) {
                Some(host) => is_known || self.make_up(content, host),
                None => self.sign(),
            },
        }
    }

    /// Whether a component is one of the run's, and not somebody else's.
    fn run(&self, component: Component) -> bool {
        let mut stages = self.stages.iter();
        stages.any(|stage| hosts(&stage.set, component))
    }

    /// The stages that may make something. What others hold is known, once they were looked at.
    fn makers(&self) -> impl Iterator<Item = &RenderedSet> {
        let is_maker = |stage: &&Prospect| stage.part == Part::Applied || !self.has_looked;
        let stages = self.stages.iter().filter(is_maker);
        stages.map(|stage| &stage.set)
    }

    /// Whether a password is made up where its server runs: one that does not ask for it has none.
    fn make_up(&self, content: SecretContent, host: Component) -> bool {
        self.makers().any(|set| {
            let mut keys = set.secrets.iter().flat_map(|need| &need.keys);
            hosts(set, host) && keys.any(|key| key.content == content)
        })
    }

    /// Whether there is a private authority, or one is made: it is with the first server.
    fn sign(&self) -> bool {
        let is_made = |set: &RenderedSet| SERVERS.iter().any(|server| hosts(set, *server));
        self.vault.authority.is_some() || self.makers().any(is_made)
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
        if ground.unread_secrets.contains(&need.name) {
            continue;
        }
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
