//! Rules about pods: their source, their images, their variables.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::values::CsvSourceType;
use crate::config::worker::VARIABLES;
use crate::config::{KeyPath, Source};
use crate::model::component::Component;
use crate::render::images::effective;

use super::finding::Finding;
use super::rule;
use super::subject::{Pod, Subject, items};

/// Where the sample file is in telectl's own image.
const IMAGE_DATA: &str = "/data";

/// Every file and every volume that a pod uses is there.
pub(super) fn source(subject: Subject<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for pod in subject.pods() {
        let volumes: BTreeSet<&str> = volumes(pod).collect();
        for name in mounts(pod).map(|(name, _)| name) {
            if !volumes.contains(name) {
                let says = format!("mounts the volume `{name}`, which its pods do not have");
                found.push(subject.about_object(&rule::SOURCE, pod.manifest, says));
            }
        }
    }
    let streamers = subject.workers();
    let mut streamers = streamers.filter(|pod| pod.component() == Component::Streamer.name());
    let file = streamers.find_map(|pod| Some((pod, pod.variable("CSV_FILE")?)));
    if let Some((pod, file)) = file {
        let mut folders: Vec<&str> = mounts(pod).map(|(_, folder)| folder).collect();
        let embedded = subject.values().streamer.config.csv_source.kind == CsvSourceType::Embedded;
        if embedded {
            folders.push(IMAGE_DATA);
        }
        let is_in = |folder: &str| {
            let below = file.strip_prefix(folder.trim_end_matches('/'));
            below.is_some_and(|rest| rest.starts_with('/'))
        };
        // An image of somebody's own may have its files anywhere.
        let is_known = !embedded || is_telectls_image(subject);
        if is_known && !folders.into_iter().any(is_in) {
            let says = format!("is `{file}`, which is neither in the image nor in a volume");
            found.push(subject.about_key(&rule::SOURCE, "streamer.config.csvFile", says));
        }
    }
    found
}

fn is_telectls_image(subject: Subject<'_>) -> bool {
    let place = subject.resolved.place(&KeyPath::from("image.repository"));
    place.is_some_and(|place| matches!(place.source, Source::BuiltIn | Source::Profile(_)))
        && subject.values().streamer.image.repository.is_empty()
}

fn volumes<'a>(pod: Pod<'a>) -> impl Iterator<Item = &'a str> {
    let claims = items(&pod.manifest.value["spec"]["volumeClaimTemplates"])
        .filter_map(|claim| claim["metadata"]["name"].as_str());
    items(&pod.template["spec"]["volumes"])
        .filter_map(|volume| volume["name"].as_str())
        .chain(claims)
}

/// Volume and folder of every mount.
fn mounts<'a>(pod: Pod<'a>) -> impl Iterator<Item = (&'a str, &'a str)> {
    pod.containers()
        .flat_map(|container| items(&container["volumeMounts"]))
        .filter_map(|mount| Some((mount["name"].as_str()?, mount["mountPath"].as_str()?)))
}

/// All workers run one image, every image has a tag, and the common registry reaches all of them.
pub(super) fn images(subject: Subject<'_>) -> Vec<Finding> {
    let values = subject.values();
    let (streamer, collector) = (&values.streamer, &values.collector);
    let gateway = &values.api_gateway;
    let workers = [
        ("streamer", streamer.enabled, &streamer.image),
        ("collector", collector.enabled, &collector.image),
        ("apiGateway", gateway.enabled, &gateway.image),
    ];
    let mut found = Vec::new();
    for (key, _, own) in workers.into_iter().filter(|(_, enabled, _)| *enabled) {
        let parts = [
            ("repository", &own.repository, &values.image.repository),
            ("tag", &own.tag, &values.image.tag),
        ];
        for (part, own, common) in parts {
            if !own.is_empty() && own != common {
                let says = format!("is `{own}`, and image.{part} is `{common}`");
                let key = format!("{key}.image.{part}");
                found.push(subject.about_key(&rule::ONE_IMAGE, &key, says));
            }
        }
    }
    let floating = effective(values)
        .into_iter()
        .filter(|(_, image)| is_floating(image));
    // What is common to several workers is told once, where it is set.
    let by_place: BTreeMap<&str, String> = floating
        .map(|(key, image)| {
            let is_common = workers.iter().any(|(worker, _, own)| {
                key.strip_suffix(".image") == Some(*worker) && own.tag.is_empty()
            });
            (if is_common { "image.tag" } else { key }, image)
        })
        .collect();
    for (key, image) in by_place {
        let says = format!("gives `{image}`, which is another image every day");
        found.push(subject.about_key(&rule::ONE_IMAGE, key, says));
    }
    found.extend(from_elsewhere(subject));
    found
}

fn is_floating(image: &str) -> bool {
    let name = image.rsplit_once('/').map_or(image, |(_, name)| name);
    !name.contains('@') && name.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

fn from_elsewhere(subject: Subject<'_>) -> Vec<Finding> {
    let registry = subject.values().global.image_registry.as_str();
    let own = subject.values().image.registry.as_str();
    if registry.is_empty() {
        return Vec::new();
    }
    let is_from = |image: &str, registry: &str| {
        !registry.is_empty() && image.starts_with(&format!("{registry}/"))
    };
    let mut found = Vec::new();
    for pod in subject.pods() {
        let images = pod.containers().filter_map(|one| one["image"].as_str());
        let elsewhere = images.filter(|image| !is_from(image, registry) && !is_from(image, own));
        found.extend(elsewhere.map(|image| {
            let says = format!("runs `{image}`, which is not from `{registry}`");
            subject.about_object(&rule::ONE_IMAGE, pod.manifest, says)
        }));
    }
    found
}

/// Every variable of a worker is one that it reads.
pub(super) fn variables(subject: Subject<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for pod in subject.workers() {
        let containers = items(&pod.template["spec"]["containers"]);
        let named = containers
            .filter(|container| container["name"] == pod.component())
            .flat_map(|container| items(&container["env"]))
            .filter_map(|variable| variable["name"].as_str());
        for name in named {
            if !VARIABLES.iter().any(|(known, _)| *known == name) {
                let says = format!("sets the variable `{name}`, which no worker reads");
                found.push(subject.about_object(&rule::VARIABLES_READ, pod.manifest, says));
            }
        }
    }
    found
}
