//! Overlays for scenarios, and comparisons of profiles.

use serde_json::{Value, json};
use telectl::config::compare::differences;
use telectl::config::{self, Layers, ValuesFile, overlay};
use telectl::model::manifest::RenderedSet;
use telectl::model::object::ObjectKind;
use telectl::model::profile::Profile;
use telectl::render;

use crate::render_command::{folder, telectl, text};
use crate::render_support::{environment, object, preview, resolved, workloads};

fn with_overlay(profile: Profile, name: &str) -> RenderedSet {
    let layers = Layers {
        files: vec![ValuesFile::open(name).unwrap_or_else(|error| panic!("{error}"))],
        ..Layers::default()
    };
    let resolved = config::resolve(profile, &layers).unwrap_or_else(|error| panic!("{error}"));
    render::preview(&resolved).unwrap_or_else(|error| panic!("{error}"))
}

fn pod<'a>(set: &'a RenderedSet, kind: ObjectKind, name: &str) -> &'a Value {
    &object(set, kind, name)["spec"]["template"]["spec"]
}

#[test]
fn r10_streamers_run_on_gpu_nodes_and_collectors_on_cpu_nodes() {
    let set = with_overlay(Profile::SameCluster, "gpu-cpu");
    let streamer = pod(&set, ObjectKind::StatefulSet, "streamer");
    assert_eq!(streamer["nodeSelector"], json!({ "node-type": "gpu" }));
    let tolerated =
        json!([{ "key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule" }]);
    assert_eq!(streamer["tolerations"], tolerated);
    let collector = pod(&set, ObjectKind::Deployment, "collector");
    assert_eq!(collector["nodeSelector"], json!({ "node-type": "cpu" }));
    assert!(collector["tolerations"].is_null());
    // The same-cluster profile's spreading stays.
    assert!(streamer["affinity"]["podAntiAffinity"].is_object());
}

#[test]
fn r11_streamers_and_collectors_are_held_in_zones_of_their_own() {
    let set = with_overlay(Profile::SameCluster, "zones");
    let zone = |kind, name| {
        let required = &pod(&set, kind, name)["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
        let expression = &required["nodeSelectorTerms"][0]["matchExpressions"][0];
        assert_eq!(expression["key"], "topology.kubernetes.io/zone", "{name}");
        expression["values"].clone()
    };
    assert_eq!(
        zone(ObjectKind::StatefulSet, "streamer"),
        json!(["us-west-2a"])
    );
    assert_eq!(
        zone(ObjectKind::Deployment, "collector"),
        json!(["us-west-2b"])
    );
}

#[test]
fn r12_separate_clusters_are_two_sets_that_share_redis_and_nothing_else() {
    let redis =
        "externalRedis.host=redis.example.com,etcd.endpoints={https://etcd.example.com:2379}";
    let (edge, central) = (
        preview(Profile::Edge, &[redis]),
        preview(Profile::Central, &[redis]),
    );
    assert!(workloads(&edge).is_disjoint(&workloads(&central)));
    assert_eq!(workloads(&edge).len() + workloads(&central).len(), 4);
    let streamer = environment(pod(&edge, ObjectKind::StatefulSet, "streamer"));
    let collector = environment(pod(&central, ObjectKind::Deployment, "collector"));
    for name in ["REDIS_URL", "ETCD_ENDPOINTS", "PIPELINE", "QUEUE_SHARDS"] {
        assert_eq!(streamer[name], collector[name], "{name}");
    }
    assert_eq!(
        streamer["REDIS_URL"]["value"],
        "rediss://redis.example.com:6379/0"
    );
    assert!(!streamer.contains_key("DB_HOST") && collector.contains_key("DB_HOST"));
    assert_ne!(streamer["CLUSTER_ID"], collector["CLUSTER_ID"]);
    let folder = folder();
    let arguments = [
        "render",
        "edge",
        "central",
        "--set",
        redis,
        "--output-dir",
        "out",
    ];
    let output = telectl(folder.path(), &[], &arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    for file in [
        "edge/statefulset-streamer.yaml",
        "central/deployment-collector.yaml",
    ] {
        assert!(folder.path().join("out").join(file).is_file(), "{file}");
    }
}

#[test]
fn r13_nodes_are_chosen_by_accelerator_and_memory() {
    let edge = with_overlay(Profile::Edge, "node-selection");
    let streamer = pod(&edge, ObjectKind::StatefulSet, "streamer");
    assert_eq!(
        streamer["nodeSelector"],
        json!({ "accelerator": "nvidia-gpu" })
    );
    assert_eq!(streamer["tolerations"][0]["key"], "nvidia.com/gpu");
    let central = with_overlay(Profile::Central, "node-selection");
    let collector = pod(&central, ObjectKind::Deployment, "collector");
    assert_eq!(
        collector["nodeSelector"],
        json!({ "node-type": "high-memory" })
    );
    assert_eq!(collector["tolerations"][0]["key"], "high-memory");
}

#[test]
fn r14_ten_streamers_and_eight_collectors_with_their_resources() {
    for profile in [Profile::Dev, Profile::SameCluster] {
        let set = with_overlay(profile, "high-throughput");
        let count = |kind, name| object(&set, kind, name)["spec"]["replicas"].clone();
        assert_eq!(count(ObjectKind::StatefulSet, "streamer"), 10);
        assert_eq!(count(ObjectKind::Deployment, "collector"), 8);
        let streamer = &pod(&set, ObjectKind::StatefulSet, "streamer")["containers"][0];
        let expected = json!({ "limits": { "cpu": "1", "memory": "1Gi" },
            "requests": { "cpu": "500m", "memory": "512Mi" } });
        assert_eq!(streamer["resources"], expected, "{profile}");
        let collector = &pod(&set, ObjectKind::Deployment, "collector")["containers"][0];
        let expected = json!({ "limits": { "cpu": "2", "memory": "4Gi" },
            "requests": { "cpu": "1", "memory": "2Gi" } });
        assert_eq!(collector["resources"], expected, "{profile}");
    }
    let edge = with_overlay(Profile::Edge, "high-throughput");
    let autoscaler = object(&edge, ObjectKind::HorizontalPodAutoscaler, "streamer");
    assert_eq!(autoscaler["spec"]["minReplicas"], 10);
}

#[test]
fn r06_a_mix_of_components_renders_without_what_it_leaves_out() {
    let sets = ["streamer.enabled=false,apiGateway.enabled=false"];
    let set = preview(Profile::Dev, &sets);
    let names: Vec<&str> = workloads(&set).into_iter().collect();
    assert_eq!(names, ["collector", "etcd", "postgresql", "redis"]);
    for manifest in &set.manifests {
        let name = &manifest.object.name;
        assert!(
            !name.starts_with("streamer") && !name.starts_with("api-gateway"),
            "{name}"
        );
    }
}

#[test]
fn every_overlay_is_listed_with_its_purpose_and_can_be_printed() {
    let folder = folder();
    let list = text(&telectl(folder.path(), &[], &["config", "overlays"]).stdout);
    for (name, purpose) in overlay::list() {
        assert!(purpose.len() > 20, "{name}: {purpose}");
        let line = list
            .lines()
            .find(|line| line.starts_with(&format!("{name} ")));
        assert!(
            line.is_some_and(|line| line.ends_with(&purpose)),
            "{name}: {list}"
        );
        let printed = telectl(folder.path(), &[], &["config", "overlays", name]);
        assert_eq!(
            text(&printed.stdout),
            overlay::text(name).expect("it is there")
        );
    }
    let mistyped = telectl(folder.path(), &[], &["config", "overlays", "zonse"]);
    assert_eq!(mistyped.status.code(), Some(2));
    assert!(text(&mistyped.stderr).contains("the nearest is `zones`"));
}

#[test]
fn r40_two_profiles_are_compared_key_by_key_with_both_origins() {
    let one = resolved(Profile::SameCluster, &["image.tag=v3"]);
    let other = resolved(Profile::Edge, &["image.tag=v3"]);
    let found = differences(&one, &other);
    let at = |key: &str| found.iter().find(|found| found.path.to_string() == key);
    let count = at("autoscaling.maxReplicas").expect("it differs");
    assert_eq!(count.one.value, Some(json!(12)));
    assert_eq!(count.other.value, Some(json!(8)));
    let places = [&count.one, &count.other].map(|side| {
        side.place
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default()
    });
    assert_eq!(places, ["profile same-cluster", "profile edge"]);
    let label = at("streamer.nodeSelector.node-type").expect("it differs");
    assert_eq!((&label.one.value, &label.one.place), (&None, &None));
    assert_eq!(label.other.value, Some(json!("edge")));
    let percent = at("autoscaling.targetCPUUtilizationPercentage").expect("it differs");
    let built_in = percent.other.place.as_ref().map(ToString::to_string);
    assert_eq!(built_in.as_deref(), Some("built-in"));
    assert!(at("image.tag").is_none() && at("redis.image").is_none());
    assert_eq!(differences(&one, &one), []);
}

#[test]
fn r40_the_comparison_is_printed_for_people_and_programs() {
    let folder = folder();
    let arguments = [
        "config",
        "diff",
        "central",
        "edge",
        "--set",
        "collector.enabled=true",
    ];
    let table = text(&telectl(folder.path(), &[], &arguments).stdout);
    assert!(
        table.lines().all(|line| line.chars().count() < 200),
        "{table}"
    );
    assert!(!table.contains("collector.enabled"), "{table}");
    let line = table
        .lines()
        .position(|line| line.starts_with("autoscaling.maxReplicas "));
    let lines: Vec<&str> = table
        .lines()
        .skip(line.expect("it differs"))
        .take(2)
        .collect();
    assert!(
        lines[0].contains("central") && lines[0].contains("20"),
        "{table}"
    );
    assert!(
        lines[1].contains("edge") && lines[1].ends_with("profile edge"),
        "{table}"
    );
    let json = telectl(
        folder.path(),
        &[],
        &[&arguments[..], &["-o", "json"]].concat(),
    );
    let view: Value = serde_json::from_slice(&json.stdout).expect("it is JSON");
    assert_eq!(view["profiles"], json!(["central", "edge"]));
    let found = view["differences"].as_array().expect("there are some");
    let one = found
        .iter()
        .find(|one| one["key"] == "autoscaling.maxReplicas")
        .expect("it differs");
    assert_eq!(
        one["sides"][0],
        json!({ "value": 20, "from": "profile central" })
    );
}
