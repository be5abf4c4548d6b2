//! What the profiles render to.

use std::collections::BTreeSet;

use telectl::model::object::ObjectKind;
use telectl::model::profile::Profile;
use telectl::render;

use crate::render_support::{
    all_pods, environment, fullest_sets, host, object, pods, prefixed, preview, replicas, resolved,
    selects, workloads,
};

#[test]
fn r01_the_default_profile_has_every_component_with_the_charts_numbers() {
    let set = preview(Profile::Dev, &[]);
    let all = [
        "api-gateway",
        "collector",
        "etcd",
        "postgresql",
        "redis",
        "streamer",
    ];
    assert_eq!(workloads(&set), BTreeSet::from(all));
    assert_eq!(set.namespace, "telemetry-system");
    assert_eq!(replicas(&set, ObjectKind::StatefulSet, "streamer"), 2);
    let collector = object(&set, ObjectKind::Deployment, "collector");
    let container = &collector["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["resources"]["limits"]["cpu"], "1");
    assert_eq!(container["resources"]["requests"]["memory"], "256Mi");
    assert!(
        set.manifests
            .iter()
            .all(|manifest| { manifest.object.kind != ObjectKind::HorizontalPodAutoscaler })
    );
}

/// The chart's two replicas are in the values; the guide's autoscaler starts with three.
#[test]
fn r02_same_cluster_has_everything_and_starts_at_the_autoscalers_minimum() {
    let resolved = resolved(Profile::SameCluster, &[]);
    let values = &resolved.values;
    let counts = [
        values.streamer.replica_count,
        values.collector.replica_count,
        values.api_gateway.replica_count,
    ];
    assert_eq!(counts, [2, 2, 2]);
    let set = render::render(&resolved).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(workloads(&set).len(), 6);
    assert_eq!(replicas(&set, ObjectKind::StatefulSet, "streamer"), 3);
    assert_eq!(replicas(&set, ObjectKind::Deployment, "collector"), 3);
    let autoscaler = object(&set, ObjectKind::HorizontalPodAutoscaler, "api-gateway");
    assert_eq!(autoscaler["spec"]["minReplicas"], 3);
    assert_eq!(autoscaler["spec"]["maxReplicas"], 12);
    let percent = &autoscaler["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"];
    assert_eq!(percent, 70);
}

#[test]
fn r03_edge_has_streamers_and_nothing_else() {
    let set = preview(Profile::Edge, &[]);
    assert_eq!(workloads(&set), BTreeSet::from(["streamer"]));
    assert_eq!(replicas(&set, ObjectKind::StatefulSet, "streamer"), 3);
    let autoscaler = object(&set, ObjectKind::HorizontalPodAutoscaler, "streamer");
    assert_eq!(autoscaler["spec"]["minReplicas"], 2);
    assert_eq!(autoscaler["spec"]["maxReplicas"], 8);
}

#[test]
fn r03_edge_without_an_address_of_redis_is_refused_naming_key_and_flag() {
    let error = render::render(&resolved(Profile::Edge, &[])).expect_err("no address is known");
    let text = error.to_string();
    for part in [
        "`externalRedis.host`",
        "--redis-host",
        "`etcd.endpoints`",
        "--etcd-endpoints",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let sets = [
        "externalRedis.host=192.0.2.1",
        "etcd.endpoints={https://192.0.2.2:2379}",
    ];
    let set = render::render(&resolved(Profile::Edge, &sets));
    assert!(set.is_ok(), "{set:?}");
}

#[test]
fn r04_central_has_collectors_gateways_and_the_database() {
    let set = preview(Profile::Central, &[]);
    assert_eq!(
        workloads(&set),
        BTreeSet::from(["api-gateway", "collector", "postgresql"])
    );
    assert_eq!(replicas(&set, ObjectKind::Deployment, "collector"), 5);
    assert_eq!(replicas(&set, ObjectKind::Deployment, "api-gateway"), 3);
    let set = preview(Profile::Central, &["collector.replicaCount=1"]);
    assert_eq!(replicas(&set, ObjectKind::Deployment, "collector"), 5);
    let service = object(&set, ObjectKind::Service, "api-gateway");
    assert_eq!(service["spec"]["type"], "LoadBalancer");
}

#[test]
fn r05_shared_has_redis_with_password_and_tls_only() {
    let set = preview(Profile::Shared, &[]);
    assert_eq!(set.namespace, "shared-infrastructure");
    assert_eq!(workloads(&set), BTreeSet::from(["etcd", "redis"]));
    let service = object(&set, ObjectKind::Service, "redis");
    assert_eq!(service["spec"]["type"], "LoadBalancer");
    let config = object(&set, ObjectKind::ConfigMap, "redis-config");
    let text = config["data"]["redis.conf"]
        .as_str()
        .expect("there is a file");
    for line in [
        "port 0\n",
        "tls-port 6379\n",
        "include /run/redis/auth.conf\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert!(
        text.contains("maxmemory-policy noeviction\n") && text.contains("tls-auth-clients no\n")
    );
}

#[test]
fn r06_the_mode_follows_the_components() {
    let mode = |profile, sets: &[&str]| {
        let set = preview(profile, sets);
        let labels = &set.manifests[0].value["metadata"]["labels"];
        labels["telectl.io/deployment-mode"]
            .as_str()
            .map(str::to_owned)
    };
    assert_eq!(mode(Profile::Dev, &[]).as_deref(), Some("same"));
    assert_eq!(mode(Profile::Edge, &[]).as_deref(), Some("edge"));
    assert_eq!(mode(Profile::Central, &[]).as_deref(), Some("central"));
    assert_eq!(mode(Profile::Shared, &[]).as_deref(), Some("shared"));
    let like_edge = [
        "collector.enabled=false",
        "apiGateway.enabled=false",
        "postgresql.enabled=false",
    ];
    assert_eq!(mode(Profile::Dev, &like_edge).as_deref(), Some("edge"));
    assert_eq!(
        mode(Profile::Dev, &like_edge[..2]).as_deref(),
        Some("custom")
    );
}

#[test]
fn r09_registry_and_tag_reach_every_image() {
    let set = preview(
        Profile::Dev,
        &["global.imageRegistry=registry.example:5000", "image.tag=v9"],
    );
    let mut images: Vec<&str> = pods(&set)
        .iter()
        .filter_map(|(_, pod)| pod["spec"]["containers"][0]["image"].as_str())
        .collect();
    images.sort_unstable();
    images.dedup();
    assert_eq!(
        images,
        [
            "registry.example:5000/coreos/etcd:v3.5.21",
            "registry.example:5000/postgres:15",
            "registry.example:5000/redis:7",
            "registry.example:5000/telectl:v9",
        ]
    );
}

#[test]
fn r09_a_registry_of_the_workers_beats_the_one_of_every_image() {
    let sets = [
        "global.imageRegistry=registry.example:5000",
        "image.registry=own.example,image.repository=team/telectl,image.tag=v9",
    ];
    let set = preview(Profile::Central, &sets);
    let mut images: Vec<&str> = pods(&set)
        .iter()
        .filter_map(|(_, pod)| pod["spec"]["containers"][0]["image"].as_str())
        .collect();
    images.sort_unstable();
    images.dedup();
    assert_eq!(
        images,
        [
            "own.example/team/telectl:v9",
            "registry.example:5000/postgres:15"
        ]
    );
}

#[test]
fn r09_another_tag_changes_workers_workloads_and_nothing_else() {
    for profile in Profile::ALL {
        let (one, other) = (
            preview(profile, &["image.tag=v1"]),
            preview(profile, &["image.tag=v2"]),
        );
        let version = "app.kubernetes.io/version";
        for (one, other) in one.manifests.iter().zip(&other.manifests) {
            let name = &one.object;
            let label = &other.value["metadata"]["labels"][version];
            let template = &other.value["spec"]["template"]["metadata"]["labels"][version];
            if matches!(name.kind, ObjectKind::Deployment | ObjectKind::StatefulSet) {
                assert!(label.is_string() && label == template, "{profile}: {name}");
            } else {
                assert!(label.is_null(), "{profile}: {name} has a version");
                assert_eq!(one.value, other.value, "{profile}: {name}");
            }
        }
        let changed = one.manifests.iter().zip(&other.manifests);
        let changed = changed.filter(|(one, other)| one.value != other.value);
        let workers = ["streamer", "collector", "api-gateway"];
        let of_workers = changed.map(|(one, _)| &*one.object.name);
        assert!(
            of_workers.clone().all(|name| workers.contains(&name)),
            "{profile}"
        );
        assert_eq!(of_workers.count() > 0, profile != Profile::Shared);
    }
}

#[test]
fn r38_the_same_values_give_the_same_bytes() {
    let once = |profile| -> String {
        let set = preview(profile, &[]);
        set.manifests
            .iter()
            .map(|manifest| serde_yaml::to_string(&manifest.value).expect("it is YAML"))
            .collect()
    };
    for profile in Profile::ALL {
        assert_eq!(once(profile), once(profile));
    }
}

#[test]
fn r38_objects_stand_in_the_order_in_which_they_are_applied() {
    for set in fullest_sets() {
        let order: Vec<_> = set
            .manifests
            .iter()
            .map(|manifest| {
                let kind = manifest.object.kind;
                let place = ObjectKind::ALL.iter().position(|known| *known == kind);
                (place, manifest.object.name.clone())
            })
            .collect();
        let mut sorted = order.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(order, sorted);
    }
}

#[test]
fn r41_addresses_are_names_of_rendered_services() {
    for sets in [vec![], vec!["nameOverride=blue", "namespace=elsewhere"]] {
        let set = preview(Profile::Dev, &sets);
        let collector = object(&set, ObjectKind::Deployment, &prefixed("collector", &sets));
        let environment = environment(&collector["spec"]["template"]["spec"]);
        let hosts = [
            environment["DB_HOST"]["value"].as_str(),
            environment["REDIS_URL"]["value"].as_str().and_then(host),
            environment["ETCD_ENDPOINTS"]["value"]
                .as_str()
                .and_then(host),
        ];
        for (host, component) in hosts.into_iter().zip(["postgresql", "redis", "etcd"]) {
            let service = object(&set, ObjectKind::Service, &prefixed(component, &sets));
            let name = service["metadata"]["name"].as_str().expect("it has a name");
            assert_eq!(host, Some(format!("{name}.{}.svc", set.namespace).as_str()));
        }
        for manifest in &set.manifests {
            assert!(manifest.object.name.starts_with(&prefixed("", &sets)));
        }
    }
}

/// A selector that finds another component's pods, or a Service without pods, is a wrong name.
#[test]
fn r41_every_selector_finds_the_pods_of_its_own_component_only() {
    for set in fullest_sets() {
        let pods = all_pods(&set);
        for manifest in &set.manifests {
            let spec = &manifest.value["spec"];
            let selector = match manifest.object.kind {
                ObjectKind::Service => &spec["selector"],
                ObjectKind::PodDisruptionBudget
                | ObjectKind::Deployment
                | ObjectKind::StatefulSet => &spec["selector"]["matchLabels"],
                ObjectKind::NetworkPolicy => &spec["podSelector"]["matchLabels"],
                _ => continue,
            };
            let found: Vec<&str> = pods
                .iter()
                .filter(|(_, pod)| selects(selector, &pod["metadata"]["labels"]))
                .map(|(name, _)| name.as_str())
                .collect();
            assert_eq!(
                found,
                [manifest.object.name.as_str()],
                "{}",
                manifest.object
            );
            let is_policy = manifest.object.kind == ObjectKind::NetworkPolicy;
            assert_eq!(selector["telectl.io/serving"].is_null(), is_policy);
        }
    }
}
