//! What is made of values, for every kind of question.

mod limits;
mod nodes;
mod place;
mod run;

use serde_json::json;

use super::*;
use crate::config::{Layers, ValuesFile, resolve};
use crate::deploy::certificates::new_authority;
use crate::deploy::secrets::{LiveSecret, Vault};
use crate::model::manifest::{RenderedSet, SecretContent};
use crate::model::profile::Profile;
use crate::model::secret::Secret;

fn rendered(profile: Profile, overlays: &[&str], sets: &[&str]) -> RenderedSet {
    let layers = Layers {
        files: overlays
            .iter()
            .map(|name| ValuesFile::open(name).unwrap())
            .collect(),
        sets: sets.iter().map(|set| (*set).to_owned()).collect(),
        ..Layers::default()
    };
    crate::render::preview(&resolve(profile, &layers).unwrap()).unwrap()
}

fn node(labels: Value) -> Value {
    json!({
        "metadata": {"labels": labels},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "allocatable": {"cpu": "8", "memory": "32000000Ki", "pods": "110"},
        },
    })
}

fn class(name: &str, default: &str) -> Value {
    let annotation = "storageclass.kubernetes.io/is-default-class";
    json!({"metadata": {"name": name, "annotations": {annotation: default}}})
}

fn ground(nodes: &[Value], classes: &[Value]) -> Ground {
    Ground {
        nodes: Ok(nodes.to_vec()),
        classes: Ok(classes.to_vec()),
        claims: Ok(Vec::new()),
        quotas: Ok(Vec::new()),
        limit_ranges: Ok(Vec::new()),
        pods: Ok(Vec::new()),
        services: Ok(Vec::new()),
        secrets: BTreeMap::new(),
        unread_secrets: BTreeSet::new(),
    }
}

/// What volumes and pods lack.
fn warnings(set: &RenderedSet, ground: &Ground) -> Vec<String> {
    let found = storage::judge(set, ground).into_iter();
    let found = found.chain(placement::judge(set, ground));
    let told = found.filter(|finding| finding.severity != Severity::Note);
    told.map(|finding| finding.to_string()).collect()
}

fn prospect(set: RenderedSet) -> Prospect {
    Prospect {
        stage: Stage {
            profile: set.profile,
            context: "west".to_owned(),
            namespace: set.namespace.clone(),
        },
        part: Part::Applied,
        set,
    }
}

fn fitting() -> Ground {
    let node = node(json!({"node-type": "cpu"}));
    ground(&[node], &[class("fast-ssd", "false")])
}

fn of(profile: Profile, ground: &Ground) -> Vec<String> {
    warnings(&rendered(profile, &[], &[]), ground)
}

/// What of one check was found.
fn found_by(found: Vec<Finding>, check: &catalogue::Check) -> Vec<(Severity, String)> {
    let of_check = found.into_iter().filter(|finding| finding.check == check);
    of_check
        .map(|finding| (finding.severity, finding.observed))
        .collect()
}
