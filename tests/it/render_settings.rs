//! Settings of the values that have to arrive in the objects: placement, sizes, scaling.

use serde_json::{Value, json};
use telectl::config::{self, Layers};
use telectl::model::manifest::RenderedSet;
use telectl::model::object::ObjectKind;
use telectl::model::profile::Profile;
use telectl::render;

use crate::render_support::{environment, from_file, object, pod_of as pod, preview, replicas};

/// The guide's example of its own nodes: streamers beside the GPUs, collectors on large memory.
#[test]
fn r13_nodes_are_chosen_as_the_values_say() {
    let text = "
streamer:
  nodeSelector: {accelerator: nvidia-tesla-v100, node-type: gpu}
  tolerations: [{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}]
collector:
  nodeSelector: {node-type: high-memory}
  tolerations: [{key: high-memory, operator: Equal, value: \"true\", effect: NoSchedule}]
postgresql:
  primary:
    nodeSelector: {disk: ssd}
    tolerations: [{key: database, operator: Exists}]
";
    let set = from_file(Profile::SameCluster, text);
    let streamer = pod(&set, "streamer");
    assert_eq!(
        streamer["nodeSelector"],
        json!({ "accelerator": "nvidia-tesla-v100", "node-type": "gpu" })
    );
    assert_eq!(streamer["tolerations"][0]["key"], "nvidia.com/gpu");
    let collector = pod(&set, "collector");
    assert_eq!(
        collector["nodeSelector"],
        json!({ "node-type": "high-memory" })
    );
    assert_eq!(collector["tolerations"][0]["value"], "true");
    assert_eq!(
        pod(&set, "postgresql")["nodeSelector"],
        json!({ "disk": "ssd" })
    );
    assert_eq!(pod(&set, "postgresql")["tolerations"][0]["key"], "database");
    assert!(pod(&set, "api-gateway")["nodeSelector"].is_null());
}

#[test]
fn r13_a_toleration_that_kubernetes_does_not_know_is_refused() {
    let layers = Layers {
        sets: vec![r#"streamer.tolerations=[{"kee":"gpu"}]"#.to_owned()],
        ..Layers::default()
    };
    let resolved = config::resolve(Profile::Dev, &layers).unwrap_or_else(|error| panic!("{error}"));
    let error = render::preview(&resolved).expect_err("there is no such field");
    assert!(error.to_string().contains("tolerations"), "{error}");
}

/// The guide's example: ten streamers, eight collectors, larger than the defaults.
#[test]
fn r14_counts_and_resources_are_those_of_the_values() {
    let text = "
streamer:
  replicaCount: 10
  resources: {limits: {cpu: 1000m, memory: 1Gi}, requests: {cpu: 500m, memory: 512Mi}}
collector:
  replicaCount: 8
  resources: {limits: {cpu: 2, memory: 4Gi}, requests: {cpu: 1, memory: 2Gi}}
";
    let set = from_file(Profile::Dev, text);
    assert_eq!(replicas(&set, ObjectKind::StatefulSet, "streamer"), 10);
    assert_eq!(replicas(&set, ObjectKind::Deployment, "collector"), 8);
    assert_eq!(
        pod(&set, "streamer")["containers"][0]["resources"],
        json!({
            "limits": { "cpu": "1", "memory": "1Gi" },
            "requests": { "cpu": "500m", "memory": "512Mi" },
        })
    );
    assert_eq!(
        pod(&set, "collector")["containers"][0]["resources"]["limits"],
        json!({ "cpu": "2", "memory": "4Gi" })
    );
    // Chunks are shared out among as many as start.
    let variables = environment(pod(&set, "streamer"));
    assert_eq!(variables["STREAMER_REPLICAS"]["value"], "10");
}

#[test]
fn r15_collectors_and_streamers_avoid_each_others_nodes() {
    let terms = |set: &RenderedSet, name: &str| -> Vec<(u64, String, String)> {
        let spread = &pod(set, name)["affinity"]["podAntiAffinity"];
        let terms = spread["preferredDuringSchedulingIgnoredDuringExecution"].as_array();
        terms
            .into_iter()
            .flatten()
            .map(|term| {
                let wanted = &term["podAffinityTerm"];
                let labels = &wanted["labelSelector"]["matchLabels"];
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                (
                    term["weight"].as_u64().unwrap_or_default(),
                    text(&labels["app.kubernetes.io/component"]),
                    text(&wanted["topologyKey"]),
                )
            })
            .collect()
    };
    let hosts = |weight, component: &str| {
        (
            weight,
            component.to_owned(),
            "kubernetes.io/hostname".to_owned(),
        )
    };
    let same = preview(Profile::SameCluster, &[]);
    assert_eq!(terms(&same, "streamer"), [hosts(100, "streamer")]);
    assert_eq!(
        terms(&same, "collector"),
        [hosts(100, "collector"), hosts(50, "streamer")]
    );
    assert_eq!(
        terms(&preview(Profile::Central, &[]), "collector"),
        [hosts(100, "collector")]
    );
    let edge = preview(Profile::Edge, &[]);
    assert_eq!(terms(&edge, "streamer"), [hosts(100, "streamer")]);
    // The nodes with GPUs are preferred as well.
    assert!(pod(&edge, "streamer")["affinity"]["nodeAffinity"].is_object());
}

#[test]
fn r21_autoscalers_behave_as_the_values_say() {
    let set = preview(Profile::Central, &[]);
    for name in ["collector", "api-gateway"] {
        let scaler = object(&set, ObjectKind::HorizontalPodAutoscaler, name);
        assert_eq!(
            scaler["spec"]["behavior"],
            json!({
                "scaleUp": {
                    "stabilizationWindowSeconds": 60,
                    "policies": [{ "type": "Percent", "value": 100, "periodSeconds": 60 }],
                },
                "scaleDown": {
                    "stabilizationWindowSeconds": 300,
                    "policies": [{ "type": "Percent", "value": 50, "periodSeconds": 60 }],
                },
            })
        );
    }
    // A worker's own behaviour replaces the common one.
    let own = "collector.autoscaling.behavior.scaleDown.stabilizationWindowSeconds=600";
    let set = preview(Profile::Central, &[own]);
    let scaler = object(&set, ObjectKind::HorizontalPodAutoscaler, "collector");
    assert_eq!(
        scaler["spec"]["behavior"],
        json!({ "scaleDown": { "stabilizationWindowSeconds": 600 } })
    );
    let gateway = object(&set, ObjectKind::HorizontalPodAutoscaler, "api-gateway");
    assert_eq!(
        gateway["spec"]["behavior"]["scaleUp"]["stabilizationWindowSeconds"],
        60
    );
    // The edge keeps what Kubernetes does by itself.
    let edge = preview(Profile::Edge, &[]);
    let scaler = object(&edge, ObjectKind::HorizontalPodAutoscaler, "streamer");
    assert!(scaler["spec"]["behavior"].is_null());
}

#[test]
fn r21_a_behaviour_that_kubernetes_does_not_know_is_refused() {
    let layers = Layers {
        sets: vec!["autoscaling.behavior.scaleUp.stabilisationWindowSeconds=1".to_owned()],
        ..Layers::default()
    };
    let resolved =
        config::resolve(Profile::Central, &layers).unwrap_or_else(|error| panic!("{error}"));
    let error = render::preview(&resolved).expect_err("there is no such field");
    assert!(
        error.to_string().contains("stabilisationWindowSeconds"),
        "{error}"
    );
}

/// Whose pages may ask the gateway, and how many streams it serves.
#[test]
fn w13_the_settings_of_the_gateway_arrive_in_its_pod() {
    let usual = preview(Profile::Central, &[]);
    let variables = environment(pod(&usual, "api-gateway"));
    assert_eq!(variables["STREAM_LIMIT"]["value"], "32");
    assert!(!variables.contains_key("CORS_ORIGINS"), "{variables:?}");
    let text = "
apiGateway:
  config:
    corsOrigins: [https://app.example.com, http://localhost:3000]
    streamLimit: 5
";
    let set = from_file(Profile::Central, text);
    let variables = environment(pod(&set, "api-gateway"));
    assert_eq!(variables["STREAM_LIMIT"]["value"], "5");
    let origins = &variables["CORS_ORIGINS"]["value"];
    assert_eq!(origins, "https://app.example.com,http://localhost:3000");
}
