//! Waits until pods are gone.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};

use super::client::Cluster;
use super::error::ClusterError;

/// What is known about the pods that are to go.
#[derive(Debug, Default)]
struct Left {
    names: BTreeSet<String>,
    /// Why they could not be looked at last time.
    broken: Option<String>,
}

impl Left {
    fn state(&self) -> String {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        match (&self.broken, names.as_slice()) {
            (Some(why), _) => format!("they cannot be watched: {why}"),
            (None, []) => "nobody said which there are".to_owned(),
            (None, names) => format!("still there: {}", names.join(", ")),
        }
    }
}

/// Waits until no pod in a namespace carries the labels (`place`); `on_change` is told which are
/// left whenever that changes. `whose` stands in the error.
///
/// # Errors
/// [`ClusterError::Deadline`] with the pods that are left; or when the watch is refused.
pub async fn pods(
    cluster: &Cluster,
    place: (&str, &str),
    whose: &str,
    deadline: Duration,
    on_change: impl FnMut(&BTreeSet<String>),
) -> Result<(), ClusterError> {
    let mut left = Left::default();
    let going = gone(cluster, place, whose, &mut left, on_change);
    match tokio::time::timeout(deadline, going).await {
        Ok(ended) => ended,
        Err(_) => Err(ClusterError::Deadline {
            cluster: cluster.name().to_owned(),
            waited_for: format!("the pods of {whose} were not gone"),
            state: left.state(),
            after: deadline,
        }),
    }
}

async fn gone(
    cluster: &Cluster,
    (namespace, labels): (&str, &str),
    whose: &str,
    left: &mut Left,
    mut on_change: impl FnMut(&BTreeSet<String>),
) -> Result<(), ClusterError> {
    let api = cluster.typed::<Pod>(namespace);
    let config = watcher::Config::default().labels(labels);
    let mut events = std::pin::pin!(watcher::watcher(api, config).default_backoff());
    let name = |pod: &Pod| pod.metadata.name.clone().unwrap_or_default();
    while let Some(event) = events.next().await {
        let mut is_whole = false;
        match event {
            Ok(Event::Init) => left.names.clear(),
            Ok(Event::InitApply(pod)) => drop(left.names.insert(name(&pod))),
            Ok(Event::Apply(pod)) => {
                if left.names.insert(name(&pod)) {
                    on_change(&left.names);
                }
            }
            Ok(Event::Delete(pod)) => is_whole = left.names.remove(&name(&pod)),
            Ok(Event::InitDone) => is_whole = true,
            Err(error) => {
                let action = format!("watching the pods of {whose}");
                if let Some(refused) = cluster.refused(&action, &error) {
                    return Err(refused);
                }
                left.broken = Some(error.to_string());
                continue;
            }
        }
        left.broken = None;
        if is_whole && left.names.is_empty() {
            return Ok(());
        }
        if is_whole {
            on_change(&left.names);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_named() {
        let mut left = Left::default();
        assert_eq!(left.state(), "nobody said which there are");
        left.names = BTreeSet::from(["probe-a".to_owned(), "probe-b".to_owned()]);
        assert_eq!(left.state(), "still there: probe-a, probe-b");
        left.broken = Some("no route".to_owned());
        assert_eq!(left.state(), "they cannot be watched: no route");
    }
}
