//! What is known about the clusters: typed facts, taken from objects as they are.
//!
//! Reading an object is pure and forgiving: a field that is missing has its default, because an
//! object of somebody else must not end a run.

pub mod labels;
pub mod pod;
pub mod policy;
pub mod record;
pub mod service;
pub mod unread;
pub mod workload;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::model::component::Component;
use crate::model::labels::COMPONENT;

pub use pod::Pod;
pub use policy::Policy;
pub use record::{Record, Unseen};
pub use service::ServiceFacts;
pub use unread::{Listing, Unread};
pub use workload::{EnvSource, Workload};

/// What a cluster is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Streamers.
    Edge,
    /// Collectors, gateway and database.
    Central,
    /// Redis and etcd.
    Shared,
}

impl Role {
    /// The role as a person reads it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Central => "central",
            Self::Shared => "shared",
        }
    }

    /// The workers that a cluster of this role must have.
    pub const fn workers(self) -> &'static [Component] {
        match self {
            Self::Edge => &[Component::Streamer],
            Self::Central => &[Component::Collector, Component::ApiGateway],
            Self::Shared => &[],
        }
    }
}

/// The objects of one cluster that matter here.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    /// Deployments and StatefulSets.
    pub workloads: Vec<Workload>,
    /// Pods, those of probes left out.
    pub pods: Vec<Pod>,
    /// Services.
    pub services: Vec<ServiceFacts>,
    /// NetworkPolicies.
    pub policies: Vec<Policy>,
    /// Autoscalers.
    pub autoscalers: Vec<Autoscaler>,
    /// What telectl noted about its deployments.
    pub records: Vec<Record>,
    /// The lists that could not be read; what the others hold is complete.
    pub unread: Vec<Unread>,
}

impl Objects {
    /// The pods that a workload's selector selects, without those that are going.
    pub fn pods_of<'a>(&'a self, workload: &'a Workload) -> impl Iterator<Item = &'a Pod> {
        self.pods.iter().filter(|pod| {
            pod.namespace == workload.namespace
                && !pod.is_going
                && workload.selector.selects(&pod.labels)
        })
    }

    /// The workloads of a component.
    pub fn workloads_of(&self, component: Component) -> impl Iterator<Item = &Workload> {
        self.workloads
            .iter()
            .filter(move |workload| workload.component == Some(component))
    }

    /// The worker that a probe stands for where any will do, and its workload. The collector's place
    /// comes first: it is the one that others are found for.
    pub fn stand_in(&self) -> Option<(Component, &Workload)> {
        let order = [
            Component::Collector,
            Component::ApiGateway,
            Component::Streamer,
        ];
        let mut order = order.into_iter();
        order.find_map(|component| Some((component, self.workloads_of(component).next()?)))
    }

    /// The components that are present.
    pub fn components(&self) -> BTreeSet<Component> {
        self.workloads
            .iter()
            .filter_map(|workload| workload.component)
            .collect()
    }
}

/// An autoscaler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Autoscaler {
    /// Namespace.
    pub namespace: String,
    /// Kind and name of what it scales, for example `StatefulSet/streamer`.
    pub target: String,
    /// Replicas now.
    pub current: i64,
    /// Replicas that it wants.
    pub desired: i64,
    /// Fewest.
    pub min: i64,
    /// Most.
    pub max: i64,
}

impl Autoscaler {
    /// From the object.
    pub fn from_object(object: &Value) -> Self {
        let target = &object["spec"]["scaleTargetRef"];
        let count = |value: &Value, default| value.as_i64().unwrap_or(default);
        Self {
            namespace: text(&object["metadata"]["namespace"]),
            target: format!("{}/{}", text(&target["kind"]), text(&target["name"])),
            current: count(&object["status"]["currentReplicas"], 0),
            desired: count(&object["status"]["desiredReplicas"], 0),
            min: count(&object["spec"]["minReplicas"], 1),
            max: count(&object["spec"]["maxReplicas"], 0),
        }
    }
}

/// A text, empty if it is none.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A map of texts, such as labels.
pub(crate) fn text_map(value: &Value) -> BTreeMap<String, String> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), text(value)))
        .collect()
}

/// The items of a list, none if it is none.
pub(crate) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The component that an object's labels name.
pub(crate) fn component_of(labels: &BTreeMap<String, String>) -> Option<Component> {
    Component::from_name(labels.get(COMPONENT)?)
}
