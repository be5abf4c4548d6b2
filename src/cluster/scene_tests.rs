use serde_json::json;

use super::*;

fn collector() -> ObjectRef {
    ObjectRef::new(ObjectKind::Deployment, "ns", "collector")
}

/// A Deployment whose update has made its new pod and waits to remove the old one.
fn updating() -> Value {
    json!({
        "kind": "Deployment",
        "metadata": {"uid": "deployment", "generation": 2},
        "spec": {"replicas": 1},
        "status": {
            "observedGeneration": 2, "replicas": 2, "updatedReplicas": 1, "availableReplicas": 1,
        },
    })
}

fn set(uid: &str, revision: &str) -> Listed {
    Listed::Is(json!({"metadata": {
        "name": uid, "uid": uid, "ownerReferences": [{"uid": "deployment"}],
        "annotations": {"deployment.kubernetes.io/revision": revision},
    }}))
}

fn pod(owner: &str, status: Value) -> Listed {
    let name = format!("collector-{owner}");
    Listed::Is(json!({
        "metadata": {"name": name, "uid": name, "ownerReferences": [{"uid": owner}]},
        "status": status,
    }))
}

fn waiting(reason: &str, restarts: i64) -> Value {
    json!({"containerStatuses": [{
        "name": "collector", "restartCount": restarts,
        "state": {"waiting": {"reason": reason, "message": "as it is"}},
        "lastState": {"terminated": {"exitCode": 1}},
    }]})
}

fn running() -> Value {
    json!({"phase": "Running", "conditions": [{
        "type": "Ready", "status": "False", "reason": "ContainersNotReady",
        "message": "containers with unready status: [collector]",
    }]})
}

fn scene(now: Instant, owner: &str, status: Value) -> Scene {
    let mut scene = Scene::new(&[collector()]);
    scene.set(set("old", "1"));
    scene.set(set("new", "2"));
    scene.pod(pod(owner, status), now);
    scene.object(0, Some(updating()));
    scene
}

fn said(scene: &mut Scene, now: Instant) -> String {
    let news = scene.news(now);
    let said = news.into_iter().map(|(_, why)| why.unwrap_or_default());
    said.collect::<Vec<_>>().join("|")
}

#[test]
fn a_rollout_that_hangs_names_the_crashing_pod_and_its_reason() {
    let now = Instant::now();
    let mut scene = scene(now, "new", waiting("CrashLoopBackOff", 1));
    assert_eq!(
        said(&mut scene, now),
        "1 old pod still to go; pod collector-new: container collector: CrashLoopBackOff \
         (exit code 1, 1 restart)"
    );
    assert_eq!(scene.hopeless(now), None);
    assert_eq!(said(&mut scene, now), "", "nothing is said twice");
    scene.pod(pod("new", waiting("CrashLoopBackOff", 3)), now);
    let failure = scene.hopeless(now).unwrap();
    assert_eq!(failure.what, "Pod/ns/collector-new");
    assert!(failure.why.contains("CrashLoopBackOff"), "{}", failure.why);
    assert!(failure.pod.is_some());
}

#[test]
fn a_failing_pod_of_an_earlier_revision_or_of_somebody_else_says_nothing() {
    let now = Instant::now();
    for owner in ["old", "somebody-else"] {
        let mut scene = scene(now, owner, waiting("InvalidImageName", 0));
        assert_eq!(said(&mut scene, now), "1 old pod still to go");
        assert_eq!(scene.hopeless(now), None);
    }
}

#[test]
fn nothing_is_judged_before_the_controller_has_seen_the_change() {
    let now = Instant::now();
    let mut scene = scene(now, "new", waiting("InvalidImageName", 0));
    assert!(scene.hopeless(now).is_some());
    let mut unseen = updating();
    unseen["metadata"]["generation"] = json!(3);
    scene.object(0, Some(unseen));
    assert_eq!(scene.hopeless(now), None);
}

#[test]
fn a_pod_that_runs_without_getting_ready_is_named_after_a_while_and_at_the_end() {
    let start = Instant::now();
    let mut scene = scene(start, "new", running());
    assert_eq!(said(&mut scene, start), "1 old pod still to go");
    let later = start + READYING_GRACE;
    let named = "1 old pod still to go; pod collector-new: ContainersNotReady: containers with \
                 unready status: [collector]";
    assert_eq!(said(&mut scene, later), named);
    let late = scene.late(later);
    assert_eq!((late.len(), late[0].why.as_str()), (1, named));
    assert_eq!(late[0].what, "Deployment/ns/collector");
    assert!(late[0].pod.is_some());
}

#[test]
fn a_pod_that_no_node_takes_is_named_at_once_and_given_up_after_a_grace() {
    let start = Instant::now();
    let unplaced = json!({"conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/1 nodes are available",
    }]});
    let mut scene = scene(start, "new", unplaced);
    assert!(said(&mut scene, start).ends_with("pod collector-new: 0/1 nodes are available"));
    assert_eq!(scene.hopeless(start), None);
    assert!(scene.hopeless(start + SCHEDULING_GRACE).is_some());
}

#[test]
fn a_passed_progress_deadline_quotes_the_pod() {
    let now = Instant::now();
    let mut scene = scene(now, "new", waiting("CrashLoopBackOff", 1));
    let mut stuck = updating();
    stuck["status"]["conditions"] = json!([{
        "type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "timed out",
    }]);
    scene.object(0, Some(stuck));
    let failure = scene.hopeless(now).unwrap();
    assert_eq!(failure.what, "Deployment/ns/collector");
    assert!(
        failure
            .why
            .contains("timed out; pod collector-new: container collector")
    );
}

#[test]
fn what_is_ready_is_said_once_and_ends_the_wait() {
    let now = Instant::now();
    let mut scene = scene(now, "new", running());
    let _waits = scene.news(now);
    let mut done = updating();
    done["status"]["replicas"] = json!(1);
    scene.object(0, Some(done));
    assert_eq!(scene.news(now), [(collector(), None)]);
    assert!(scene.is_ready());
    assert_eq!(scene.news(now), []);
    assert_eq!(scene.late(now), []);
}

#[test]
fn a_pull_that_failed_once_is_named_and_waited_for() {
    let start = Instant::now();
    let mut scene = scene(start, "new", waiting("ErrImagePull", 0));
    assert!(said(&mut scene, start).ends_with("container collector: ErrImagePull: as it is"));
    let later = start + READYING_GRACE;
    assert_eq!(
        scene.hopeless(later),
        None,
        "the kubelet has not tried again"
    );
    scene.pod(pod("new", waiting("ImagePullBackOff", 0)), later);
    assert_eq!(scene.hopeless(later), None, "it waits before it does");
    scene.pod(pod("new", running()), later);
    assert_eq!(scene.hopeless(start + SETBACK_GRACE), None, "it healed");
}

#[test]
fn a_pull_that_failed_again_ends_the_wait_with_its_message() {
    let now = Instant::now();
    let mut scene = scene(now, "new", waiting("ErrImagePull", 0));
    for reason in ["ImagePullBackOff", "ErrImagePull"] {
        assert_eq!(scene.hopeless(now), None);
        scene.pod(pod("new", waiting(reason, 0)), now);
    }
    let why = scene.hopeless(now).unwrap().why;
    assert_eq!(why, "container collector: ErrImagePull: as it is");
    scene.pod(pod("new", waiting("ImagePullBackOff", 0)), now);
    assert!(scene.hopeless(now).is_some(), "it stays so");
}

#[test]
fn a_back_off_that_was_there_before_the_wait_ends_it_after_a_grace() {
    let start = Instant::now();
    let scene = scene(start, "new", waiting("ImagePullBackOff", 0));
    assert_eq!(scene.hopeless(start), None);
    assert!(scene.hopeless(start + SETBACK_GRACE).is_some());
}

#[test]
fn a_container_that_cannot_be_made_ends_the_wait_only_if_that_lasts() {
    let start = Instant::now();
    let mut scene = scene(start, "new", waiting("CreateContainerConfigError", 0));
    assert_eq!(scene.hopeless(start), None);
    let later = start + SETBACK_GRACE;
    assert!(scene.hopeless(later).is_some());
    scene.pod(pod("new", running()), later);
    scene.pod(pod("new", waiting("CreateContainerConfigError", 0)), later);
    assert_eq!(scene.hopeless(later), None, "it healed in between");
}

/// A change that is an event about an object.
fn event(uid: &str, kind: &str, reason: &str, message: &str) -> Listed {
    Listed::Is(json!({
        "metadata": {"name": format!("{uid}.{reason}")}, "involvedObject": {"uid": uid},
        "type": kind, "reason": reason, "message": message,
        "lastTimestamp": "2026-06-01T00:00:00Z",
    }))
}

#[test]
fn a_claim_that_is_pending_is_named_as_the_cause_with_what_its_event_says() {
    let start = Instant::now();
    let mut scene = scene(start, "old", running());
    let metadata = json!({"name": "p", "uid": "p", "ownerReferences": [{"uid": "new"}]});
    let unplaced = json!({
        "metadata": metadata,
        "spec": {"volumes": [{"persistentVolumeClaim": {"claimName": "data-0"}}]},
        "status": {"conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "pod has unbound immediate PersistentVolumeClaims",
        }]},
    });
    scene.pod(Listed::Is(unplaced), start);
    let claim = |phase: &str| {
        let metadata = json!({"name": "data-0", "uid": "claim"});
        Listed::Is(json!({"metadata": metadata, "status": {"phase": phase}}))
    };
    scene.claim(claim("Pending"));
    let waits = "it waits for PersistentVolumeClaim/data-0, which is Pending";
    assert!(said(&mut scene, start).ends_with(waits));
    let missing = "storageclass.storage.k8s.io \"gone\" not found";
    scene.event(event("claim", "Warning", "ProvisioningFailed", missing));
    let named = format!("{waits}: {missing}");
    assert!(said(&mut scene, start).ends_with(&named));
    let failure = scene.hopeless(start + SCHEDULING_GRACE).unwrap();
    assert_eq!((&*failure.what, &failure.why), ("Pod/ns/p", &named));
    scene.pod(pod("new", waiting("InvalidImageName", 0)), start);
    let failure = scene.hopeless(start).unwrap();
    let also = format!("container collector: InvalidImageName: as it is; pod p: {named}");
    assert_eq!(failure.why, also, "another pod may need the one that waits");
    scene.pod(pod("new", running()), start);
    scene.event(Listed::Begin);
    scene.event(event("claim", "Normal", "WaitForFirstConsumer", "waits"));
    assert!(said(&mut scene, start).ends_with("pod has unbound immediate PersistentVolumeClaims"));
    scene.event(Listed::Begin);
    scene.claim(claim("Bound"));
    let failure = scene.hopeless(start + SCHEDULING_GRACE).unwrap();
    assert!(!failure.why.contains("data-0"), "{}", failure.why);
}

#[test]
fn a_pod_that_does_not_start_quotes_its_newest_warning() {
    let start = Instant::now();
    let mut scene = scene(start, "old", running());
    scene.pod(
        Listed::Is(json!({
            "metadata": {"name": "p", "uid": "p", "ownerReferences": [{"uid": "new"}]},
            "spec": {"nodeName": "node"},
            "status": {"phase": "Pending"},
        })),
        start,
    );
    let missing = "MountVolume.SetUp failed: configmap \"telemetry-csv-data\" not found";
    scene.event(event("p", "Warning", "FailedMount", missing));
    scene.event(event("p", "Normal", "Scheduled", "assigned"));
    assert_eq!(said(&mut scene, start), "1 old pod still to go");
    let later = start + READYING_GRACE;
    assert!(said(&mut scene, later).ends_with(&format!("pod p: ContainerCreating: {missing}")));
}

#[test]
fn d12_a_stateful_set_whose_pods_are_refused_says_why() {
    let now = Instant::now();
    let object = ObjectRef::new(ObjectKind::StatefulSet, "ns", "redis");
    let mut scene = Scene::new(&[object]);
    scene.object(
        0,
        Some(json!({
            "kind": "StatefulSet", "metadata": {"uid": "redis", "generation": 1},
            "spec": {"replicas": 1},
            "status": {"observedGeneration": 1, "currentRevision": "a", "updateRevision": "a"},
        })),
    );
    let said = |scene: &mut Scene| scene.news(now).remove(0).1.unwrap();
    assert_eq!(said(&mut scene), "0/1 pods ready");
    let refused = |at: jiff::Timestamp| {
        Listed::Is(json!({
            "metadata": {"name": "e"}, "reason": "FailedCreate", "type": "Warning",
            "message": "exceeded quota: full", "lastTimestamp": format!("{at:.0}"),
            "involvedObject": {"uid": "redis"},
        }))
    };
    let before = jiff::Timestamp::now() - std::time::Duration::from_mins(10);
    scene.event(refused(before));
    assert!(scene.news(now).is_empty(), "an earlier trouble");
    scene.event(refused(jiff::Timestamp::now()));
    assert_eq!(
        said(&mut scene),
        "0/1 pods ready; no pod is made: exceeded quota: full"
    );
}

#[test]
fn d12_a_load_balancer_without_an_address_is_told_with_what_the_cloud_says() {
    let now = Instant::now();
    let redis = ObjectRef::new(ObjectKind::Service, "telemetry", "redis");
    let mut scene = Scene::new(&[redis]);
    let mut service = json!({
        "kind": "Service", "metadata": {"uid": "redis"},
        "spec": {"type": "LoadBalancer", "loadBalancerClass": "example.com/theirs"},
    });
    scene.object(0, Some(service.clone()));
    let yet = "no load-balancer address yet (of class example.com/theirs)";
    assert_eq!(said(&mut scene, now), yet);
    let event = |reason: &str, kind: &str, time: &str| {
        Listed::Is(json!({
            "metadata": {"name": reason}, "reason": reason, "type": kind,
            "message": format!("{reason} it is"), "involvedObject": {"uid": "redis"},
            "lastTimestamp": format!("2026-01-01T00:00:{time}Z"),
        }))
    };
    scene.event(event("EnsuringLoadBalancer", "Normal", "01"));
    scene.event(event("FailedToUpdateEndpointSlices", "Warning", "09"));
    assert!(scene.news(now).is_empty());
    // A cloud may have said so long before somebody tries again.
    scene.event(event("SyncLoadBalancerFailed", "Warning", "02"));
    let because = format!("{yet}; SyncLoadBalancerFailed it is");
    assert_eq!(said(&mut scene, now), because);
    scene.event(event("EnsuringLoadBalancer", "Normal", "03"));
    assert_eq!(said(&mut scene, now), yet);
    service["status"]["loadBalancer"]["ingress"] = json!([{"ip": "192.0.2.1"}]);
    scene.object(0, Some(service));
    assert_eq!(said(&mut scene, now), "");
    assert!(scene.is_ready());
}
