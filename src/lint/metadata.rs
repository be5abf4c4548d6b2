//! Rules about labels, annotations and the size of ConfigMaps.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::likeness::nearest;
use crate::model::manifest::Manifest;

use super::finding::Finding;
use super::ingress_nginx::{PREFIX, names};
use super::rule::{self, Rule};
use super::subject::{Subject, texts};

/// What the API server takes of a ConfigMap.
const MOST_BYTES: usize = 1 << 20;

/// How alike an annotation has to be to one that ingress-nginx knows.
const ALIKE: f64 = 0.6;

/// Prefixes that only annotations have.
const OF_ANNOTATIONS: &[&str] = &[
    "service.beta.kubernetes.io/",
    "nginx.ingress.kubernetes.io/",
    "external-dns.alpha.kubernetes.io/",
    "networking.gke.io/",
    "prometheus.io/",
];

/// Prefixes of the labels that telectl selects by.
const OWN: &[&str] = &["app.kubernetes.io/", "telectl.io/"];

/// Annotations of an Ingress that its controller ignores, or that break its paths: those of the
/// values, since render leaves the worst of them out, and those that are rendered all the same.
pub(super) fn ingress_annotations(subject: Subject<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for worker in ["streamer", "collector", "apiGateway"] {
        let ingress = &subject.resolved.tree()[worker]["ingress"];
        let wrong = texts(&ingress["annotations"]).filter_map(|(name, value)| wrong(name, value));
        let key = format!("{worker}.ingress.annotations");
        let is_there =
            ingress["enabled"] == true && subject.resolved.tree()[worker]["enabled"] == true;
        found.extend(
            wrong
                .filter(|_| is_there)
                .map(|says| subject.about_key(&rule::INGRESS_ANNOTATIONS, &key, says)),
        );
    }
    if !found.is_empty() {
        return found;
    }
    for ingress in subject.of_kind("Ingress") {
        let annotations = texts(&ingress.value["metadata"]["annotations"]);
        let wrong = annotations.filter_map(|(name, value)| wrong(name, value));
        found.extend(
            wrong.map(|says| subject.about_object(&rule::INGRESS_ANNOTATIONS, ingress, says)),
        );
    }
    found
}

/// Workers that speak TLS behind an Ingress whose controller nobody told. Each controller has an
/// annotation of its own for it; what they have in common is that they name the protocol.
pub(super) fn ingress_backends(subject: Subject<'_>) -> Vec<Finding> {
    let values = subject.values();
    let (streamer, collector) = (&values.streamer, &values.collector);
    let gateway = &values.api_gateway;
    let workers = [
        (
            "streamer",
            streamer.enabled,
            &streamer.tls,
            &streamer.ingress,
            &streamer.service,
        ),
        (
            "collector",
            collector.enabled,
            &collector.tls,
            &collector.ingress,
            &collector.service,
        ),
        (
            "apiGateway",
            gateway.enabled,
            &gateway.tls,
            &gateway.ingress,
            &gateway.service,
        ),
    ];
    let untold = workers
        .into_iter()
        .filter(|(_, enabled, tls, ingress, service)| {
            let mut annotations = ingress.annotations.iter().chain(&service.annotations);
            *enabled && tls.enabled && ingress.enabled && !annotations.any(tells_of_tls)
        });
    untold
        .map(|(key, ..)| {
            let key = format!("{key}.ingress.annotations");
            let says = "says nothing of TLS to the worker, which speaks nothing else";
            subject.about_key(&rule::INGRESS_BACKEND, &key, says)
        })
        .collect()
}

fn tells_of_tls((name, value): (&String, &String)) -> bool {
    const OF_BACKENDS: [&str; 5] = [
        "backend-protocol",
        "app-protocols",
        "serversscheme",
        "upstream-protocol.tls",
        "secure-backends",
    ];
    let is_asked_for = value.to_ascii_lowercase().contains("https") || value == "true";
    let is_of_backends = OF_BACKENDS.iter().any(|part| name.contains(part));
    let is_passed_on = name.ends_with("ssl-passthrough") && value == "true";
    (is_of_backends && (is_asked_for || name.contains("upstream-protocol.tls"))) || is_passed_on
}

/// What is wrong with an annotation for ingress-nginx.
fn wrong(name: &str, value: &str) -> Option<String> {
    let short = name.strip_prefix(PREFIX)?;
    if !names().any(|known| known == short) {
        let nearest = nearest(short, names(), ALIKE)
            .map(|nearest| format!("; the nearest is `{PREFIX}{nearest}`"));
        let nearest = nearest.unwrap_or_default();
        return Some(format!(
            "has the annotation `{name}`, which ingress-nginx does not know{nearest}"
        ));
    }
    let is_rewrite = short == "rewrite-target" && !value.contains('$');
    is_rewrite.then(|| format!("sends every path to `{value}`"))
}

/// The metadata of every object and of every pod that it makes.
fn metadata<'a>(subject: Subject<'a>) -> impl Iterator<Item = (&'a Manifest, &'a Value)> {
    let objects = subject.set.manifests.iter();
    let objects = objects.map(|manifest| (manifest, &manifest.value["metadata"]));
    let pods = subject.pods();
    objects.chain(pods.map(|pod| (pod.manifest, &pod.template["metadata"])))
}

/// Labels with what each is on, each pair of name and value once.
fn labels<'a>(subject: Subject<'a>) -> BTreeMap<(&'a str, &'a str), &'a Manifest> {
    let mut found = BTreeMap::new();
    for (manifest, metadata) in metadata(subject) {
        for label in texts(&metadata["labels"]) {
            found.entry(label).or_insert(manifest);
        }
    }
    found
}

/// Annotations among the labels.
pub(super) fn annotations_as_labels(subject: Subject<'_>) -> Vec<Finding> {
    labels(subject)
        .into_iter()
        .filter(|((name, _), _)| OF_ANNOTATIONS.iter().any(|prefix| name.starts_with(prefix)))
        .map(|((name, _), manifest)| {
            let says = format!("has the label `{name}`, which is an annotation");
            subject.about_object(&rule::ANNOTATION_AS_LABEL, manifest, says)
        })
        .collect()
}

/// Common labels and annotations that are not on every object.
pub(super) fn common(subject: Subject<'_>) -> Vec<Finding> {
    let values = subject.values();
    let mut found = Vec::new();
    let parts = [
        ("labels", "commonLabels", &values.common_labels),
        (
            "annotations",
            "commonAnnotations",
            &values.common_annotations,
        ),
    ];
    for (part, key, wanted) in parts {
        for (name, text) in wanted {
            let lacks =
                |manifest: &&Manifest| manifest.value["metadata"][part][name] != text.as_str();
            let mut without = subject.set.manifests.iter().filter(lacks);
            let Some(first) = without.next() else {
                continue;
            };
            if part == "labels" && OWN.iter().any(|prefix| name.starts_with(prefix)) {
                let says = format!("names `{name}`, which telectl sets itself");
                found.push(subject.about_key(&rule::COMMON_METADATA, key, says));
            } else if first.value["metadata"][part][name].is_null() {
                let says = format!("lacks `{name}` of {key}");
                found.push(subject.about_object(&rule::COMMON_METADATA, first, says));
            }
        }
    }
    found
}

/// Labels, selectors and annotations that the API server refuses.
pub(super) fn syntax(subject: Subject<'_>) -> Vec<Finding> {
    const RULE: &Rule = &rule::METADATA_SYNTAX;
    let mut found = Vec::new();
    let mut selectors: BTreeMap<(&str, &str), &Manifest> = labels(subject);
    for pod in subject.pods() {
        for label in texts(&pod.template["spec"]["nodeSelector"]) {
            selectors.entry(label).or_insert(pod.manifest);
        }
    }
    for ((name, value), manifest) in selectors {
        if !is_name(name) {
            let says = format!("has the label `{name}`, which is no name of a label");
            found.push(subject.about_object(RULE, manifest, says));
        } else if !is_label_value(value) {
            let says = format!("has the label `{name}` with `{value}`, which no label can hold");
            found.push(subject.about_object(RULE, manifest, says));
        }
    }
    for (manifest, metadata) in metadata(subject) {
        let wrong = texts(&metadata["annotations"]).filter(|(name, _)| !is_name(name));
        found.extend(wrong.map(|(name, _)| {
            let says = format!("has the annotation `{name}`, which is no name of one");
            subject.about_object(RULE, manifest, says)
        }));
    }
    found
}

/// `prefix/name`, the prefix being a DNS name.
fn is_name(text: &str) -> bool {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    let is_dns = |prefix: &str| {
        prefix.len() <= 253
            && prefix.split('.').all(|part| {
                is_framed(part)
                    && part
                        .bytes()
                        .all(|one| one.is_ascii_lowercase() || one.is_ascii_digit() || one == b'-')
            })
    };
    prefix.is_none_or(is_dns) && !name.is_empty() && is_label_value(name)
}

fn is_label_value(text: &str) -> bool {
    let is_allowed = |one: u8| one.is_ascii_alphanumeric() || b"-_.".contains(&one);
    text.is_empty() || (text.len() <= 63 && is_framed(text) && text.bytes().all(is_allowed))
}

/// Begins and ends with a letter or a digit.
fn is_framed(text: &str) -> bool {
    let ends = [text.bytes().next(), text.bytes().next_back()];
    ends.into_iter()
        .all(|end| end.is_some_and(|end| end.is_ascii_alphanumeric()))
}

/// ConfigMaps that the API server refuses for their size.
pub(super) fn config_map_sizes(subject: Subject<'_>) -> Vec<Finding> {
    let size = |manifest: &Manifest| -> usize {
        let parts = ["data", "binaryData"].map(|part| &manifest.value[part]);
        let all = parts.into_iter().flat_map(texts);
        all.map(|(name, text)| name.len() + text.len()).sum()
    };
    let sized = subject.of_kind("ConfigMap").map(|one| (one, size(one)));
    sized
        .filter(|(_, size)| *size > MOST_BYTES)
        .map(|(manifest, size)| {
            let says = format!("holds {size} bytes, {} too many", size - MOST_BYTES);
            subject.about_object(&rule::CONFIG_MAP_SIZE, manifest, says)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{is_label_value, is_name};

    #[test]
    fn names_and_values_are_those_of_kubernetes() {
        for name in ["a", "app.kubernetes.io/name", "A_b.c-1", "x9/y"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "a b", "-a", "a/", "Ex.com/a", "/a", "a/b/c", "é"] {
            assert!(!is_name(name), "{name}");
        }
        assert!(is_label_value("") && is_label_value("v1.2_x"));
        assert!(!is_label_value("two words") && !is_label_value(&"a".repeat(64)));
    }
}
