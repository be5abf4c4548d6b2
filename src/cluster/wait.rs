//! Waits by watching, until objects are what they should be or cannot become it.

use std::time::Duration;

use futures::{StreamExt as _, stream::SelectAll};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Event as Happening, PersistentVolumeClaim, Pod};
use kube::Api;
use kube::api::{DynamicObject, LogParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::client::Cluster;
use super::error::ClusterError;
use super::pod;
use super::scene::{Listed, Scene, Trouble};
use crate::model::object::ObjectRef;

/// How often it is looked whether a time is over: no event says so.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How many lines of a failed pod's log are shown.
const LOG_LINES: i64 = 10;
/// How much of a pod's answer about its readiness is shown.
const ANSWER_LENGTH: usize = 600;
/// How long it may take to ask what a pod says, once the wait has failed.
const EXPLANATION_DEADLINE: Duration = Duration::from_secs(10);

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
    Pod(Listed),
    Set(Listed),
    Claim(Listed),
    Event(Listed),
    Broken(String),
    Nothing,
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
    let mut scene = Scene::new(waiting.objects);
    let mut look_again = tokio::time::interval(LOOK_AGAIN);
    let mut events = watch_all(cluster, waiting);
    while !scene.is_ready() {
        let seen = tokio::select! {
            seen = events.next() => seen,
            _ = look_again.tick() => Some(Seen::Nothing),
            () = tokio::time::sleep_until(started + waiting.deadline) => None,
            () = stop.cancelled() => None,
        };
        match seen {
            None => return Err(out_of_time(cluster, waiting, &scene, started, stop).await),
            Some(Seen::Object(index, object)) => scene.object(index, object),
            Some(Seen::Pod(change)) => scene.pod(change, Instant::now()),
            Some(Seen::Set(change)) => scene.set(change),
            Some(Seen::Claim(change)) => scene.claim(change),
            Some(Seen::Event(change)) => scene.event(change),
            Some(Seen::Nothing) => {}
            Some(Seen::Broken(why)) => {
                tracing::debug!(cluster = cluster.name(), why, "watch broke");
            }
        }
        for (object, why) in scene.news(Instant::now()) {
            on_change(&object, why.as_deref());
        }
        if let Some(trouble) = scene.hopeless(Instant::now()) {
            return Err(failed(cluster, waiting, trouble).await);
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
        let (namespace, labels) = (waiting.namespace, waiting.pods);
        streams.push(watch_list::<Pod>(
            cluster.typed(namespace),
            labels,
            Seen::Pod,
        ));
        streams.push(watch_list::<ReplicaSet>(
            cluster.typed(namespace),
            labels,
            Seen::Set,
        ));
        // Neither carries labels of ours.
        streams.push(watch_list::<PersistentVolumeClaim>(
            cluster.typed(namespace),
            "",
            Seen::Claim,
        ));
        streams.push(watch_list::<Happening>(
            cluster.typed(namespace),
            "",
            Seen::Event,
        ));
    }
    streams
}

fn watch_list<K>(
    api: Api<K>,
    labels: &str,
    seen: fn(Listed) -> Seen,
) -> futures::stream::BoxStream<'static, Seen>
where
    K: kube::Resource + Clone + std::fmt::Debug + Serialize + DeserializeOwned + Send + 'static,
{
    let value = |item: K| serde_json::to_value(item).unwrap_or_default();
    watcher::watcher(api, watcher::Config::default().labels(labels))
        .default_backoff()
        .filter_map(move |event| {
            let seen = match event {
                Ok(Event::Init) => Some(seen(Listed::Begin)),
                Ok(Event::Apply(item) | Event::InitApply(item)) => {
                    Some(seen(Listed::Is(value(item))))
                }
                Ok(Event::Delete(item)) => Some(seen(Listed::Gone(value(item)))),
                Ok(Event::InitDone) => None,
                Err(error) => Some(Seen::Broken(error.to_string())),
            };
            futures::future::ready(seen)
        })
        .boxed()
}

/// What a pod says about its state: the answer about its readiness and the last lines of its log.
async fn explanation(cluster: &Cluster, namespace: &str, pod: &Value) -> String {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let (answer, log) = tokio::join!(
        tokio::time::timeout(
            EXPLANATION_DEADLINE,
            readiness_answer(cluster, namespace, pod)
        ),
        tokio::time::timeout(EXPLANATION_DEADLINE, last_lines(cluster, namespace, name)),
    );
    let mut said = String::new();
    if let Ok(Some(answer)) = answer {
        let shown: String = answer.chars().take(ANSWER_LENGTH).collect();
        said = format!("\n  pod {name} about its readiness:\n{}", indented(&shown));
    }
    if let Ok(Some(log)) = log {
        said.push_str(&format!(
            "\n  last lines of the log of pod {name}:\n{}",
            indented(&log)
        ));
    }
    said
}

fn indented(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("    {line}")).collect();
    lines.join("\n")
}

/// What the page that the kubelet asks says, if the pod runs; else the newest warning about it.
async fn readiness_answer(cluster: &Cluster, namespace: &str, pod: &Value) -> Option<String> {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    if pod["status"]["phase"] == "Running"
        && let Some((port, path)) = pod::readiness_page(pod)
    {
        let path = format!("{path}?verbose");
        match cluster.ask_pod(namespace, name, port, &path).await {
            Ok(answer)
            | Err(ClusterError::Refused {
                message: answer, ..
            }) if !answer.trim().is_empty() => {
                return Some(answer);
            }
            _ => {}
        }
    }
    let events = ("", "v1", "Event", "events");
    let events = cluster.list_other(events, namespace, "").await.ok()?;
    let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
    pod::newest_warning(&events, uid)
}

/// The last lines of a pod's log; of the run before, if this one has said nothing yet.
async fn last_lines(cluster: &Cluster, namespace: &str, pod: &str) -> Option<String> {
    for previous in [false, true] {
        let parameters = LogParams {
            previous,
            tail_lines: Some(LOG_LINES),
            ..LogParams::default()
        };
        if let Ok(log) = cluster.logs(namespace, pod, &parameters).await
            && !log.trim().is_empty()
        {
            return Some(log);
        }
    }
    None
}

async fn failed(cluster: &Cluster, waiting: &Waiting<'_>, trouble: Trouble) -> ClusterError {
    let Trouble { what, why, pod } = trouble;
    let said = match &pod {
        Some(pod) => explanation(cluster, waiting.namespace, pod).await,
        None => String::new(),
    };
    ClusterError::Failed {
        cluster: cluster.name().to_owned(),
        object: what,
        reason: format!("{why}{said}"),
    }
}

async fn out_of_time(
    cluster: &Cluster,
    waiting: &Waiting<'_>,
    scene: &Scene,
    started: Instant,
    stop: &CancellationToken,
) -> ClusterError {
    let after = started.elapsed();
    let late = scene.late(Instant::now());
    let state: Vec<String> = late
        .iter()
        .map(|trouble| format!("{}: {}", trouble.what, trouble.why))
        .collect();
    let mut state = state.join("; ");
    // Whoever stops a run does not want to wait for explanations.
    for pod in late.iter().filter_map(|trouble| trouble.pod.as_ref()) {
        if !stop.is_cancelled() {
            state.push_str(&explanation(cluster, waiting.namespace, pod).await);
        }
    }
    ClusterError::Deadline {
        cluster: cluster.name().to_owned(),
        waited_for: "not ready".to_owned(),
        state,
        after,
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
    let api: Api<DynamicObject> = cluster.api(kind, &object.namespace);
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
