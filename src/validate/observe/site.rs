//! One cluster.

use std::time::{Duration, Instant};

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::timeout;

use crate::cluster::client::ENDPOINT_SLICES;
use crate::cluster::pod::HttpPort;
use crate::cluster::{Cluster, ClusterError};
use crate::model::component::Component;
use crate::model::endpoint::Endpoint;
use crate::model::object::ObjectKind;
use crate::validate::facts::{Objects, Pod, ServiceFacts};

use super::ask::{ask, cause_of};
use super::{
    Answer, ApiServer, Asked, Circumstances, Listener, NameService, ProbeFacts, Probing, Site,
    SiteFacts, objects, probes,
};

/// Longest time for the first answer of an API server.
const FIRST_ANSWER: Duration = Duration::from_secs(10);
const NAME_SERVICE_NAMESPACE: &str = "kube-system";
const NAME_SERVICE_LABEL: &str = "k8s-app=kube-dns";

pub(super) async fn observe(
    site: &Site,
    circumstances: &Circumstances,
    listener: Listener<'_>,
) -> SiteFacts {
    let cluster = &site.cluster;
    let context = cluster.name();
    listener(context, "asking the API server");
    let api = api_server(cluster).await;
    let mut facts = SiteFacts::unknown(context, cluster.server(), site.roles.clone(), api);
    facts.namespaces.clone_from(&site.namespaces);
    if !facts.answers() {
        return facts;
    }
    if circumstances.probing == Probing::Run
        && let Err(error) = probes::sweep(cluster, &site.namespaces, Timestamp::now()).await
    {
        facts.gaps.push(error.to_string());
    }
    let (found, gaps) = objects(cluster, &site.namespaces).await;
    facts.objects = found;
    facts.gaps.extend(gaps);
    listener(
        context,
        match circumstances.probing {
            Probing::Run => "probing from the workloads' places",
            Probing::Omit => "asking the workers",
        },
    );
    let (probed, health, gateway) = tokio::join!(
        Box::pin(probe_all(cluster, &facts, circumstances)),
        Box::pin(ask_all(cluster, &facts)),
        Box::pin(ask_gateway(cluster, &facts)),
    );
    facts.probes = probed;
    facts.health = health;
    facts.gateway = gateway;
    listener(context, "done");
    facts
}

/// Asks for the version.
pub async fn api_server(cluster: &Cluster) -> ApiServer {
    let started = Instant::now();
    match timeout(FIRST_ANSWER, cluster.version()).await {
        Ok(Ok(version)) => ApiServer::Answers {
            version,
            latency_ms: started.elapsed().as_secs_f64() * 1000.0,
        },
        Ok(Err(error)) => ApiServer::Fails {
            cause: cause_of(&error),
            detail: error.to_string(),
        },
        Err(_) => ApiServer::Fails {
            cause: crate::probe::Cause::TimedOut,
            detail: format!(
                "the API server at {} does not answer within {} s",
                cluster.server(),
                FIRST_ANSWER.as_secs()
            ),
        },
    }
}

async fn probe_all(
    cluster: &Cluster,
    facts: &SiteFacts,
    circumstances: &Circumstances,
) -> Vec<ProbeFacts> {
    if circumstances.probing == Probing::Omit {
        return Vec::new();
    }
    let workers = Component::WORKERS.into_iter().flat_map(|component| {
        let workloads = facts.objects.workloads_of(component);
        workloads.map(move |workload| (component, workload))
    });
    let running = workers
        .map(|(component, workload)| probes::run(cluster, workload, component, &[], circumstances));
    join_all(running).await
}

/// Every worker pod that runs, and its port; one that does not run cannot answer.
pub fn workers(objects: &Objects) -> impl Iterator<Item = (Component, &Pod, HttpPort)> {
    Component::WORKERS.into_iter().flat_map(move |component| {
        objects
            .workloads_of(component)
            .flat_map(|workload| objects.pods_of(workload))
            .filter(|pod| pod.phase == "Running" && pod.trouble.is_none())
            .map(move |pod| {
                let usual = HttpPort::plain(component.default_port());
                (component, pod, pod.port.unwrap_or(usual))
            })
    })
}

async fn ask_all(cluster: &Cluster, facts: &SiteFacts) -> Vec<Asked> {
    let asking = workers(&facts.objects).map(async |(component, pod, port)| Asked {
        component,
        pod: pod.name.clone(),
        address: Endpoint::new(pod.ip.clone(), port.number).to_string(),
        answers: vec![ask(cluster, pod, port, "/health").await],
    });
    join_all(asking).await
}

async fn ask_gateway(cluster: &Cluster, facts: &SiteFacts) -> Option<Asked> {
    let (component, pod, port) = workers(&facts.objects)
        .find(|(component, pod, _)| *component == Component::ApiGateway && pod.is_ready)?;
    let mut answers = Vec::new();
    for path in ["/api/v1/health", "/api/v1/gpus", "/api/v1/stats"] {
        answers.push(ask(cluster, pod, port, path).await);
    }
    if let Some(uuid) = answers.iter().find_map(some_uuid) {
        let path = format!("/api/v1/gpus/{uuid}/telemetry?limit=1");
        answers.push(ask(cluster, pod, port, &path).await);
    }
    Some(Asked {
        component,
        pod: pod.name.clone(),
        address: Endpoint::new(pod.ip.clone(), port.number).to_string(),
        answers,
    })
}

/// The UUID of the first GPU in a list of GPUs.
fn some_uuid(answer: &Answer) -> Option<String> {
    let body: Value = serde_json::from_str(&answer.body).ok()?;
    let list = body
        .as_object()?
        .values()
        .find_map(|value| value.as_array()?.first()?.get("uuid")?.as_str())?;
    let plain = |symbol: char| symbol.is_ascii_alphanumeric() || symbol == '-';
    list.chars().all(plain).then(|| list.to_owned())
}

/// Who answers names in this cluster.
pub(super) async fn name_service(cluster: &Cluster) -> NameService {
    let (deployments, services, slices) = tokio::join!(
        cluster.list(
            ObjectKind::Deployment,
            NAME_SERVICE_NAMESPACE,
            NAME_SERVICE_LABEL
        ),
        cluster.list(ObjectKind::Service, NAME_SERVICE_NAMESPACE, ""),
        cluster.list_other(
            ENDPOINT_SLICES,
            NAME_SERVICE_NAMESPACE,
            "kubernetes.io/service-name=kube-dns",
        ),
    );
    let mut unread = None;
    let mut read = |listed: Result<Vec<Value>, ClusterError>| {
        listed.unwrap_or_else(|error| {
            unread = Some(error.to_string());
            Vec::new()
        })
    };
    let (deployments, services, slices) = (read(deployments), read(services), read(slices));
    let service = services
        .iter()
        .map(|service| ServiceFacts::from_objects(service, &slices))
        .find(|service| service.name == "kube-dns");
    NameService {
        workload: deployments.first().map(|deployment| {
            let name = deployment["metadata"]["name"].as_str().unwrap_or("coredns");
            (
                format!("deployment/{name}"),
                deployment["spec"]["replicas"].as_i64().unwrap_or(1),
            )
        }),
        endpoints: service.map(|service| service.ready).unwrap_or_default(),
        unread,
    }
}
