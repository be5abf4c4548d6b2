//! Looks at what is there of a stage. Only reads.

use std::collections::BTreeSet;

use futures::future::{join_all, try_join_all};
use serde_json::Value;

use super::super::layout::Stage;
use super::super::secrets::AUTHORITY_SECRET;
use super::plan::{Found, Spool};
use crate::cluster::pod::{HttpPort, http_port};
use crate::cluster::rights::rendered_kinds;
use crate::cluster::snapshot::reference;
use crate::cluster::{Cluster, ClusterError, inventory};
use crate::model::component::Component;
use crate::model::labels;
use crate::model::object::{ObjectKind, ObjectRef};
use crate::model::profile::Profile;

/// Looks at a stage. `going` are profiles of the same namespace that the run deletes before.
pub(super) async fn observe(
    cluster: &Cluster,
    stage: &Stage,
    going: &BTreeSet<Profile>,
) -> Result<Found, ClusterError> {
    let here = stage.namespace.as_str();
    let namespace = ObjectRef::new(ObjectKind::Namespace, "", here);
    let Some(namespace) = cluster.get(&namespace).await? else {
        return Ok(Found::default());
    };
    let parent = inventory::parent(here, stage.profile.name());
    let authority = ObjectRef::new(ObjectKind::Secret, here, AUTHORITY_SECRET);
    let claims = ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims");
    let (record, others, authority, claims) = futures::try_join!(
        cluster.get(&parent),
        others(cluster, stage),
        cluster.get(&authority),
        cluster.list_other(claims, here, ""),
    )?;
    let live = live(cluster, &parent, record.as_ref()).await?;
    let spools = spools(cluster, &live, here).await?;
    Ok(Found {
        namespace: Some(namespace),
        record,
        others: others
            .into_iter()
            .filter(|(profile, _)| !going.contains(profile))
            .collect(),
        live,
        authority,
        claims,
        spools,
    })
}

/// The records of other profiles in a stage's namespace.
async fn others(cluster: &Cluster, stage: &Stage) -> Result<Vec<(Profile, Value)>, ClusterError> {
    let others = Profile::ALL
        .into_iter()
        .filter(|profile| *profile != stage.profile);
    let read = others.map(|profile| async move {
        let parent = inventory::parent(&stage.namespace, profile.name());
        Ok(cluster.get(&parent).await?.map(|record| (profile, record)))
    });
    Ok(try_join_all(read).await?.into_iter().flatten().collect())
}

/// What carries the label of the set, and what the record lists. What cannot be read is an error,
/// never absent.
async fn live(
    cluster: &Cluster,
    parent: &ObjectRef,
    record: Option<&Value>,
) -> Result<Vec<Value>, ClusterError> {
    let selector = inventory::selector(parent);
    let named = record.and_then(inventory::listed_kinds);
    let may_be_there = |kind: &ObjectKind| named.as_ref().is_none_or(|named| named.contains(kind));
    let lists = rendered_kinds()
        .filter(may_be_there)
        .map(|kind| cluster.list(kind, &parent.namespace, &selector));
    let mut live = try_join_all(lists).await?.concat();
    let carrying: BTreeSet<ObjectRef> = live.iter().filter_map(reference).collect();
    let listed = record.map(inventory::listed).unwrap_or_default();
    let others = listed
        .difference(&carrying)
        .map(|object| cluster.get(object));
    live.extend(try_join_all(others).await?.into_iter().flatten());
    Ok(live)
}

/// Asks the running pods of streamers what the store has not acknowledged.
async fn spools(
    cluster: &Cluster,
    live: &[Value],
    namespace: &str,
) -> Result<Vec<Spool>, ClusterError> {
    let streamer = Component::Streamer.name();
    let is_streamer = |object: &&Value| {
        let kind = object["kind"].as_str().unwrap_or_default();
        let is_workload = kind == ObjectKind::StatefulSet.name();
        is_workload && object["metadata"]["labels"][labels::COMPONENT] == streamer
    };
    let sets = live.iter().filter(is_streamer);
    let mut pods = Vec::new();
    for set in sets {
        let selector = set["spec"]["selector"]["matchLabels"].as_object();
        let labels: Vec<String> = selector
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
            .collect();
        pods.extend(cluster.pods(namespace, &labels.join(",")).await?);
    }
    let asking = pods.iter().map(|pod| spool(cluster, namespace, pod));
    Ok(join_all(asking).await)
}

async fn spool(cluster: &Cluster, namespace: &str, pod: &Value) -> Spool {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let usual = HttpPort::plain(Component::Streamer.default_port());
    let port = http_port(pod).unwrap_or(usual);
    let answer = cluster
        .ask_pod(namespace, name, port, "/api/v1/status")
        .await;
    let said: Option<Value> = answer
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok());
    Spool {
        pod: name.to_owned(),
        undrained: said.and_then(|said| said["details"]["spool_undrained"].as_u64()),
    }
}
