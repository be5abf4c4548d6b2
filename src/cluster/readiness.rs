//! Whether an object is what it should be, judged from the object alone.
//!
//! The generic rules are kstatus'; stricter where kstatus says "ready" too early: a LoadBalancer
//! needs its address, a Job must complete, an autoscaler must be able to scale.

use serde_json::Value;

/// How far an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It is what it should be.
    Current,
    /// It is on its way.
    InProgress(String),
    /// It will not get there by itself.
    Failed(String),
}

/// How far an object is.
pub fn readiness(object: &Value) -> Readiness {
    if !object["metadata"]["deletionTimestamp"].is_null() {
        return waiting("it is being deleted");
    }
    let generation = object["metadata"]["generation"].as_i64();
    let observed = object["status"]["observedGeneration"].as_i64();
    if let (Some(generation), Some(observed)) = (generation, observed)
        && observed < generation
    {
        return waiting("its controller has not seen the change yet");
    }
    match object["kind"].as_str().unwrap_or_default() {
        "Deployment" => deployment(object),
        "StatefulSet" => stateful_set(object),
        "Service" => service(object),
        "Job" => job(object),
        "HorizontalPodAutoscaler" => autoscaler(object),
        "Ingress" => ingress(object),
        _ => Readiness::Current,
    }
}

fn waiting(why: impl Into<String>) -> Readiness {
    Readiness::InProgress(why.into())
}

fn count(object: &Value, field: &str) -> i64 {
    object["status"][field].as_i64().unwrap_or(0)
}

fn condition<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object["status"]["conditions"]
        .as_array()?
        .iter()
        .find(|condition| condition["type"] == name)
}

fn unseen(object: &Value) -> bool {
    object["status"]["observedGeneration"].is_null()
}

fn deployment(object: &Value) -> Readiness {
    if let Some(progressing) = condition(object, "Progressing")
        && progressing["reason"] == "ProgressDeadlineExceeded"
    {
        let message = progressing["message"].as_str().unwrap_or_default();
        return Readiness::Failed(format!("the progress deadline passed: {message}"));
    }
    if unseen(object) {
        return waiting("its controller has not seen it yet");
    }
    let desired = object["spec"]["replicas"].as_i64().unwrap_or(1);
    let (updated, all, available) = (
        count(object, "updatedReplicas"),
        count(object, "replicas"),
        count(object, "availableReplicas"),
    );
    if updated < desired {
        waiting(format!("{updated}/{desired} pods updated"))
    } else if all > updated {
        waiting(format!("{} old pods still to go", all - updated))
    } else if available < desired {
        waiting(format!("{available}/{desired} pods ready"))
    } else {
        Readiness::Current
    }
}

fn stateful_set(object: &Value) -> Readiness {
    if unseen(object) {
        return waiting("its controller has not seen it yet");
    }
    let desired = object["spec"]["replicas"].as_i64().unwrap_or(1);
    let (updated, ready) = (
        count(object, "updatedReplicas"),
        count(object, "readyReplicas"),
    );
    let status = &object["status"];
    let same_revision = status["currentRevision"] == status["updateRevision"];
    if ready < desired {
        waiting(format!("{ready}/{desired} pods ready"))
    } else if !same_revision && updated < desired {
        waiting(format!("{updated}/{desired} pods updated"))
    } else if count(object, "replicas") > desired {
        waiting(format!(
            "{} pods too many",
            count(object, "replicas") - desired
        ))
    } else {
        Readiness::Current
    }
}

fn service(object: &Value) -> Readiness {
    if object["spec"]["type"] == "LoadBalancer" && external_addresses(object).is_empty() {
        return waiting("no load-balancer address yet");
    }
    Readiness::Current
}

fn ingress(object: &Value) -> Readiness {
    if external_addresses(object).is_empty() {
        return waiting("no address yet");
    }
    Readiness::Current
}

/// The addresses (or host names) that a load balancer gave a Service or an Ingress.
pub fn external_addresses(object: &Value) -> Vec<String> {
    let ingress = object["status"]["loadBalancer"]["ingress"].as_array();
    ingress
        .into_iter()
        .flatten()
        .filter_map(|entry| entry["ip"].as_str().or_else(|| entry["hostname"].as_str()))
        .map(str::to_owned)
        .collect()
}

fn job(object: &Value) -> Readiness {
    let is_true = |name| condition(object, name).filter(|found| found["status"] == "True");
    if let Some(failed) = is_true("Failed") {
        let message = failed["message"].as_str().unwrap_or("the Job failed");
        return Readiness::Failed(message.to_owned());
    }
    if is_true("Complete").is_some() {
        return Readiness::Current;
    }
    waiting("the Job has not completed yet")
}

fn autoscaler(object: &Value) -> Readiness {
    match condition(object, "AbleToScale") {
        Some(able) if able["status"] == "True" => Readiness::Current,
        Some(able) => waiting(
            able["message"]
                .as_str()
                .unwrap_or("it is not able to scale")
                .to_owned(),
        ),
        None => waiting("its controller has not seen it yet"),
    }
}

/// What keeps a pod from starting, if waiting on is of no use.
pub fn pod_failure(pod: &Value) -> Option<String> {
    let status = &pod["status"];
    let containers = ["initContainerStatuses", "containerStatuses"]
        .into_iter()
        .filter_map(|field| status[field].as_array())
        .flatten();
    for container in containers {
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
    fn d12_a_load_balancer_is_ready_only_with_its_address() {
        let mut service = json!({"kind": "Service", "spec": {"type": "LoadBalancer"}});
        assert!(matches!(readiness(&service), Readiness::InProgress(_)));
        service["status"]["loadBalancer"]["ingress"] = json!([{"ip": "192.0.2.1"}]);
        assert_eq!(readiness(&service), Readiness::Current);
    }

    #[test]
    fn a_deployment_waits_for_the_observed_generation_and_for_old_pods() {
        let deployment = |observed: i64, updated: i64, all: i64, available: i64| {
            readiness(&json!({
                "kind": "Deployment",
                "metadata": {"generation": 2},
                "spec": {"replicas": 2},
                "status": {
                    "observedGeneration": observed, "updatedReplicas": updated,
                    "replicas": all, "availableReplicas": available,
                },
            }))
        };
        assert!(matches!(deployment(1, 2, 2, 2), Readiness::InProgress(_)));
        assert!(matches!(deployment(2, 1, 2, 2), Readiness::InProgress(_)));
        assert!(matches!(deployment(2, 2, 3, 2), Readiness::InProgress(_)));
        assert!(matches!(deployment(2, 2, 2, 1), Readiness::InProgress(_)));
        assert_eq!(deployment(2, 2, 2, 2), Readiness::Current);
    }

    #[test]
    fn a_node_that_is_slow_to_fetch_a_secret_does_not_end_the_wait() {
        let pod = |message: &str| {
            json!({"status": {"containerStatuses": [{
                "name": "collector",
                "state": {"waiting": {"reason": "CreateContainerConfigError", "message": message}},
            }]}})
        };
        let slow = pod("failed to sync secret cache: timed out waiting for the condition");
        assert_eq!(pod_failure(&slow), None);
        assert!(pod_failure(&pod("secret \"redis-auth\" not found")).is_some());
    }

    #[test]
    fn an_image_that_cannot_be_pulled_ends_the_wait() {
        let pod = json!({"status": {"containerStatuses": [{
            "name": "streamer", "restartCount": 0,
            "state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}},
        }]}});
        assert_eq!(
            pod_failure(&pod).unwrap(),
            "container streamer: ErrImagePull: not found"
        );
        let pod = json!({"status": {"containerStatuses": [{
            "name": "streamer", "restartCount": 1,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        }]}});
        assert_eq!(pod_failure(&pod), None);
    }
}
