//! The objects of a cluster.

use futures::future::join_all;
use serde_json::Value;

use crate::cluster::{Cluster, ClusterError};
use crate::model::object::ObjectKind;
use crate::probe::job::PROBE_LABEL;
use crate::validate::facts::{Autoscaler, Objects, Pod, Policy, ServiceFacts, Workload};

/// Group, version, kind and plural of EndpointSlices.
const ENDPOINT_SLICES: (&str, &str, &str, &str) =
    ("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices");

/// Group, version, kind and plural of events.
const EVENTS: (&str, &str, &str, &str) = ("", "v1", "Event", "events");

/// Lists what matters in these namespaces; with it, what could not be read and why.
pub async fn objects(cluster: &Cluster, namespaces: &[String]) -> (Objects, Vec<String>) {
    let mut objects = Objects::default();
    let mut gaps = Vec::new();
    let listed = join_all(namespaces.iter().map(|namespace| list(cluster, namespace))).await;
    for (found, missing) in listed {
        objects.workloads.extend(found.workloads);
        objects.pods.extend(found.pods);
        objects.services.extend(found.services);
        objects.policies.extend(found.policies);
        objects.autoscalers.extend(found.autoscalers);
        gaps.extend(missing);
    }
    (objects, gaps)
}

async fn list(cluster: &Cluster, namespace: &str) -> (Objects, Vec<String>) {
    let of = |kind| cluster.list(kind, namespace, "");
    let not_probes = format!("!{PROBE_LABEL}");
    let (deployments, stateful_sets, pods, services, slices, policies, autoscalers) = tokio::join!(
        of(ObjectKind::Deployment),
        of(ObjectKind::StatefulSet),
        cluster.pods(namespace, &not_probes),
        of(ObjectKind::Service),
        cluster.list_other(ENDPOINT_SLICES, namespace, ""),
        of(ObjectKind::NetworkPolicy),
        of(ObjectKind::HorizontalPodAutoscaler),
    );
    let mut gaps = Vec::new();
    let mut read = |listed: Result<Vec<Value>, ClusterError>| -> Vec<Value> {
        listed.unwrap_or_else(|error| {
            gaps.push(error.to_string());
            Vec::new()
        })
    };
    let workload = |kind| move |object: &Value| Workload::from_object(kind, object);
    let deployments = read(deployments);
    let stateful_sets = read(stateful_sets);
    let slices = read(slices);
    let mut pods: Vec<Pod> = read(pods).iter().map(Pod::from_object).collect();
    if pods.iter().any(Pod::is_unexplained) {
        let events = read(cluster.list_other(EVENTS, namespace, "").await);
        for pod in pods.iter_mut().filter(|pod| pod.is_unexplained()) {
            pod.listen_to(&events);
        }
    }
    let objects = Objects {
        workloads: deployments
            .iter()
            .map(workload(ObjectKind::Deployment))
            .chain(stateful_sets.iter().map(workload(ObjectKind::StatefulSet)))
            .collect(),
        pods,
        services: read(services)
            .iter()
            .map(|service| ServiceFacts::from_objects(service, &slices))
            .collect(),
        policies: read(policies).iter().map(Policy::from_object).collect(),
        autoscalers: read(autoscalers)
            .iter()
            .map(Autoscaler::from_object)
            .collect(),
    };
    (objects, gaps)
}
