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
use super::pod::{failure, unschedulable};
use crate::model::object::{ObjectKind, ObjectRef};

/// How long the pods of a deleted Job may take to go.
const CLEAN_UP_DEADLINE: Duration = Duration::from_secs(30);

/// How a Job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobEnd {
    /// Its pod ran to its end; this is its log.
    Finished {
        /// Everything that the container wrote.
        log: String,
    },
    /// Its pod could not run, and why.
    NotStarted {
        /// Why.
        reason: String,
    },
    /// It was still running at the deadline, or `stop` was cancelled.
    OutOfTime,
}

/// Creates a Job (one pod, no retries), waits for its end, reads the log, deletes the Job and
/// waits until its pods are gone. It is deleted in every outcome.
///
/// # Errors
/// When the API server cannot be asked or refuses the Job.
pub async fn run(
    cluster: &Cluster,
    job: &ObjectRef,
    manifest: Value,
    deadline: Duration,
    stop: &CancellationToken,
) -> Result<JobEnd, ClusterError> {
    create(cluster, job, manifest).await?;
    let labels = format!("batch.kubernetes.io/job-name={}", job.name);
    let outcome = tokio::select! {
        outcome = tokio::time::timeout(deadline, follow(cluster, job, &labels)) => {
            outcome.unwrap_or(Ok(JobEnd::OutOfTime))
        }
        () = stop.cancelled() => Ok(JobEnd::OutOfTime),
    };
    clean_up(cluster, job, &labels).await?;
    outcome
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

async fn follow(cluster: &Cluster, job: &ObjectRef, labels: &str) -> Result<JobEnd, ClusterError> {
    let api = cluster.typed::<Pod>(&job.namespace);
    let mut events = std::pin::pin!(
        watcher::watcher(api, watcher::Config::default().labels(labels)).default_backoff()
    );
    while let Some(event) = events.next().await {
        let Ok(Event::Apply(pod) | Event::InitApply(pod)) = event else {
            continue;
        };
        let pod = serde_json::to_value(pod).unwrap_or_default();
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let terminated = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
        if !terminated.is_null() {
            let log = cluster
                .logs(&job.namespace, name, &LogParams::default())
                .await?;
            return Ok(JobEnd::Finished { log });
        }
        if pod["status"]["phase"] == "Failed" {
            let reason = pod["status"]["message"]
                .as_str()
                .unwrap_or("the pod failed");
            return Ok(JobEnd::NotStarted {
                reason: reason.to_owned(),
            });
        }
        if let Some(reason) = failure(&pod).or_else(|| unschedulable(&pod)) {
            return Ok(JobEnd::NotStarted { reason });
        }
    }
    Ok(JobEnd::OutOfTime)
}

async fn clean_up(cluster: &Cluster, job: &ObjectRef, labels: &str) -> Result<(), ClusterError> {
    let parameters = DeleteParams::background().grace_period(0);
    remove(cluster, job, &parameters).await?;
    let place = (job.namespace.as_str(), labels);
    gone::pods(cluster, place, &job.to_string(), CLEAN_UP_DEADLINE, |_| {}).await
}
