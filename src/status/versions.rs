//! Which versions run where, and whether they differ. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::collect::{ClusterFacts, Collected};
use super::report::{VersionSeen, VersionStatus};
use crate::model::component::Component;
use crate::validate::facts::Pod;

/// The workers, which are one program; then each server; then what deployed them.
pub(super) fn versions(collected: &Collected) -> Vec<VersionStatus> {
    let clusters = &collected.clusters;
    let servers = Component::ALL
        .into_iter()
        .filter(|component| !Component::WORKERS.contains(component))
        .map(|component| (component.name(), vec![component]));
    std::iter::once(("workers", Component::WORKERS.to_vec()))
        .chain(servers)
        .map(|(of, components)| images(of, &components, clusters))
        .chain(std::iter::once(deployers(clusters)))
        .filter(|status| !status.seen.is_empty())
        .collect()
}

fn images(of: &'static str, components: &[Component], clusters: &[ClusterFacts]) -> VersionStatus {
    let mut counts: BTreeMap<(String, String, Option<String>), usize> = BTreeMap::new();
    for facts in clusters {
        for component in components {
            let workloads = facts.objects.workloads_of(*component);
            for pod in workloads.flat_map(|workload| facts.objects.pods_of(workload)) {
                let reported = reported(facts, pod);
                let key = (facts.context.clone(), tag(&pod.image), reported);
                *counts.entry(key).or_default() += 1;
            }
        }
    }
    let seen = counts
        .into_iter()
        .map(|((cluster, version, reported), pods)| VersionSeen {
            cluster,
            version,
            reported,
            pods,
        });
    status(of, seen.collect())
}

fn reported(facts: &ClusterFacts, pod: &Pod) -> Option<String> {
    let worker = facts.workers.iter().find(|worker| worker.pod == pod.name)?;
    worker.text("version").map(str::to_owned)
}

fn deployers(clusters: &[ClusterFacts]) -> VersionStatus {
    let seen: BTreeSet<VersionSeen> = clusters
        .iter()
        .flat_map(|facts| facts.deployed.iter().map(move |one| (facts, one)))
        .filter(|(_, deployed)| !deployed.version.is_empty())
        .map(|(facts, deployed)| VersionSeen {
            cluster: facts.context.clone(),
            version: deployed.version.clone(),
            reported: None,
            pods: 0,
        })
        .collect();
    status("telectl", seen.into_iter().collect())
}

fn status(of: &'static str, seen: Vec<VersionSeen>) -> VersionStatus {
    let versions: BTreeSet<&str> = seen.iter().map(|one| one.version.as_str()).collect();
    let reported: BTreeSet<&str> = seen
        .iter()
        .filter_map(|one| one.reported.as_deref())
        .collect();
    let is_skewed = versions.len() > 1 || reported.len() > 1;
    VersionStatus {
        of,
        seen,
        is_skewed,
    }
}

/// What tells two builds of an image apart: its digest or its tag. The registry may differ.
pub fn tag(image: &str) -> String {
    if let Some((_, digest)) = image.split_once('@') {
        return digest.to_owned();
    }
    let name = image.rsplit('/').next().unwrap_or(image);
    name.split_once(':')
        .map_or("latest", |(_, tag)| tag)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::tag;

    #[test]
    fn s05_a_build_is_told_by_digest_or_tag_whatever_the_registry() {
        assert_eq!(tag("registry.example:5000/team/telectl:1.2"), "1.2");
        assert_eq!(tag("registry.example:5000/telectl"), "latest");
        assert_eq!(tag("telectl:1.2@sha256:abcd"), "sha256:abcd");
    }
}
