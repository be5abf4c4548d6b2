//! Changes that a cluster refuses, because the fields of an object are fixed once it is made, or
//! because an admission of the cluster is against them. Pure.

use serde::Serialize;
use serde_json::{Map, Value};

use super::error::DeployError;
use super::keys;
use super::layout::Stage;
use super::plan::{Action, ObjectPlan};
use crate::cluster::diff::{FieldChange, changes};
use crate::cluster::inventory;
use crate::model::manifest::Manifest;
use crate::model::object::{ObjectKind, ObjectRef};

/// Why an object cannot become what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// What the API server says.
    pub message: String,
    /// Whether a webhook or a policy of the cluster is against it, and not what the object is.
    pub by_admission: bool,
    /// Settings, as `key=value`, that keep what is there.
    pub keep: Vec<String>,
    /// The files and overlays that the last deployment was given with `-f`, if it noted them.
    pub deployed_with: Option<Vec<String>>,
    /// Why it is not made anew although somebody asked for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_recreated: Option<String>,
}

/// The fields of a kind's `spec` that hold for the life of an object.
const fn fixed(kind: ObjectKind) -> &'static [&'static str] {
    match kind {
        ObjectKind::StatefulSet => &[
            "volumeClaimTemplates",
            "selector",
            "serviceName",
            "podManagementPolicy",
        ],
        ObjectKind::Deployment => &["selector"],
        ObjectKind::Job => &["selector", "template", "completionMode"],
        ObjectKind::PersistentVolumeClaim => &["accessModes", "resources", "storageClassName"],
        ObjectKind::Service => &["clusterIP", "clusterIPs", "ipFamilies", "loadBalancerClass"],
        _ => &[],
    }
}

/// The plan of an object whose change the server refuses.
pub(super) fn refused(manifest: &Manifest, live: &Value, message: &str) -> ObjectPlan {
    let changes = fixed_changes(manifest, live);
    let volume = match manifest.object.kind {
        ObjectKind::PersistentVolumeClaim => Some(keys::CLAIM),
        _ => keys::component_of(&manifest.value).and_then(keys::volume),
    };
    let keep = changes
        .iter()
        .filter_map(|change| keeping(volume?, change))
        .collect();
    ObjectPlan {
        changes,
        refusal: Some(Refusal {
            message: message.to_owned(),
            by_admission: false,
            keep,
            deployed_with: None,
            not_recreated: None,
        }),
        ..ObjectPlan::new(manifest.object.clone(), Action::Refuse)
    }
}

/// Whether a refusal is about what cannot be changed. That of a volume in use comes from an admission
/// of the API server's own, which says forbidden.
pub(super) fn is_fixed(object: &ObjectRef, code: u16, message: &str) -> bool {
    let is_volume = object.kind == ObjectKind::PersistentVolumeClaim;
    code == 422 || (code == 403 && is_volume && message.contains("pvc can be resized"))
}

/// Whether the API server speaks for a webhook or a policy. Any code may come with it.
pub(super) fn is_admissions(message: &str) -> bool {
    [" denied the request", " denied request: "]
        .iter()
        .any(|words| message.contains(words))
}

/// The plan of an object that an admission of the cluster is against.
pub(super) fn rejected(manifest: &Manifest, message: &str) -> ObjectPlan {
    ObjectPlan {
        refusal: Some(Refusal {
            message: message.to_owned(),
            by_admission: true,
            keep: Vec::new(),
            deployed_with: None,
            not_recreated: None,
        }),
        ..ObjectPlan::new(manifest.object.clone(), Action::Refuse)
    }
}

/// The fixed fields that differ. What the server filled in by itself is no difference.
fn fixed_changes(manifest: &Manifest, live: &Value) -> Vec<FieldChange> {
    let kind = manifest.object.kind;
    let part = |object: &Value| {
        let fields = fixed(kind).iter();
        let found =
            fields.filter_map(|field| Some(((*field).to_owned(), object["spec"].get(field)?)));
        let spec: Map<String, Value> = found
            .map(|(field, value)| (field, value.clone()))
            .filter(|(_, value)| !value.is_null())
            .collect();
        serde_json::json!({ "spec": spec })
    };
    let mut found = changes(&part(live), &part(&manifest.value));
    found.retain(|change| !is_filled_in(kind, change));
    found
}

/// Whether a field that we leave out has the value that the server gives to it then.
fn is_filled_in(kind: ObjectKind, change: &FieldChange) -> bool {
    let (Some(before), None) = (&change.before, &change.after) else {
        return change.before.as_ref().is_some_and(Value::is_null)
            && change.after.as_ref().is_none_or(Value::is_null);
    };
    let name = change.field.rsplit('.').next().unwrap_or_default();
    match (kind, name) {
        (ObjectKind::Job, _) => true,
        (ObjectKind::Service, "loadBalancerClass") => false,
        (ObjectKind::Service, _) => *before != "None" && *before != serde_json::json!(["None"]),
        (_, "podManagementPolicy") => before == "OrderedReady",
        (ObjectKind::PersistentVolumeClaim, "storageClassName") => true,
        (_, "volumeMode") => before == "Filesystem",
        (_, "status" | "apiVersion" | "kind" | "creationTimestamp") => true,
        _ => false,
    }
}

/// The setting that takes a change of a volume back; `volume` is where the volume's values stand.
fn keeping(volume: &str, change: &FieldChange) -> Option<String> {
    let text = |value: &Option<Value>| {
        let text = value.as_ref().and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let field = change.field.as_str();
    if field == ".spec.volumeClaimTemplates" {
        return Some(format!("{volume}.enabled={}", change.before.is_some()));
    }
    if field.ends_with(".resources.requests.storage") {
        return Some(format!("{volume}.size={}", text(&change.before)));
    }
    field
        .ends_with(".storageClassName")
        .then(|| format!("{volume}.storageClass={}", text(&change.before)))
}

/// Says with every refusal what the last deployment was given, as its record tells.
pub(super) fn note_record(plans: &mut [ObjectPlan], record: Option<&Value>) {
    let given = record.and_then(inventory::recorded_files);
    for refusal in plans.iter_mut().filter_map(|plan| plan.refusal.as_mut()) {
        refusal.deployed_with.clone_from(&given);
    }
}

/// Stops before objects are written of which one would be refused.
///
/// # Errors
/// [`DeployError::NotOurs`] with all that belong to somebody else; without such ones
/// [`DeployError::CannotChange`], with all that cannot be changed; without these
/// [`DeployError::Rejected`].
pub fn refuse<'a>(
    plans: impl IntoIterator<Item = (&'a Stage, &'a ObjectPlan)>,
) -> Result<(), DeployError> {
    let refused = plans
        .into_iter()
        .filter(|(_, plan)| plan.action == Action::Refuse);
    let (others, objects): (Vec<_>, Vec<_>) = refused
        .map(|(stage, plan)| (stage.clone(), plan.clone()))
        .partition(|(_, plan)| plan.is_anothers());
    if !others.is_empty() {
        return Err(DeployError::NotOurs { objects: others });
    }
    let (rejected, fixed): (Vec<_>, Vec<_>) = objects
        .into_iter()
        .partition(|(_, plan): &(Stage, ObjectPlan)| plan.is_rejected());
    if !fixed.is_empty() {
        return Err(DeployError::CannotChange { objects: fixed });
    }
    if !rejected.is_empty() {
        return Err(DeployError::Rejected { objects: rejected });
    }
    Ok(())
}

impl ObjectPlan {
    /// Whether an admission of the cluster is against it.
    pub fn is_rejected(&self) -> bool {
        let refusal = self.refusal.as_ref();
        refusal.is_some_and(|refusal| refusal.by_admission)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MESSAGE: &str = "updates to statefulset spec for fields other than … are forbidden";

    fn etcd(spec: Value) -> Manifest {
        Manifest {
            object: ObjectRef::new(ObjectKind::StatefulSet, "shared", "etcd"),
            value: json!({
                "metadata": {"labels": {"app.kubernetes.io/component": "etcd"}},
                "spec": spec,
            }),
        }
    }

    fn claim(size: &str, class: Value) -> Value {
        json!({
            "metadata": {"name": "data"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": class,
                "resources": {"requests": {"storage": size}},
            },
        })
    }

    fn live(claim: Value) -> Value {
        let mut claim = claim;
        claim["apiVersion"] = "v1".into();
        claim["kind"] = "PersistentVolumeClaim".into();
        claim["spec"]["volumeMode"] = "Filesystem".into();
        claim["status"] = json!({"phase": "Pending"});
        json!({"spec": {
            "podManagementPolicy": "OrderedReady",
            "serviceName": "etcd",
            "replicas": 1,
            "template": {"spec": {"restartPolicy": "Always"}},
            "volumeClaimTemplates": [claim],
        }})
    }

    fn shown(plan: &ObjectPlan) -> Vec<String> {
        let text =
            |value: &Option<Value>| value.as_ref().map_or_else(String::new, Value::to_string);
        plan.changes
            .iter()
            .map(|change| {
                let (before, after) = (text(&change.before), text(&change.after));
                format!("{} {before} {after}", change.field)
            })
            .collect()
    }

    #[test]
    fn a_volume_of_another_size_and_class_is_named_with_the_keys_that_keep_it() {
        let mut live = live(claim("256Mi", json!("slow")));
        live["spec"]["volumeClaimTemplates"][0]["spec"]["accessModes"] = json!(["ReadWriteOnce"]);
        let wanted = etcd(json!({
            "serviceName": "etcd",
            "replicas": 2,
            "volumeClaimTemplates": [claim("8Gi", Value::Null)],
        }));
        let plan = refused(&wanted, &live, MESSAGE);
        assert_eq!(plan.action, Action::Refuse);
        assert_eq!(
            shown(&plan),
            [
                ".spec.volumeClaimTemplates[0].spec.resources.requests.storage \"256Mi\" \"8Gi\"",
                ".spec.volumeClaimTemplates[0].spec.storageClassName \"slow\" null",
            ]
        );
        let refusal = plan.refusal.unwrap();
        assert_eq!(
            refusal.keep,
            [
                "etcd.persistence.size=256Mi",
                "etcd.persistence.storageClass=slow"
            ]
        );
        assert_eq!(refusal.message, MESSAGE);
    }

    #[test]
    fn a_claim_of_another_size_is_named_with_the_key_that_keeps_it() {
        let backup = |size: &str| {
            json!({"spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": size}},
            }})
        };
        let mut live = backup("256Mi");
        live["spec"]["storageClassName"] = "standard".into();
        live["spec"]["volumeName"] = "pvc-1".into();
        let wanted = Manifest {
            object: ObjectRef::new(ObjectKind::PersistentVolumeClaim, "ns", "backup"),
            value: backup("100Gi"),
        };
        let plan = refused(&wanted, &live, MESSAGE);
        assert_eq!(
            shown(&plan),
            [".spec.resources.requests.storage \"256Mi\" \"100Gi\""]
        );
        assert_eq!(plan.refusal.unwrap().keep, ["backup.storage.size=256Mi"]);
    }

    #[test]
    fn what_the_server_filled_in_is_no_difference() {
        let mut claim = claim("1Gi", Value::Null);
        claim["spec"]
            .as_object_mut()
            .unwrap()
            .remove("storageClassName");
        let wanted = etcd(json!({
            "serviceName": "etcd",
            "volumeClaimTemplates": [claim.clone()],
        }));
        assert_eq!(shown(&refused(&wanted, &live(claim), MESSAGE)), [""; 0]);
    }

    #[test]
    fn a_volume_that_comes_or_goes_names_the_key_that_says_so() {
        let without = etcd(json!({"serviceName": "etcd"}));
        let plan = refused(&without, &live(claim("1Gi", Value::Null)), MESSAGE);
        assert_eq!(plan.changes.len(), 1);
        assert_eq!(
            plan.refusal.unwrap().keep,
            ["etcd.persistence.enabled=true"]
        );
    }

    #[test]
    fn the_address_that_a_service_was_given_is_no_difference_but_none_is() {
        let wanted = Manifest {
            object: ObjectRef::new(ObjectKind::Service, "ns", "redis"),
            value: json!({"spec": {"ports": []}}),
        };
        let live = |address: &str| json!({"spec": {"clusterIP": address, "ports": [1]}});
        assert!(refused(&wanted, &live("10.0.0.1"), "").changes.is_empty());
        assert_eq!(
            shown(&refused(&wanted, &live("None"), "")),
            [".spec.clusterIP \"None\" "]
        );
        let classed = json!({"spec": {"clusterIP": "10.0.0.1", "loadBalancerClass": "theirs"}});
        assert_eq!(
            shown(&refused(&wanted, &classed, "")),
            [".spec.loadBalancerClass \"theirs\" "]
        );
    }

    #[test]
    fn another_selector_of_a_deployment_is_named() {
        let selector = |name: &str| json!({"spec": {"selector": {"matchLabels": {"app": name}}}});
        let wanted = Manifest {
            object: ObjectRef::new(ObjectKind::Deployment, "ns", "collector"),
            value: selector("new"),
        };
        assert_eq!(
            shown(&refused(&wanted, &selector("old"), "")),
            [".spec.selector.matchLabels.app \"old\" \"new\""]
        );
    }

    #[test]
    fn all_refused_objects_stop_a_run_and_others_do_not() {
        let stage = Stage {
            profile: crate::model::profile::Profile::Shared,
            context: "west".to_owned(),
            namespace: "shared".to_owned(),
        };
        let refused = refused(&etcd(json!({})), &json!({}), MESSAGE);
        let mut kept = refused.clone();
        kept.action = Action::Keep;
        assert!(refuse([(&stage, &kept)]).is_ok());
        let error = refuse([(&stage, &refused), (&stage, &kept), (&stage, &refused)]).unwrap_err();
        assert_eq!(error.to_string(), "2 objects cannot be changed in place");
        let rejected = rejected(&etcd(json!({})), "the webhook denied the request: no");
        let error = refuse([(&stage, &rejected), (&stage, &kept)]).unwrap_err();
        let says = "etcd is refused by a policy of the cluster";
        assert!(error.to_string().ends_with(says), "{error}");
        let error = refuse([(&stage, &rejected), (&stage, &refused)]).unwrap_err();
        let says = "etcd cannot be changed in place";
        assert!(error.to_string().ends_with(says), "{error}");
    }

    #[test]
    fn webhooks_and_policies_are_told_from_the_servers_own_rules() {
        for message in [
            "admission webhook \"a.example\" denied the request: no",
            "deployments.apps \"collector\" is forbidden: ValidatingAdmissionPolicy 'p' with \
             binding 'p' denied request: no",
        ] {
            assert!(is_admissions(message), "{message}");
        }
        assert!(!is_admissions(MESSAGE));
        let claim = ObjectRef::new(ObjectKind::PersistentVolumeClaim, "ns", "backup");
        let resized = "only dynamically provisioned pvc can be resized and the storageclass must";
        assert!(is_fixed(&claim, 403, resized));
        assert!(!is_fixed(&claim, 403, "User \"ann\" cannot patch resource"));
        assert!(is_fixed(&claim, 422, MESSAGE));
    }
}
