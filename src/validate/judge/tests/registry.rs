//! Registrations and live pods.

use super::*;
use crate::probe::Registration;
use crate::validate::registrations::foreign_urls;

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

fn all() -> Vec<Registration> {
    vec![
        registration("nexus-streamer", "streamer-0", "10.0.1.1", "POD_IP"),
        registration("nexus-collector", "collector-x", "10.0.2.1", "POD_IP"),
        registration("nexus-gateway", "api-gateway-x", "10.0.2.2", "POD_IP"),
    ]
}

fn registered(registrations: Vec<Registration>) -> Observed {
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
fn v13_workers_of_another_pipeline_are_not_judged() {
    let mut registrations = all();
    let mut foreign = registration("nexus-collector", "gone", "10.0.2.9", "POD_IP");
    let record = foreign.record.as_mut().unwrap();
    let elsewhere = "another-pipeline".to_owned();
    record.metadata.insert("namespace".to_owned(), elsewhere);
    registrations.push(foreign);
    let findings = judge(&registered(registrations));
    assert_eq!(
        found(&findings, "TEL-REG-002", "central").verdict,
        Verdict::Passed
    );
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
fn v13_only_addresses_for_everybody_are_asked_for_from_the_other_cluster() {
    let observed = registered(all());
    assert!(foreign_urls(&observed, &observed.sites[1]).is_empty());
    let mut registrations = all();
    registrations[0] = registration(
        "nexus-streamer",
        "streamer-0",
        "192.0.2.77",
        "EXTERNAL_SERVICE_ADDRESS",
    );
    let observed = registered(registrations);
    assert_eq!(
        foreign_urls(&observed, &observed.sites[1]),
        ["http://192.0.2.77:8081/health"]
    );
    assert!(foreign_urls(&observed, &observed.sites[0]).is_empty());
}
