//! What the observations mean, case by case.

mod connectivity;
mod deployment;
mod registry;
mod unread;

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
                "generation": 1,
            },
            "status": {
                "observedGeneration": 1, "replicas": replicas, "updatedReplicas": replicas,
                "readyReplicas": replicas, "availableReplicas": replicas,
                "currentRevision": "one", "updateRevision": "one",
            },
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels(component)},
                "template": {
                    "metadata": {"labels": labels(component)},
                    "spec": {"containers": [{"env": [
                        {"name": "PIPELINE", "value": "telemetry-system"},
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
        left: None,
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
