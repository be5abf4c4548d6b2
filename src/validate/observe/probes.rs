//! Runs probes as Jobs and reads their reports.

use jiff::Timestamp;
use serde_json::Value;

use crate::cluster::{Cluster, ClusterError, job};
use crate::model::causes::chain;
use crate::model::component::Component;
use crate::model::object::{ObjectKind, ObjectRef};
use crate::probe::decode;
use crate::validate::facts::Workload;
use crate::validate::job::{PROBE_LABEL, PROBE_LIFE_SECONDS, manifest, name};

use super::{Circumstances, Listener, ProbeEnd, ProbeFacts, Site, SiteFacts};

/// A Job that is older than any probe lives was left behind.
const LEFT_BEHIND_SECONDS: i64 = PROBE_LIFE_SECONDS as i64 + 30;

/// Runs the probe of one workload. Its Job is deleted in every outcome.
pub async fn run(
    cluster: &Cluster,
    workload: &Workload,
    component: Component,
    urls: &[String],
    circumstances: &Circumstances,
) -> ProbeFacts {
    // Two probes of one workload in one run: the second one asks for addresses.
    let id = match urls {
        [] => circumstances.run.clone(),
        _ => format!("{}-reach", circumstances.run),
    };
    let object = ObjectRef::new(ObjectKind::Job, &workload.namespace, name(workload, &id));
    let ended = job::run(
        cluster,
        &object,
        manifest(workload, component, &id, urls),
        circumstances.probe_deadline,
        &circumstances.stop,
    )
    .await;
    let (end, left) = match ended {
        Ok(ran) => (probe_end(ran.end), ran.left),
        Err(error) => (failed(&error), None),
    };
    ProbeFacts {
        component,
        namespace: workload.namespace.clone(),
        workload: workload.name.clone(),
        end,
        left: left.map(|error| chain(&error)),
    }
}

fn probe_end(end: job::JobEnd) -> ProbeEnd {
    match end {
        job::JobEnd::Finished { log } => match decode(&log) {
            Ok(report) => ProbeEnd::Reported(Box::new(report)),
            Err(error) => ProbeEnd::Failed {
                reason: format!("{error}; the log ends with: {}", last_line(&log)),
            },
        },
        job::JobEnd::NotStarted { reason } => ProbeEnd::NotStarted { reason },
        job::JobEnd::OutOfTime { state } => ProbeEnd::OutOfTime { state },
        job::JobEnd::Stopped => ProbeEnd::Stopped,
    }
}

fn failed(error: &ClusterError) -> ProbeEnd {
    ProbeEnd::Failed {
        reason: chain(error),
    }
}

fn last_line(log: &str) -> &str {
    log.lines().last().unwrap_or("nothing")
}

/// Asks for addresses from a pod of a cluster, if it has a worker to stand for.
pub(super) async fn reach(
    site: &Site,
    facts: &SiteFacts,
    urls: &[String],
    circumstances: &Circumstances,
    listener: Listener<'_>,
) -> Option<ProbeFacts> {
    let (component, workload) = facts.objects.stand_in()?;
    listener(
        &facts.context,
        "asking for the addresses that others registered",
    );
    Some(run(&site.cluster, workload, component, urls, circumstances).await)
}

/// Deletes what earlier runs left behind when they were killed.
///
/// # Errors
/// When the API server cannot be asked or refuses.
pub async fn sweep(
    cluster: &Cluster,
    namespaces: &[String],
    now: Timestamp,
) -> Result<(), ClusterError> {
    for namespace in namespaces {
        let jobs = cluster
            .list(ObjectKind::Job, namespace, PROBE_LABEL)
            .await?;
        for left in jobs.iter().filter(|job| is_left_behind(job, now)) {
            let run = left["metadata"]["labels"][PROBE_LABEL]
                .as_str()
                .unwrap_or_default();
            job::sweep(cluster, namespace, &format!("{PROBE_LABEL}={run}")).await?;
        }
    }
    Ok(())
}

/// A Job of a run that goes on elsewhere is young and not finished: it is left alone.
fn is_left_behind(job: &Value, now: Timestamp) -> bool {
    let finished = job["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|condition| {
            (condition["type"] == "Complete" || condition["type"] == "Failed")
                && condition["status"] == "True"
        });
    let created = job["metadata"]["creationTimestamp"]
        .as_str()
        .and_then(|text| text.parse::<Timestamp>().ok());
    let age = created.map_or(i64::MAX, |created| now.as_second() - created.as_second());
    finished || age > LEFT_BEHIND_SECONDS
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::is_left_behind;

    #[test]
    fn only_jobs_that_nobody_waits_for_are_swept() {
        let now = "2025-07-18T12:00:00Z".parse().unwrap();
        let young = json!({"metadata": {"creationTimestamp": "2025-07-18T11:59:30Z"}});
        assert!(!is_left_behind(&young, now));
        let old = json!({"metadata": {"creationTimestamp": "2025-07-18T11:50:00Z"}});
        assert!(is_left_behind(&old, now));
        let done = json!({
            "metadata": {"creationTimestamp": "2025-07-18T11:59:50Z"},
            "status": {"conditions": [{"type": "Complete", "status": "True"}]},
        });
        assert!(is_left_behind(&done, now));
    }
}
