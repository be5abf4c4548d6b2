//! Waits until pods are gone.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};

use super::client::Cluster;
use super::error::ClusterError;

/// Waits until no pod carries the labels; `on_change` is told which are left whenever that
/// changes. `whose` stands in the error.
///
/// # Errors
/// [`ClusterError::Deadline`] with the pods that are left.
pub async fn pods(
    cluster: &Cluster,
    (namespace, labels): (&str, &str),
    whose: &str,
    deadline: Duration,
    mut on_change: impl FnMut(&BTreeSet<String>),
) -> Result<(), ClusterError> {
    let api = cluster.typed::<Pod>(namespace);
    let mut left = BTreeSet::new();
    let gone = async {
        let config = watcher::Config::default().labels(labels);
        let mut events = std::pin::pin!(watcher::watcher(api, config).default_backoff());
        while let Some(event) = events.next().await {
            let name = |pod: &Pod| pod.metadata.name.clone().unwrap_or_default();
            match event {
                Ok(Event::Init) => left.clear(),
                Ok(Event::InitApply(pod)) => drop(left.insert(name(&pod))),
                Ok(Event::Apply(pod)) => {
                    if left.insert(name(&pod)) {
                        on_change(&left);
                    }
                }
                Ok(Event::Delete(pod)) => {
                    left.remove(&name(&pod));
                    if left.is_empty() {
                        return;
                    }
                    on_change(&left);
                }
                Ok(Event::InitDone) if left.is_empty() => return,
                Ok(Event::InitDone) => on_change(&left),
                Err(_) => {}
            }
        }
    };
    let ended = tokio::time::timeout(deadline, gone).await;
    ended.map_err(|_| {
        let names: Vec<&str> = left.iter().map(String::as_str).collect();
        ClusterError::Deadline {
            cluster: cluster.name().to_owned(),
            waited_for: format!("the pods of {whose} were not gone"),
            state: format!("still there: {}", names.join(", ")),
            after: deadline,
        }
    })
}
