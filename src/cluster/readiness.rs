//! Whether an object is what it should be, judged from the object alone.
//!
//! The generic rules are kstatus'; stricter where kstatus says "ready" too early: a LoadBalancer
//! needs its address, a Job must complete, an autoscaler must be able to scale.

use serde_json::Value;

use crate::model::object::ObjectKind;

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

pub(super) fn condition<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
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
    let why = if updated < desired {
        format!("{updated}/{desired} pods updated")
    } else if all > updated {
        let old = all - updated;
        let pods = if old == 1 { "pod" } else { "pods" };
        format!("{old} old {pods} still to go")
    } else if available < desired {
        format!("{available}/{desired} pods ready")
    } else {
        return Readiness::Current;
    };
    waiting(match replica_failure(object) {
        Some(because) => format!("{why}; no pod is made: {because}"),
        None => why,
    })
}

/// Why the controller of a Deployment could not make its pods, by its own condition.
fn replica_failure(object: &Value) -> Option<&str> {
    let failure = condition(object, "ReplicaFailure")?;
    // Pods that could not be deleted are told under the same name.
    let is_there = failure["status"] == "True" && failure["reason"] != "FailedDelete";
    failure["message"].as_str().filter(|_| is_there)
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
    // The controller makes the two the same once every pod has the newest revision and is ready.
    let is_rolled_out = status["currentRevision"] == status["updateRevision"]
        || object["spec"]["updateStrategy"]["type"] == "OnDelete";
    if !is_rolled_out {
        waiting(format!("{updated}/{desired} pods updated, {ready} ready"))
    } else if ready < desired {
        waiting(format!("{ready}/{desired} pods ready"))
    } else if count(object, "replicas") > desired {
        let more = count(object, "replicas") - desired;
        let pods = if more == 1 { "pod" } else { "pods" };
        waiting(format!("{more} {pods} too many"))
    } else {
        Readiness::Current
    }
}

/// Whether objects of a kind are waited for once they are applied.
pub const fn is_awaited(kind: ObjectKind) -> bool {
    matches!(
        kind,
        ObjectKind::Service
            | ObjectKind::Deployment
            | ObjectKind::StatefulSet
            | ObjectKind::HorizontalPodAutoscaler
            | ObjectKind::Ingress
    )
}

fn service(object: &Value) -> Readiness {
    if object["spec"]["type"] == "LoadBalancer" && external_addresses(object).is_empty() {
        // Somebody has to serve the class, or there never is one.
        return waiting(match object["spec"]["loadBalancerClass"].as_str() {
            Some(class) => format!("no load-balancer address yet (of class {class})"),
            None => "no load-balancer address yet".to_owned(),
        });
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
    fn a_stateful_set_waits_until_the_newest_revision_is_everywhere() {
        let stateful_set = |current: &str, updated: i64, ready: i64| {
            readiness(&json!({
                "kind": "StatefulSet",
                "metadata": {"generation": 2},
                "spec": {"replicas": 2},
                "status": {
                    "observedGeneration": 2, "replicas": 2, "readyReplicas": ready,
                    "updatedReplicas": updated,
                    "currentRevision": current, "updateRevision": "new",
                },
            }))
        };
        assert_eq!(stateful_set("new", 2, 2), Readiness::Current);
        for (current, updated, ready) in
            [("old", 1, 2), ("old", 1, 1), ("old", 2, 2), ("new", 2, 1)]
        {
            let found = stateful_set(current, updated, ready);
            assert!(matches!(found, Readiness::InProgress(_)), "{found:?}");
        }
    }

    #[test]
    fn d12_a_deployment_whose_pods_are_refused_says_why() {
        let deployment = |status: &str| {
            readiness(&json!({
                "kind": "Deployment",
                "metadata": {"generation": 1},
                "spec": {"replicas": 2},
                "status": {"observedGeneration": 1, "conditions": [
                    {"type": "ReplicaFailure", "status": status, "message": "exceeded quota"},
                ]},
            }))
        };
        let says = |text: &str| Readiness::InProgress(text.to_owned());
        let refused = "0/2 pods updated; no pod is made: exceeded quota";
        assert_eq!(deployment("True"), says(refused));
        assert_eq!(deployment("False"), says("0/2 pods updated"));
    }
}
