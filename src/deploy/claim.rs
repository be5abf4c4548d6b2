//! Whose an object is that exists before we write it. Pure.

use serde::Serialize;
use serde_json::Value;

use crate::cluster::inventory::set_of;
use crate::cluster::managers::{is_applied_by_us, managers};
use crate::model::labels::{MANAGED_BY, TELECTL};
use crate::model::manifest::Manifest;

/// The value of the label [`MANAGED_BY`] on what helm made.
const HELM: &str = "Helm";
/// The annotation with the name of a helm release.
const RELEASE: &str = "meta.helm.sh/release-name";
/// The annotation with the namespace of a helm release.
const RELEASE_NAMESPACE: &str = "meta.helm.sh/release-namespace";

/// Somebody else to whom an object belongs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "owner", rename_all = "kebab-case")]
pub enum Claim {
    /// A release of helm.
    Helm {
        /// The name of the release.
        release: String,
        /// The namespace that keeps its record.
        namespace: String,
    },
    /// Somebody whom nothing but the names of managers tells.
    Stranger {
        /// The managers of its fields.
        managers: Vec<String>,
    },
}

impl std::fmt::Display for Claim {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Helm { release, namespace } => {
                write!(formatter, "helm release {release} (namespace {namespace})")
            }
            Self::Stranger { managers } if managers.is_empty() => {
                formatter.write_str("somebody else")
            }
            Self::Stranger { managers } => {
                write!(formatter, "somebody else ({})", managers.join(", "))
            }
        }
    }
}

/// To whom a live object belongs, if not to us. It is ours if it is in the set of the manifest, or
/// if telectl applied it, unless helm says that it is helm's.
pub fn claim(manifest: &Manifest, live: &Value) -> Option<Claim> {
    if let Some(claim) = of_helm(live) {
        return Some(claim);
    }
    let is_in_set = set_of(live).is_some() && set_of(live) == set_of(&manifest.value);
    let is_labelled = live["metadata"]["labels"][MANAGED_BY] == TELECTL;
    if is_in_set || is_labelled || is_applied_by_us(live) {
        return None;
    }
    let mut names: Vec<String> = managers(live)
        .filter(|manager| manager.subresource().is_empty())
        .map(|manager| manager.name().to_owned())
        .collect();
    names.sort_unstable();
    names.dedup();
    Some(Claim::Stranger { managers: names })
}

/// The helm release that a live object says it belongs to.
pub fn of_helm(live: &Value) -> Option<Claim> {
    let metadata = &live["metadata"];
    let release = metadata["annotations"][RELEASE].as_str()?;
    if metadata["labels"][MANAGED_BY] != HELM {
        return None;
    }
    let namespace = metadata["annotations"][RELEASE_NAMESPACE]
        .as_str()
        .or(metadata["namespace"].as_str());
    Some(Claim::Helm {
        release: release.to_owned(),
        namespace: namespace.unwrap_or_default().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::object::{ObjectKind, ObjectRef};

    const SET: &str = "applyset.kubernetes.io/part-of";

    fn ours() -> Manifest {
        Manifest {
            object: ObjectRef::new(ObjectKind::Service, "ns", "collector"),
            value: json!({"metadata": {"labels": {SET: "applyset-ours-v1"}}}),
        }
    }

    fn entry(manager: &str, operation: &str) -> Value {
        json!({"manager": manager, "operation": operation, "fieldsV1": {}})
    }

    #[test]
    fn what_is_in_our_set_or_was_applied_by_us_is_ours() {
        let by_label = json!({"metadata": {"labels": {SET: "applyset-ours-v1"}}});
        assert_eq!(claim(&ours(), &by_label), None);
        let by_manager = json!({"metadata": {"managedFields": [entry("telectl", "Apply")]}});
        assert_eq!(claim(&ours(), &by_manager), None);
    }

    #[test]
    fn what_helm_labelled_is_helms_even_where_we_applied_it() {
        let live = json!({"metadata": {
            "namespace": "ns",
            "labels": {MANAGED_BY: "Helm", SET: "applyset-ours-v1"},
            "annotations": {RELEASE: "telemetry", RELEASE_NAMESPACE: "releases"},
            "managedFields": [entry("telectl", "Apply")],
        }});
        let claim = claim(&ours(), &live).unwrap();
        assert_eq!(
            claim.to_string(),
            "helm release telemetry (namespace releases)"
        );
        // A copied annotation alone says nothing.
        let copied = json!({"metadata": {"annotations": {RELEASE: "telemetry"}}});
        assert_eq!(of_helm(&copied), None);
    }

    #[test]
    fn anything_else_is_a_strangers_and_its_managers_are_named() {
        let live = json!({"metadata": {
            "labels": {SET: "applyset-anothers-v1"},
            "managedFields": [
                entry("kubectl-edit", "Update"),
                entry("kubectl-create", "Update"),
                {"manager": "kubelet", "operation": "Update", "subresource": "status"},
            ],
        }});
        assert_eq!(
            claim(&ours(), &live).unwrap().to_string(),
            "somebody else (kubectl-create, kubectl-edit)"
        );
        let nobody = claim(&ours(), &json!({})).unwrap();
        assert_eq!(nobody.to_string(), "somebody else");
    }
}
