use serde_json::json;

use super::*;
use crate::cluster::inventory::{Record, parent_manifest};
use crate::model::manifest::Manifest;

fn stage() -> Stage {
    Stage {
        profile: Profile::Central,
        context: "west".to_owned(),
        namespace: "ns".to_owned(),
    }
}

/// A live object that telectl applied, with more in it.
fn bare(kind: ObjectKind, name: &str, more: &Value) -> Value {
    let mut live = json!({
        "kind": kind.name(),
        "metadata": {
            "name": name, "namespace": "ns", "uid": format!("uid of {name}"),
            "labels": {"app.kubernetes.io/instance": "telemetry-central"},
            "managedFields": [{"manager": "telectl", "operation": "Apply"}],
        },
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        live[key] = value.clone();
    }
    live
}

/// A live member of a profile's set.
fn member_of(profile: Profile, kind: ObjectKind, name: &str, more: &Value) -> Value {
    let mut manifest = Manifest {
        object: ObjectRef::new(kind, "ns", name),
        value: bare(kind, name, more),
    };
    inventory::adopt(&mut manifest, &inventory::parent("ns", profile.name()));
    manifest.value
}

fn member(kind: ObjectKind, name: &str) -> Value {
    member_of(Profile::Central, kind, name, &json!({}))
}

fn secret(name: &str, keys: &[&str]) -> Value {
    let data: serde_json::Map<String, Value> = keys
        .iter()
        .map(|key| ((*key).to_owned(), "eA==".into()))
        .collect();
    let mut secret = bare(ObjectKind::Secret, name, &json!({"data": data}));
    secret["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "telectl"});
    secret
}

fn record(profile: Profile, objects: &[(ObjectKind, &str)]) -> Value {
    let members = objects
        .iter()
        .map(|(kind, name)| ObjectRef::new(*kind, "ns", *name))
        .collect();
    let record = Record {
        at: "2026-06-01T10:00:00Z",
        by: "somebody",
        version: "1",
        files: None,
        generation: None,
    };
    let parent = inventory::parent("ns", profile.name());
    parent_manifest(&parent, &members, "west", Some(&record)).value
}

fn claim(name: &str, labels: Value) -> Value {
    json!({"metadata": {"name": name, "uid": "u", "labels": labels}})
}

fn made_namespace() -> Value {
    json!({"metadata": {"name": "ns", "labels": {
        "app.kubernetes.io/managed-by": "telectl",
        "app.kubernetes.io/part-of": "telemetry-pipeline",
    }}})
}

/// A database with a volume, a Deployment, a password, a certificate, the authority.
fn deployed() -> Found {
    let templates = json!({"spec": {"volumeClaimTemplates": [{"metadata": {"name": "data"}}]}});
    let database = member_of(
        Profile::Central,
        ObjectKind::StatefulSet,
        "postgresql",
        &templates,
    );
    Found {
        namespace: Some(made_namespace()),
        record: Some(record(
            Profile::Central,
            &[
                (ObjectKind::StatefulSet, "postgresql"),
                (ObjectKind::Deployment, "collector"),
                (ObjectKind::Secret, "postgresql-auth"),
                (ObjectKind::Secret, "postgresql-tls"),
                (ObjectKind::Secret, "given"),
            ],
        )),
        others: Vec::new(),
        live: vec![
            database,
            member(ObjectKind::Deployment, "collector"),
            member(ObjectKind::Service, "postgresql"),
            secret("postgresql-auth", &["password"]),
            secret("postgresql-tls", &["tls.crt", "tls.key", "ca.crt"]),
        ],
        authority: Some(secret(AUTHORITY_SECRET, &["tls.crt", "tls.key"])),
        claims: vec![
            claim("data-postgresql-0", json!({})),
            claim("data-other-postgresql-0", json!({})),
            claim("somebody", json!({})),
        ],
        spools: Vec::new(),
    }
}

fn of(found: &Found, data: Data) -> Removal {
    plan(&stage(), "https://192.0.2.1", found, data)
}

fn deleted(removal: &Removal) -> Vec<String> {
    let objects = removal.objects.iter();
    let objects = objects.map(|one| format!("{}/{}", one.object.kind, one.object.name));
    let claims = removal.claims.iter();
    objects
        .chain(claims.map(|claim| claim.name.clone()))
        .collect()
}

fn kept(removal: &Removal) -> Vec<&str> {
    let kept = removal.kept.iter();
    kept.map(|kept| kept.object.as_str()).collect()
}

#[test]
fn d18_data_passwords_and_the_authority_stay_and_the_record_with_them() {
    let removal = of(&deployed(), Data::Keep);
    assert_eq!(
        deleted(&removal),
        [
            "Deployment/collector",
            "StatefulSet/postgresql",
            "Secret/postgresql-tls",
            "Service/postgresql"
        ]
    );
    assert_eq!(
        kept(&removal),
        [
            "Secret/postgresql-auth",
            "Secret/telectl-ca",
            "PersistentVolumeClaim/data-postgresql-0"
        ]
    );
    assert_eq!(removal.record, RecordFate::Shortened);
    let because = "Secret/postgresql-auth is in it".to_owned();
    assert_eq!(removal.namespace, NamespaceFate::Kept { because });
    assert_eq!(removal.count(), 4);
}

#[test]
fn d18_with_data_everything_goes_but_what_is_not_ours() {
    let mut found = deployed();
    // Somebody else's, although it has a name that the record lists, and another set's.
    let mut given = secret("given", &["token"]);
    given["metadata"]["managedFields"][0]["manager"] = "kubectl".into();
    found.live.push(given);
    let anothers = member_of(Profile::Edge, ObjectKind::ConfigMap, "edge", &json!({}));
    found.live.push(anothers);
    let mut going = member(ObjectKind::Service, "going");
    going["metadata"]["deletionTimestamp"] = "2026-06-01T10:00:00Z".into();
    found.live.push(going);
    let removal = of(&found, Data::Delete);
    let gone = deleted(&removal);
    for name in ["given", "edge", "going", "somebody", "other-postgresql"] {
        assert!(!gone.iter().any(|one| one.contains(name)), "{gone:?}");
    }
    assert!(
        gone.contains(&"Secret/postgresql-auth".to_owned()),
        "{gone:?}"
    );
    assert!(gone.contains(&"Secret/telectl-ca".to_owned()), "{gone:?}");
    assert!(gone.contains(&"data-postgresql-0".to_owned()), "{gone:?}");
    assert!(removal.kept.is_empty());
    assert_eq!(removal.record, RecordFate::Deleted);
    assert_eq!(removal.namespace, NamespaceFate::Deleted);
}

#[test]
fn d18_what_was_kept_is_known_the_next_time() {
    let mut found = deployed();
    let removal = of(&found, Data::Keep);
    let members = kept_members(&removal);
    let parent = inventory::parent("ns", "central");
    let mut record = parent_manifest(&parent, &members, "west", None).value;
    let claims = json!(removal.kept_claims).to_string();
    record["metadata"]["annotations"][KEPT_CLAIMS] = claims.into();
    found.record = Some(record);
    found
        .live
        .retain(|live| live["metadata"]["name"] == "postgresql-auth");
    let again = of(&found, Data::Keep);
    assert!(!again.has_changes(), "{again:?}");
    assert_eq!(kept(&again), kept(&removal));
    let all = of(&found, Data::Delete);
    assert_eq!(
        deleted(&all),
        [
            "Secret/postgresql-auth",
            "Secret/telectl-ca",
            "data-postgresql-0"
        ]
    );
    assert_eq!(all.namespace, NamespaceFate::Deleted);
}

#[test]
fn d18_a_run_that_was_broken_off_finds_the_claims_by_their_labels() {
    let mut found = deployed();
    found.live.retain(|live| live["kind"] != "StatefulSet");
    let labels = json!({
        "app.kubernetes.io/instance": "telemetry-central",
        "app.kubernetes.io/component": "postgresql",
        "telectl.io/serving": "true",
    });
    found.claims = vec![
        claim("data-postgresql-0", labels.clone()),
        claim(
            "data-other-0",
            json!({"app.kubernetes.io/instance": "telemetry-central"}),
        ),
    ];
    let removal = of(&found, Data::Delete);
    assert_eq!(removal.claims.len(), 1, "{removal:?}");
    assert_eq!(removal.claims[0].name, "data-postgresql-0");
}

#[test]
fn d18_of_two_profiles_in_a_namespace_only_the_named_one_goes() {
    let mut found = deployed();
    let other = record(Profile::Edge, &[(ObjectKind::Secret, "postgresql-tls")]);
    found.others = vec![(Profile::Edge, other)];
    let removal = of(&found, Data::Delete);
    assert_eq!(
        kept(&removal),
        ["Secret/postgresql-tls", "Secret/telectl-ca"]
    );
    assert_eq!(removal.kept[0].because, "profile edge uses it");
    let because = "profile edge is in it".to_owned();
    assert_eq!(removal.namespace, NamespaceFate::Kept { because });
}

#[test]
fn d18_a_namespace_that_telectl_did_not_make_stays() {
    let mut found = deployed();
    found.namespace = Some(json!({"metadata": {"name": "ns"}}));
    let removal = of(&found, Data::Delete);
    let because = "telectl did not make it".to_owned();
    assert_eq!(removal.namespace, NamespaceFate::Kept { because });
    assert_eq!(removal.record, RecordFate::Deleted);
}

#[test]
fn d18_where_nothing_is_nothing_happens() {
    assert!(!of(&Found::default(), Data::Delete).has_changes());
    let foreign = Found {
        namespace: Some(json!({"metadata": {"name": "ns"}})),
        claims: vec![claim("data-postgresql-0", json!({}))],
        ..Found::default()
    };
    assert!(!of(&foreign, Data::Delete).has_changes());
}

#[test]
fn d18_undrained_spools_are_warned_of() {
    let spool = |pod: &str, undrained| Spool {
        pod: pod.to_owned(),
        undrained,
    };
    let mut found = deployed();
    found.spools = vec![
        spool("streamer-0", Some(0)),
        spool("streamer-1", Some(3)),
        spool("streamer-2", None),
    ];
    let warnings = of(&found, Data::Delete).warnings;
    assert_eq!(
        warnings[0],
        "streamer-1 holds 3 batches that the store has not acknowledged: they are lost"
    );
    assert!(
        warnings[1].starts_with("streamer-2 does not say"),
        "{warnings:?}"
    );
    assert_eq!(warnings.len(), 2);
    assert!(of(&found, Data::Keep).warnings[0].contains("stay in its volume"));
}

#[test]
fn d18_a_claim_that_no_stateful_set_made_stays_like_the_others() {
    let mut found = deployed();
    let dumps = member(ObjectKind::PersistentVolumeClaim, "backup");
    found.live.push(dumps);
    let named = "PersistentVolumeClaim/backup";
    let removal = of(&found, Data::Keep);
    assert!(kept(&removal).contains(&named), "{:?}", kept(&removal));
    assert!(!deleted(&removal).iter().any(|one| one == named));
    let removal = of(&found, Data::Delete);
    assert!(deleted(&removal).iter().any(|one| one == named));
}
