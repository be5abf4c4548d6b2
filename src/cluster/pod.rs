//! How a pod stands, judged from the pod alone. The only place that decides when a pod is ready.

use serde_json::Value;

use super::readiness::condition;

/// Whether a pod is ready.
pub fn is_ready(pod: &Value) -> bool {
    condition(pod, "Ready").is_some_and(|ready| ready["status"] == "True")
}

/// Whether a pod is being deleted.
pub fn is_going(pod: &Value) -> bool {
    !pod["metadata"]["deletionTimestamp"].is_null()
}

/// What keeps a pod from starting or lets it crash, in Kubernetes' words; from the first crash on.
pub fn trouble(pod: &Value) -> Option<String> {
    failure(pod)
        .or_else(|| unschedulable(pod))
        .or_else(|| crash(pod))
}

fn crash(pod: &Value) -> Option<String> {
    containers(pod).find_map(|container| {
        let reason = &container["state"]["waiting"]["reason"];
        (reason == "CrashLoopBackOff").then(|| {
            format!(
                "container {}: CrashLoopBackOff (exit code {}, {} restarts)",
                container["name"].as_str().unwrap_or_default(),
                container["lastState"]["terminated"]["exitCode"],
                container["restartCount"]
            )
        })
    })
}

/// Why a pod is not ready, in Kubernetes' words.
pub fn not_ready(pod: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut why = trouble(pod).unwrap_or_else(|| match condition(pod, "Ready") {
        Some(ready) => format!("{}: {}", text(&ready["reason"]), text(&ready["message"])),
        None => text(&pod["status"]["phase"]),
    });
    let restarts: i64 = containers(pod)
        .filter_map(|container| container["restartCount"].as_i64())
        .sum();
    if restarts > 0 && !why.contains("restarts") {
        why.push_str(&format!(", {restarts} restarts"));
    }
    why
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["initContainerStatuses", "containerStatuses"]
        .into_iter()
        .filter_map(|field| pod["status"][field].as_array())
        .flatten()
}

/// The port and path that a pod's readiness is asked at, if that is done over HTTP.
pub fn readiness_page(pod: &Value) -> Option<(u16, String)> {
    let container = &pod["spec"]["containers"][0];
    let page = &container["readinessProbe"]["httpGet"];
    let port = match &page["port"] {
        Value::String(name) => container["ports"]
            .as_array()?
            .iter()
            .find(|port| port["name"] == name.as_str())?["containerPort"]
            .as_u64(),
        number => number.as_u64(),
    };
    let path = page["path"].as_str()?;
    Some((u16::try_from(port?).ok()?, path.to_owned()))
}

/// The newest warning about this very pod among events of its namespace.
pub fn newest_warning(events: &[Value], uid: &str) -> Option<String> {
    let about =
        |event: &&Value| event["type"] == "Warning" && event["involvedObject"]["uid"] == uid;
    let time = |event: &&Value| {
        let last = event["lastTimestamp"].as_str().unwrap_or_default();
        match last {
            "" => event["eventTime"].as_str().unwrap_or_default().to_owned(),
            last => last.to_owned(),
        }
    };
    let newest = events.iter().filter(about).max_by_key(time)?;
    Some(newest["message"].as_str().unwrap_or_default().to_owned())
}

/// Whether a pod belongs to a workload and is of its newest revision. One of an earlier revision
/// is about to be replaced and says nothing about the new one. `sets` are the ReplicaSets of the
/// namespace; while the workload's controller has not seen its last change, nothing is the newest.
pub fn is_of_newest_revision(pod: &Value, workload: &Value, sets: &[&Value]) -> bool {
    let metadata = &workload["metadata"];
    if workload["status"]["observedGeneration"] != metadata["generation"] {
        return false;
    }
    let is_owned = |object: &Value, uid: &Value| {
        let owners = object["metadata"]["ownerReferences"].as_array();
        let mut owners = owners.into_iter().flatten();
        !uid.is_null() && owners.any(|owner| owner["uid"] == *uid)
    };
    if workload["kind"] == "StatefulSet" {
        let revision = &pod["metadata"]["labels"]["controller-revision-hash"];
        return is_owned(pod, &metadata["uid"])
            && *revision == workload["status"]["updateRevision"];
    }
    let revision = |set: &&&Value| {
        set["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
            .as_str()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let newest = sets
        .iter()
        .filter(|set| is_owned(set, &metadata["uid"]))
        .max_by_key(revision);
    newest.is_some_and(|set| is_owned(pod, &set["metadata"]["uid"]))
}

/// What keeps a pod from starting, if waiting on is of no use.
pub fn failure(pod: &Value) -> Option<String> {
    for container in containers(pod) {
        let name = container["name"].as_str().unwrap_or_default();
        let waiting = &container["state"]["waiting"];
        let reason = waiting["reason"].as_str().unwrap_or_default();
        let message = waiting["message"].as_str().unwrap_or_default();
        let hopeless = match reason {
            // The kubelet has not fetched a Secret or ConfigMap yet and tries again.
            "CreateContainerConfigError" if message.contains("failed to sync") => false,
            "ErrImagePull"
            | "ImagePullBackOff"
            | "InvalidImageName"
            | "ErrImageNeverPull"
            | "CreateContainerConfigError"
            | "CreateContainerError"
            | "RunContainerError" => true,
            // One crash may be bad luck, three are a pattern.
            "CrashLoopBackOff" => container["restartCount"].as_i64().unwrap_or(0) >= 3,
            _ => false,
        };
        if hopeless {
            return Some(format!("container {name}: {reason}: {message}"));
        }
    }
    None
}

/// Why a pod cannot be placed on a node, if it cannot now.
pub fn unschedulable(pod: &Value) -> Option<String> {
    let scheduled = condition(pod, "PodScheduled")?;
    (scheduled["status"] == "False" && scheduled["reason"] == "Unschedulable").then(|| {
        scheduled["message"]
            .as_str()
            .unwrap_or("unschedulable")
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_that_is_slow_to_fetch_a_secret_does_not_end_the_wait() {
        let pod = |message: &str| {
            json!({"status": {"containerStatuses": [{
                "name": "collector",
                "state": {"waiting": {"reason": "CreateContainerConfigError", "message": message}},
            }]}})
        };
        let slow = pod("failed to sync secret cache: timed out waiting for the condition");
        assert_eq!(failure(&slow), None);
        assert!(failure(&pod("secret \"redis-auth\" not found")).is_some());
    }

    #[test]
    fn an_image_that_cannot_be_pulled_ends_the_wait() {
        let pod = json!({"status": {"containerStatuses": [{
            "name": "streamer", "restartCount": 0,
            "state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}},
        }]}});
        assert_eq!(
            failure(&pod).unwrap(),
            "container streamer: ErrImagePull: not found"
        );
        let pod = json!({"status": {"containerStatuses": [{
            "name": "streamer", "restartCount": 1,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        }]}});
        assert_eq!(failure(&pod), None);
    }

    #[test]
    fn a_pod_that_runs_and_is_not_ready_says_so_in_kubernetes_words() {
        let pod = |restarts: i64| {
            json!({"status": {
                "phase": "Running",
                "conditions": [{
                    "type": "Ready", "status": "False", "reason": "ContainersNotReady",
                    "message": "containers with unready status: [collector]",
                }],
                "containerStatuses": [{"name": "collector", "restartCount": restarts}],
            }})
        };
        assert!(!is_ready(&pod(0)));
        assert_eq!(trouble(&pod(2)), None);
        assert_eq!(
            not_ready(&pod(0)),
            "ContainersNotReady: containers with unready status: [collector]"
        );
        assert!(not_ready(&pod(2)).ends_with("[collector], 2 restarts"));
    }

    #[test]
    fn a_crash_is_trouble_from_the_first_one_on_and_hopeless_from_the_third() {
        let pod = |restarts: i64| {
            json!({"status": {"containerStatuses": [{
                "name": "collector", "restartCount": restarts,
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
                "lastState": {"terminated": {"exitCode": 2}},
            }]}})
        };
        assert_eq!(
            trouble(&pod(1)).unwrap(),
            "container collector: CrashLoopBackOff (exit code 2, 1 restarts)"
        );
        assert_eq!((failure(&pod(2)), failure(&pod(3)).is_some()), (None, true));
    }

    #[test]
    fn the_page_of_readiness_is_found_by_the_name_of_its_port() {
        let pod = |port: Value| {
            json!({"spec": {"containers": [{
                "ports": [{"name": "http", "containerPort": 8080}],
                "readinessProbe": {"httpGet": {"path": "/readyz", "port": port}},
            }]}})
        };
        let page = Some((8080, "/readyz".to_owned()));
        assert_eq!(readiness_page(&pod(json!("http"))), page);
        assert_eq!(readiness_page(&pod(json!(8080))), page);
        assert_eq!(readiness_page(&pod(json!("other"))), None);
        assert_eq!(readiness_page(&json!({"spec": {"containers": [{}]}})), None);
    }

    #[test]
    fn only_pods_of_the_newest_revision_speak_for_a_rollout() {
        let pod = |owner: &str, hash: &str| {
            json!({"metadata": {
                "ownerReferences": [{"uid": owner}],
                "labels": {"controller-revision-hash": hash},
            }})
        };
        let set = |uid: &str, revision: &str, owner: &str| {
            json!({"metadata": {
                "uid": uid, "ownerReferences": [{"uid": owner}],
                "annotations": {"deployment.kubernetes.io/revision": revision},
            }})
        };
        let workload = |kind: &str, observed: i64| {
            json!({
                "kind": kind,
                "metadata": {"uid": "workload", "generation": 2},
                "status": {"observedGeneration": observed, "updateRevision": "new"},
            })
        };
        let (old, new) = (set("old", "9", "workload"), set("new", "10", "workload"));
        let other = set("other", "11", "somebody else");
        let sets = [&old, &new, &other];
        let newest = |pod: &Value, kind: &str, observed: i64| {
            is_of_newest_revision(pod, &workload(kind, observed), &sets)
        };
        assert!(newest(&pod("new", ""), "Deployment", 2));
        assert!(!newest(&pod("new", ""), "Deployment", 1));
        assert!(!newest(&pod("old", ""), "Deployment", 2));
        assert!(!newest(&pod("other", ""), "Deployment", 2));
        assert!(newest(&pod("workload", "new"), "StatefulSet", 2));
        assert!(!newest(&pod("workload", "old"), "StatefulSet", 2));
        assert!(!newest(&pod("other", "new"), "StatefulSet", 2));
    }
}
