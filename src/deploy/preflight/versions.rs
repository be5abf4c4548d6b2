//! Whether the workers of all clusters run one version. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::amounts::workloads;
use super::catalogue::ONE_VERSION;
use super::finding::{Finding, Severity};
use super::prospect::Prospect;
use super::wanting::items;
use crate::deploy::keys;
use crate::deploy::run::Part;
use crate::model::component::Component;

/// Workers that run in a cluster and that the run does not touch: the context, what, its image.
pub(super) type Untouched = (String, String, String);

/// The tag or digest of an image.
fn version(image: &str) -> &str {
    if let Some((_, digest)) = image.split_once('@') {
        return digest;
    }
    let last = image.rsplit('/').next().unwrap_or(image);
    last.split_once(':').map_or("latest", |(_, tag)| tag)
}

fn is_worker(object: &Value) -> bool {
    keys::component_of(object).is_some_and(|component| Component::WORKERS.contains(&component))
}

/// The image of a workload's first container.
fn image(object: &Value) -> Option<&str> {
    items(&object["spec"]["template"]["spec"]["containers"]).next()?["image"].as_str()
}

/// The live workers among these workloads that no applied stage renders.
pub(super) fn untouched(
    context: &str,
    live: &[(&'static str, Value)],
    prospects: &[Prospect],
) -> Vec<Untouched> {
    let is_touched = |kind: &str, object: &Value| {
        prospects.iter().any(|prospect| {
            prospect.part == Part::Applied
                && prospect.stage.context == context
                && object["metadata"]["namespace"] == prospect.stage.namespace.as_str()
                && prospect.set.manifests.iter().any(|manifest| {
                    manifest.object.kind.name() == kind
                        && object["metadata"]["name"] == manifest.object.name.as_str()
                })
        })
    };
    live.iter()
        .filter(|(kind, object)| is_worker(object) && !is_touched(kind, object))
        .filter_map(|(kind, object)| {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            let what = format!("{kind}/{name}");
            Some((context.to_owned(), what, image(object)?.to_owned()))
        })
        .collect()
}

/// The versions that would run side by side.
pub(super) fn judge(prospects: &[Prospect], untouched: &[Untouched]) -> Vec<Finding> {
    let mut wanted: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let applied = prospects
        .iter()
        .filter(|prospect| prospect.part == Part::Applied);
    for prospect in applied {
        for (manifest, _, _) in workloads(&prospect.set) {
            if let (true, Some(image)) = (is_worker(&manifest.value), image(&manifest.value)) {
                let place = format!("{} on {}", prospect.stage.profile, prospect.stage.context);
                wanted.entry(version(image)).or_default().insert(place);
            }
        }
    }
    let listed = |places: &BTreeSet<String>| {
        let places: Vec<&str> = places.iter().map(String::as_str).collect();
        places.join(", ")
    };
    let expected = "the workers of all clusters run one tag or digest";
    if wanted.len() > 1 {
        let parts: Vec<String> = wanted
            .iter()
            .map(|(version, places)| format!("{version} for {}", listed(places)))
            .collect();
        let finding = Finding::warning(
            &ONE_VERSION,
            format!(
                "the workers would get different versions: {}",
                parts.join("; ")
            ),
            expected,
            "give image.tag once, for all clusters",
        );
        return vec![finding.being(Severity::Error)];
    }
    let Some((new, _)) = wanted.first_key_value() else {
        return Vec::new();
    };
    left_behind(new, untouched, expected)
}

fn left_behind(new: &str, untouched: &[Untouched], expected: &str) -> Vec<Finding> {
    let mut old: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for (context, what, image) in untouched {
        if version(image) != new {
            old.entry((context, version(image)))
                .or_default()
                .insert(what);
        }
    }
    let finding = |((context, version), workers): ((&str, &str), BTreeSet<&str>)| {
        let workers: Vec<&str> = workers.into_iter().collect();
        let finding = Finding::warning(
            &ONE_VERSION,
            format!(
                "{} stays at version {version}, this run deploys {new}",
                workers.join(", ")
            ),
            expected,
            "deploy-all brings all clusters to one version",
        );
        finding.in_cluster(context)
    };
    old.into_iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d17_a_version_is_a_tag_or_a_digest_whatever_the_registry() {
        assert_eq!(version("telectl:1.2"), "1.2");
        assert_eq!(version("r.io:5000/a/telectl:1.2"), "1.2");
        assert_eq!(version("r.io:5000/a/telectl"), "latest");
        assert_eq!(version("r.io/telectl:1@sha256:ab"), "sha256:ab");
    }

    #[test]
    fn d17_workers_of_another_version_are_left_behind_by_name() {
        let worker = |context: &str, what: &str, image: &str| {
            (context.to_owned(), what.to_owned(), image.to_owned())
        };
        let untouched = [
            worker("edge", "StatefulSet/streamer", "telectl:1"),
            worker("edge-2", "StatefulSet/streamer", "telectl:2"),
        ];
        let found = left_behind("2", &untouched, "");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].cluster, "edge");
        assert_eq!(
            found[0].observed,
            "StatefulSet/streamer stays at version 1, this run deploys 2"
        );
        assert_eq!(found[0].severity, Severity::Warning);
    }
}
