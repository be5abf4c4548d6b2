//! Runs a Job to its end, gives its log and leaves nothing behind.

use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, LogParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::apply::{create, remove};
use super::client::Cluster;
use super::error::ClusterError;
use super::gone;
use super::pod::{failure, not_ready, unschedulable};
use crate::model::object::{ObjectKind, ObjectRef};

/// How long the pods of a deleted Job may take to go.
const CLEAN_UP_DEADLINE: Duration = Duration::from_secs(30);

/// How a Job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobEnd {
    /// Its pod ran to its end; this is its log.
    Finished {
        /// Everything that its first container wrote.
        log: String,
    },
    /// Its pod could not run, and why.
    NotStarted {
        /// Why.
        reason: String,
    },
    /// It was not at its end at the deadline.
    OutOfTime {
        /// How it stood then.
        state: String,
    },
    /// `stop` was cancelled before its end.
    Stopped,
}

/// What came of a Job.
#[derive(Debug)]
pub struct Ran {
    /// How it ended.
    pub end: JobEnd,
    /// Why something of it may be left, if it could not be cleared away.
    pub left: Option<ClusterError>,
}

/// Creates a Job (one pod, no retries), waits for its end, reads the log of its first container,
/// deletes the Job and waits until its pods are gone. It is deleted in every outcome, and a slow
/// clean-up takes away nothing of what it found.
///
/// # Errors
/// When the API server cannot be asked or refuses the Job.
pub async fn run(
    cluster: &Cluster,
    job: &ObjectRef,
    manifest: Value,
    deadline: Duration,
    stop: &CancellationToken,
) -> Result<Ran, ClusterError> {
    let container = &manifest["spec"]["template"]["spec"]["containers"][0]["name"];
    let container = container.as_str().unwrap_or_default().to_owned();
    create(cluster, job, manifest).await?;
    let labels = format!("batch.kubernetes.io/job-name={}", job.name);
    let mut state = "no pod of it was seen".to_owned();
    let following = follow(cluster, job, (&labels, &container), &mut state);
    let outcome = tokio::select! {
        outcome = tokio::time::timeout(deadline, following) => outcome.ok(),
        () = stop.cancelled() => Some(Ok(JobEnd::Stopped)),
    };
    let left = clean_up(cluster, job, &labels).await.err();
    let end = outcome.unwrap_or(Ok(JobEnd::OutOfTime { state }))?;
    Ok(Ran { end, left })
}

/// Deletes what earlier runs with these labels may have left.
///
/// # Errors
/// When the API server cannot be asked or refuses.
pub async fn sweep(cluster: &Cluster, namespace: &str, labels: &str) -> Result<(), ClusterError> {
    for job in cluster.list(ObjectKind::Job, namespace, labels).await? {
        let name = job["metadata"]["name"].as_str().unwrap_or_default();
        let job = ObjectRef::new(ObjectKind::Job, namespace, name);
        let pods = format!("batch.kubernetes.io/job-name={name}");
        clean_up(cluster, &job, &pods).await?;
    }
    Ok(())
}

/// Follows the pod until its container (`which` is the pod's labels and the container) is at its
/// end; `state` is how it stands meanwhile.
async fn follow(
    cluster: &Cluster,
    job: &ObjectRef,
    which: (&str, &str),
    state: &mut String,
) -> Result<JobEnd, ClusterError> {
    let (labels, container) = which;
    let api = cluster.typed::<Pod>(&job.namespace);
    let mut events = std::pin::pin!(
        watcher::watcher(api, watcher::Config::default().labels(labels)).default_backoff()
    );
    while let Some(event) = events.next().await {
        let pod = match event {
            Ok(Event::Apply(pod) | Event::InitApply(pod)) => pod,
            Ok(_) => continue,
            Err(error) => {
                let action = format!("watching the pods of {job}");
                if let Some(refused) = cluster.refused(&action, &error) {
                    return Err(refused);
                }
                *state = format!("its pods cannot be watched: {error}");
                continue;
            }
        };
        let pod = serde_json::to_value(pod).unwrap_or_default();
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        if is_over(&pod, container) {
            let parameters = LogParams {
                container: Some(container.to_owned()),
                ..LogParams::default()
            };
            let log = cluster.logs(&job.namespace, name, &parameters).await?;
            return Ok(JobEnd::Finished { log });
        }
        if let Some(reason) = cannot_run(&pod) {
            return Ok(JobEnd::NotStarted { reason });
        }
        *state = format!("pod {name}: {}", not_ready(&pod));
    }
    Ok(JobEnd::OutOfTime {
        state: state.clone(),
    })
}

/// Whether a container of a pod ran to its end. Others may be beside it, in any order.
fn is_over(pod: &Value, container: &str) -> bool {
    let statuses = pod["status"]["containerStatuses"].as_array();
    let mut statuses = statuses.into_iter().flatten();
    statuses.any(|status| status["name"] == container && !status["state"]["terminated"].is_null())
}

/// Why a pod will not run, if it will not.
fn cannot_run(pod: &Value) -> Option<String> {
    if pod["status"]["phase"] == "Failed" {
        let reason = pod["status"]["message"].as_str();
        return Some(reason.unwrap_or("the pod failed").to_owned());
    }
    failure(pod).or_else(|| unschedulable(pod))
}

async fn clean_up(cluster: &Cluster, job: &ObjectRef, labels: &str) -> Result<(), ClusterError> {
    let parameters = DeleteParams::background().grace_period(0);
    remove(cluster, job, &parameters).await?;
    let place = (job.namespace.as_str(), labels);
    gone::pods(cluster, place, &job.to_string(), CLEAN_UP_DEADLINE, |_| {}).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_container_is_found_by_its_name_and_not_by_its_place() {
        let pod = |probe: Value| {
            json!({"status": {"containerStatuses": [
                {"name": "istio-proxy", "state": {"running": {}}},
                {"name": "probe", "state": probe},
            ]}})
        };
        assert!(is_over(
            &pod(json!({"terminated": {"exitCode": 0}})),
            "probe"
        ));
        assert!(!is_over(&pod(json!({"running": {}})), "probe"));
        let over = json!({"terminated": {"exitCode": 0}});
        assert!(!is_over(&pod(over), "istio-proxy"));
    }
}
