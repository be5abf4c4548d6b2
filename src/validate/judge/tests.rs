//! What the observations mean, case by case.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::judge;
use crate::model::component::Component;
use crate::model::object::ObjectKind;
use crate::probe::{
    Cause, Hop, HopResult, Outcome, ProbeReport, SCHEMA_VERSION, TargetKind, TargetReport,
};
use crate::validate::facts::{Objects, Pod, Policy, Role, ServiceFacts, Workload};
use crate::validate::finding::{Finding, Summary, Verdict};
use crate::validate::observe::{
    Answer, ApiServer, Asked, Fingerprint, NameService, Observed, ProbeEnd, ProbeFacts,
    SecretKeyRef, SiteFacts,
};

const WORKERS: &str = "telemetry-system";
const SHARED: &str = "shared-infrastructure";

fn labels(component: Component) -> Value {
    json!({"app.kubernetes.io/component": component.name(), "telectl.io/serving": "true"})
}

fn workload(component: Component, kind: ObjectKind, namespace: &str, replicas: i64) -> Workload {
    let secret = |variable: &str, name: &str, key: &str| json!({"name": variable, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}});
    Workload::from_object(
        kind,
        &json!({
            "metadata": {
                "name": component.name(), "namespace": namespace, "labels": labels(component),
            },
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels(component)},
                "template": {
                    "metadata": {"labels": labels(component)},
                    "spec": {"containers": [{"env": [
                        {"name": "REDIS_URL", "value": "rediss://192.0.2.10:6379"},
                        secret("REDIS_PASSWORD", "redis-auth", "password"),
                        secret("REDIS_CA_CERT", "redis-ca-cert", "ca.crt"),
                        secret("DB_PASSWORD", "database-credentials", "password"),
                        secret("POSTGRES_PASSWORD", "database-credentials", "password"),
                    ]}]},
                },
            },
        }),
    )
}

fn pod(component: Component, namespace: &str, name: &str, ready: bool) -> Pod {
    let ready = if ready { "True" } else { "False" };
    Pod::from_object(&json!({
        "metadata": {"name": name, "namespace": namespace, "labels": labels(component)},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]},
    }))
}

fn service(
    component: Component,
    namespace: &str,
    endpoints: &[&str],
    external: &str,
) -> ServiceFacts {
    ServiceFacts::from_objects(
        &json!({
            "metadata": {
                "name": component.name(), "namespace": namespace, "labels": labels(component),
            },
            "spec": {
                "type": "LoadBalancer", "clusterIP": "10.96.0.1", "selector": labels(component),
            },
            "status": {"loadBalancer": {"ingress": [{"ip": external}]}},
        }),
        &[json!({
            "metadata": {
                "namespace": namespace,
                "labels": {"kubernetes.io/service-name": component.name()},
            },
            "endpoints": [{"addresses": endpoints}],
        })],
    )
}

fn hop(hop: Hop, outcome: Outcome) -> HopResult {
    HopResult {
        hop,
        outcome,
        address: Some("192.0.2.10:6379".to_owned()),
        latency_ms: 1.0,
    }
}

fn target(kind: TargetKind, endpoint: &str, failure: Option<(Hop, Cause)>) -> TargetReport {
    let hops = match failure {
        None => vec![hop(Hop::Tcp, Outcome::Passed)],
        Some((at, Cause::TimedOut)) => vec![hop(at, Outcome::TimedOut { after_ms: 4000 })],
        Some((at, cause)) => vec![hop(
            at,
            Outcome::Failed {
                cause,
                detail: "what was seen".to_owned(),
            },
        )],
    };
    TargetReport {
        kind,
        endpoint: endpoint.to_owned(),
        hops,
        certificate: None,
        facts: BTreeMap::new(),
    }
}

fn reported(component: Component, targets: Vec<TargetReport>) -> ProbeFacts {
    ProbeFacts {
        component,
        namespace: WORKERS.to_owned(),
        workload: component.name().to_owned(),
        end: ProbeEnd::Reported(Box::new(ProbeReport {
            schema_version: SCHEMA_VERSION,
            component,
            version: "0.1.0".to_owned(),
            cluster_id: None,
            pod: None,
            node: Some("node".to_owned()),
            targets,
            registrations: None,
            elapsed_ms: 3.0,
        })),
    }
}

fn site(context: &str, role: Role) -> SiteFacts {
    let api = ApiServer::Answers {
        version: "v1.34.4".to_owned(),
        latency_ms: 2.0,
    };
    let mut site = SiteFacts::unknown(context, "https://192.0.2.1", BTreeSet::from([role]), api);
    site.namespaces = vec![WORKERS.to_owned(), SHARED.to_owned()];
    site
}

/// An edge with one streamer and a central cluster with Redis and a collector, all well, except
/// that the probes of Redis end as given.
fn pipeline(edge: Option<(Hop, Cause)>, central: Option<(Hop, Cause)>) -> Observed {
    use ObjectKind::{Deployment, StatefulSet};
    let redis = "192.0.2.10:6379";
    let mut edge_site = site("edge", Role::Edge);
    edge_site.objects = Objects {
        workloads: vec![workload(Component::Streamer, StatefulSet, WORKERS, 1)],
        pods: vec![pod(Component::Streamer, WORKERS, "streamer-0", true)],
        ..Objects::default()
    };
    edge_site.probes = vec![reported(
        Component::Streamer,
        vec![target(TargetKind::Redis, redis, edge)],
    )];
    let mut central_site = site("central", Role::Central);
    central_site.objects = Objects {
        workloads: vec![
            workload(Component::Redis, StatefulSet, SHARED, 1),
            workload(Component::Collector, Deployment, WORKERS, 1),
            workload(Component::ApiGateway, Deployment, WORKERS, 1),
        ],
        pods: vec![
            pod(Component::Redis, SHARED, "redis-0", true),
            pod(Component::Collector, WORKERS, "collector-x", true),
            pod(Component::ApiGateway, WORKERS, "api-gateway-x", true),
        ],
        services: vec![
            service(Component::Redis, SHARED, &["10.0.0.1"], "192.0.2.10"),
            service(Component::ApiGateway, WORKERS, &["10.0.0.2"], "192.0.2.11"),
        ],
        ..Objects::default()
    };
    central_site.probes = vec![reported(
        Component::Collector,
        vec![target(TargetKind::Redis, redis, central)],
    )];
    Observed {
        sites: vec![edge_site, central_site],
        absent: Vec::new(),
    }
}

fn found<'a>(findings: &'a [Finding], id: &str, cluster: &str) -> &'a Finding {
    findings
        .iter()
        .find(|finding| finding.check.id == id && finding.cluster == cluster)
        .unwrap_or_else(|| panic!("no {id} about {cluster} in {findings:#?}"))
}

fn failures(findings: &[Finding]) -> Vec<&str> {
    let failed = findings.iter().filter(|one| one.verdict.is_failure());
    failed.map(|finding| finding.check.id).collect()
}

fn commands(finding: &Finding) -> String {
    let remedy = finding.remedy.as_ref().expect("a failure has a remedy");
    remedy.commands.join("\n")
}

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
fn v09_a_database_that_keeps_its_old_password_is_given_the_secrets() {
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
    assert!(command.contains("ALTER USER \"telemetry\""), "{command}");
    assert!(command.contains("exec -i postgresql-0"), "{command}");
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
            "kubectl --context edge -n telemetry-system delete pod streamer-0",
        ]
    );
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
        answers: vec![Answer {
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
    assert!(commands(found(&findings, "TEL-PRB-001", "edge")).contains("telectl deploy edge"));
}
