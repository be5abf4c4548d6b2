//! What an earlier tool owned of an object becomes ours; what people own does not. Pure.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::claim::Claim;
use crate::cluster::apply::FIELD_MANAGER;
use crate::cluster::diff::FieldChange;
use crate::cluster::fields::FieldSet;
use crate::cluster::managers::{Manager, fields_of, managers, moved_to_us};
use crate::model::manifest::Manifest;

/// Tools whose fields become ours on any object: what they made is what telectl makes now. The
/// last one stands for whoever wrote before the server kept books.
const EARLIER: [&str; 3] = ["helm", "Helm", "before-first-apply"];
/// Under these names somebody makes an object, and may later change it. On an object that was not
/// ours they are what made it; on one that was, they are a person's change.
const MAKERS: [&str; 3] = ["kubectl-client-side-apply", "kubectl-create", "kubectl"];
/// Where kubectl notes what it applied.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What becomes ours of an object because an earlier tool owned it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Takeover {
    /// The managers that owned it.
    pub from: Vec<String>,
    /// The fields that only they owned and that nothing asks for any more: they go, or get the
    /// server's own value.
    pub dropped: Vec<FieldChange>,
    /// The merge patch that makes their fields ours.
    #[serde(skip)]
    pub patch: Value,
}

/// Whether a manager is an earlier self of telectl, given to whom the object belongs.
pub fn is_earlier(manager: Manager<'_>, live: &Value, claim: Option<&Claim>) -> bool {
    let name = manager.name();
    if !manager.subresource().is_empty() || manager.is_us() {
        return false;
    }
    let is_applied = !live["metadata"]["annotations"][LAST_APPLIED].is_null();
    match name {
        FIELD_MANAGER => true,
        name if EARLIER.contains(&name) => true,
        // `kubectl scale`, too, writes as kubectl.
        "kubectl" => claim.is_some() && (manager.is_applier() || is_applied),
        name => claim.is_some() && MAKERS.contains(&name),
    }
}

/// What becomes ours of a live object, `dropped` still empty; `None` if nothing.
pub fn takeover(manifest: &Manifest, live: &Value, claim: Option<&Claim>) -> Option<Takeover> {
    let moves = |manager: Manager<'_>| is_earlier(manager, live, claim);
    let api_version = manifest.object.kind.api_version();
    let patch = moved_to_us(live, &api_version, moves)?;
    let earlier = managers(live).filter(|manager| moves(*manager));
    let mut from: Vec<String> = earlier.map(|manager| manager.name().to_owned()).collect();
    from.sort_unstable();
    from.dedup();
    Some(Takeover {
        from,
        dropped: Vec::new(),
        patch,
    })
}

/// The live object without what is ours (or an earlier self's) alone and not in the manifest, and
/// then with the manifest in it. What the server puts in the place of a field that goes is not known
/// here.
pub fn given_up(manifest: &Manifest, live: &Value, claim: Option<&Claim>) -> (Value, Value) {
    let (ours, others): (Vec<_>, Vec<_>) =
        managers(live).partition(|manager| manager.is_us() || is_earlier(*manager, live, claim));
    let ours: FieldSet = fields_of(ours.into_iter());
    let others = fields_of(others.into_iter());
    let left = ours.given_up(live, &manifest.value, &others);
    let next = fields_of(managers(live)).merged(&left, &manifest.value);
    (left, next)
}

/// Sorts what changes: what the manifest asks for, and what is given up.
pub fn sorted(
    all: Vec<FieldChange>,
    given_up: &[FieldChange],
) -> (Vec<FieldChange>, Vec<FieldChange>) {
    let is_asked_for = |change: &FieldChange| {
        !given_up.iter().any(|gone| {
            let below = change.field.strip_prefix(gone.field.as_str());
            below.is_some_and(|below| below.is_empty() || below.starts_with(['.', '[']))
        })
    };
    all.into_iter().partition(is_asked_for)
}

/// The merge patch that turns one object into another. What the server keeps for itself and the
/// status are left alone.
pub fn patch_between(before: &Value, after: &Value) -> Value {
    let mut patch = difference(before, after);
    if let Some(fields) = patch.as_object_mut() {
        for field in ["status", "apiVersion", "kind"] {
            fields.shift_remove(field);
        }
        let metadata = |object: &Value| {
            json!({
                "labels": object["metadata"]["labels"],
                "annotations": object["metadata"]["annotations"],
            })
        };
        let metadata = difference(&metadata(before), &metadata(after));
        fields.insert("metadata".to_owned(), metadata);
    }
    patch
}

fn difference(before: &Value, after: &Value) -> Value {
    let (Some(old), Some(new)) = (before.as_object(), after.as_object()) else {
        return after.clone();
    };
    let gone = old.keys().filter(|key| !new.contains_key(*key));
    let mut patch: Map<String, Value> = gone.map(|key| (key.clone(), Value::Null)).collect();
    for (key, value) in new {
        match old.get(key) {
            Some(old) if old == value => {}
            Some(old) => {
                patch.insert(key.clone(), difference(old, value));
            }
            None => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    Value::Object(patch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::diff::changes;
    use crate::model::object::{ObjectKind, ObjectRef};

    fn entry(manager: &str, operation: &str, subresource: &str, fields: Value) -> Value {
        let mut entry = json!({
            "manager": manager, "operation": operation, "apiVersion": "apps/v1",
            "fieldsType": "FieldsV1", "fieldsV1": fields,
        });
        if !subresource.is_empty() {
            entry["subresource"] = subresource.into();
        }
        entry
    }

    fn stranger() -> Claim {
        Claim::Stranger {
            managers: Vec::new(),
        }
    }

    /// The managers that are earlier selves on such an object.
    fn earlier(live: &Value, claim: Option<&Claim>) -> Vec<String> {
        managers(live)
            .filter(|manager| is_earlier(*manager, live, claim))
            .map(|manager| {
                let operation = if manager.is_applier() {
                    "Apply"
                } else {
                    "Update"
                };
                format!("{} {operation}", manager.name())
            })
            .collect()
    }

    fn all() -> Value {
        let entries = [
            ("helm", "Apply", ""),
            ("helm", "Update", ""),
            ("Helm", "Update", ""),
            ("before-first-apply", "Update", ""),
            ("telectl", "Apply", ""),
            ("telectl", "Update", ""),
            ("kubectl-client-side-apply", "Update", ""),
            ("kubectl-create", "Update", ""),
            ("kubectl", "Apply", ""),
            ("kubectl", "Update", ""),
            ("kubectl", "Update", "scale"),
            ("kubectl-edit", "Update", ""),
            ("kubectl-patch", "Update", ""),
            ("k9s", "Update", ""),
            ("helm-controller", "Apply", ""),
            ("kube-controller-manager", "Update", "status"),
        ];
        let entries = entries.map(|(manager, operation, subresource)| {
            entry(manager, operation, subresource, json!({}))
        });
        json!({"metadata": {"managedFields": entries}})
    }

    #[test]
    fn earlier_selves_are_told_from_people_and_controllers() {
        let always = [
            "helm Apply",
            "helm Update",
            "Helm Update",
            "before-first-apply Update",
            "telectl Update",
        ];
        assert_eq!(earlier(&all(), None), always);
        let makers = [
            "kubectl-client-side-apply Update",
            "kubectl-create Update",
            "kubectl Apply",
        ];
        assert_eq!(
            earlier(&all(), Some(&stranger())),
            [&always[..], &makers].concat()
        );
        let mut applied = all();
        applied["metadata"]["annotations"][LAST_APPLIED] = "{}".into();
        assert_eq!(earlier(&applied, None), always, "on our own object");
        assert_eq!(
            earlier(&applied, Some(&stranger())),
            [&always[..], &makers, &["kubectl Update"]].concat()
        );
    }

    fn manifest(value: Value) -> Manifest {
        Manifest {
            object: ObjectRef::new(ObjectKind::Deployment, "ns", "collector"),
            value,
        }
    }

    #[test]
    fn what_helm_set_and_we_do_not_is_given_up_and_what_a_person_set_is_not() {
        let live = json!({
            "metadata": {"uid": "u", "managedFields": [
                entry("helm", "Update", "", json!({"f:spec": {
                    "f:replicas": {}, "f:paused": {}, "f:minReadySeconds": {},
                }})),
                entry("kubectl-edit", "Update", "", json!({"f:spec": {"f:paused": {}}})),
            ]},
            "spec": {"replicas": 1, "paused": true, "minReadySeconds": 5},
        });
        let manifest = manifest(json!({"spec": {"replicas": 2}}));
        let takeover = takeover(&manifest, &live, None).unwrap();
        assert_eq!(takeover.from, ["helm"]);
        assert_eq!(takeover.patch["metadata"]["uid"], "u");
        let (left, next) = given_up(&manifest, &live, None);
        assert_eq!(left["spec"], json!({"replicas": 1, "paused": true}));
        assert_eq!(next["spec"], json!({"replicas": 2, "paused": true}));
        let (asked, dropped) = sorted(changes(&live, &next), &changes(&live, &left));
        let fields = |changes: Vec<FieldChange>| -> Vec<String> {
            changes.into_iter().map(|change| change.field).collect()
        };
        assert_eq!(fields(asked), [".spec.replicas"]);
        assert_eq!(fields(dropped), [".spec.minReadySeconds"]);
        assert!(super::takeover(&manifest, &json!({}), None).is_none());
    }

    #[test]
    fn a_patch_changes_what_differs_and_nothing_that_is_the_servers() {
        let before = json!({
            "kind": "Service", "status": {"a": 1}, "spec": {"a": 1, "b": [1], "c": {"d": 1}},
            "metadata": {"uid": "u", "labels": {"x": "1", "y": "2"}},
        });
        let after = json!({
            "kind": "Service", "spec": {"a": 1, "b": [2], "c": {}, "e": 3},
            "metadata": {"uid": "other", "labels": {"x": "1"}},
        });
        assert_eq!(
            patch_between(&before, &after),
            json!({
                "spec": {"b": [2], "c": {"d": null}, "e": 3},
                "metadata": {"labels": {"y": null}},
            })
        );
    }
}
