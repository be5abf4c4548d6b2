//! Which object of a cluster is meant.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The kinds that telectl writes, in the order in which they are applied. They are known at compile
/// time, so no discovery is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ObjectKind {
    /// `v1 Namespace`.
    Namespace,
    /// `v1 ResourceQuota`.
    ResourceQuota,
    /// `networking.k8s.io/v1 NetworkPolicy`.
    NetworkPolicy,
    /// `v1 ServiceAccount`.
    ServiceAccount,
    /// `v1 Service`.
    Service,
    /// `v1 Secret`; never rendered, only ensured.
    Secret,
    /// `v1 ConfigMap`.
    ConfigMap,
    /// `v1 PersistentVolumeClaim`; only those that no StatefulSet makes.
    PersistentVolumeClaim,
    /// `apps/v1 StatefulSet`.
    StatefulSet,
    /// `apps/v1 Deployment`.
    Deployment,
    /// `batch/v1 Job`.
    Job,
    /// `batch/v1 CronJob`.
    CronJob,
    /// `policy/v1 PodDisruptionBudget`.
    PodDisruptionBudget,
    /// `autoscaling/v2 HorizontalPodAutoscaler`.
    HorizontalPodAutoscaler,
    /// `networking.k8s.io/v1 Ingress`.
    Ingress,
    /// `monitoring.coreos.com/v1 ServiceMonitor`, where the Prometheus operator is installed.
    ServiceMonitor,
    /// `coordination.k8s.io/v1 Lease`; never rendered, held while a deploy writes.
    Lease,
}

impl ObjectKind {
    /// Every kind, in the order in which objects are applied.
    pub const ALL: [Self; 17] = [
        Self::Namespace,
        Self::ResourceQuota,
        Self::NetworkPolicy,
        Self::ServiceAccount,
        Self::Service,
        Self::Secret,
        Self::ConfigMap,
        Self::PersistentVolumeClaim,
        Self::StatefulSet,
        Self::Deployment,
        Self::Job,
        Self::CronJob,
        Self::PodDisruptionBudget,
        Self::HorizontalPodAutoscaler,
        Self::Ingress,
        Self::ServiceMonitor,
        Self::Lease,
    ];

    /// API group (empty for the core group), version and plural resource name.
    pub const fn resource(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Namespace => ("", "v1", "namespaces"),
            Self::ServiceAccount => ("", "v1", "serviceaccounts"),
            Self::Secret => ("", "v1", "secrets"),
            Self::ConfigMap => ("", "v1", "configmaps"),
            Self::PersistentVolumeClaim => ("", "v1", "persistentvolumeclaims"),
            Self::Service => ("", "v1", "services"),
            Self::ResourceQuota => ("", "v1", "resourcequotas"),
            Self::NetworkPolicy => ("networking.k8s.io", "v1", "networkpolicies"),
            Self::Ingress => ("networking.k8s.io", "v1", "ingresses"),
            Self::Deployment => ("apps", "v1", "deployments"),
            Self::StatefulSet => ("apps", "v1", "statefulsets"),
            Self::Job => ("batch", "v1", "jobs"),
            Self::CronJob => ("batch", "v1", "cronjobs"),
            Self::PodDisruptionBudget => ("policy", "v1", "poddisruptionbudgets"),
            Self::HorizontalPodAutoscaler => ("autoscaling", "v2", "horizontalpodautoscalers"),
            Self::ServiceMonitor => ("monitoring.coreos.com", "v1", "servicemonitors"),
            Self::Lease => ("coordination.k8s.io", "v1", "leases"),
        }
    }

    /// The kind as it stands in a manifest.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Namespace => "Namespace",
            Self::ServiceAccount => "ServiceAccount",
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
            Self::PersistentVolumeClaim => "PersistentVolumeClaim",
            Self::Service => "Service",
            Self::ResourceQuota => "ResourceQuota",
            Self::NetworkPolicy => "NetworkPolicy",
            Self::Ingress => "Ingress",
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::Job => "Job",
            Self::CronJob => "CronJob",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
            Self::HorizontalPodAutoscaler => "HorizontalPodAutoscaler",
            Self::ServiceMonitor => "ServiceMonitor",
            Self::Lease => "Lease",
        }
    }

    /// The kind with this name in a manifest.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// `apiVersion` as it stands in a manifest.
    pub fn api_version(self) -> String {
        match self.resource() {
            ("", version, _) => version.to_owned(),
            (group, version, _) => format!("{group}/{version}"),
        }
    }

    /// Whether every cluster knows this kind; another is there only once its definition is.
    pub const fn is_built_in(self) -> bool {
        !matches!(self, Self::ServiceMonitor)
    }

    /// Whether objects of this kind live in a namespace.
    pub const fn is_namespaced(self) -> bool {
        !matches!(self, Self::Namespace)
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// One object of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectRef {
    /// What it is.
    pub kind: ObjectKind,
    /// Where it is; empty for a kind without namespace.
    pub namespace: String,
    /// What it is called.
    pub name: String,
}

impl ObjectRef {
    /// A reference from its parts.
    pub fn new(kind: ObjectKind, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        let namespace = if kind.is_namespaced() {
            namespace.into()
        } else {
            String::new()
        };
        Self {
            kind,
            namespace,
            name: name.into(),
        }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(formatter, "{}/{}", self.kind, self.name)
        } else {
            write!(formatter, "{}/{}/{}", self.kind, self.namespace, self.name)
        }
    }
}
