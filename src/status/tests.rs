//! The picture, case by case.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::collect::{ClusterFacts, Collected, WorkerStatus};
use super::{Verdict, summarise};
use crate::model::component::Component;
use crate::model::object::ObjectKind;
use crate::model::profile::Profile;
use crate::probe::{Cause, Registration};
use crate::validate::facts::{
    Autoscaler, Listing, Objects, Pod, Record, Role, ServiceFacts, Unread, Workload,
};
use crate::validate::observe::ApiServer;

const NAMESPACE: &str = "telemetry-system";

fn now() -> Timestamp {
    "2025-07-18T12:00:00Z".parse().unwrap()
}

fn labels(component: Component) -> Value {
    json!({"app.kubernetes.io/component": component.name()})
}

fn workload(component: Component, replicas: i64) -> Workload {
    let object = json!({
        "metadata": {
            "name": component.name(), "namespace": NAMESPACE, "labels": labels(component),
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels(component)},
            "template": {"metadata": {"labels": labels(component)}, "spec": {"containers": [{}]}},
        },
        "status": {
            "observedGeneration": 1, "replicas": replicas, "readyReplicas": replicas,
            "updatedReplicas": replicas, "availableReplicas": replicas,
        },
    });
    Workload::from_object(ObjectKind::Deployment, &object)
}

fn pod(component: Component, name: &str, ready: bool) -> Pod {
    let ready = if ready { "True" } else { "False" };
    Pod::from_object(&json!({
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels(component)},
        "spec": {"containers": [{"image": "telectl:1"}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]},
    }))
}

fn cluster(context: &str, role: Role, objects: Objects) -> ClusterFacts {
    ClusterFacts {
        context: context.to_owned(),
        server: "https://192.0.2.1".to_owned(),
        roles: BTreeSet::from([role]),
        api: ApiServer::Answers {
            version: "v1.34.4".to_owned(),
            latency_ms: 1.0,
        },
        objects,
        gaps: Vec::new(),
        workers: Vec::new(),
        deployed: Vec::new(),
    }
}

fn edge(ready: bool) -> ClusterFacts {
    cluster(
        "edge",
        Role::Edge,
        Objects {
            workloads: vec![workload(Component::Streamer, 1)],
            pods: vec![pod(Component::Streamer, "streamer-0", ready)],
            autoscalers: vec![Autoscaler {
                namespace: NAMESPACE.to_owned(),
                target: "Deployment/streamer".to_owned(),
                current: 1,
                desired: 1,
                min: 1,
                max: 8,
            }],
            ..Objects::default()
        },
    )
}

fn collected(clusters: Vec<ClusterFacts>) -> Collected {
    Collected {
        clusters,
        registrations: Ok(Vec::new()),
    }
}

#[test]
fn s01_a_workload_has_its_pods_images_and_autoscaler() {
    let report = summarise(&collected(vec![edge(true)]), now());
    assert_eq!(report.verdict, Verdict::Ready);
    let streamer = &report.clusters[0].workloads[0];
    assert_eq!((streamer.ready, streamer.desired), (1, 1));
    assert_eq!(streamer.images["telectl:1"], 1);
    assert_eq!(streamer.autoscaler.unwrap().max, 8);
}

#[test]
fn s02_the_verdict_is_that_of_the_worst_cluster() {
    let report = summarise(&collected(vec![edge(false)]), now());
    assert_eq!(report.verdict, Verdict::Down);
    let nothing = cluster("central", Role::Central, Objects::default());
    let report = summarise(&collected(vec![edge(true), nothing]), now());
    assert_eq!(report.verdict, Verdict::Missing);
    let names: Vec<&str> = report.clusters[1]
        .workloads
        .iter()
        .map(|workload| workload.name.as_str())
        .collect();
    assert_eq!(names, ["collector", "api-gateway"]);
}

#[test]
fn s02_a_workload_whose_newest_revision_is_not_ready_is_not_ready() {
    let mut site = edge(true);
    let hangs = json!({
        "metadata": {
            "name": "streamer", "namespace": NAMESPACE, "generation": 2,
            "labels": labels(Component::Streamer),
        },
        "spec": {"replicas": 1, "selector": {"matchLabels": labels(Component::Streamer)}},
        "status": {
            "observedGeneration": 2, "replicas": 2, "readyReplicas": 1, "updatedReplicas": 1,
            "availableReplicas": 1,
        },
    });
    site.objects.workloads = vec![Workload::from_object(ObjectKind::Deployment, &hangs)];
    let mut new = pod(Component::Streamer, "streamer-new", false);
    new.trouble = Some("container streamer: CrashLoopBackOff".to_owned());
    site.objects.pods.push(new);
    let report = summarise(&collected(vec![site]), now());
    assert_eq!(report.verdict, Verdict::Degraded);
    let streamer = &report.clusters[0].workloads[0];
    assert_eq!((streamer.ready, streamer.desired), (1, 1));
    let trouble = streamer.trouble.as_deref().unwrap();
    assert_eq!(
        trouble,
        "1 old pod still to go; streamer-new: container streamer: CrashLoopBackOff"
    );
}

#[test]
fn s09_an_unreachable_cluster_is_a_row_and_the_others_are_shown() {
    let mut gone = cluster("central", Role::Central, Objects::default());
    gone.api = ApiServer::Fails {
        cause: Cause::Refused,
        detail: "nobody listens".to_owned(),
    };
    let report = summarise(&collected(vec![edge(true), gone]), now());
    assert_eq!(report.verdict, Verdict::Unreachable);
    assert_eq!(report.clusters[0].verdict, Verdict::Ready);
    let central = &report.clusters[1];
    let why = central.unreachable.as_deref().unwrap();
    assert!(why.contains("connection refused"), "{why}");
    assert!(central.workloads.is_empty());
}

#[test]
fn s03_the_queue_and_the_spools_are_what_the_workers_say() {
    let mut site = edge(true);
    site.workers = vec![
        WorkerStatus {
            component: Component::Streamer,
            pod: "streamer-0".to_owned(),
            body: Some(json!({"details": {"spool_undrained": 3, "spool_bytes": 1024}})),
        },
        WorkerStatus {
            component: Component::Collector,
            pod: "collector-x".to_owned(),
            body: Some(json!({"details": {"queue": {
                "entries": 7, "pending": 2, "oldest_seconds": 1.5, "dead": 0,
            }}})),
        },
    ];
    let report = summarise(&collected(vec![site]), now());
    assert_eq!(report.clusters[0].spools[0].undrained, Some(3));
    let queue = report.queue.unwrap();
    assert_eq!((queue.entries, queue.pending), (7, 2));
}

#[test]
fn s04_a_registration_has_an_age_and_a_lease() {
    let record = json!({
        "id": "streamer-0", "type": "nexus-streamer", "address": "10.0.0.9", "port": 8081,
        "metadata": {"cluster_id": "edge"}, "health": "healthy", "version": "1",
        "registered_at": "2025-07-18T11:59:00Z", "instance_uid": "", "started_at": "",
        "lease_ttl": 15,
    });
    let mut collected = collected(vec![edge(true)]);
    collected.registrations = Ok(vec![Registration {
        key: "/services/nexus-streamer/streamer-0".to_owned(),
        record: serde_json::from_value(record).unwrap(),
        malformed: None,
        lease_remaining_s: Some(12),
    }]);
    let report = summarise(&collected, now());
    let one = &report.registrations[0];
    assert_eq!(one.endpoint, "10.0.0.9:8081");
    assert_eq!(one.age_seconds, Some(60));
    assert_eq!(one.lease_remaining_seconds, Some(12));
}

#[test]
fn s08_a_load_balancer_without_an_address_is_shown_as_such() {
    let mut site = edge(true);
    let service = |ingress: Value| {
        ServiceFacts::from_objects(
            &json!({
                "metadata": {"name": "api-gateway", "namespace": NAMESPACE},
                "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
                "status": {"loadBalancer": {"ingress": ingress}},
            }),
            &[],
        )
    };
    site.objects.services = vec![service(json!([])), service(json!([{"ip": "192.0.2.9"}]))];
    let report = summarise(&collected(vec![site]), now());
    let addresses = &report.clusters[0].addresses;
    assert_eq!(addresses[0].address, "");
    assert_eq!(addresses[1].address, "192.0.2.9:80");
}

/// A list that this user may not read.
fn unread(listing: Listing) -> Unread {
    Unread {
        listing,
        namespace: NAMESPACE.to_owned(),
        why: "was refused (403 Forbidden)".to_owned(),
    }
}

#[test]
fn s09_what_may_not_be_read_is_unknown_and_neither_missing_nor_ready() {
    let mut central = cluster("central", Role::Central, Objects::default());
    central.objects.unread = vec![unread(Listing::Deployments)];
    let report = summarise(&collected(vec![edge(true), central]), now());
    assert_eq!(report.verdict, Verdict::Unknown);
    let collector = &report.clusters[1].workloads[0];
    assert_eq!(collector.verdict, Verdict::Unknown);
    let trouble = collector.trouble.as_deref().unwrap();
    assert!(trouble.contains("deployments.apps of telemetry-system"));
    assert_eq!(report.clusters[1].gaps, ["was refused (403 Forbidden)"]);
}

#[test]
fn s09_without_its_pods_a_workload_is_as_ready_as_its_controller_says() {
    let mut site = edge(true);
    site.objects.pods.clear();
    site.objects.unread = vec![unread(Listing::Pods)];
    let report = summarise(&collected(vec![site.clone()]), now());
    let streamer = &report.clusters[0].workloads[0];
    assert_eq!((streamer.ready, streamer.verdict), (1, Verdict::Ready));
    let trouble = streamer.trouble.as_deref().unwrap();
    assert_eq!(trouble, "pods of telemetry-system could not be read");

    site.objects.services = vec![ServiceFacts::from_objects(
        &json!({
            "metadata": {"name": "api-gateway", "namespace": NAMESPACE},
            "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
        }),
        &[],
    )];
    let endpoints = |site: &ClusterFacts| {
        let report = summarise(&collected(vec![site.clone()]), now());
        report.clusters[0].addresses[0].endpoints
    };
    assert_eq!(endpoints(&site), Some(0));
    site.objects.unread.push(unread(Listing::EndpointSlices));
    assert_eq!(endpoints(&site), None);
}

/// The record of a profile with these workloads.
fn record(profile: Profile, objects: &str) -> Record {
    Record::from_object(
        profile,
        &json!({"metadata": {"namespace": NAMESPACE}, "data": {"objects": objects}}),
    )
}

#[test]
fn s02_a_cluster_with_nothing_in_it_is_not_ready() {
    let empty = cluster("shared", Role::Shared, Objects::default());
    let report = summarise(&collected(vec![empty]), now());
    assert_eq!(report.verdict, Verdict::Missing);
    let rows = &report.clusters[0].workloads;
    assert_eq!((rows.len(), rows[0].name.as_str()), (1, "shared"));
}

#[test]
fn s02_a_workload_that_was_deployed_and_is_gone_is_missing() {
    let mut site = edge(true);
    let listed = "Deployment/streamer\nStatefulSet/redis\nService/redis\n";
    site.objects.records = vec![record(Profile::Edge, listed)];
    let report = summarise(&collected(vec![site.clone()]), now());
    assert_eq!(report.verdict, Verdict::Missing);
    let rows = &report.clusters[0].workloads;
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[1].component, Some(Component::Redis));
    let trouble = rows[1].trouble.as_deref().unwrap();
    assert_eq!(trouble, "it is gone: profile edge was deployed with it");

    site.objects.unread = vec![unread(Listing::StatefulSets)];
    let report = summarise(&collected(vec![site.clone()]), now());
    assert_eq!(report.verdict, Verdict::Unknown);

    // What its role asks for is said once.
    site.objects.workloads.clear();
    site.objects.unread.clear();
    let report = summarise(&collected(vec![site]), now());
    let rows = report.clusters[0].workloads.iter();
    let names: Vec<&str> = rows.map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["redis", "streamer"]);
}
