//! Waits by watching, until objects are what they should be or cannot become it.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt as _, stream::SelectAll};
use jiff::Timestamp;
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

use super::client::{Cluster, EVENTS};
use super::error::ClusterError;
use super::pod;
use super::readiness::{Readiness, readiness};
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
    /// The namespace whose pods and events tell early that something cannot work.
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
    /// A list is whole, or somebody has to look again.
    Nothing,
    Broken(watcher::Error),
}

/// What was seen, and by which watch.
type Sight = (Watch, Seen);

/// A watch, told apart from the others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Watch {
    /// Of an awaited object: without it there is no waiting.
    Object(ObjectRef),
    /// Of what only says more: the plural of its kind.
    More(String),
    /// Of the time.
    Clock,
}

impl std::fmt::Display for Watch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Object(object) => object.fmt(formatter),
            Self::More(plural) => formatter.write_str(plural),
            Self::Clock => formatter.write_str("the time"),
        }
    }
}

/// Waits, and gives for how long images were pulled meanwhile; `on_change` is told what each object waits for whenever that changes, and `None` when
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
) -> Result<Duration, ClusterError> {
    let (started, began) = (Instant::now(), Timestamp::now());
    let mut scene = Scene::new(waiting.objects);
    let mut look_again = tokio::time::interval(LOOK_AGAIN);
    let mut events = watch_all(cluster, waiting);
    let mut broken: BTreeMap<Watch, String> = BTreeMap::new();
    while !scene.is_ready() {
        let seen = tokio::select! {
            seen = events.next() => seen,
            _ = look_again.tick() => Some((Watch::Clock, Seen::Nothing)),
            () = tokio::time::sleep_until(started + waiting.deadline) => None,
            () = stop.cancelled() => None,
        };
        let Some((watch, seen)) = seen else {
            return Err(out_of_time(cluster, waiting, (&scene, &broken), started, stop).await);
        };
        if let Seen::Broken(error) = seen {
            if let Some(error) = refused(cluster, &watch, &error) {
                return Err(error);
            }
            broken.insert(watch, error.to_string());
            continue;
        }
        broken.remove(&watch);
        take(&mut scene, seen);
        for (object, why) in scene.news(Instant::now()) {
            on_change(&object, why.as_deref());
        }
        if let Some(trouble) = scene.hopeless(Instant::now()) {
            return Err(failed(cluster, waiting, trouble).await);
        }
    }
    Ok(scene.pulls(began))
}

fn take(scene: &mut Scene, seen: Seen) {
    match seen {
        Seen::Object(index, object) => scene.object(index, object),
        Seen::Pod(change) => scene.pod(change, Instant::now()),
        Seen::Set(change) => scene.set(change),
        Seen::Claim(change) => scene.claim(change),
        Seen::Event(change) => scene.event(change),
        Seen::Nothing | Seen::Broken(_) => {}
    }
}

/// The refusal to let an awaited object be watched. What only says more can be done without.
fn refused(cluster: &Cluster, watch: &Watch, error: &watcher::Error) -> Option<ClusterError> {
    match watch {
        Watch::Object(object) => cluster.refused(&format!("watching {object}"), error),
        Watch::More(_) | Watch::Clock => None,
    }
}

fn watch_all(
    cluster: &Cluster,
    waiting: &Waiting<'_>,
) -> SelectAll<futures::stream::BoxStream<'static, Sight>> {
    let mut streams = SelectAll::new();
    for (index, object) in waiting.objects.iter().enumerate() {
        let kind = object.kind;
        let api = cluster.api(kind, &object.namespace);
        let cluster = cluster.clone();
        let watch = Watch::Object(object.clone());
        let stream = watcher::watch_object(api, &object.name)
            .default_backoff()
            .map(move |event| {
                let seen = match event {
                    Ok(found) => Seen::Object(index, found.map(|found| cluster.value(kind, found))),
                    Err(error) => Seen::Broken(error),
                };
                (watch.clone(), seen)
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
        // They carry no labels of ours.
        streams.push(watch_list::<PersistentVolumeClaim>(
            cluster.typed(namespace),
            "",
            Seen::Claim,
        ));
    }
    streams.push(watch_list::<Happening>(
        cluster.typed(waiting.namespace),
        "",
        Seen::Event,
    ));
    streams
}

fn watch_list<K>(
    api: Api<K>,
    labels: &str,
    seen: fn(Listed) -> Seen,
) -> futures::stream::BoxStream<'static, Sight>
where
    K: kube::Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + Serialize
        + DeserializeOwned
        + Send
        + 'static,
{
    let value = |item: K| serde_json::to_value(item).unwrap_or_default();
    let watch = Watch::More(K::plural(&()).into_owned());
    watcher::watcher(api, watcher::Config::default().labels(labels))
        .default_backoff()
        .map(move |event| {
            let seen = match event {
                Ok(Event::Init) => seen(Listed::Begin),
                Ok(Event::Apply(item) | Event::InitApply(item)) => seen(Listed::Is(value(item))),
                Ok(Event::Delete(item)) => seen(Listed::Gone(value(item))),
                Ok(Event::InitDone) => Seen::Nothing,
                Err(error) => Seen::Broken(error),
            };
            (watch.clone(), seen)
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
        tokio::time::timeout(EXPLANATION_DEADLINE, last_lines(cluster, namespace, pod)),
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
    let events = cluster.list_other(EVENTS, namespace, "").await.ok()?;
    let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
    pod::newest_warning(&events, uid)
}

/// The last lines of a pod's log; of the run before, if this one has said nothing yet.
async fn last_lines(cluster: &Cluster, namespace: &str, pod: &Value) -> Option<String> {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    // Without a name, the API server has no log of a pod with several containers.
    let container = pod::main_container(pod)["name"].as_str();
    for previous in [false, true] {
        let parameters = LogParams {
            container: container.map(str::to_owned),
            previous,
            tail_lines: Some(LOG_LINES),
            ..LogParams::default()
        };
        if let Ok(log) = cluster.logs(namespace, name, &parameters).await
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
    (scene, broken): (&Scene, &BTreeMap<Watch, String>),
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
    for (watch, why) in broken {
        state.push_str(&format!("; {watch} cannot be watched: {why}"));
    }
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
/// [`ClusterError::Deadline`] naming `what` and how the object stands; [`ClusterError::Refused`] at
/// once if it may not be watched.
pub async fn until(
    cluster: &Cluster,
    object: &ObjectRef,
    what: &str,
    deadline: Duration,
    holds: impl Fn(Option<&Value>) -> bool + Send,
) -> Result<Option<Value>, ClusterError> {
    let kind = object.kind;
    let api: Api<DynamicObject> = cluster.api(kind, &object.namespace);
    let mut objects = std::pin::pin!(watcher::watch_object(api, &object.name).default_backoff());
    let mut state = "not seen yet".to_owned();
    let end = Instant::now() + deadline;
    while let Ok(Some(event)) = tokio::time::timeout_at(end, objects.next()).await {
        match event {
            Ok(found) => {
                let found = found.map(|found| cluster.value(kind, found));
                if holds(found.as_ref()) {
                    return Ok(found);
                }
                state = standing(found.as_ref());
            }
            Err(error) => {
                if let Some(refused) = cluster.refused(&format!("watching {object}"), &error) {
                    return Err(refused);
                }
                state = format!("it cannot be watched: {error}");
            }
        }
    }
    Err(ClusterError::Deadline {
        cluster: cluster.name().to_owned(),
        waited_for: format!("{object} {what}"),
        state,
        after: deadline,
    })
}

/// How an object stands, in words.
fn standing(object: Option<&Value>) -> String {
    let Some(object) = object else {
        return "it does not exist".to_owned();
    };
    let finalizers = object["metadata"]["finalizers"].as_array();
    if pod::is_going(object) {
        let names: Vec<&str> = finalizers
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        return match names.as_slice() {
            [] => "it is being deleted".to_owned(),
            names => format!("it is being deleted and waits for {}", names.join(", ")),
        };
    }
    match readiness(object) {
        Readiness::Current => "it is there".to_owned(),
        Readiness::InProgress(why) | Readiness::Failed(why) => why,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::standing;

    #[test]
    fn a_wait_says_how_its_object_stands() {
        assert_eq!(standing(None), "it does not exist");
        let there = json!({"kind": "ConfigMap", "metadata": {}});
        assert_eq!(standing(Some(&there)), "it is there");
        let mut going = json!({"metadata": {"deletionTimestamp": "2025-07-18T12:00:00Z"}});
        assert_eq!(standing(Some(&going)), "it is being deleted");
        going["metadata"]["finalizers"] = json!(["foregroundDeletion"]);
        assert_eq!(
            standing(Some(&going)),
            "it is being deleted and waits for foregroundDeletion"
        );
    }
}
