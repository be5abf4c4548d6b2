//! Faults that a probe finds.

use super::*;

#[test]
fn v08_redis_scaled_to_zero_is_refused_and_scaled_up_again() {
    let refused = Some((Hop::Tcp, Cause::Refused));
    let mut observed = pipeline(refused, refused);
    observed.sites[1].objects.workloads[0] =
        workload(Component::Redis, ObjectKind::StatefulSet, SHARED, 0);
    observed.sites[1].objects.pods.remove(0);
    observed.sites[1].objects.services[0].ready.clear();
    let findings = judge(&observed);
    let finding = found(&findings, "TEL-RED-001", "edge");
    assert_eq!(finding.vantage, "edge/streamer");
    assert_eq!(finding.cause.unwrap().word(), "connection refused");
    assert_eq!(
        commands(finding),
        "kubectl --context central -n shared-infrastructure scale statefulset/redis --replicas=1"
    );
}

fn fingerprint(observed: &mut Observed, index: usize, namespace: &str, name: &str, value: &str) {
    let key = if name.ends_with("cert") {
        "ca.crt"
    } else {
        "password"
    };
    observed.sites[index].fingerprints.insert(
        SecretKeyRef::new(namespace, name, key),
        Fingerprint::of(value),
    );
}

#[test]
fn v08_a_wrong_password_in_one_secret_is_copied_from_the_servers() {
    let mut observed = pipeline(
        Some((Hop::Authentication, Cause::AuthenticationFailed)),
        None,
    );
    fingerprint(&mut observed, 0, WORKERS, "redis-auth", "wrong");
    fingerprint(&mut observed, 1, WORKERS, "redis-auth", "right");
    fingerprint(&mut observed, 1, SHARED, "redis-auth", "right");
    let findings = judge(&observed);
    let finding = found(&findings, "TEL-RED-001", "edge");
    assert_eq!(finding.cause.unwrap().word(), "authentication failed");
    let command = commands(finding);
    assert!(
        command.starts_with(
            "kubectl --context central -n shared-infrastructure get secret redis-auth"
        )
    );
    assert!(command.contains("kubectl --context edge -n telemetry-system create secret"));
}

#[test]
fn v08_another_password_on_the_server_means_the_server_starts_again() {
    let wrong = Some((Hop::Authentication, Cause::AuthenticationFailed));
    let mut observed = pipeline(wrong, wrong);
    for (index, namespace) in [(0, WORKERS), (1, WORKERS), (1, SHARED)] {
        fingerprint(&mut observed, index, namespace, "redis-auth", "right");
    }
    let findings = judge(&observed);
    let command = commands(found(&findings, "TEL-RED-001", "edge"));
    assert!(command.starts_with(
        "kubectl --context central -n shared-infrastructure rollout restart statefulset/redis"
    ));
}

#[test]
fn v08_an_authority_that_did_not_sign_is_copied_from_where_it_is_trusted() {
    let mut observed = pipeline(Some((Hop::Tls, Cause::CertificateNotTrusted)), None);
    fingerprint(&mut observed, 0, WORKERS, "redis-ca-cert", "other");
    fingerprint(&mut observed, 1, WORKERS, "redis-ca-cert", "right");
    let ProbeEnd::Reported(report) = &mut observed.sites[1].probes[0].end else {
        unreachable!()
    };
    report.targets[0].certificate = Some(crate::probe::CertificateFacts {
        subject: String::new(),
        issuer: String::new(),
        names: Vec::new(),
        not_after: "2099-01-01T00:00:00Z".to_owned(),
        days_left: 9999,
    });
    let findings = judge(&observed);
    let finding = found(&findings, "TEL-RED-001", "edge");
    assert_eq!(finding.cause.unwrap().word(), "certificate not trusted");
    let command = commands(finding);
    assert!(command.contains("--context central -n telemetry-system get secret redis-ca-cert"));
}

#[test]
fn s06_a_warning_comes_only_when_deploying_again_gives_a_new_certificate() {
    let verdict = |days_left: i64| {
        let mut observed = pipeline(None, None);
        let ProbeEnd::Reported(report) = &mut observed.sites[0].probes[0].end else {
            unreachable!()
        };
        report.targets[0].certificate = Some(crate::probe::CertificateFacts {
            subject: String::new(),
            issuer: String::new(),
            names: Vec::new(),
            not_after: "2026-07-01T00:00:00Z".to_owned(),
            days_left,
        });
        found(&judge(&observed), "TEL-TLS-001", "edge")
            .verdict
            .clone()
    };
    let warned = crate::deploy::certificates::WARNING_DAYS;
    assert_eq!(verdict(warned), Verdict::Passed);
    assert_eq!(verdict(warned - 1), Verdict::Warning);
    assert_eq!(verdict(7), Verdict::Warning);
    assert_eq!(verdict(6), Verdict::Failed);
    let explained = crate::validate::check::CERTIFICATE.explanation;
    let renewed = crate::deploy::certificates::RENEWAL_DAYS;
    assert!(explained.contains(&format!("warning below {warned} days")));
    assert!(explained.contains(&format!("less than {renewed} days left")));
}

#[test]
fn v09_a_database_with_another_password_than_its_secret_is_started_again() {
    let mut observed = pipeline(None, None);
    let site = &mut observed.sites[1];
    site.objects.workloads.push(workload(
        Component::Postgresql,
        ObjectKind::StatefulSet,
        WORKERS,
        1,
    ));
    site.objects
        .pods
        .push(pod(Component::Postgresql, WORKERS, "postgresql-0", true));
    let failure = Some((Hop::Authentication, Cause::AuthenticationFailed));
    site.probes.push(reported(
        Component::ApiGateway,
        vec![target(TargetKind::Postgresql, "postgresql:5432", failure)],
    ));
    fingerprint(&mut observed, 1, WORKERS, "database-credentials", "new");
    let findings = judge(&observed);
    let finding = found(&findings, "TEL-PGS-001", "central");
    let command = commands(finding);
    assert!(
        command.contains("rollout restart statefulset/postgresql"),
        "{command}"
    );
    assert!(command.contains("rollout restart deployment/collector"));
}

#[test]
fn v08_dropped_packets_time_out_and_a_policy_that_drops_them_is_named() {
    let observed = pipeline(Some((Hop::Tcp, Cause::TimedOut)), None);
    let findings = judge(&observed);
    let finding = found(&findings, "TEL-RED-001", "edge");
    assert_eq!(finding.verdict, Verdict::TimedOut);
    let remedy = finding.remedy.as_ref().unwrap();
    assert!(remedy.text.contains("from edge to 192.0.2.10:6379"));

    let mut observed = observed;
    observed.sites[0].objects.policies = vec![Policy::from_object(&json!({
        "metadata": {"name": "deny", "namespace": WORKERS},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"]},
    }))];
    let findings = judge(&observed);
    assert_eq!(
        commands(found(&findings, "TEL-RED-001", "edge")),
        "kubectl --context edge -n telemetry-system delete networkpolicy deny"
    );
}

#[test]
fn v12_a_stopped_name_service_is_said_once_and_what_needs_names_is_skipped() {
    let mut observed = pipeline(None, None);
    let failure = Some((Hop::Dns, Cause::DnsUnreachable));
    observed.sites[0].probes = vec![reported(
        Component::Streamer,
        vec![
            target(TargetKind::ClusterDns, "kubernetes.default.svc", failure),
            target(TargetKind::Redis, "redis.example:6379", failure),
        ],
    )];
    observed.sites[0].name_service = Some(NameService {
        workload: Some(("deployment/coredns".to_owned(), 0)),
        endpoints: Vec::new(),
        unread: None,
    });
    let findings = judge(&observed);
    assert_eq!(failures(&findings), ["TEL-DNS-001"]);
    let finding = found(&findings, "TEL-DNS-001", "edge");
    assert_eq!(finding.cause.unwrap().word(), "DNS unreachable");
    assert_eq!(
        commands(finding),
        "kubectl --context edge -n kube-system scale deployment/coredns --replicas=2"
    );
}

#[test]
fn v12_a_name_that_does_not_exist_leads_to_the_variable_and_its_last_change() {
    let mut observed = pipeline(Some((Hop::Dns, Cause::NameNotFound)), None);
    observed.sites[0].objects.pods[0] = pod(Component::Streamer, WORKERS, "streamer-0", false);
    let findings = judge(&observed);
    let finding = found(&findings, "TEL-RED-001", "edge");
    assert_eq!(finding.cause.unwrap().word(), "name not found");
    let remedy = finding.remedy.as_ref().unwrap();
    assert!(remedy.text.contains("REDIS_URL of statefulset/streamer"));
    assert_eq!(
        remedy.commands[..2],
        [
            "kubectl --context edge -n telemetry-system rollout undo statefulset/streamer",
            "kubectl --context edge -n telemetry-system delete pod streamer-0 --ignore-not-found",
        ]
    );
}
