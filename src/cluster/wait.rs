//! Waits by watching, until objects are what they should be or cannot become it.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt as _, stream::SelectAll};
use kube::api::{DynamicObject, LogParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::client::Cluster;
use super::error::ClusterError;
use super::readiness::{Readiness, pod_failure, readiness, unschedulable};
use crate::model::object::ObjectRef;

/// How long a pod may be unschedulable before the wait gives up: autoscalers of nodes need time.
const SCHEDULING_GRACE: Duration = Duration::from_secs(120);
/// How often it is looked whether that time is over: no event says so.
const SCHEDULING_CHECK: Duration = Duration::from_secs(5);
/// How many lines of a failed pod's log are shown.
const LOG_LINES: i64 = 10;

/// What to wait for, and how long.
#[derive(Debug)]
pub struct Waiting<'a> {
    /// The objects.
    pub objects: &'a [ObjectRef],
    /// The namespace whose pods tell early that something cannot work.
    pub namespace: &'a str,
    /// The labels of these pods.
    pub pods: &'a str,
    /// How long to wait at most.
    pub deadline: Duration,
}

enum Seen {
    Object(usize, Option<Value>),
    Pod(Box<Value>),
    Broken(String),
}

/// Waits; `on_change` is told what each object waits for whenever that changes, and `None` when
/// it is what it should be.
///
/// # Errors
/// [`ClusterError::Deadline`] with the last state, [`ClusterError::Failed`] with the reason and
/// the last log lines; [`ClusterError::Deadline`] at once when `stop` is cancelled.
pub async fn until_ready(
    cluster: &Cluster,
    waiting: &Waiting<'_>,
    stop: &CancellationToken,
    mut on_change: impl FnMut(&ObjectRef, Option<&str>),
) -> Result<(), ClusterError> {
    let started = Instant::now();
    let mut states: BTreeMap<usize, String> = (0..waiting.objects.len())
        .map(|index| (index, "not seen yet".to_owned()))
        .collect();
    let mut unplaced = Unplaced::new();
    let mut look_again = tokio::time::interval(SCHEDULING_CHECK);
    let mut events = watch_all(cluster, waiting);
    while !states.is_empty() {
        let seen = tokio::select! {
            seen = events.next() => seen,
            _ = look_again.tick() => {
                give_up_on_unplaced(cluster, waiting, &unplaced)?;
                continue;
            }
            () = tokio::time::sleep_until(started + waiting.deadline) => None,
            () = stop.cancelled() => None,
        };
        match seen {
            None => return Err(out_of_time(cluster, waiting, &states, started)),
            Some(Seen::Object(index, object)) => {
                let object_ref = &waiting.objects[index];
                match object.as_ref().map(readiness) {
                    Some(Readiness::Current) => {
                        if states.remove(&index).is_some() {
                            on_change(object_ref, None);
                        }
                    }
                    Some(Readiness::InProgress(why)) => {
                        if states.insert(index, why.clone()).as_ref() != Some(&why) {
                            on_change(object_ref, Some(&why));
                        }
                    }
                    Some(Readiness::Failed(why)) => {
                        return Err(failed(cluster, object_ref.to_string(), why));
                    }
                    None => drop(states.insert(index, "it does not exist".to_owned())),
                }
            }
            Some(Seen::Pod(pod)) => look_at_pod(cluster, waiting, &pod, &mut unplaced).await?,
            Some(Seen::Broken(why)) => {
                tracing::debug!(cluster = cluster.name(), why, "watch broke");
            }
        }
    }
    Ok(())
}

fn watch_all(
    cluster: &Cluster,
    waiting: &Waiting<'_>,
) -> SelectAll<futures::stream::BoxStream<'static, Seen>> {
    let mut streams = SelectAll::new();
    for (index, object) in waiting.objects.iter().enumerate() {
        let kind = object.kind;
        let api = cluster.api(kind, &object.namespace);
        let only = watcher::Config::default().fields(&format!("metadata.name={}", object.name));
        let cluster = cluster.clone();
        let stream = watcher::watcher(api, only)
            .default_backoff()
            .filter_map(move |event| {
                let seen = match event {
                    Ok(Event::Apply(object) | Event::InitApply(object)) => {
                        Some(Seen::Object(index, Some(cluster.value(kind, object))))
                    }
                    Ok(Event::Delete(_)) => Some(Seen::Object(index, None)),
                    Ok(Event::Init | Event::InitDone) => None,
                    Err(error) => Some(Seen::Broken(error.to_string())),
                };
                futures::future::ready(seen)
            });
        streams.push(stream.boxed());
    }
    if !waiting.pods.is_empty() {
        streams.push(watch_pods(cluster, waiting));
    }
    streams
}

fn watch_pods(
    cluster: &Cluster,
    waiting: &Waiting<'_>,
) -> futures::stream::BoxStream<'static, Seen> {
    let api = cluster.typed::<k8s_openapi::api::core::v1::Pod>(waiting.namespace);
    let only = watcher::Config::default().labels(waiting.pods);
    watcher::watcher(api, only)
        .default_backoff()
        .filter_map(|event| {
            let seen = match event {
                Ok(Event::Apply(pod) | Event::InitApply(pod)) => Some(Seen::Pod(Box::new(
                    serde_json::to_value(pod).unwrap_or_default(),
                ))),
                Ok(Event::Delete(_) | Event::Init | Event::InitDone) => None,
                Err(error) => Some(Seen::Broken(error.to_string())),
            };
            futures::future::ready(seen)
        })
        .boxed()
}

/// The pods that no node takes: since when, and why.
type Unplaced = BTreeMap<String, (Instant, String)>;

fn give_up_on_unplaced(
    cluster: &Cluster,
    waiting: &Waiting<'_>,
    unplaced: &Unplaced,
) -> Result<(), ClusterError> {
    let late = unplaced
        .iter()
        .find(|(_, (since, _))| since.elapsed() >= SCHEDULING_GRACE);
    match late {
        Some((name, (_, why))) => Err(failed(
            cluster,
            format!("Pod/{}/{name}", waiting.namespace),
            why.clone(),
        )),
        None => Ok(()),
    }
}

async fn look_at_pod(
    cluster: &Cluster,
    waiting: &Waiting<'_>,
    pod: &Value,
    unplaced: &mut Unplaced,
) -> Result<(), ClusterError> {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    if !pod["metadata"]["deletionTimestamp"].is_null() {
        unplaced.remove(name);
        return Ok(());
    }
    if let Some(why) = unschedulable(pod) {
        unplaced
            .entry(name.to_owned())
            .or_insert_with(|| (Instant::now(), String::new()))
            .1 = why;
        return Ok(());
    }
    unplaced.remove(name);
    let Some(why) = pod_failure(pod) else {
        return Ok(());
    };
    if !is_of_current_revision(cluster, waiting.namespace, pod).await? {
        return Ok(());
    }
    let log = last_lines(cluster, waiting.namespace, name).await;
    let reason = if log.is_empty() {
        why
    } else {
        format!("{why}\n{log}")
    };
    Err(failed(
        cluster,
        format!("Pod/{}/{name}", waiting.namespace),
        reason,
    ))
}

/// Whether a pod belongs to what is being rolled out now: one of an earlier revision that fails
/// is about to be replaced and says nothing about the new one.
async fn is_of_current_revision(
    cluster: &Cluster,
    namespace: &str,
    pod: &Value,
) -> Result<bool, ClusterError> {
    let owner = &pod["metadata"]["ownerReferences"][0];
    let owner_name = owner["name"].as_str().unwrap_or_default();
    if owner["kind"] != "ReplicaSet" {
        return Ok(true);
    }
    let sets = cluster
        .list_other(("apps", "v1", "ReplicaSet", "replicasets"), namespace, "")
        .await?;
    let deployment_of = |set: &Value| set["metadata"]["ownerReferences"][0]["uid"].clone();
    let revision = |set: &Value| {
        set["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
            .as_str()
            .and_then(|text| text.parse::<u64>().ok())
            .unwrap_or(0)
    };
    let Some(own) = sets
        .iter()
        .find(|set| set["metadata"]["name"] == owner_name)
    else {
        return Ok(false);
    };
    let newest = sets
        .iter()
        .filter(|set| deployment_of(set) == deployment_of(own))
        .map(revision)
        .max()
        .unwrap_or(0);
    Ok(revision(own) == newest)
}

/// The last lines of a pod's log; of the run before, if this one has said nothing yet.
async fn last_lines(cluster: &Cluster, namespace: &str, pod: &str) -> String {
    for previous in [true, false] {
        let parameters = LogParams {
            previous,
            tail_lines: Some(LOG_LINES),
            ..LogParams::default()
        };
        if let Ok(log) = cluster.logs(namespace, pod, &parameters).await
            && !log.trim().is_empty()
        {
            return log.lines().map(|line| format!("    {line}\n")).collect();
        }
    }
    String::new()
}

fn failed(cluster: &Cluster, object: String, reason: String) -> ClusterError {
    ClusterError::Failed {
        cluster: cluster.name().to_owned(),
        object,
        reason,
    }
}

fn out_of_time(
    cluster: &Cluster,
    waiting: &Waiting<'_>,
    states: &BTreeMap<usize, String>,
    started: Instant,
) -> ClusterError {
    let state: Vec<String> = states
        .iter()
        .map(|(index, why)| format!("{}: {why}", waiting.objects[*index]))
        .collect();
    ClusterError::Deadline {
        cluster: cluster.name().to_owned(),
        waited_for: "not ready".to_owned(),
        state: state.join("; "),
        after: started.elapsed(),
    }
}

/// Waits until a predicate over one object holds, and gives back the object.
///
/// # Errors
/// [`ClusterError::Deadline`] naming `what`.
pub async fn until(
    cluster: &Cluster,
    object: &ObjectRef,
    what: &str,
    deadline: Duration,
    holds: impl Fn(Option<&Value>) -> bool + Send,
) -> Result<Option<Value>, ClusterError> {
    let kind = object.kind;
    let api: kube::Api<DynamicObject> = cluster.api(kind, &object.namespace);
    let watched = async {
        let mut objects =
            std::pin::pin!(watcher::watch_object(api, &object.name).default_backoff());
        while let Some(event) = objects.next().await {
            let Ok(found) = event else { continue };
            let found = found.map(|found| cluster.value(kind, found));
            if holds(found.as_ref()) {
                return found;
            }
        }
        None
    };
    tokio::time::timeout(deadline, watched)
        .await
        .map_err(|_| ClusterError::Deadline {
            cluster: cluster.name().to_owned(),
            waited_for: format!("{object} {what}"),
            state: "still not".to_owned(),
            after: deadline,
        })
}
