//! The objects of a cluster.

use futures::future::{join_all, try_join_all};
use serde_json::Value;

use crate::cluster::client::{ENDPOINT_SLICES, EVENTS};
use crate::cluster::{Cluster, ClusterError, inventory};
use crate::model::object::ObjectKind;
use crate::model::profile::Profile;
use crate::validate::facts::{
    Autoscaler, Listing, Objects, Pod, Policy, Record, ServiceFacts, Unread, Workload,
};
use crate::validate::job::PROBE_LABEL;

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
        objects.records.extend(found.records);
        objects.unread.extend(found.unread);
        gaps.extend(missing);
    }
    (objects, gaps)
}

async fn list(cluster: &Cluster, namespace: &str) -> (Objects, Vec<String>) {
    let of = |kind| cluster.list(kind, namespace, "");
    let not_probes = format!("!{PROBE_LABEL}");
    let (deployments, stateful_sets, pods, services, slices, policies, autoscalers, records) = tokio::join!(
        of(ObjectKind::Deployment),
        of(ObjectKind::StatefulSet),
        cluster.pods(namespace, &not_probes),
        of(ObjectKind::Service),
        cluster.list_other(ENDPOINT_SLICES, namespace, ""),
        of(ObjectKind::NetworkPolicy),
        of(ObjectKind::HorizontalPodAutoscaler),
        records(cluster, namespace),
    );
    let mut unread = Vec::new();
    let mut missed = |listing, error: ClusterError| {
        unread.push(Unread {
            listing,
            namespace: namespace.to_owned(),
            why: error.to_string(),
        });
    };
    let records = records.unwrap_or_else(|error| {
        missed(Listing::Records, error);
        Vec::new()
    });
    let mut read = |listing, listed: Result<Vec<Value>, ClusterError>| -> Vec<Value> {
        listed.unwrap_or_else(|error| {
            missed(listing, error);
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
        records,
        unread,
    };
    (objects, gap.into_iter().collect())
}

/// What telectl noted about its deployments to a namespace.
async fn records(cluster: &Cluster, namespace: &str) -> Result<Vec<Record>, ClusterError> {
    let reading = Profile::ALL.map(async |profile| {
        let parent = inventory::parent(namespace, profile.name());
        let object = cluster.get(&parent).await?;
        Ok(object.map(|object| Record::from_object(profile, &object)))
    });
    Ok(try_join_all(reading).await?.into_iter().flatten().collect())
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
