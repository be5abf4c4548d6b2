//! What may not be read is unknown, and not absent.

use super::*;
use crate::validate::facts::{Listing, Unread};
use crate::validate::observe::AnsweredBy;

fn unread(listing: Listing, namespace: &str) -> Unread {
    Unread {
        listing,
        namespace: namespace.to_owned(),
        why: format!("listing {} was refused (403 Forbidden)", listing.resource()),
    }
}

/// The central cluster's lists without one, as a user sees them who may not list that.
fn without(listing: Listing) -> Observed {
    let mut observed = pipeline(None, None);
    let objects = &mut observed.sites[1].objects;
    match listing {
        Listing::Deployments => objects
            .workloads
            .retain(|workload| workload.kind != ObjectKind::Deployment),
        Listing::Pods => objects.pods.clear(),
        Listing::EndpointSlices => {
            for service in &mut objects.services {
                service.ready.clear();
            }
        }
        _ => unreachable!(),
    }
    for namespace in [WORKERS, SHARED] {
        objects.unread.push(unread(listing, namespace));
    }
    observed
}

fn because(finding: &Finding) -> &str {
    match &finding.verdict {
        Verdict::Skipped { because } => because,
        other => panic!("{other:?} of {finding:?}"),
    }
}

#[test]
fn v06_workloads_that_may_not_be_listed_are_not_missing() {
    let findings = judge(&without(Listing::Deployments));
    let collector = findings
        .iter()
        .find(|one| one.check.id == "TEL-WRK-001" && one.subject == "collector")
        .unwrap();
    assert!(because(collector).contains("deployments.apps"));
    // Whether the collectors are there is not known: the run must not pass.
    let api = ["TEL-API-002", "TEL-API-002"];
    assert_eq!(failures(&findings), api, "{findings:#?}");
    let command = commands(found(&findings, "TEL-API-002", "central"));
    assert_eq!(
        command,
        "kubectl --context central -n telemetry-system auth can-i list deployments.apps"
    );
    let service = found(&findings, "TEL-SVC-001", "central");
    assert_eq!(service.verdict, Verdict::Passed);
}

#[test]
fn v06_a_service_without_endpoints_whose_workload_may_not_be_listed_is_not_deployed_again() {
    let mut observed = without(Listing::Deployments);
    observed.sites[1].objects.services[1].ready.clear();
    let findings = judge(&observed);
    let finding = findings
        .iter()
        .find(|one| one.check.id == "TEL-SVC-001" && one.verdict.is_failure())
        .unwrap();
    assert!(
        finding.observed.contains("could not be read"),
        "{finding:?}"
    );
    assert!(commands(finding).contains(" auth can-i list deployments.apps"));
}

#[test]
fn v01_without_its_pods_a_workloads_own_count_is_taken() {
    let mut observed = without(Listing::Pods);
    let findings = judge(&observed);
    let collector = found(&findings, "TEL-WRK-001", "central");
    assert_eq!(collector.verdict, Verdict::Passed, "{collector:?}");
    assert_eq!(failures(&findings), Vec::<&str>::new());

    observed.sites[1].objects.workloads[1].ready = 0;
    let findings = judge(&observed);
    let collector = findings
        .iter()
        .find(|one| one.check.id == "TEL-WRK-001" && one.verdict.is_failure())
        .unwrap();
    assert!(collector.observed.contains("pods of telemetry-system"));
    assert!(commands(collector).contains(" auth can-i list pods"));
}

#[test]
fn v13_without_the_pods_no_registration_is_told_to_be_deleted() {
    let mut observed = super::registry::registered(super::registry::all());
    let objects = &mut observed.sites[1].objects;
    objects.pods.retain(|pod| pod.namespace != WORKERS);
    objects.unread.push(unread(Listing::Pods, WORKERS));
    let ProbeEnd::Reported(report) = &mut observed.sites[1].probes[0].end else {
        unreachable!()
    };
    for registration in report.registrations.as_mut().unwrap() {
        registration.lease_remaining_s = None;
    }
    let findings = judge(&observed);
    for id in ["TEL-REG-001", "TEL-REG-002", "TEL-REG-003"] {
        let finding = found(&findings, id, "central");
        assert!(because(finding).contains("pods of"), "{finding:?}");
    }
    assert_eq!(failures(&findings), Vec::<&str>::new());
    let edge = found(&findings, "TEL-REG-001", "edge");
    assert_eq!(edge.verdict, Verdict::Passed);
}

#[test]
fn v02_endpoints_that_may_not_be_read_are_not_none() {
    let findings = judge(&without(Listing::EndpointSlices));
    let service = found(&findings, "TEL-SVC-001", "central");
    assert!(because(service).contains("endpointslices"));
    assert_eq!(failures(&findings), Vec::<&str>::new());
}

#[test]
fn v08_a_server_whose_pods_and_endpoints_may_not_be_read_is_not_called_down() {
    let mut observed = without(Listing::Pods);
    let site = &mut observed.sites[1];
    site.objects.services[0].ready.clear();
    site.objects
        .unread
        .push(unread(Listing::EndpointSlices, SHARED));
    let ProbeEnd::Reported(report) = &mut observed.sites[0].probes[0].end else {
        unreachable!()
    };
    let failure = Some((Hop::Tcp, Cause::TimedOut));
    report.targets = vec![target(TargetKind::Redis, "192.0.2.10:6379", failure)];
    let findings = judge(&observed);
    let remedy = found(&findings, "TEL-RED-001", "edge").remedy.as_ref();
    let text = &remedy.unwrap().text;
    assert!(text.contains("something between drops them"), "{text}");
}

#[test]
fn v08_a_secret_that_may_not_be_read_is_not_overwritten() {
    let wrong = Some((Hop::Authentication, Cause::AuthenticationFailed));
    let mut observed = pipeline(wrong, None);
    observed.sites[1].fingerprints.insert(
        SecretKeyRef::new(SHARED, "redis-auth", "password"),
        Fingerprint::of("right"),
    );
    let secret = (WORKERS.to_owned(), "redis-auth".to_owned());
    observed.sites[0].unread_secrets.insert(secret);
    let findings = judge(&observed);
    let command = commands(found(&findings, "TEL-RED-001", "edge"));
    assert_eq!(
        command,
        "kubectl --context edge -n telemetry-system auth can-i get secrets/redis-auth"
    );
}

#[test]
fn v12_a_name_service_that_may_not_be_looked_at_is_not_started_again() {
    let mut observed = pipeline(None, None);
    let failure = Some((Hop::Dns, Cause::DnsUnreachable));
    observed.sites[0].probes = vec![reported(
        Component::Streamer,
        vec![target(
            TargetKind::ClusterDns,
            "kubernetes.default.svc",
            failure,
        )],
    )];
    observed.sites[0].name_service = Some(NameService {
        unread: Some("listing deployments was refused".to_owned()),
        ..NameService::default()
    });
    let findings = judge(&observed);
    let remedy = found(&findings, "TEL-DNS-001", "edge").remedy.clone();
    let remedy = remedy.unwrap();
    assert!(remedy.text.contains("this user may not"), "{remedy:?}");
    assert!(remedy.commands.is_empty(), "{remedy:?}");
}

#[test]
fn v03_a_worker_that_may_not_be_asked_is_not_unhealthy() {
    let mut observed = pipeline(None, None);
    observed.sites[1].health = vec![Asked {
        component: Component::Collector,
        pod: "collector-x".to_owned(),
        address: "10.0.0.3:8082".to_owned(),
        answers: vec![Answer {
            by: AnsweredBy::ApiServer,
            path: "/health".to_owned(),
            code: Some(403),
            body: "pods \"collector-x:8082\" is forbidden".to_owned(),
            latency_ms: 1.0,
        }],
    }];
    let findings = judge(&observed);
    let finding = found(&findings, "TEL-HLT-001", "central");
    assert_eq!(finding.verdict, Verdict::Warning, "{finding:?}");
    assert!(commands(finding).contains("auth can-i get pods --subresource=proxy"));
}
