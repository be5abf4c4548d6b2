//! Defects that values cannot bring about: what was rendered is changed, and lint finds it.

use serde_json::{Value, json};
use telectl::config::Resolved;
use telectl::lint::{RULES, Subject, check};
use telectl::model::manifest::{Manifest, RenderedSet};
use telectl::model::object::{ObjectKind, ObjectRef};
use telectl::model::profile::Profile;
use telectl::render;

use crate::render_support::{every_set, resolved};

use super::ids;

/// What lint finds in a profile after something was changed in what was rendered.
fn after(profile: Profile, sets: &[&str], change: impl FnOnce(&mut RenderedSet)) -> Vec<String> {
    let resolved: Resolved = resolved(profile, sets);
    let mut set = render::preview(&resolved).expect("it renders");
    change(&mut set);
    let found = check(&Subject {
        resolved: &resolved,
        set: &set,
    });
    ids(&found).into_iter().map(str::to_owned).collect()
}

fn object<'a>(set: &'a mut RenderedSet, kind: ObjectKind, name: &str) -> &'a mut Value {
    let is_it =
        |manifest: &&mut Manifest| manifest.object.kind == kind && manifest.object.name == name;
    let found = set.manifests.iter_mut().find(is_it);
    &mut found
        .unwrap_or_else(|| panic!("there is no {kind} {name}"))
        .value
}

fn container<'a>(set: &'a mut RenderedSet, kind: ObjectKind, name: &str) -> &'a mut Value {
    &mut object(set, kind, name)["spec"]["template"]["spec"]["containers"][0]
}

fn take_away(set: &mut RenderedSet, kind: ObjectKind, name: &str) {
    let before = set.manifests.len();
    set.manifests
        .retain(|manifest| manifest.object.kind != kind || manifest.object.name != name);
    assert_eq!(
        set.manifests.len() + 1,
        before,
        "there is one {kind} {name}"
    );
}

/// Adds an object with the labels that all have.
fn add(set: &mut RenderedSet, kind: ObjectKind, mut value: Value) {
    value["metadata"]["labels"] = set.manifests[0].value["metadata"]["labels"].clone();
    let object = ObjectRef::new(kind, set.namespace.clone(), "added");
    set.manifests.push(Manifest { object, value });
}

#[test]
fn r39_a_mount_without_its_volume_is_found() {
    let found = after(
        Profile::Dev,
        &["streamer.config.csvSource.type=pvc"],
        |set| {
            object(set, ObjectKind::StatefulSet, "streamer")["spec"]["template"]["spec"]["volumes"] =
                json!([]);
        },
    );
    assert_eq!(found, ["TEL-LNT-001"]);
}

#[test]
fn r39_a_service_that_nobody_makes_is_found() {
    let without = |name: &str| {
        after(Profile::Dev, &[], |set| {
            take_away(set, ObjectKind::Service, name);
        })
    };
    assert_eq!(without("redis"), ["TEL-LNT-002"]);
    assert_eq!(without("etcd"), ["TEL-LNT-002"]);
    assert_eq!(without("postgresql"), ["TEL-LNT-005"]);
}

#[test]
fn r39_a_login_that_does_not_reach_the_client_is_found() {
    let found = after(Profile::Dev, &[], |set| {
        let variables = &mut container(set, ObjectKind::Deployment, "collector")["env"];
        let variables = variables.as_array_mut().expect("there are variables");
        variables.retain(|variable| variable["name"] != "REDIS_PASSWORD");
    });
    assert_eq!(found, ["TEL-LNT-003"]);
}

#[test]
fn r39_a_secret_that_nobody_lists_is_found() {
    let found = after(Profile::Edge, &[], |set| {
        set.secrets.retain(|need| need.name != "redis-auth");
    });
    assert_eq!(found, ["TEL-LNT-004"]);
}

/// By construction: templates and workers share one list of variables.
#[test]
fn r39_a_variable_that_no_worker_reads_is_found() {
    let found = after(Profile::Central, &[], |set| {
        let variables = &mut container(set, ObjectKind::Deployment, "collector")["env"];
        let variables = variables.as_array_mut().expect("there are variables");
        variables.push(json!({ "name": "DB_SSLMODE", "value": "require" }));
    });
    assert_eq!(found, ["TEL-LNT-006"]);
}

#[test]
fn r09_an_image_that_is_not_from_the_common_registry_is_found() {
    let found = after(
        Profile::Dev,
        &["global.imageRegistry=registry.example"],
        |set| {
            container(set, ObjectKind::StatefulSet, "redis")["image"] = json!("redis:7");
        },
    );
    assert_eq!(found, ["TEL-LNT-008"]);
}

#[test]
fn r39_annotations_that_ingress_nginx_does_not_know_are_found() {
    let with = |name: &str, value: &str| {
        let annotations = json!({ format!("nginx.ingress.kubernetes.io/{name}"): value });
        let value = json!({ "kind": "Ingress", "metadata": { "annotations": annotations } });
        after(Profile::Central, &[], |set| {
            add(set, ObjectKind::Ingress, value);
        })
    };
    assert_eq!(with("rate-limit", "100"), ["TEL-LNT-009"]);
    assert_eq!(with("rate-limit-window", "1m"), ["TEL-LNT-009"]);
    assert_eq!(with("rewrite-target", "/"), ["TEL-LNT-009"]);
    assert_eq!(with("rewrite-target", "/$2"), [""; 0]);
    assert_eq!(with("limit-rps", "100"), [""; 0]);
}

#[test]
fn r32_a_monitor_of_a_port_that_is_not_there_is_found() {
    let with = |port: &str| {
        let selector = json!({ "matchLabels": { "app.kubernetes.io/component": "collector" } });
        let spec = json!({ "selector": selector, "endpoints": [{ "port": port }] });
        let value = json!({ "kind": "ServiceMonitor", "metadata": {}, "spec": spec });
        after(Profile::Dev, &[], |set| {
            add(set, ObjectKind::ConfigMap, value);
        })
    };
    assert_eq!(with("metrics"), ["TEL-LNT-010"]);
    assert_eq!(with("http"), [""; 0]);
}

#[test]
fn r39_an_autoscaler_without_its_workload_is_found() {
    let found = after(
        Profile::SameCluster,
        &["podDisruptionBudget.enabled=false"],
        |set| {
            let autoscaler = object(set, ObjectKind::HorizontalPodAutoscaler, "collector");
            autoscaler["spec"]["scaleTargetRef"]["name"] = json!("telemetry-collector");
        },
    );
    assert_eq!(found, ["TEL-LNT-011"]);
}

#[test]
fn r22_a_budget_that_keeps_every_pod_is_found() {
    let found = after(Profile::Dev, &[], |set| {
        object(set, ObjectKind::PodDisruptionBudget, "collector")["spec"]["minAvailable"] =
            json!(2);
    });
    assert_eq!(found, ["TEL-LNT-013"]);
}

/// By construction: the rules are made from the addresses that the worker is told.
#[test]
fn r39_a_way_that_a_policy_closes_is_found() {
    let closing = |profile: Profile, sets: &[&str], port: u64| {
        let name = if profile == Profile::Edge {
            "streamer"
        } else {
            "collector"
        };
        after(profile, sets, |set| {
            let policy = object(set, ObjectKind::NetworkPolicy, name);
            let rules = policy["spec"]["egress"]
                .as_array_mut()
                .expect("there are rules");
            rules.retain(|rule| rule["ports"][0]["port"] != port);
        })
    };
    assert_eq!(closing(Profile::Edge, &[], 53), ["TEL-LNT-015"]);
    assert_eq!(closing(Profile::Edge, &[], 2379), ["TEL-LNT-015"]);
    assert_eq!(closing(Profile::SameCluster, &[], 6379), ["TEL-LNT-015"]);
    assert_eq!(closing(Profile::SameCluster, &[], 5432), ["TEL-LNT-015"]);
    assert_eq!(closing(Profile::SameCluster, &[], 9), [""; 0]);
    // An address outside the namespace is not behind a selector of pods.
    let found = after(Profile::Edge, &[], |set| {
        let policy = object(set, ObjectKind::NetworkPolicy, "streamer");
        let rules = policy["spec"]["egress"]
            .as_array_mut()
            .expect("there are rules");
        for rule in rules {
            rule["to"] = json!([{ "podSelector": { "matchLabels": { "app": "redis" } } }]);
        }
    });
    assert_eq!(found, ["TEL-LNT-015"]);
}

#[test]
fn v16_a_secret_as_text_in_a_manifest_is_found() {
    let found = after(Profile::Dev, &[], |set| {
        let variables = &mut container(set, ObjectKind::StatefulSet, "streamer")["env"];
        let variables = variables.as_array_mut().expect("there are variables");
        let password = variables
            .iter_mut()
            .find(|one| one["name"] == "REDIS_PASSWORD");
        *password.expect("it has a password") = json!({ "name": "REDIS_PASSWORD", "value": "x" });
    });
    assert_eq!(found, ["TEL-LNT-016"]);
}

#[test]
fn r39_a_policy_that_shuts_its_pods_in_is_found() {
    let found = after(Profile::SameCluster, &[], |set| {
        object(set, ObjectKind::NetworkPolicy, "streamer")["spec"]["egress"] = json!([]);
    });
    assert_eq!(found, ["TEL-LNT-015", "TEL-LNT-017"]);
}

#[test]
fn r30_nodes_of_redis_that_are_no_cluster_are_found() {
    let found = after(Profile::Shared, &[], |set| {
        object(set, ObjectKind::StatefulSet, "redis")["spec"]["replicas"] = json!(3);
    });
    assert_eq!(found, ["TEL-LNT-018"]);
    let asking = after(Profile::Shared, &[], |set| {
        let file = &mut object(set, ObjectKind::ConfigMap, "redis-config")["data"]["redis.conf"];
        let text = file
            .as_str()
            .expect("it is text")
            .replace("tls-auth-clients no", "tls-auth-clients yes");
        *file = json!(text);
    });
    assert_eq!(asking, ["TEL-LNT-018"]);
}

#[test]
fn r39_a_common_annotation_that_is_missing_somewhere_is_found() {
    let sets = ["commonAnnotations.team=gpu", "commonLabels.owner=gpu"];
    assert_eq!(after(Profile::SameCluster, &sets, |_| {}), [""; 0]);
    for part in ["labels", "annotations"] {
        let found = after(Profile::SameCluster, &sets, |set| {
            object(set, ObjectKind::NetworkPolicy, "etcd")["metadata"][part] = json!({});
        });
        assert_eq!(found, ["TEL-LNT-021"], "{part}");
    }
}

/// A rule says that values cannot bring a defect about: then nothing that is rendered has it.
#[test]
fn r39_what_is_excluded_by_construction_is_in_nothing_that_is_rendered() {
    let excluded: Vec<&str> = RULES
        .iter()
        .filter(|rule| !rule.by_construction.is_empty())
        .map(|rule| rule.id)
        .collect();
    assert_eq!(excluded, ["TEL-LNT-006", "TEL-LNT-015"]);
    let variants: &[&[&str]] = &[
        &[],
        &["networkPolicy.enabled=true"],
        &["networkPolicy.enabled=true,nameOverride=blue,namespace=elsewhere"],
        &["networkPolicy.enabled=true,redis.service.port=6400,etcd.service.port=2400"],
        &["networkPolicy.enabled=true,networkPolicy.egress[0].ports[0].port=443"],
        &["networkPolicy.enabled=true,discovery.enabled=false"],
        &["networkPolicy.enabled=true,postgresql.service.port=6000,externalRedis.port=6400"],
    ];
    for profile in Profile::ALL {
        for sets in variants {
            let found = after(profile, sets, |_| {});
            assert!(
                found.iter().all(|id| !excluded.contains(&id.as_str())),
                "{profile} {sets:?}: {found:?}"
            );
        }
    }
    assert!(every_set().len() > 8);
}
