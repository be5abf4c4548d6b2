//! The Job that probes for a workload, made from the workload's own pod template. Pure.
//!
//! Image, service account, variables, security context and place are the workload's; the labels
//! are, too, so that the same network policies select it. Without the `serving` label no Service,
//! autoscaler or budget counts it.

use serde_json::{Map, Value, json};

use crate::model::component::Component;

use crate::model::labels::{MANAGED_BY, SERVING, TELECTL};

use super::facts::Workload;

/// The label of a probe; its value is the run's id.
pub const PROBE_LABEL: &str = "telectl.io/probe";
/// Longest life of a probe's pod.
pub const PROBE_LIFE_SECONDS: u32 = 60;

/// Labels that belong to the controller of the workload and not to its pods' purpose.
const CONTROLLER_LABELS: [&str; 4] = [
    "pod-template-hash",
    "controller-revision-hash",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
];

/// What of a pod's spec says where and as whom it runs.
const PLACE_AND_IDENTITY: [&str; 12] = [
    "serviceAccountName",
    "automountServiceAccountToken",
    "securityContext",
    "nodeSelector",
    "tolerations",
    "imagePullSecrets",
    "hostAliases",
    "dnsPolicy",
    "dnsConfig",
    "priorityClassName",
    "runtimeClassName",
    "enableServiceLinks",
];

/// What of a container's spec it needs to run as the workload does.
const CONTAINER: [&str; 5] = [
    "image",
    "imagePullPolicy",
    "env",
    "envFrom",
    "securityContext",
];

/// The part of a workload's name that stands in a Job's: a Job's name becomes a label of its pod,
/// and those end at 63 characters.
const NAME_PART: usize = 32;

/// The name of the Job.
pub fn name(workload: &Workload, run: &str) -> String {
    let part: String = workload.name.chars().take(NAME_PART).collect();
    format!("telectl-probe-{part}-{run}")
}

/// The Job.
pub fn manifest(workload: &Workload, component: Component, run: &str, urls: &[String]) -> Value {
    let template = &workload.template;
    let mut pod = picked(&template["spec"], &PLACE_AND_IDENTITY);
    let node_affinity = &template["spec"]["affinity"]["nodeAffinity"];
    if !node_affinity.is_null() {
        pod.insert(
            "affinity".to_owned(),
            json!({"nodeAffinity": node_affinity}),
        );
    }
    pod.insert("restartPolicy".to_owned(), json!("Never"));
    pod.insert("terminationGracePeriodSeconds".to_owned(), json!(0));
    let container = container(&template["spec"]["containers"][0], component, urls);
    pod.insert("containers".to_owned(), json!([container]));
    let mine = json!({MANAGED_BY: TELECTL, PROBE_LABEL: run});
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name(workload, run),
            "namespace": workload.namespace,
            "labels": mine,
        },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": PROBE_LIFE_SECONDS,
            "ttlSecondsAfterFinished": PROBE_LIFE_SECONDS,
            "template": {"metadata": {"labels": pod_labels(template, run)}, "spec": pod},
        },
    })
}

fn picked(from: &Value, fields: &[&str]) -> Map<String, Value> {
    fields
        .iter()
        .filter(|field| !from[**field].is_null())
        .map(|field| ((*field).to_owned(), from[*field].clone()))
        .collect()
}

fn pod_labels(template: &Value, run: &str) -> Map<String, Value> {
    let mut labels = template["metadata"]["labels"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    labels.retain(|name, _| name != SERVING && !CONTROLLER_LABELS.contains(&name.as_str()));
    labels.insert(PROBE_LABEL.to_owned(), json!(run));
    labels
}

fn container(worker: &Value, component: Component, urls: &[String]) -> Value {
    let mut probe = picked(worker, &CONTAINER);
    probe.insert("name".to_owned(), json!("probe"));
    let words =
        |field: &str| -> Vec<Value> { worker[field].as_array().cloned().unwrap_or_default() };
    // The program stands in `command`, unless the image's entry point is the program.
    let program: Vec<Value> = words("command")
        .into_iter()
        .take_while(|word| word != "worker")
        .collect();
    if !program.is_empty() {
        probe.insert("command".to_owned(), json!(program));
    }
    let before_command = words("args")
        .into_iter()
        .take_while(|word| word != "worker");
    let mut arguments: Vec<Value> = if words("args").contains(&json!("worker")) {
        before_command.collect()
    } else {
        Vec::new()
    };
    for word in ["worker", "probe", "--component", component.name()] {
        arguments.push(json!(word));
    }
    for url in urls {
        arguments.extend([json!("--gateway"), json!(url)]);
    }
    probe.insert("args".to_owned(), json!(arguments));
    probe.insert(
        "resources".to_owned(),
        json!({
            "requests": {"cpu": "10m", "memory": "32Mi"},
            "limits": {"cpu": "500m", "memory": "128Mi"},
        }),
    );
    Value::Object(probe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::object::ObjectKind;

    fn streamer() -> Workload {
        Workload::from_object(
            ObjectKind::StatefulSet,
            &json!({
                "metadata": {"name": "streamer", "namespace": "telemetry-system"},
                "spec": {"template": {
                    "metadata": {"labels": {
                        "app.kubernetes.io/component": "streamer",
                        "telectl.io/serving": "true",
                        "controller-revision-hash": "abc",
                    }},
                    "spec": {
                        "serviceAccountName": "streamer",
                        "nodeSelector": {"node-type": "edge"},
                        "affinity": {
                            "podAntiAffinity": {"x": 1},
                            "nodeAffinity": {"y": 2},
                        },
                        "volumes": [{"name": "spool"}],
                        "initContainers": [{"name": "copy"}],
                        "containers": [{
                            "name": "streamer",
                            "image": "telectl:1",
                            "command": ["telectl"],
                            "args": ["worker", "streamer"],
                            "env": [{"name": "REDIS_PASSWORD", "valueFrom": {
                                "secretKeyRef": {"name": "redis-auth", "key": "password"},
                            }}],
                            "ports": [{"containerPort": 8081}],
                            "livenessProbe": {"httpGet": {}},
                            "volumeMounts": [{"name": "spool"}],
                        }],
                    },
                }},
            }),
        )
    }

    #[test]
    fn v08_a_probe_is_the_workload_without_serving() {
        let urls = ["http://192.0.2.1:8081/health".to_owned()];
        let job = manifest(&streamer(), Component::Streamer, "1a2b", &urls);
        let template = &job["spec"]["template"];
        assert_eq!(
            template["metadata"]["labels"],
            json!({"app.kubernetes.io/component": "streamer", "telectl.io/probe": "1a2b"})
        );
        let pod = &template["spec"];
        assert_eq!(pod["serviceAccountName"], "streamer");
        assert_eq!(pod["restartPolicy"], "Never");
        assert_eq!(pod["affinity"], json!({"nodeAffinity": {"y": 2}}));
        assert!(pod["volumes"].is_null());
        assert!(pod["initContainers"].is_null());
        let container = &pod["containers"][0];
        assert_eq!(container["command"], json!(["telectl"]));
        assert_eq!(
            container["args"],
            json!([
                "worker",
                "probe",
                "--component",
                "streamer",
                "--gateway",
                "http://192.0.2.1:8081/health"
            ])
        );
        assert!(container["livenessProbe"].is_null());
        assert!(container["ports"].is_null());
        assert_eq!(
            container["env"][0]["valueFrom"]["secretKeyRef"]["name"],
            "redis-auth"
        );
        assert_eq!(job["spec"]["backoffLimit"], 0);
    }

    #[test]
    fn a_long_name_still_makes_a_job() {
        let mut workload = streamer();
        workload.name = "a".repeat(60);
        assert!(name(&workload, "0a1b2c3d-reach").len() <= 63);
    }

    #[test]
    fn the_command_may_stand_in_either_field() {
        let mut workload = streamer();
        let container = &mut workload.template["spec"]["containers"][0];
        container["command"] = json!(["telectl", "worker", "streamer"]);
        container["args"] = Value::Null;
        let job = manifest(&workload, Component::Streamer, "1", &[]);
        let container = &job["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["command"], json!(["telectl"]));
        assert_eq!(container["args"][0], "worker");
        assert_eq!(container["args"][1], "probe");
    }
}
