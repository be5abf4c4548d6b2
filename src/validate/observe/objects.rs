//! The objects of a cluster.

use futures::future::join_all;
use serde_json::Value;

use crate::cluster::{Cluster, ClusterError};
use crate::model::object::ObjectKind;
use crate::validate::facts::{
    Autoscaler, Listing, Objects, Pod, Policy, ServiceFacts, Unread, Workload,
};
use crate::validate::job::PROBE_LABEL;

/// Group, version, kind and plural of EndpointSlices.
const ENDPOINT_SLICES: (&str, &str, &str, &str) =
    ("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices");

/// Group, version, kind and plural of events.
const EVENTS: (&str, &str, &str, &str) = ("", "v1", "Event", "events");

/// Lists what matters in these namespaces; with it, what else could not be read and why.
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
        objects.unread.extend(found.unread);
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
    let mut unread = Vec::new();
    let mut read = |listing, listed: Result<Vec<Value>, ClusterError>| -> Vec<Value> {
        listed.unwrap_or_else(|error| {
            unread.push(Unread {
                listing,
                namespace: namespace.to_owned(),
                why: error.to_string(),
            });
            Vec::new()
        })
    };
    let workload = |kind| move |object: &Value| Workload::from_object(kind, object);
    let deployments = read(Listing::Deployments, deployments);
    let stateful_sets = read(Listing::StatefulSets, stateful_sets);
    let slices = read(Listing::EndpointSlices, slices);
    let pods = read(Listing::Pods, pods);
    let (pods, gap) = explained(cluster, namespace, pods.iter().map(Pod::from_object)).await;
    let services = read(Listing::Services, services);
    let policies = read(Listing::NetworkPolicies, policies);
    let autoscalers = read(Listing::Autoscalers, autoscalers);
    let objects = Objects {
        workloads: deployments
            .iter()
            .map(workload(ObjectKind::Deployment))
            .chain(stateful_sets.iter().map(workload(ObjectKind::StatefulSet)))
            .collect(),
        pods,
        services: services
            .iter()
            .map(|service| ServiceFacts::from_objects(service, &slices))
            .collect(),
        policies: policies.iter().map(Policy::from_object).collect(),
        autoscalers: autoscalers.iter().map(Autoscaler::from_object).collect(),
        unread,
    };
    (objects, gap.into_iter().collect())
}

/// The pods, with what events say about those that are not ready; and why those could not be read.
async fn explained(
    cluster: &Cluster,
    namespace: &str,
    pods: impl Iterator<Item = Pod>,
) -> (Vec<Pod>, Option<String>) {
    let mut pods: Vec<Pod> = pods.collect();
    if !pods.iter().any(Pod::is_unexplained) {
        return (pods, None);
    }
    let events = match cluster.list_other(EVENTS, namespace, "").await {
        Ok(events) => events,
        Err(error) => return (pods, Some(error.to_string())),
    };
    for pod in pods.iter_mut().filter(|pod| pod.is_unexplained()) {
        pod.listen_to(&events);
    }
    (pods, None)
}
