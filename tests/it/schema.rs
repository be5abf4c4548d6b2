//! `telectl config schema`, as an editor uses it.

use std::sync::OnceLock;

use jsonschema::Validator;
use serde_json::{Value, json};
use telectl::config::fleet::Fleet;
use telectl::config::{json_schema, overlay};

use crate::render_command::{folder, telectl, text};

fn validator(schema: &Value) -> Validator {
    jsonschema::draft202012::meta::validate(schema).expect("it is a schema");
    jsonschema::draft202012::new(schema).expect("it is a schema")
}

/// The schema of values, made once: it is found out by trying.
fn of_values() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| json_schema::values().expect("there is a schema"))
}

fn values() -> Validator {
    validator(of_values())
}

fn yaml(text: &str) -> Value {
    let tree: Value = serde_yaml::from_str(text).expect("it is YAML");
    if tree.is_null() { json!({}) } else { tree }
}

fn problems(validator: &Validator, tree: &Value) -> Vec<String> {
    let problems = validator.iter_errors(tree);
    problems
        .map(|problem| format!("{}: {problem}", problem.instance_path()))
        .collect()
}

#[test]
fn r39_every_profile_overlay_and_original_file_keeps_the_schema() {
    let validator = values();
    let profiles = [
        ("base", include_str!("../../profiles/base.yaml")),
        ("dev", include_str!("../../profiles/dev.yaml")),
        (
            "same-cluster",
            include_str!("../../profiles/same-cluster.yaml"),
        ),
        ("edge", include_str!("../../profiles/edge.yaml")),
        ("central", include_str!("../../profiles/central.yaml")),
        ("shared", include_str!("../../profiles/shared.yaml")),
        (
            "default of the chart",
            include_str!("../data/chart/default.yaml"),
        ),
        (
            "same-cluster of the chart",
            include_str!("../data/chart/same-cluster.yaml"),
        ),
        (
            "edge of the chart",
            include_str!("../data/chart/edge-cluster.yaml"),
        ),
        (
            "central of the chart",
            include_str!("../data/chart/central-cluster.yaml"),
        ),
        (
            "url of the chart",
            include_str!("../data/chart/csv-url.yaml"),
        ),
    ];
    for (name, text) in profiles {
        let none: [String; 0] = [];
        assert_eq!(problems(&validator, &yaml(text)), none, "{name}");
    }
    for (name, _) in overlay::list() {
        let text = overlay::text(name).expect("there is one");
        let none: [String; 0] = [];
        assert_eq!(problems(&validator, &yaml(text)), none, "{name}");
    }
}

#[test]
fn r39_the_schema_refuses_what_telectl_refuses() {
    let validator = values();
    for text in [
        "streamer: {replicaCont: 3}",
        "streamer: {replicaCount: lots}",
        "streamer: {replicaCount: -1}",
        "streamer: {config: {logLevel: loud}}",
        "redis: {service: {type: Balancer}}",
        "redis: {service: {port: 70000}}",
        "redis: {auth: {password: literal}}",
        "image: {pullPolicy: Sometimes}",
        "externalDatabase: {sslMode: maybe}",
        "etcd: {endpoints: [1]}",
        "commonLabels: {a: {}}",
        "queue: {shards: 0}",
        "image: {repository: null}",
    ] {
        assert!(!problems(&validator, &yaml(text)).is_empty(), "{text}");
    }
    for text in [
        "streamer: {replicaCount: \"${REPLICAS}\"}",
        "redis: {auth: {password: \"${REDIS_PASSWORD}\"}}",
        "redis: {external: {host: a.example, tls: true}}",
        "streamer: {nodeSelector: null, resources: {limits: {cpu: 1}}}",
        "podDisruptionBudget: {minAvailable: 50%}",
        "streamer: {image: {pullPolicy: \"\"}}",
        "apiGateway: {service: {nodePort: 30080, annotations: {a: b}}}",
        "lint: {allow: [TEL-LNT-030]}",
    ] {
        let none: [String; 0] = [];
        assert_eq!(problems(&validator, &yaml(text)), none, "{text}");
    }
}

#[test]
fn r39_the_schema_describes_what_the_built_in_values_describe() {
    let at = |pointer: &str| of_values().pointer(pointer).cloned().unwrap_or_default();
    let tag = at("/properties/image/description");
    assert!(
        tag.as_str()
            .is_some_and(|text| text.contains("The one image")),
        "{tag}"
    );
    assert_eq!(
        at("/properties/redis/properties/service/properties/port/default"),
        6379
    );
    let reason = at("/properties/rbac/description");
    assert!(
        reason
            .as_str()
            .is_some_and(|text| text.starts_with("Has no effect")),
        "{reason}"
    );
    assert_eq!(at("/properties/rbac/deprecated"), true);
}

#[test]
fn d19_the_schema_of_the_fleet_file_knows_its_keys_and_its_values() {
    let validator = validator(&json_schema::fleet().expect("there is a schema"));
    let good = "values: {image: {tag: v1}}\nclusters:\n- {name: north, context: kind-north, role: edge, \
                region: eu, values: {streamer: {replicaCount: 1}}}\n";
    Fleet::parse("telectl.yaml", good).expect("it is a fleet file");
    let none: [String; 0] = [];
    assert_eq!(problems(&validator, &yaml(good)), none);
    for text in [
        "clusters: [{name: a, context: b}]",
        "clusters: [{name: a, context: b, role: middle}]",
        "clusters: [{name: a, context: b, role: edge, colour: red}]",
        "clusters: [{name: a, context: b, role: edge, values: {streamer: {replicaCont: 1}}}]",
        "values: {imag: {}}",
        "cluster: []",
    ] {
        assert!(!problems(&validator, &yaml(text)).is_empty(), "{text}");
    }
}

#[test]
fn r39_the_schema_is_printed_for_editors() {
    let folder = folder();
    let print = |arguments: &[&str]| -> Value {
        let output = telectl(folder.path(), &[], arguments);
        serde_json::from_str(&text(&output.stdout)).expect("it is JSON")
    };
    assert_eq!(print(&["config", "schema"]), *of_values());
    let fleet = print(&["config", "schema", "fleet"]);
    let dialect = "https://json-schema.org/draft/2020-12/schema";
    assert_eq!(
        (&fleet["$schema"], &of_values()["$schema"]),
        (&dialect.into(), &dialect.into())
    );
    let tag = "/$defs/values/properties/image/properties/tag";
    let expected = of_values().pointer("/properties/image/properties/tag");
    assert_eq!(fleet.pointer(tag), expected);
}
