//! Versions, rights, and what becomes of findings.

use super::*;

#[test]
fn d17_stages_with_two_versions_are_refused_and_the_places_named() {
    let of = |tags: [&str; 2]| {
        let of = |profile, tag: &str| {
            let tag = format!("image.tag={tag}");
            let sets = [
                "externalRedis.host=r.example,etcd.endpoints={https://e:2379}",
                tag.as_str(),
            ];
            prospect(rendered(profile, &["lab"], &sets))
        };
        let prospects = [of(Profile::Central, tags[0]), of(Profile::Edge, tags[1])];
        found_by(versions::judge(&prospects, &[]), &catalogue::ONE_VERSION)
    };
    assert_eq!(of(["1", "1"]), []);
    assert_eq!(
        of(["1", "2"]),
        [(
            Severity::Error,
            "the workers would get different versions: 1 for central on west; 2 for edge on west"
                .to_owned()
        )]
    );
}

#[test]
fn d17_workers_that_a_run_does_not_touch_count() {
    let mut edge = prospect(rendered(
        Profile::Edge,
        &["lab"],
        &["externalRedis.host=r.example,etcd.endpoints={https://e:2379},image.tag=2"],
    ));
    edge.stage.context = "edge".to_owned();
    let live = |image: &str| {
        json!({
            "metadata": {
                "name": "streamer",
                "namespace": edge.stage.namespace,
                "labels": {"app.kubernetes.io/component": "streamer"},
            },
            "spec": {"template": {"spec": {"containers": [{"image": image}]}}},
        })
    };
    let workloads = [("StatefulSet", live("telectl:1"))];
    let prospects = [edge];
    assert_eq!(versions::untouched("edge", &workloads, &prospects), []);
    let untouched = versions::untouched("edge-2", &workloads, &prospects);
    let found = versions::judge(&prospects, &untouched);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].cluster, "edge-2");
}

#[test]
fn d13_errors_end_the_run_unless_they_are_let_through_by_name() {
    let error = || {
        vec![unreachable(
            "edge",
            &ClusterError::Refused {
                cluster: "edge".to_owned(),
                action: "asking".to_owned(),
                code: 401,
                reason: "Unauthorized".to_owned(),
                message: "who are you".to_owned(),
            },
        )]
    };
    let refused = refuse(&settled(error(), &BTreeSet::new())).unwrap_err();
    assert!(refused.to_string().ends_with("1 error"), "{refused}");
    let others = BTreeSet::from(["TEL-PRE-002"]);
    assert!(refuse(&settled(error(), &others)).is_err());
    let named = BTreeSet::from(["TEL-PRE-001"]);
    let found = settled(error(), &named);
    assert!(refuse(&found).is_ok());
    assert_eq!(found[0].severity, Severity::Warning);
}

#[test]
fn d13_what_is_asked_for_follows_from_what_is_there() {
    let prospect = prospect(rendered(Profile::Shared, &["lab"], &[]));
    let asked = |place: &Place, resource: &str| -> Vec<&'static str> {
        let questions = permissions::questions(&prospect, place);
        let of = questions.iter().filter(|question| {
            question.resource == resource && question.namespace != "kube-system"
        });
        of.map(|question| question.verb).collect()
    };
    let fresh = Place::default();
    assert_eq!(asked(&fresh, "ingresses"), ["list"]);
    assert_eq!(asked(&fresh, "namespaces"), ["get"]);
    assert!(!asked(&fresh, "services").contains(&"delete"));
    assert!(asked(&fresh, "nodes").is_empty(), "it only helps");
    let missing = Place {
        namespace_missing: true,
        ..Place::default()
    };
    assert_eq!(asked(&missing, "namespaces"), ["create", "get", "patch"]);
    let record = json!({"metadata": {"annotations": {
        "applyset.kubernetes.io/contains-group-kinds": "Ingress.networking.k8s.io,Service",
    }}});
    let there = Place {
        record: Some(record),
        ..Place::default()
    };
    assert!(asked(&there, "services").contains(&"delete"));
    assert!(asked(&there, "ingresses").contains(&"delete"));
    assert!(asked(&there, "jobs").is_empty());
}

#[test]
fn d13_what_is_denied_is_named_by_namespace() {
    let prospect = prospect(rendered(Profile::Shared, &["lab"], &[]));
    let questions = permissions::questions(&prospect, &Place::default());
    let denied = questions.into_iter().filter(|question| {
        question.resource == "statefulsets" && ["patch", "watch"].contains(&question.verb)
            || question.resource == "pods/log"
    });
    let found = permissions::judge(&denied.collect(), &["shared"]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        found[0].to_string(),
        "in namespace shared-infrastructure the user may not get pods/log; patch, watch \
         statefulsets.apps: an administrator grants it: telectl rbac shared prints the Roles \
         [TEL-PRE-004]"
    );
}
