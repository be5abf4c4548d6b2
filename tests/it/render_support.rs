//! Rendered sets and ways to look into them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use telectl::config::{self, ConfigError, Layers, Resolved, ValuesFile};
use telectl::model::manifest::RenderedSet;
use telectl::model::object::ObjectKind;
use telectl::model::profile::Profile;
use telectl::render;

/// The values of a profile with `--set` texts on top.
pub(crate) fn resolved(profile: Profile, sets: &[&str]) -> Resolved {
    resolve(profile, sets).unwrap_or_else(|error| panic!("{profile}: {error}"))
}

/// What is said about settings that are not accepted.
pub(crate) fn refused(profile: Profile, sets: &[&str]) -> String {
    let error = resolve(profile, sets).expect_err("it must not be accepted");
    error.to_string()
}

fn resolve(profile: Profile, sets: &[&str]) -> Result<Resolved, ConfigError> {
    let layers = Layers {
        sets: sets.iter().map(|text| (*text).to_owned()).collect(),
        ..Layers::default()
    };
    config::resolve(profile, &layers)
}

/// A profile, with placeholders for addresses.
pub(crate) fn preview(profile: Profile, sets: &[&str]) -> RenderedSet {
    render::preview(&resolved(profile, sets)).unwrap_or_else(|error| panic!("{profile}: {error}"))
}

/// A profile with the lab overlay, with placeholders for addresses.
pub(crate) fn lab(profile: Profile) -> RenderedSet {
    let layers = Layers {
        files: vec![ValuesFile::open("lab").expect("lab is an overlay")],
        sets: vec!["image.tag=test".to_owned()],
        ..Layers::default()
    };
    let resolved = config::resolve(profile, &layers).unwrap_or_else(|error| panic!("{error}"));
    render::preview(&resolved).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn object<'a>(set: &'a RenderedSet, kind: ObjectKind, name: &str) -> &'a Value {
    let found = set
        .manifests
        .iter()
        .find(|manifest| manifest.object.kind == kind && manifest.object.name == name);
    let profile = set.profile;
    &found
        .unwrap_or_else(|| panic!("{profile} has no {kind} {name}"))
        .value
}

pub(crate) fn replicas(set: &RenderedSet, kind: ObjectKind, name: &str) -> u64 {
    object(set, kind, name)["spec"]["replicas"]
        .as_u64()
        .expect("replicas are set")
}

pub(crate) fn workloads(set: &RenderedSet) -> BTreeSet<&str> {
    set.manifests
        .iter()
        .filter(|manifest| {
            matches!(
                manifest.object.kind,
                ObjectKind::Deployment | ObjectKind::StatefulSet
            )
        })
        .map(|manifest| manifest.object.name.as_str())
        .collect()
}

/// Every set that telectl renders by itself: the profiles, and the profiles with the lab overlay.
pub(crate) fn every_set() -> Vec<RenderedSet> {
    let plain = Profile::ALL
        .into_iter()
        .map(|profile| preview(profile, &[]));
    plain.chain(Profile::ALL.into_iter().map(lab)).collect()
}

pub(crate) fn prefixed(name: &str, sets: &[&str]) -> String {
    if sets.is_empty() {
        name.to_owned()
    } else {
        format!("blue-{name}")
    }
}

pub(crate) fn host(url: &str) -> Option<&str> {
    url.split_once("://")?
        .1
        .rsplit_once(':')
        .map(|(host, _)| host)
}

/// Pod templates by the name of their workload.
pub(crate) fn pods(set: &RenderedSet) -> Vec<(String, &Value)> {
    set.manifests
        .iter()
        .filter(|manifest| manifest.value["spec"]["template"]["spec"].is_object())
        .map(|manifest| {
            (
                manifest.object.name.clone(),
                &manifest.value["spec"]["template"],
            )
        })
        .collect()
}

/// Pod templates of workloads and of what runs now and then.
pub(crate) fn all_pods(set: &RenderedSet) -> Vec<(String, &Value)> {
    let mut found = pods(set);
    let jobs = set
        .manifests
        .iter()
        .filter(|manifest| manifest.object.kind == ObjectKind::CronJob);
    found.extend(jobs.map(|manifest| {
        let template = &manifest.value["spec"]["jobTemplate"]["spec"]["template"];
        (manifest.object.name.clone(), template)
    }));
    found
}

/// The containers of a pod, those that run first included.
pub(crate) fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers"]
        .into_iter()
        .flat_map(|list| pod["spec"][list].as_array().into_iter().flatten())
}

pub(crate) fn selects(selector: &Value, labels: &Value) -> bool {
    let wanted = selector.as_object().expect("a selector is a map");
    wanted
        .iter()
        .all(|(name, value)| labels.get(name) == Some(value))
}

pub(crate) fn environment(pod: &Value) -> BTreeMap<String, Value> {
    let variables = pod["containers"][0]["env"]
        .as_array()
        .expect("there are variables");
    let mut found = BTreeMap::new();
    for variable in variables {
        let name = variable["name"].as_str().expect("it has a name").to_owned();
        assert!(
            found.insert(name.clone(), variable.clone()).is_none(),
            "{name} twice"
        );
    }
    found
}

/// Secrets that a pod refers to: by key in the environment, as a whole in volumes.
pub(crate) fn references(pod: &Value) -> Vec<(String, Option<String>)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let variables =
        containers(pod).flat_map(|container| container["env"].as_array().into_iter().flatten());
    let by_key = variables.filter_map(|variable| {
        let reference = &variable["valueFrom"]["secretKeyRef"];
        Some((text(&reference["name"])?, text(&reference["key"])))
    });
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let whole = volumes.filter_map(|volume| Some((text(&volume["secret"]["secretName"])?, None)));
    by_key.chain(whole).collect()
}

/// Sets in which every optional object is there, besides those of [`every_set`].
pub(crate) fn fullest_sets() -> Vec<RenderedSet> {
    let sets = [
        "monitoring.enabled=true",
        "apiGateway.ingress.enabled=true",
        "streamer.ingress.enabled=true,streamer.ingress.hosts[0].host=streamer.example.com",
        "streamer.config.csvSource.type=url",
        "streamer.config.csvSource.url=https://data.example.com/gpus.csv",
        "streamer.config.csvSource.sha256=\
         0000000000000000000000000000000000000000000000000000000000000000",
        "streamer.config.csvSource.caSecret=data-ca",
        "backup.enabled=true",
        "externalRedis.tls.clientSecret=redis-client-tls",
        "etcd.auth.enabled=true",
    ];
    let in_bucket = [
        "backup.enabled=true",
        "backup.storage.type=s3",
        "backup.storage.bucket=dumps",
    ];
    let mut found: Vec<RenderedSet> = [Profile::SameCluster, Profile::Edge, Profile::Central]
        .into_iter()
        .map(|profile| preview(profile, &sets))
        .collect();
    found.push(preview(Profile::Central, &in_bucket));
    found.extend(every_set());
    found
}

/// The pod of a workload.
pub(crate) fn pod_of<'a>(set: &'a RenderedSet, name: &str) -> &'a Value {
    let kind = match name {
        "collector" | "api-gateway" => ObjectKind::Deployment,
        _ => ObjectKind::StatefulSet,
    };
    &object(set, kind, name)["spec"]["template"]["spec"]
}

/// A profile with a file of values on top, with placeholders for addresses.
pub(crate) fn from_file(profile: Profile, text: &str) -> RenderedSet {
    let layers = Layers {
        files: vec![ValuesFile {
            name: "values.yaml".to_owned(),
            text: text.to_owned(),
        }],
        ..Layers::default()
    };
    let resolved = config::resolve(profile, &layers).unwrap_or_else(|error| panic!("{error}"));
    render::preview(&resolved).unwrap_or_else(|error| panic!("{error}"))
}
