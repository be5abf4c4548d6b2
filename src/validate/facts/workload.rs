//! A Deployment or StatefulSet.

use serde_json::Value;

use crate::cluster::readiness::{Readiness, readiness};
use crate::model::component::Component;
use crate::model::object::ObjectKind;
use crate::probe::job::Place;

use super::labels::Selector;
use super::{component_of, items, text, text_map};

/// Where a variable of a container gets its value from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvSource {
    /// The manifest itself. The value may be a secret that somebody put there: never shown.
    Literal,
    /// A Secret.
    Secret {
        /// Name.
        name: String,
        /// Key.
        key: String,
    },
    /// A ConfigMap.
    ConfigMap {
        /// Name.
        name: String,
        /// Key.
        key: String,
    },
    /// The pod itself.
    Downward,
}

/// A workload as far as it matters here.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// Deployment or StatefulSet.
    pub kind: ObjectKind,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// The component, by its label.
    pub component: Option<Component>,
    /// Replicas that are asked for.
    pub desired: i64,
    /// Replicas that are ready.
    pub ready: i64,
    /// What its newest revision waits for; `None` once that is ready everywhere.
    pub rollout: Option<String>,
    /// Image of the first container.
    pub image: String,
    /// Which pods are its own.
    pub selector: Selector,
    /// Variables of the first container and where they come from.
    pub variables: Vec<(String, EnvSource)>,
    /// Secrets that are mounted as volumes.
    pub mounted_secrets: Vec<String>,
    /// The pod template.
    pub template: Value,
}

impl Workload {
    /// From the object.
    pub fn from_object(kind: ObjectKind, object: &Value) -> Self {
        let metadata = &object["metadata"];
        let spec = &object["spec"];
        let pod = &spec["template"]["spec"];
        let labels = text_map(&metadata["labels"]);
        let mounted = items(&pod["volumes"]).flat_map(|volume| {
            let projected = items(&volume["projected"]["sources"]);
            std::iter::once(text(&volume["secret"]["secretName"]))
                .chain(projected.map(|source| text(&source["secret"]["name"])))
        });
        Self {
            kind,
            namespace: text(&metadata["namespace"]),
            name: text(&metadata["name"]),
            component: component_of(&labels),
            desired: spec["replicas"].as_i64().unwrap_or(1),
            ready: object["status"]["readyReplicas"].as_i64().unwrap_or(0),
            rollout: rollout(kind, object),
            image: text(&pod["containers"][0]["image"]),
            selector: Selector::from_object(&spec["selector"]),
            variables: items(&pod["containers"][0]["env"]).map(variable).collect(),
            mounted_secrets: mounted.filter(|name| !name.is_empty()).collect(),
            template: spec["template"].clone(),
        }
    }

    /// `statefulset/streamer`, as kubectl takes it.
    pub fn argument(&self) -> String {
        format!("{}/{}", self.kind.name().to_lowercase(), self.name)
    }

    /// Where a probe that stands for it runs.
    pub fn place(&self) -> Place<'_> {
        Place {
            namespace: &self.namespace,
            name: &self.name,
            template: &self.template,
        }
    }

    /// Where a variable comes from.
    pub fn variable(&self, name: &str) -> Option<&EnvSource> {
        let found = self.variables.iter().find(|(variable, _)| variable == name);
        found.map(|(_, source)| source)
    }

    /// Every Secret key that a variable comes from.
    pub fn secret_keys(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables
            .iter()
            .filter_map(|(_, source)| match source {
                EnvSource::Secret { name, key } => Some((name.as_str(), key.as_str())),
                _ => None,
            })
    }
}

impl Workload {
    /// Value of a variable of the first container that is written there.
    pub fn literal(&self, variable: &str) -> Option<&str> {
        let containers = &self.template["spec"]["containers"];
        let mut variables = items(&containers[0]["env"]);
        variables.find(|one| one["name"] == variable)?["value"].as_str()
    }
}

fn rollout(kind: ObjectKind, object: &Value) -> Option<String> {
    let mut object = object.clone();
    // Items of a list do not repeat their kind.
    object["kind"] = kind.name().into();
    match readiness(&object) {
        Readiness::Current => None,
        Readiness::InProgress(why) | Readiness::Failed(why) => Some(why),
    }
}

fn variable(entry: &Value) -> (String, EnvSource) {
    let from = &entry["valueFrom"];
    let reference = |field: &str| (text(&from[field]["name"]), text(&from[field]["key"]));
    let source = if !from["secretKeyRef"].is_null() {
        let (name, key) = reference("secretKeyRef");
        EnvSource::Secret { name, key }
    } else if !from["configMapKeyRef"].is_null() {
        let (name, key) = reference("configMapKeyRef");
        EnvSource::ConfigMap { name, key }
    } else if from.is_null() {
        EnvSource::Literal
    } else {
        EnvSource::Downward
    };
    (text(&entry["name"]), source)
}
