//! A pod.

use serde_json::Value;

use crate::cluster::readiness::{pod_failure, unschedulable};
use crate::model::component::Component;

use super::labels::Labels;
use super::{component_of, items, text, text_map};

/// A pod as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pod {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Labels.
    pub labels: Labels,
    /// The component, by its label.
    pub component: Option<Component>,
    /// Its address; empty before it has one.
    pub ip: String,
    /// Node; empty before it has one.
    pub node: String,
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    pub phase: String,
    /// Whether it is ready.
    pub is_ready: bool,
    /// Whether it is being deleted.
    pub is_going: bool,
    /// What keeps it from starting or lets it crash, if anything does.
    pub trouble: Option<String>,
    /// How often its containers were started again.
    pub restarts: i64,
    /// Image of its first container.
    pub image: String,
    /// First port of its first container.
    pub port: Option<u16>,
    /// RFC 3339; empty before it was started.
    pub started_at: String,
}

impl Pod {
    /// From the object.
    pub fn from_object(object: &Value) -> Self {
        let metadata = &object["metadata"];
        let status = &object["status"];
        let labels = text_map(&metadata["labels"]);
        let container = &object["spec"]["containers"][0];
        let is_ready = items(&status["conditions"])
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
        Self {
            namespace: text(&metadata["namespace"]),
            name: text(&metadata["name"]),
            component: component_of(&labels),
            labels,
            ip: text(&status["podIP"]),
            node: text(&object["spec"]["nodeName"]),
            phase: text(&status["phase"]),
            is_ready,
            is_going: !metadata["deletionTimestamp"].is_null(),
            trouble: trouble(object),
            restarts: items(&status["containerStatuses"])
                .filter_map(|container| container["restartCount"].as_i64())
                .sum(),
            image: text(&container["image"]),
            port: container["ports"][0]["containerPort"]
                .as_u64()
                .and_then(|port| u16::try_from(port).ok()),
            started_at: text(&status["startTime"]),
        }
    }
}

/// What keeps it from starting; a crash counts from the first one on, since nothing is waited for.
fn trouble(object: &Value) -> Option<String> {
    pod_failure(object)
        .or_else(|| unschedulable(object))
        .or_else(|| {
            items(&object["status"]["containerStatuses"]).find_map(|container| {
                let waiting = &container["state"]["waiting"];
                (waiting["reason"] == "CrashLoopBackOff").then(|| {
                    let last = &container["lastState"]["terminated"];
                    format!(
                        "container {} crashes (exit code {})",
                        text(&container["name"]),
                        last["exitCode"]
                    )
                })
            })
        })
}
