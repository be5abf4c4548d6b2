//! Workloads, Services, health, and what is skipped.

use super::*;
use crate::model::profile::Profile;
use crate::validate::facts::Record;
use crate::validate::observe::AnsweredBy;

#[test]
fn v01_what_is_well_has_no_failure() {
    let findings = judge(&pipeline(None, None));
    assert_eq!(failures(&findings), Vec::<&str>::new());
    assert!(Summary::of(&findings).passed > 6);
}

#[test]
fn v06_no_pod_at_all_is_a_failure() {
    let mut observed = pipeline(None, None);
    observed.sites[0].objects = Objects::default();
    let findings = judge(&observed);
    let finding = found(&findings, "TEL-WRK-001", "edge");
    assert_eq!(finding.verdict, Verdict::Failed);
    assert!(finding.observed.contains("component=streamer"));
}

#[test]
fn v01_pods_of_an_older_revision_do_not_make_a_workload_well() {
    let mut observed = pipeline(None, None);
    observed.sites[0].objects.workloads[0].rollout = Some("1/2 pods updated".to_owned());
    let findings = judge(&observed);
    let finding = found(&findings, "TEL-WRK-001", "edge");
    assert_eq!(finding.verdict, Verdict::Warning);
    assert!(finding.observed.contains("1/2 pods updated"), "{finding:?}");

    let pod = &mut observed.sites[0].objects.pods[0];
    pod.trouble = Some("ImagePullBackOff".to_owned());
    let findings = judge(&observed);
    let finding = found(&findings, "TEL-WRK-001", "edge");
    assert_eq!(finding.verdict, Verdict::Failed);
    assert!(finding.observed.contains("ImagePullBackOff"), "{finding:?}");
}

#[test]
fn v01_streamers_of_another_pipeline_never_meet_the_collectors() {
    let mut observed = pipeline(None, None);
    let verdict = |observed: &Observed| {
        found(&judge(observed), "TEL-WRK-002", "edge")
            .verdict
            .clone()
    };
    assert_eq!(verdict(&observed), Verdict::Passed);
    let template = &mut observed.sites[0].objects.workloads[0].template;
    template["spec"]["containers"][0]["env"][0]["value"] = json!("west");
    assert_eq!(verdict(&observed), Verdict::Failed);
    let findings = judge(&observed);
    let finding = found(&findings, "TEL-WRK-002", "edge");
    assert!(finding.expected.contains("telemetry-system"), "{finding:?}");
}

#[test]
fn v07_a_collector_that_is_not_ready_is_a_failure_unless_its_probe_knows_why() {
    let mut observed = pipeline(None, None);
    observed.sites[1].objects.pods[1] = pod(Component::Collector, WORKERS, "collector-x", false);
    let findings = judge(&observed);
    assert_eq!(failures(&findings), ["TEL-WRK-001"]);

    let mut observed = pipeline(None, Some((Hop::Tcp, Cause::Refused)));
    observed.sites[1].objects.pods[1] = pod(Component::Collector, WORKERS, "collector-x", false);
    let findings = judge(&observed);
    assert_eq!(failures(&findings), ["TEL-RED-001"]);
}

#[test]
fn v02_a_service_whose_selector_misses_has_no_endpoints_and_gets_its_selector_back() {
    let mut observed = pipeline(None, None);
    let gateway = &mut observed.sites[1].objects.services[1];
    gateway.ready.clear();
    gateway.selector.labels = BTreeMap::from([("wrong".to_owned(), "label".to_owned())]);
    let findings = judge(&observed);
    assert_eq!(failures(&findings), ["TEL-SVC-001"]);
    let finding = findings
        .iter()
        .find(|finding| finding.verdict.is_failure())
        .unwrap();
    assert_eq!(finding.cause.unwrap().word(), "no endpoints");
    let command = commands(finding);
    assert!(command.contains("--context central -n telemetry-system patch service api-gateway"));
    assert!(command.contains(r#""wrong":null"#), "{command}");
    assert!(command.contains(r#""app.kubernetes.io/component":"api-gateway""#));
}

#[test]
fn v19_an_api_server_that_is_gone_skips_its_cluster_and_no_other() {
    let mut observed = pipeline(None, None);
    observed.sites[0].api = ApiServer::Fails {
        cause: Cause::Refused,
        detail: "connection refused".to_owned(),
    };
    let findings = judge(&observed);
    assert_eq!(failures(&findings), ["TEL-API-001"]);
    let skipped = found(&findings, "TEL-RED-001", "edge");
    assert!(matches!(&skipped.verdict, Verdict::Skipped { because } if because.contains("edge")));
    assert_eq!(
        found(&findings, "TEL-RED-001", "central").verdict,
        Verdict::Passed
    );
}

#[test]
fn v19_without_a_context_the_other_side_is_skipped_with_that_reason() {
    let mut observed = pipeline(None, None);
    observed.sites.remove(0);
    observed.absent = vec![Role::Edge];
    let findings = judge(&observed);
    assert_eq!(failures(&findings), Vec::<&str>::new());
    let skipped = found(&findings, "TEL-WRK-001", "edge");
    assert!(
        matches!(&skipped.verdict, Verdict::Skipped { because } if because.contains("--edge-context"))
    );
}

#[test]
fn v03_the_body_of_health_counts_and_a_known_cause_is_not_said_again() {
    let unhealthy = Asked {
        component: Component::Collector,
        pod: "collector-x".to_owned(),
        address: "10.0.0.3:8082".to_owned(),
        answers: vec![Answer {
            by: AnsweredBy::Pod,
            path: "/health".to_owned(),
            code: Some(503),
            body: json!({"status": "unhealthy", "dependencies": {
                "queue": {"ok": false, "required": true, "detail": "timed out"},
            }})
            .to_string(),
            latency_ms: 1.0,
        }],
    };
    let mut observed = pipeline(None, None);
    observed.sites[1].health = vec![unhealthy.clone()];
    let findings = judge(&observed);
    let finding = found(&findings, "TEL-HLT-001", "central");
    assert_eq!(finding.verdict, Verdict::Failed);
    assert!(finding.observed.contains("queue: timed out"));

    let mut observed = pipeline(None, Some((Hop::Tcp, Cause::Refused)));
    observed.sites[1].health = vec![unhealthy];
    assert_eq!(failures(&judge(&observed)), ["TEL-RED-001"]);
}

#[test]
fn a_probe_that_cannot_start_is_reported_with_its_reason() {
    let mut observed = pipeline(None, None);
    observed.sites[0].probes[0].end = ProbeEnd::NotStarted {
        reason: "container probe: CreateContainerConfigError: secret \"redis-auth\" not found"
            .to_owned(),
    };
    let findings = judge(&observed);
    assert_eq!(failures(&findings), ["TEL-PRB-001"]);
    assert_eq!(
        commands(found(&findings, "TEL-PRB-001", "edge")),
        "telectl deploy edge --context edge --central-context central"
    );
}

#[test]
fn what_is_not_deployed_is_deployed_with_the_contexts_that_were_given() {
    let without = |observed: &mut Observed, index: usize| {
        observed.sites[index].objects = Objects::default();
        let findings = judge(observed);
        let cluster = &observed.sites[index].context;
        commands(found(&findings, "TEL-WRK-001", cluster))
    };
    let mut observed = pipeline(None, None);
    let mut shared = site("hub", Role::Shared);
    shared.objects = observed.sites[1].objects.clone();
    observed.sites.push(shared);
    assert_eq!(
        without(&mut observed, 0),
        "telectl deploy edge --context edge --central-context central --shared-context hub"
    );
    observed.sites[1].namespaces[0] = "elsewhere".to_owned();
    assert_eq!(
        without(&mut observed, 1),
        "telectl deploy central --context central --shared-context hub --namespace elsewhere"
    );
    observed.sites.truncate(1);
    assert_eq!(
        without(&mut observed, 0),
        "telectl deploy edge --context edge --central-context CENTRAL"
    );
}

#[test]
fn nothing_has_run_in_a_pod_that_is_pending_so_its_remedy_reads_no_log() {
    let pending = |conditions: Value, node: &str| {
        let mut observed = pipeline(None, None);
        observed.sites[0].objects.pods[0] = Pod::from_object(&json!({
            "metadata": {
                "name": "streamer-0", "namespace": WORKERS, "labels": labels(Component::Streamer),
            },
            "spec": {"nodeName": node},
            "status": {"phase": "Pending", "conditions": conditions},
        }));
        let findings = judge(&observed);
        found(&findings, "TEL-WRK-001", "edge").clone()
    };
    let describe = "kubectl --context edge -n telemetry-system describe pod streamer-0";
    let unplaced = pending(
        json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 node(s) didn't match"}]),
        "",
    );
    assert!(unplaced.observed.contains("0/1 nodes are available"));
    assert_eq!(commands(&unplaced), describe);
    assert_eq!(commands(&pending(json!([]), "node-1")), describe);
}

#[test]
fn v06_a_workload_that_was_deployed_and_is_gone_is_a_failure() {
    let mut observed = pipeline(None, None);
    let site = &mut observed.sites[1];
    site.objects.records = vec![Record::from_object(
        Profile::Central,
        &json!({
            "metadata": {"namespace": WORKERS},
            "data": {"objects": "Deployment/collector\nStatefulSet/postgresql\nService/x\n"},
        }),
    )];
    let findings = judge(&observed);
    assert_eq!(failures(&findings), ["TEL-WRK-001"]);
    let gone = findings.iter().find(|one| one.verdict.is_failure());
    let gone = gone.unwrap();
    assert_eq!(gone.subject, "telemetry-system/statefulset/postgresql");
    assert_eq!(commands(gone), "telectl deploy central --context central");
}

#[test]
fn v06_a_shared_cluster_with_nothing_in_it_is_a_failure() {
    let mut observed = pipeline(None, None);
    observed.sites.push(site("hub", Role::Shared));
    let findings = judge(&observed);
    let finding = found(&findings, "TEL-WRK-001", "hub");
    assert_eq!(finding.verdict, Verdict::Failed);
    assert_eq!(commands(finding), "telectl deploy shared --context hub");
}

#[test]
fn a_probe_whose_clean_up_was_slow_has_reported_all_the_same() {
    let mut observed = pipeline(None, None);
    let left = "the pods were not gone after 30 s: still there: probe-a";
    observed.sites[0].probes[0].left = Some(left.to_owned());
    let findings = judge(&observed);
    let ran = found(&findings, "TEL-PRB-001", "edge");
    assert_eq!(ran.verdict, Verdict::Warning);
    assert!(ran.observed.ends_with("still there: probe-a"), "{ran:?}");
    let redis = found(&findings, "TEL-RED-001", "edge");
    assert_eq!(redis.verdict, Verdict::Passed);
}
