//! What the rendered pods are given: secrets, probes, environment; and the keys of the values.

use std::collections::BTreeSet;

use serde_json::Value;
use telectl::config::environment::Environment;
use telectl::config::values::Values;
use telectl::config::worker::VARIABLES;
use telectl::config::{self, Layers, ValuesFile};
use telectl::model::manifest::SecretContent;
use telectl::model::object::ObjectKind;
use telectl::model::profile::Profile;
use telectl::render;

use crate::render_support::{
    all_pods, environment, every_set, fullest_sets, object, pods, preview, references, resolved,
};

#[test]
fn r36_no_secret_is_rendered_and_every_reference_is_listed() {
    for set in fullest_sets() {
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
        for (name, pod) in all_pods(&set) {
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

const COMMON: &str = "CLUSTER_ID POD_NAME POD_IP NODE_NAME NAMESPACE SERVICE_NAME HTTP_PORT \
    LISTEN_PORT LOG_LEVEL SHUTDOWN_GRACE ETCD_ENDPOINTS ETCD_CA_CERT ETCD_CLIENT_CERT \
    ETCD_CLIENT_KEY LEASE_TTL";
const REDIS: &str = "REDIS_URL REDIS_PASSWORD REDIS_CA_CERT QUEUE_SHARDS";
const DATABASE: &str = "DB_HOST DB_PORT DB_NAME DB_USER DB_PASSWORD DB_SSL_MODE DB_CA_CERT";

/// A worker, the variable with its name, and what it needs besides the common variables.
const WORKERS: [(&str, &str, &[&str]); 3] = [
    (
        "streamer",
        "STREAMER_ID",
        &["CSV_FILE SPOOL_DIR STREAMER_REPLICAS", REDIS],
    ),
    (
        "collector",
        "COLLECTOR_ID",
        &["BATCH_SIZE", REDIS, DATABASE],
    ),
    ("api-gateway", "GATEWAY_ID", &["STREAM_LIMIT", DATABASE]),
];

#[test]
fn x04_worker_environment_is_what_the_workers_understand() {
    let known: BTreeSet<&str> = VARIABLES.iter().map(|(name, _)| *name).collect();
    let mut seen = 0;
    for set in every_set() {
        for (name, pod) in pods(&set) {
            let Some((_, id, own)) = WORKERS.iter().find(|(worker, _, _)| *worker == name) else {
                continue;
            };
            seen += 1;
            let environment = environment(&pod["spec"]);
            for variable in environment.keys() {
                assert!(
                    known.contains(variable.as_str()),
                    "{name} is given {variable}"
                );
            }
            for variable in own
                .iter()
                .chain([&COMMON])
                .flat_map(|list| list.split_whitespace())
            {
                assert!(
                    environment.contains_key(variable),
                    "{name} lacks {variable}"
                );
            }
            assert_eq!(
                environment[*id]["value"],
                "$(CLUSTER_ID).$(NAMESPACE).$(POD_NAME)"
            );
            assert_eq!(
                environment["POD_NAME"]["valueFrom"]["fieldRef"]["fieldPath"],
                "metadata.name"
            );
            assert_eq!(
                environment["POD_IP"]["valueFrom"]["fieldRef"]["fieldPath"],
                "status.podIP"
            );
        }
    }
    assert!(seen >= 12, "only {seen} workers were looked at");
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
