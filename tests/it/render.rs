//! What the profiles render to.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use telectl::config::environment::Environment;
use telectl::config::values::Values;
use telectl::config::{self, Layers, Resolved, ValuesFile};
use telectl::model::manifest::{RenderedSet, SecretContent};
use telectl::model::object::ObjectKind;
use telectl::model::profile::Profile;
use telectl::render;

/// The values of a profile with `--set` texts on top.
pub(crate) fn resolved(profile: Profile, sets: &[&str]) -> Resolved {
    let layers = Layers {
        sets: sets.iter().map(|text| (*text).to_owned()).collect(),
        ..Layers::default()
    };
    config::resolve(profile, &layers).unwrap_or_else(|error| panic!("{profile}: {error}"))
}

/// A profile, with placeholders for addresses.
pub(crate) fn preview(profile: Profile, sets: &[&str]) -> RenderedSet {
    render::preview(&resolved(profile, sets)).unwrap_or_else(|error| panic!("{profile}: {error}"))
}

/// A profile with the lab overlay, with placeholders for addresses.
pub(crate) fn lab(profile: Profile) -> RenderedSet {
    let layers = Layers {
        files: vec![ValuesFile::open("lab").expect("lab is an overlay")],
        sets: vec!["image.tag=test".to_owned()],
        ..Layers::default()
    };
    let resolved = config::resolve(profile, &layers).unwrap_or_else(|error| panic!("{error}"));
    render::preview(&resolved).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn object<'a>(set: &'a RenderedSet, kind: ObjectKind, name: &str) -> &'a Value {
    let found = set
        .manifests
        .iter()
        .find(|manifest| manifest.object.kind == kind && manifest.object.name == name);
    let profile = set.profile;
    &found
        .unwrap_or_else(|| panic!("{profile} has no {kind} {name}"))
        .value
}

fn replicas(set: &RenderedSet, kind: ObjectKind, name: &str) -> u64 {
    object(set, kind, name)["spec"]["replicas"]
        .as_u64()
        .expect("replicas are set")
}

fn workloads(set: &RenderedSet) -> BTreeSet<&str> {
    set.manifests
        .iter()
        .filter(|manifest| {
            matches!(
                manifest.object.kind,
                ObjectKind::Deployment | ObjectKind::StatefulSet
            )
        })
        .map(|manifest| manifest.object.name.as_str())
        .collect()
}

/// Every set that telectl renders by itself: the profiles, and the profiles with the lab overlay.
pub(crate) fn every_set() -> Vec<RenderedSet> {
    let plain = Profile::ALL
        .into_iter()
        .map(|profile| preview(profile, &[]));
    plain.chain(Profile::ALL.into_iter().map(lab)).collect()
}

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
fn r31_a_csv_source_is_mounted_where_the_streamer_reads_it() {
    let set = preview(Profile::Dev, &["streamer.config.csvSource.type=configmap"]);
    let pod = &object(&set, ObjectKind::StatefulSet, "streamer")["spec"]["template"]["spec"];
    assert_eq!(pod["volumes"][1]["configMap"]["name"], "telemetry-csv-data");
    assert_eq!(
        pod["containers"][0]["volumeMounts"][2]["mountPath"],
        "/data/csv"
    );
    assert_eq!(
        environment(pod)["CSV_FILE"]["value"],
        "/data/csv/telemetry.csv"
    );
    let url = resolved(Profile::Dev, &["streamer.config.csvSource.type=url"]);
    let error = render::render(&url).expect_err("downloads are not supported");
    assert!(
        error.to_string().contains("streamer.config.csvSource.type"),
        "{error}"
    );
}

#[test]
fn r36_no_secret_is_rendered_and_every_reference_is_listed() {
    for set in every_set() {
        let needed: BTreeSet<(String, String)> = set
            .secrets
            .iter()
            .flat_map(|need| {
                need.keys
                    .iter()
                    .map(|key| (need.name.clone(), key.key.clone()))
            })
            .collect();
        for manifest in &set.manifests {
            assert_ne!(manifest.object.kind, ObjectKind::Secret);
        }
        for (name, pod) in pods(&set) {
            for (secret, key) in references(pod) {
                let known = needed.iter().any(|(name, known)| {
                    *name == secret && key.as_ref().is_none_or(|key| key == known)
                });
                assert!(known, "{}: {name} refers to {secret} {key:?}", set.profile);
            }
        }
    }
}

#[test]
fn r36_a_password_from_the_environment_is_in_no_manifest() {
    let layers = Layers {
        files: vec![ValuesFile {
            name: "values.yaml".to_owned(),
            text: "redis:\n  auth:\n    password: ${REDIS_PASSWORD}\n".to_owned(),
        }],
        environment: Environment::from([("REDIS_PASSWORD", "canary-5b1e")]),
        ..Layers::default()
    };
    let resolved = config::resolve(Profile::Dev, &layers).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(resolved.secrets[0].content, SecretContent::RedisPassword);
    assert_eq!(resolved.secrets[0].value.expose(), "canary-5b1e");
    let set = render::render(&resolved).unwrap_or_else(|error| panic!("{error}"));
    let rendered: String = set
        .manifests
        .iter()
        .map(|manifest| manifest.value.to_string())
        .collect();
    let explained = format!("{resolved:?}{:?}", resolved.explain("redis.auth.password"));
    assert!(!rendered.contains("canary-5b1e") && !explained.contains("canary-5b1e"));
}

#[test]
fn r37_every_container_has_probes() {
    for set in every_set() {
        for (name, pod) in pods(&set) {
            let container = &pod["spec"]["containers"][0];
            for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                assert!(
                    container[probe].is_object(),
                    "{}: {name} has no {probe}",
                    set.profile
                );
            }
            let grace = pod["spec"]["terminationGracePeriodSeconds"].as_u64();
            assert!(
                grace.is_some_and(|seconds| seconds > 25),
                "{name}: {grace:?}"
            );
        }
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
    for set in every_set() {
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
    for set in every_set() {
        let pods = pods(&set);
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

#[test]
fn x04_worker_environment_is_what_the_workers_understand() {
    let known: BTreeSet<&str> = telectl::config::worker::VARIABLES
        .iter()
        .map(|(name, _)| *name)
        .collect();
    let common = [
        "CLUSTER_ID",
        "POD_NAME",
        "POD_IP",
        "NODE_NAME",
        "NAMESPACE",
        "SERVICE_NAME",
        "HTTP_PORT",
        "LISTEN_PORT",
        "LOG_LEVEL",
        "SHUTDOWN_GRACE",
        "ETCD_ENDPOINTS",
        "ETCD_CA_CERT",
        "ETCD_CLIENT_CERT",
        "ETCD_CLIENT_KEY",
        "LEASE_TTL",
    ];
    let redis = [
        "REDIS_URL",
        "REDIS_PASSWORD",
        "REDIS_CA_CERT",
        "QUEUE_SHARDS",
    ];
    let database = [
        "DB_HOST",
        "DB_PORT",
        "DB_NAME",
        "DB_USER",
        "DB_PASSWORD",
        "DB_SSL_MODE",
        "DB_CA_CERT",
    ];
    let own: BTreeMap<&str, Vec<&str>> = BTreeMap::from([
        (
            "streamer",
            [
                &["STREAMER_ID", "CSV_FILE", "SPOOL_DIR", "STREAMER_REPLICAS"][..],
                &redis,
            ]
            .concat(),
        ),
        (
            "collector",
            [&["COLLECTOR_ID", "BATCH_SIZE"][..], &redis, &database].concat(),
        ),
        ("api-gateway", [&["GATEWAY_ID"][..], &database].concat()),
    ]);
    for set in every_set() {
        for (name, pod) in pods(&set) {
            let Some(own) = own.get(name.as_str()) else {
                continue;
            };
            let environment = environment(&pod["spec"]);
            for variable in environment.keys() {
                assert!(
                    known.contains(variable.as_str()),
                    "{name} is given {variable}"
                );
            }
            for variable in common.iter().chain(own) {
                assert!(
                    environment.contains_key(*variable),
                    "{name} lacks {variable}"
                );
            }
            let id = &environment[own[0]]["valueFrom"]["fieldRef"]["fieldPath"];
            if own[0].ends_with("_ID") {
                assert_eq!(id, "metadata.name");
            }
        }
    }
}

/// The worker's own reader of the environment understands what is rendered.
#[test]
fn x09_a_worker_reads_its_rendered_environment() {
    let sets = [
        "streamer.advertise.port=443",
        "streamer.config.streamInterval=1s",
    ];
    let set = preview(Profile::Dev, &sets);
    let pod = &object(&set, ObjectKind::StatefulSet, "streamer")["spec"]["template"]["spec"];
    let texts: Vec<(String, String)> = environment(pod)
        .into_iter()
        .map(|(name, variable)| {
            (
                name,
                variable["value"].as_str().unwrap_or("given").to_owned(),
            )
        })
        .collect();
    let pairs: [(&str, &str); 64] = std::array::from_fn(|index| {
        texts.get(index).map_or(("UNUSED", ""), |(name, text)| {
            (name.as_str(), text.as_str())
        })
    });
    let environment = Environment::from(pairs);
    let component = telectl::model::component::Component::Streamer;
    let identity =
        telectl::config::worker::IdentitySettings::from_environment(component, &environment)
            .expect("it is understood");
    assert_eq!(
        (identity.listen_port, identity.advertise.port),
        (8081, Some(443))
    );
    let streamer = telectl::config::worker::StreamerSettings::from_environment(&environment)
        .expect("it is understood");
    assert_eq!(
        streamer.stream_interval,
        Some(std::time::Duration::from_secs(1))
    );
    assert_eq!(streamer.spool_limit, 768 << 20);
    let redis = telectl::config::worker::RedisSettings::from_environment(&environment)
        .expect("it is understood");
    assert!(redis.tls);
}

#[test]
fn values_and_schema_have_the_same_keys() {
    let resolved = resolved(Profile::Dev, &[]);
    let typed = serde_json::to_value(&resolved.values).expect("values can be written");
    let back: Values = serde_json::from_value(typed.clone()).expect("and read");
    assert_eq!(back, resolved.values);
    let missing = differences("", resolved.tree(), &typed);
    assert!(missing.is_empty(), "{missing:?}");
}

fn differences(path: &str, one: &Value, other: &Value) -> Vec<String> {
    let (Value::Object(one), Value::Object(other)) = (one, other) else {
        return Vec::new();
    };
    let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    keys.into_iter()
        .flat_map(|key| match (one.get(key), other.get(key)) {
            (Some(one), Some(other)) => differences(&format!("{path}.{key}"), one, other),
            _ => vec![format!("{path}.{key}")],
        })
        .collect()
}

fn prefixed(name: &str, sets: &[&str]) -> String {
    if sets.is_empty() {
        name.to_owned()
    } else {
        format!("blue-{name}")
    }
}

fn host(url: &str) -> Option<&str> {
    url.split_once("://")?
        .1
        .rsplit_once(':')
        .map(|(host, _)| host)
}

/// Pod templates by the name of their workload.
pub(crate) fn pods(set: &RenderedSet) -> Vec<(String, &Value)> {
    set.manifests
        .iter()
        .filter(|manifest| manifest.value["spec"]["template"]["spec"].is_object())
        .map(|manifest| {
            (
                manifest.object.name.clone(),
                &manifest.value["spec"]["template"],
            )
        })
        .collect()
}

pub(crate) fn selects(selector: &Value, labels: &Value) -> bool {
    let wanted = selector.as_object().expect("a selector is a map");
    wanted
        .iter()
        .all(|(name, value)| labels.get(name) == Some(value))
}

pub(crate) fn environment(pod: &Value) -> BTreeMap<String, Value> {
    let variables = pod["containers"][0]["env"]
        .as_array()
        .expect("there are variables");
    let mut found = BTreeMap::new();
    for variable in variables {
        let name = variable["name"].as_str().expect("it has a name").to_owned();
        assert!(
            found.insert(name.clone(), variable.clone()).is_none(),
            "{name} twice"
        );
    }
    found
}

/// Secrets that a pod refers to: by key in the environment, as a whole in volumes.
fn references(pod: &Value) -> Vec<(String, Option<String>)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let variables = pod["spec"]["containers"][0]["env"]
        .as_array()
        .into_iter()
        .flatten();
    let by_key = variables.filter_map(|variable| {
        let reference = &variable["valueFrom"]["secretKeyRef"];
        Some((text(&reference["name"])?, text(&reference["key"])))
    });
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let whole = volumes.filter_map(|volume| Some((text(&volume["secret"]["secretName"])?, None)));
    by_key.chain(whole).collect()
}
