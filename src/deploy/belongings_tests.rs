use serde_json::json;

use super::*;
use crate::model::manifest::{Manifest, SecretNeed};
use crate::model::profile::Profile;

fn object(kind: ObjectKind, name: &str) -> ObjectRef {
    ObjectRef::new(kind, "ns", name)
}

fn parent() -> ObjectRef {
    inventory::parent("ns", "central")
}

/// A set that wants a Service and a Secret.
fn set() -> RenderedSet {
    RenderedSet {
        profile: Profile::Central,
        namespace: "ns".to_owned(),
        cluster_id: "central".to_owned(),
        manifests: vec![Manifest {
            object: object(ObjectKind::Service, "wanted"),
            value: json!({}),
        }],
        secrets: vec![SecretNeed {
            name: "wanted".to_owned(),
            keys: Vec::new(),
        }],
    }
}

/// A live object without any label of a set.
fn bare(kind: ObjectKind, name: &str) -> Value {
    json!({
        "kind": kind.name(),
        "metadata": {
            "name": name, "namespace": "ns", "uid": format!("uid of {name}"), "labels": {},
            "managedFields": [{"manager": "telectl", "operation": "Apply"}],
        },
    })
}

/// A live member of a set.
fn member_of(parent: &ObjectRef, kind: ObjectKind, name: &str) -> Value {
    let mut manifest = Manifest {
        object: object(kind, name),
        value: bare(kind, name),
    };
    inventory::adopt(&mut manifest, parent);
    manifest.value
}

fn member(kind: ObjectKind, name: &str) -> Value {
    member_of(&parent(), kind, name)
}

/// What is deleted and what is kept, as `KIND/NAME`.
fn sorted(set: &RenderedSet, listed: &[ObjectRef], live: &[Value]) -> (Vec<String>, Vec<String>) {
    let live: Vec<&Value> = live.iter().collect();
    let (unwanted, kept) = sort(set, &parent(), &listed.iter().cloned().collect(), &live);
    let unwanted = unwanted
        .iter()
        .map(|one| format!("{}/{}", one.object.kind, one.object.name));
    let kept = kept.iter().map(|one| one.object.clone());
    (unwanted.collect(), kept.collect())
}

fn nothing() -> (Vec<String>, Vec<String>) {
    (Vec::new(), Vec::new())
}

#[test]
fn members_that_nothing_asks_for_are_deleted_in_the_reverse_order_of_applying() {
    let live = [
        member(ObjectKind::Service, "collector"),
        member(ObjectKind::Service, "wanted"),
        member(ObjectKind::Deployment, "collector"),
        member(ObjectKind::HorizontalPodAutoscaler, "collector"),
    ];
    let (unwanted, kept) = sorted(&set(), &[], &live);
    assert_eq!(
        unwanted,
        [
            "HorizontalPodAutoscaler/collector",
            "Deployment/collector",
            "Service/collector"
        ]
    );
    assert!(kept.is_empty());
    let live: Vec<&Value> = live.iter().collect();
    let (unwanted, _) = sort(&set(), &parent(), &BTreeSet::new(), &live);
    assert_eq!(unwanted[0].uid, "uid of collector");
}

#[test]
fn an_empty_render_deletes_nothing() {
    let mut empty = set();
    empty.manifests.clear();
    let live = [member(ObjectKind::Deployment, "collector")];
    assert_eq!(sorted(&empty, &[], &live), nothing());
}

#[test]
fn what_is_anothers_is_never_touched_even_if_it_is_listed() {
    let listed = [object(ObjectKind::Deployment, "collector")];
    let other = inventory::parent("ns", "edge");
    let live = [member_of(&other, ObjectKind::Deployment, "collector")];
    assert_eq!(sorted(&set(), &listed, &live), nothing());
}

#[test]
fn a_listed_object_without_label_is_ours_only_if_we_applied_this_very_one() {
    let listed = [object(ObjectKind::Deployment, "collector")];
    let ours = bare(ObjectKind::Deployment, "collector");
    let mut somebodys = ours.clone();
    somebodys["metadata"]["managedFields"] =
        json!([{"manager": "kubectl-create", "operation": "Update"}]);
    let (unwanted, _) = sorted(&set(), &listed, std::slice::from_ref(&ours));
    assert_eq!(unwanted, ["Deployment/collector"]);
    assert_eq!(sorted(&set(), &listed, &[somebodys]), nothing());
    assert_eq!(sorted(&set(), &[], &[ours]), nothing(), "not listed");
}

#[test]
fn what_is_going_and_the_record_itself_are_not_deleted() {
    let mut going = member(ObjectKind::Service, "collector");
    going["metadata"]["deletionTimestamp"] = json!("2026-06-01T00:00:00Z");
    let record = member(ObjectKind::ConfigMap, &parent().name);
    let namespace = member(ObjectKind::Namespace, "ns");
    assert_eq!(sorted(&set(), &[], &[going, record, namespace]), nothing());
}

#[test]
fn passwords_and_the_authority_are_kept_and_certificates_are_not() {
    let secret = |name: &str, keys: &[&str]| {
        let mut secret = bare(ObjectKind::Secret, name);
        secret["metadata"]["labels"][labels::MANAGED_BY] = labels::TELECTL.into();
        for key in keys {
            secret["data"][*key] = "eA==".into();
        }
        secret
    };
    let live = [
        secret("redis-auth", &["password"]),
        secret("redis-tls", &["tls.crt", "tls.key", "ca.crt"]),
        secret(AUTHORITY_SECRET, &["tls.crt", "tls.key"]),
        secret("wanted", &["password"]),
    ];
    let listed: Vec<ObjectRef> = live.iter().filter_map(reference).collect();
    let (unwanted, kept) = sorted(&set(), &listed, &live);
    assert_eq!(unwanted, ["Secret/redis-tls"]);
    assert_eq!(kept, ["Secret/redis-auth", "Secret/telectl-ca"]);
    let mut somebodys = live[1].clone();
    somebodys["metadata"]["labels"] = json!({});
    let (unwanted, kept) = sorted(&set(), &listed, &[somebodys]);
    assert!(unwanted.is_empty(), "{unwanted:?}");
    assert_eq!(kept, ["Secret/redis-tls"]);
}

#[test]
fn a_stateful_set_goes_without_its_volumes_or_not_at_all() {
    let mut database = member(ObjectKind::StatefulSet, "postgresql");
    database["spec"]["volumeClaimTemplates"] = json!([{"metadata": {"name": "data"}}]);
    let (unwanted, _) = sorted(&set(), &[], std::slice::from_ref(&database));
    assert_eq!(unwanted, ["StatefulSet/postgresql"]);
    let prefixes = claim_prefixes(&database);
    assert!(is_claim_of("data-postgresql-0", &prefixes));
    assert!(!is_claim_of("data-postgresql-replica-0", &prefixes));
    assert!(!is_claim_of("other-postgresql-0", &prefixes));
    database["spec"]["persistentVolumeClaimRetentionPolicy"] = json!({"whenDeleted": "Delete"});
    let (unwanted, kept) = sorted(&set(), &[], &[database]);
    assert!(unwanted.is_empty());
    assert_eq!(kept, ["StatefulSet/postgresql"]);
}

#[test]
fn the_inventory_is_the_union_before_and_what_stays_after() {
    let belongings = Belongings {
        ours: BTreeSet::from([
            object(ObjectKind::Deployment, "gone"),
            object(ObjectKind::Secret, "kept"),
        ]),
        kept: vec![Kept {
            object: "Secret/kept".to_owned(),
            because: String::new(),
            member: Some(object(ObjectKind::Secret, "kept")),
        }],
        ..Belongings::default()
    };
    let wanted = [
        object(ObjectKind::Service, "wanted"),
        object(ObjectKind::Secret, "wanted"),
    ];
    let mut after = BTreeSet::from(wanted);
    after.insert(object(ObjectKind::Secret, "kept"));
    assert_eq!(belongings.members(&set()), after);
    after.insert(object(ObjectKind::Deployment, "gone"));
    assert_eq!(belongings.union(&set()), after);
}
