//! How a pod stands, judged from the pod alone. The only place that decides when a pod is ready.

use serde_json::Value;

use super::readiness::condition;
use crate::model::labels::COMPONENT;

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
        .or_else(|| setback(pod).map(|setback| setback.text))
        .or_else(|| unschedulable(pod))
        .or_else(|| crash(pod))
}

fn crash(pod: &Value) -> Option<String> {
    containers(pod).find_map(|container| {
        let reason = &container["state"]["waiting"]["reason"];
        (reason == "CrashLoopBackOff").then(|| {
            format!(
                "container {}: CrashLoopBackOff (exit code {}, {})",
                container["name"].as_str().unwrap_or_default(),
                container["lastState"]["terminated"]["exitCode"],
                restarted(container["restartCount"].as_i64().unwrap_or(0))
            )
        })
    })
}

fn restarted(times: i64) -> String {
    match times {
        1 => "1 restart".to_owned(),
        times => format!("{times} restarts"),
    }
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
    if restarts > 0 && !why.contains("restart") {
        why.push_str(&format!(", {}", restarted(restarts)));
    }
    why
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["initContainerStatuses", "containerStatuses"]
        .into_iter()
        .filter_map(|field| pod["status"][field].as_array())
        .flatten()
}

/// The container that does a pod's work; sidecars may stand before it. Ours is called as its
/// component, and injectors that put theirs first name the other one in an annotation.
pub fn main_container(pod: &Value) -> &Value {
    let metadata = &pod["metadata"];
    let names = [
        &metadata["labels"][COMPONENT],
        &metadata["annotations"]["kubectl.kubernetes.io/default-container"],
    ];
    let containers = pod["spec"]["containers"].as_array();
    let mut named = names.into_iter().filter_map(|name| {
        let mut containers = containers.into_iter().flatten();
        containers.find(|container| name.is_string() && container["name"] == *name)
    });
    named.next().unwrap_or(&pod["spec"]["containers"][0])
}

/// A port that speaks HTTP, perhaps over TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpPort {
    /// Its number.
    pub number: u16,
    /// Whether it speaks TLS.
    pub tls: bool,
}

impl HttpPort {
    /// A port that speaks plain HTTP.
    pub const fn plain(number: u16) -> Self {
        Self { number, tls: false }
    }
}

/// The first port of a pod's main container, if it has any. It speaks TLS if the kubelet is told so.
pub fn http_port(pod: &Value) -> Option<HttpPort> {
    let container = main_container(pod);
    let number = container["ports"][0]["containerPort"].as_u64()?;
    Some(HttpPort {
        number: u16::try_from(number).ok()?,
        tls: container["readinessProbe"]["httpGet"]["scheme"] == "HTTPS",
    })
}

/// The port and path that a pod's readiness is asked at, if that is done over HTTP.
pub fn readiness_page(pod: &Value) -> Option<(HttpPort, String)> {
    let container = main_container(pod);
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
    let port = HttpPort {
        number: u16::try_from(port?).ok()?,
        tls: page["scheme"] == "HTTPS",
    };
    Some((port, path.to_owned()))
}

/// The newest warning about this very pod among events of its namespace.
pub fn newest_warning(events: &[Value], uid: &str) -> Option<String> {
    let warnings = events.iter().filter(|event| event["type"] == "Warning");
    let newest = newest_event(warnings, uid)?;
    Some(newest["message"].as_str().unwrap_or_default().to_owned())
}

/// When an event happened last, RFC 3339.
pub fn event_time(event: &Value) -> &str {
    let last = event["lastTimestamp"].as_str();
    last.or_else(|| event["eventTime"].as_str())
        .unwrap_or_default()
}

/// The newest of these events that is about an object.
pub fn newest_event<'a>(events: impl Iterator<Item = &'a Value>, uid: &str) -> Option<&'a Value> {
    let time = |event: &&Value| event_time(event).to_owned();
    let about = |event: &&Value| event["involvedObject"]["uid"] == uid;
    events.filter(about).max_by_key(time)
}

/// The names of the claims that a pod mounts.
pub fn claims(pod: &Value) -> impl Iterator<Item = &str> {
    let volumes = pod["spec"]["volumes"].as_array();
    let volumes = volumes.into_iter().flatten();
    volumes.filter_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str())
}

/// Whether a pod has a node and its containers do not run yet.
pub fn is_starting(pod: &Value) -> bool {
    pod["status"]["phase"] == "Pending" && pod["spec"]["nodeName"].is_string()
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
    let revision = |object: &Value| {
        object["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
            .as_str()
            .and_then(|text| text.parse::<u64>().ok())
    };
    // The workload itself says which one is the newest: that ReplicaSet may not be seen yet.
    let current = revision(workload);
    let newest = sets
        .iter()
        .filter(|set| is_owned(set, &metadata["uid"]))
        .filter(|set| current.is_none() || revision(set) == current)
        .max_by_key(|set| revision(set));
    newest.is_some_and(|set| is_owned(pod, &set["metadata"]["uid"]))
}

/// Something that keeps a pod from starting now and may heal by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setback {
    /// What it is.
    pub kind: SetbackKind,
    /// The container, the reason and the message, in Kubernetes' words.
    pub text: String,
}

/// What a setback is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetbackKind {
    /// The kubelet has just failed to pull an image.
    PullFailed,
    /// The kubelet has failed to pull an image and waits before it tries again.
    BackedOff,
    /// A container cannot be made, for example because its Secret is missing.
    NotMade,
}

/// What keeps a pod from starting now and may heal by itself: the registry answers again, the
/// Secret appears.
pub fn setback(pod: &Value) -> Option<Setback> {
    containers(pod).find_map(|container| {
        let (reason, message) = waiting(container);
        let kind = match reason {
            // The kubelet has not fetched a Secret or ConfigMap yet and tries again.
            "CreateContainerConfigError" if message.contains("failed to sync") => return None,
            "ErrImagePull" => SetbackKind::PullFailed,
            "ImagePullBackOff" => SetbackKind::BackedOff,
            "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
                SetbackKind::NotMade
            }
            _ => return None,
        };
        Some(Setback {
            kind,
            text: waiting_text(container),
        })
    })
}

/// What keeps a pod from starting and will not heal by itself, so that waiting on is of no use.
pub fn failure(pod: &Value) -> Option<String> {
    let hopeless = |container: &&Value| match waiting(container).0 {
        "InvalidImageName" | "ErrImageNeverPull" => true,
        // One crash may be bad luck, three are a pattern.
        "CrashLoopBackOff" => container["restartCount"].as_i64().unwrap_or(0) >= 3,
        _ => false,
    };
    containers(pod).find(hopeless).map(waiting_text)
}

/// Why a container waits: reason and message.
fn waiting(container: &Value) -> (&str, &str) {
    let waiting = &container["state"]["waiting"];
    let text = |field: &str| waiting[field].as_str().unwrap_or_default();
    (text("reason"), text("message"))
}

fn waiting_text(container: &Value) -> String {
    let name = container["name"].as_str().unwrap_or_default();
    let (reason, message) = waiting(container);
    format!("container {name}: {reason}: {message}")
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

    fn waits(reason: &str, message: &str) -> Value {
        json!({"status": {"containerStatuses": [{
            "name": "streamer", "restartCount": 0,
            "state": {"waiting": {"reason": reason, "message": message}},
        }]}})
    }

    #[test]
    fn only_what_cannot_heal_by_itself_is_a_failure() {
        for reason in ["InvalidImageName", "ErrImageNeverPull"] {
            let said = failure(&waits(reason, "as it is")).unwrap();
            assert_eq!(said, format!("container streamer: {reason}: as it is"));
        }
        for (reason, kind) in [
            ("ErrImagePull", SetbackKind::PullFailed),
            ("ImagePullBackOff", SetbackKind::BackedOff),
            ("CreateContainerConfigError", SetbackKind::NotMade),
            ("CreateContainerError", SetbackKind::NotMade),
            ("RunContainerError", SetbackKind::NotMade),
        ] {
            let pod = waits(reason, "as it is");
            assert_eq!(failure(&pod), None);
            let setback = setback(&pod).unwrap();
            assert_eq!(setback.kind, kind);
            assert_eq!(trouble(&pod), Some(setback.text));
        }
    }

    #[test]
    fn a_node_that_is_slow_to_fetch_a_secret_is_no_setback() {
        let slow = "failed to sync secret cache: timed out waiting for the condition";
        assert_eq!(setback(&waits("CreateContainerConfigError", slow)), None);
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
            "container collector: CrashLoopBackOff (exit code 2, 1 restart)"
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
        let page = Some((HttpPort::plain(8080), "/readyz".to_owned()));
        assert_eq!(readiness_page(&pod(json!("http"))), page);
        assert_eq!(readiness_page(&pod(json!(8080))), page);
        assert_eq!(readiness_page(&pod(json!("other"))), None);
        assert_eq!(readiness_page(&json!({"spec": {"containers": [{}]}})), None);
        let mut secured = pod(json!("http"));
        secured["spec"]["containers"][0]["readinessProbe"]["httpGet"]["scheme"] = json!("HTTPS");
        let port = HttpPort {
            number: 8080,
            tls: true,
        };
        assert_eq!(readiness_page(&secured), Some((port, "/readyz".to_owned())));
        assert_eq!(http_port(&secured), Some(port));
        assert_eq!(http_port(&pod(json!("http"))), Some(HttpPort::plain(8080)));
    }

    #[test]
    fn the_container_that_does_the_work_is_not_a_sidecar_that_stands_before_it() {
        let pod = |labels: Value, annotations: Value| {
            json!({
                "metadata": {"labels": labels, "annotations": annotations},
                "spec": {"containers": [{"name": "istio-proxy"}, {"name": "streamer"}]},
            })
        };
        let main = |pod: Value| main_container(&pod)["name"].clone();
        let ours = json!({"app.kubernetes.io/component": "streamer"});
        let named = json!({"kubectl.kubernetes.io/default-container": "streamer"});
        assert_eq!(main(pod(ours, json!({}))), "streamer");
        assert_eq!(main(pod(json!({}), named)), "streamer");
        assert_eq!(main(pod(json!({}), json!({}))), "istio-proxy");
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
        // The ReplicaSet of revision 12 is not seen yet.
        let mut ahead = workload("Deployment", 2);
        ahead["metadata"]["annotations"] = json!({"deployment.kubernetes.io/revision": "12"});
        assert!(!is_of_newest_revision(&pod("new", ""), &ahead, &sets));
        ahead["metadata"]["annotations"] = json!({"deployment.kubernetes.io/revision": "10"});
        assert!(is_of_newest_revision(&pod("new", ""), &ahead, &sets));
        assert!(newest(&pod("new", ""), "Deployment", 2));
        assert!(!newest(&pod("new", ""), "Deployment", 1));
        assert!(!newest(&pod("old", ""), "Deployment", 2));
        assert!(!newest(&pod("other", ""), "Deployment", 2));
        assert!(newest(&pod("workload", "new"), "StatefulSet", 2));
        assert!(!newest(&pod("workload", "old"), "StatefulSet", 2));
        assert!(!newest(&pod("other", "new"), "StatefulSet", 2));
    }
}
