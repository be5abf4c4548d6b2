//! Objects that cannot be changed in place are deleted and made anew, if somebody says so. Pure.

use serde::Serialize;
use serde_json::Value;

use crate::cluster::apply::Cascade;
use crate::model::manifest::Manifest;
use crate::model::object::ObjectKind;

/// How an object is deleted and made anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recreation {
    /// What becomes of its pods.
    pub cascade: Cascade,
    /// What that means.
    pub means: &'static str,
    /// The UID of the one that is deleted.
    #[serde(skip)]
    pub uid: String,
}

/// How a live object makes way for the manifest.
///
/// # Errors
/// Why it must not be deleted.
pub fn recreation(manifest: &Manifest, live: &Value) -> Result<Recreation, &'static str> {
    let kind = manifest.object.kind;
    let deletes_volumes =
        live["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == "Delete";
    if kind == ObjectKind::StatefulSet && deletes_volumes {
        return Err(
            "its volumes would be deleted with it (persistentVolumeClaimRetentionPolicy.whenDeleted \
             is Delete)",
        );
    }
    if kind == ObjectKind::PersistentVolumeClaim {
        return Err("what its volume holds would be deleted with it");
    }
    let is_found = finds_old_pods(manifest, live);
    let (cascade, means) = match (kind, is_found) {
        (ObjectKind::StatefulSet, true) => (
            Cascade::Orphan,
            "its pods run on until the new one replaces them; their volumes stay as they are, with \
             their old size and class",
        ),
        (ObjectKind::StatefulSet, false) => (
            Cascade::Background,
            "its pods stop first, for the new selector does not find them; their volumes stay as \
             they are, with their old size and class",
        ),
        (ObjectKind::Deployment, true) => {
            (Cascade::Orphan, "its pods run on until new ones are ready")
        }
        (ObjectKind::Deployment, false) => (
            Cascade::Background,
            "its pods stop first, for the new selector does not find them",
        ),
        (ObjectKind::Service, _) => (
            Cascade::Background,
            "its addresses may change, and nothing is reached through it meanwhile",
        ),
        (ObjectKind::Job, _) => (
            Cascade::Background,
            "its pods are deleted, and it runs once more",
        ),
        _ => (Cascade::Background, "it is not there for a moment"),
    };
    let uid = live["metadata"]["uid"].as_str().unwrap_or_default();
    Ok(Recreation {
        cascade,
        means,
        uid: uid.to_owned(),
    })
}

/// Whether the selector of a workload finds the pods of the one that is there, so that they become
/// the new one's. Pods that nobody finds would run on for ever.
fn finds_old_pods(manifest: &Manifest, live: &Value) -> bool {
    let labels = &live["spec"]["template"]["metadata"]["labels"];
    let selector = &manifest.value["spec"]["selector"];
    let wanted = selector["matchLabels"].as_object();
    selector["matchExpressions"].is_null()
        && wanted.is_some_and(|wanted| {
            wanted
                .iter()
                .all(|(key, value)| labels.get(key) == Some(value))
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::object::ObjectRef;

    fn workload(kind: ObjectKind, labels: &[&str]) -> (Manifest, Value) {
        let labels: serde_json::Map<String, Value> = labels
            .iter()
            .map(|label| ((*label).to_owned(), "x".into()))
            .collect();
        let live = json!({
            "metadata": {"uid": "u"},
            "spec": {"template": {"metadata": {"labels": labels}}},
        });
        let manifest = Manifest {
            object: ObjectRef::new(kind, "ns", "it"),
            value: json!({"spec": {"selector": {"matchLabels": {"a": "x"}}}}),
        };
        (manifest, live)
    }

    #[test]
    fn a_claim_is_never_made_anew() {
        let (manifest, live) = workload(ObjectKind::PersistentVolumeClaim, &[]);
        assert_eq!(
            recreation(&manifest, &live),
            Err("what its volume holds would be deleted with it")
        );
    }

    #[test]
    fn pods_run_on_only_where_the_new_selector_finds_them() {
        for kind in [ObjectKind::StatefulSet, ObjectKind::Deployment] {
            let cascade = |labels: &[&str]| {
                let (manifest, live) = workload(kind, labels);
                recreation(&manifest, &live).unwrap().cascade
            };
            assert_eq!(cascade(&["a", "b"]), Cascade::Orphan);
            assert_eq!(cascade(&["b"]), Cascade::Background);
        }
    }

    #[test]
    fn a_statefulset_that_takes_its_volumes_with_it_is_not_deleted() {
        let (manifest, mut live) = workload(ObjectKind::StatefulSet, &["a"]);
        live["spec"]["persistentVolumeClaimRetentionPolicy"] = json!({"whenDeleted": "Delete"});
        let error = recreation(&manifest, &live).unwrap_err();
        assert!(error.contains("volumes would be deleted"), "{error}");
    }

    #[test]
    fn a_service_and_a_job_say_what_is_lost() {
        let means = |kind| {
            let (manifest, live) = workload(kind, &["a"]);
            recreation(&manifest, &live).unwrap()
        };
        assert!(
            means(ObjectKind::Service)
                .means
                .contains("addresses may change")
        );
        assert!(means(ObjectKind::Job).means.contains("runs once more"));
        assert_eq!(means(ObjectKind::Job).cascade, Cascade::Background);
        assert_eq!(means(ObjectKind::ConfigMap).uid, "u");
    }
}
