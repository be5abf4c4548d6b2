//! Layers of values: which wins, who set it, and what is refused.

use serde_json::{Value, json};
use telectl::config::environment::Environment;
use telectl::config::{self, FlagValue, Layers, Resolved, ValuesFile, unknown_variables};
use telectl::model::profile::Profile;

pub(crate) fn file(name: &str, text: &str) -> ValuesFile {
    ValuesFile {
        name: name.to_owned(),
        text: text.to_owned(),
    }
}

pub(crate) fn with_file(text: &str) -> Layers {
    Layers {
        files: vec![file("values.yaml", text)],
        ..Layers::default()
    }
}

pub(crate) fn with_sets(sets: &[&str]) -> Layers {
    Layers {
        sets: sets.iter().map(|text| (*text).to_owned()).collect(),
        ..Layers::default()
    }
}

pub(crate) fn resolved(profile: Profile, layers: &Layers) -> Resolved {
    config::resolve(profile, layers).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn refused(layers: &Layers) -> String {
    match config::resolve(Profile::Dev, layers) {
        Ok(_) => panic!("the values are taken"),
        Err(error) => error.to_string(),
    }
}

pub(crate) fn warnings(resolved: &Resolved) -> Vec<String> {
    resolved.warnings.iter().map(ToString::to_string).collect()
}

/// Takes the strongest layer away, one after the other, and looks who wins.
#[test]
fn r07_later_layers_win_and_losers_are_shown() {
    let flag = |name: &str, number: u32| FlagValue {
        flag: name.to_owned(),
        key: "streamer.replicaCount".to_owned(),
        value: json!(number),
    };
    let text = |number: u32| format!("streamer:\n  replicaCount: {number}\n");
    let mut layers = Layers {
        found: vec![flag("found", 3)],
        user_file: Some(file("user.yaml", &text(2))),
        fleet: vec![file("telectl.yaml", &text(4))],
        files: vec![file("one.yaml", &text(5)), file("two.yaml", &text(6))],
        environment: Environment::from([("TELECTL_STREAMER_REPLICA_COUNT", "7")]),
        texts: Vec::new(),
        sets: vec![
            "streamer.replicaCount=8".into(),
            "streamer.replicaCount=9".into(),
        ],
        flags: vec![flag("--replicas", 10)],
    };
    let mut winners = Vec::new();
    let order = resolved(Profile::Dev, &layers)
        .explain("streamer.replicaCount")
        .unwrap_or_else(|error| panic!("{error}"));
    for _ in 0..9 {
        winners.push(
            resolved(Profile::Dev, &layers)
                .values
                .streamer
                .replica_count,
        );
        if layers.flags.pop().is_none() && layers.sets.pop().is_none() {
            if layers
                .environment
                .get("TELECTL_STREAMER_REPLICA_COUNT")
                .is_some()
            {
                layers.environment = Environment::default();
            } else if layers.files.pop().is_none() && layers.fleet.pop().is_none() {
                layers.user_file = None;
            }
        }
    }
    assert_eq!(winners, [10, 9, 8, 7, 6, 5, 4, 2, 3]);
    let places: Vec<String> = order.iter().map(|set| set.place.to_string()).collect();
    assert_eq!(
        places,
        [
            "built-in",
            "found",
            "user.yaml:2",
            "telectl.yaml",
            "one.yaml:2",
            "two.yaml:2",
            "$TELECTL_STREAMER_REPLICA_COUNT",
            "--set streamer.replicaCount",
            "--set streamer.replicaCount",
            "--replicas",
        ]
    );
}

#[test]
fn r07_maps_merge_lists_replace_and_null_takes_away() {
    let layers =
        with_file("streamer:\n  nodeSelector: {zone: a}\n  tolerations: []\n  affinity: null\n");
    let streamer = resolved(Profile::Edge, &layers).values.streamer;
    assert_eq!(
        json!(streamer.node_selector),
        json!({ "node-type": "edge", "zone": "a" })
    );
    assert!(streamer.tolerations.is_empty() && streamer.affinity.is_empty());
    let layers = with_file("streamer:\n  nodeSelector: null\n");
    assert!(
        resolved(Profile::Edge, &layers)
            .values
            .streamer
            .node_selector
            .is_empty()
    );
}

#[test]
fn r07_set_knows_types_lists_positions_and_escapes() {
    let layers = with_sets(&[
        "image.tag=1.10,streamer.config.loopMode=true",
        r"apiGateway.service.annotations.example\.com/a=x\,y",
        "etcd.endpoints={https://a:2379,https://b:2379}",
        "streamer.tolerations[0].key=gpu,streamer.tolerations[0].operator=Exists",
        r"streamer.nodeSelector.spot=true",
        "collector.autoscaling.maxReplicas=4",
    ]);
    let values = resolved(Profile::Edge, &layers).values;
    assert_eq!(values.image.tag, "1.10");
    assert!(values.streamer.config.loop_mode);
    assert_eq!(
        values.api_gateway.service.annotations["example.com/a"],
        "x,y"
    );
    assert_eq!(values.etcd.endpoints, ["https://a:2379", "https://b:2379"]);
    let toleration = json!({ "key": "gpu", "operator": "Exists", "effect": "NoSchedule" });
    assert_eq!(values.streamer.tolerations, [toleration]);
    assert_eq!(values.streamer.node_selector["spot"], "true");
    assert_eq!(values.collector.autoscaling.max_replicas, Some(4));
    for bad in [
        "streamer",
        "=1",
        "streamer.tolerations[x]=1",
        "streamer.tolerations[0=1",
    ] {
        let text = refused(&with_sets(&[bad]));
        assert!(text.contains("cannot understand `--set"), "{text}");
    }
}

#[test]
fn r08_variables_are_put_in_and_an_unset_one_is_an_error_with_file_and_key() {
    let text = "externalRedis:\n  username: v${VERSION}-$${literal}\n  port: ${PORT}\n";
    let mut layers = with_file(text);
    layers.environment = Environment::from([("VERSION", "3"), ("PORT", "6380")]);
    let values = resolved(Profile::Dev, &layers).values;
    assert_eq!(values.external_redis.username, "v3-${literal}");
    assert_eq!(values.external_redis.port, 6380);
    layers.environment = Environment::from([("VERSION", "3")]);
    let text = refused(&layers);
    assert!(
        text.contains("values.yaml:3: `externalRedis.port`"),
        "{text}"
    );
    assert!(text.contains("`PORT`, which is not set"), "{text}");
}

#[test]
fn r08_the_guides_file_for_an_edge_is_understood() {
    let text = "redis:\n  enabled: false\n  external:\n    host: redis.example\n    port: 6379\n    \
                password: \"${REDIS_PASSWORD}\"\n    tls: true\n";
    let mut layers = with_file(text);
    let error = refused(&layers);
    assert!(
        error.contains("values.yaml:6") && error.contains("REDIS_PASSWORD"),
        "{error}"
    );
    layers.environment = Environment::from([("REDIS_PASSWORD", "secret")]);
    let resolved = resolved(Profile::Edge, &layers);
    let redis = &resolved.values.external_redis;
    assert_eq!(
        (redis.host.as_str(), redis.enabled, redis.tls.enabled),
        ("redis.example", true, true)
    );
    assert_eq!(resolved.secrets.len(), 1);
    let warnings = warnings(&resolved);
    assert!(
        warnings.contains(&"values.yaml:3: `redis.external` is read as `externalRedis`".to_owned()),
        "{warnings:?}"
    );
}

#[test]
fn d08_the_scripts_variable_for_the_address_of_redis_is_a_layer() {
    let layers = Layers {
        environment: Environment::from([("REDIS_HOST", "redis.example")]),
        ..Layers::default()
    };
    let values = resolved(Profile::Edge, &layers).values;
    assert_eq!(values.external_redis.host, "redis.example");
}

#[test]
fn an_unknown_variable_of_ours_is_a_warning_with_the_nearest_name() {
    let environment = Environment::from([
        ("TELECTL_IMAGE_TAGS", "3"),
        ("TELECTL_IMAGE_TAG", "4"),
        ("TELECTL_EDGE_CONTEXT", "edge"),
        ("TELECTL_EDGE_CONTEXTS", "edge"),
    ]);
    let flags = ["TELECTL_EDGE_CONTEXT".to_owned()];
    let warnings = unknown_variables(&environment, &flags).expect("the built-in values are right");
    let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "the environment variable `TELECTL_EDGE_CONTEXTS` is none of telectl's; the nearest is \
             `TELECTL_EDGE_CONTEXT`",
            "the environment variable `TELECTL_IMAGE_TAGS` is none of telectl's; the nearest is \
             `TELECTL_IMAGE_TAG`"
        ]
    );
    let layers = Layers {
        environment,
        ..Layers::default()
    };
    assert_eq!(resolved(Profile::Dev, &layers).values.image.tag, "4");
}

#[test]
fn r20_every_worker_has_its_own_autoscaler() {
    let layers = with_sets(&[
        "streamer.autoscaling.minReplicas=1",
        "streamer.podDisruptionBudget.enabled=false",
    ]);
    let values = resolved(Profile::SameCluster, &layers).values;
    let own = values.autoscaling.overridden(&values.streamer.autoscaling);
    assert_eq!((own.min_replicas, own.max_replicas), (1, 12));
}

#[test]
fn explain_of_a_key_that_is_none_names_the_nearest() {
    let error = resolved(Profile::Dev, &Layers::default()).explain("redis.host");
    let text = error
        .map(|_| ())
        .expect_err("there is no such key")
        .to_string();
    assert!(text.contains("there is no key `redis.host`"), "{text}");
}

#[test]
fn the_lab_overlay_takes_away_what_a_lab_lacks() {
    let lab = ValuesFile::open("lab").unwrap_or_else(|error| panic!("{error}"));
    let layers = Layers {
        files: vec![lab],
        ..Layers::default()
    };
    for profile in Profile::ALL {
        let values = resolved(profile, &layers).values;
        assert!(
            values.streamer.node_selector.is_empty() && values.collector.tolerations.is_empty()
        );
        assert_eq!(values.postgresql.primary.persistence.storage_class, "");
        assert_eq!(
            (
                values.streamer.replica_count,
                values.collector.replica_count
            ),
            (2, 2)
        );
        let gateway = values
            .autoscaling
            .overridden(&values.api_gateway.autoscaling);
        assert!(!gateway.enabled && values.api_gateway.replica_count == 1);
    }
    let missing = ValuesFile::open("no-such-overlay");
    let said = missing.expect_err("there is none").to_string();
    assert!(
        said.contains("(overlays: gpu-cpu, high-throughput, lab,"),
        "{said}"
    );
    assert!(!said.contains("nearest"), "nothing is near: {said}");
    let mistyped = ValuesFile::open("lba").expect_err("there is none");
    let said = mistyped.to_string();
    assert!(said.starts_with("there is no values file `lba`, and no overlay of that name"));
    assert!(said.ends_with("; the nearest is `lab`"), "{said}");
}

/// An overlay or a profile with a key that means nothing would be noticed by nobody.
#[test]
fn profiles_hold_only_known_keys() {
    let base: Value = serde_yaml::from_str(include_str!("../../profiles/base.yaml")).expect("YAML");
    for (name, text) in [
        ("dev", include_str!("../../profiles/dev.yaml")),
        (
            "same-cluster",
            include_str!("../../profiles/same-cluster.yaml"),
        ),
        ("edge", include_str!("../../profiles/edge.yaml")),
        ("central", include_str!("../../profiles/central.yaml")),
        ("shared", include_str!("../../profiles/shared.yaml")),
        ("lab", include_str!("../../profiles/lab.yaml")),
    ] {
        // As a file given with -f, every key is looked at.
        let layers = with_file(text);
        let resolved = config::resolve(Profile::Dev, &layers);
        let error = resolved
            .as_ref()
            .err()
            .map(ToString::to_string)
            .unwrap_or_default();
        assert!(!error.contains("unknown key"), "{name}: {error}");
        assert!(base.is_object());
    }
}

#[test]
fn a_count_of_replicas_under_an_autoscaler_is_reported_with_the_key_that_counts() {
    let said = |profile, sets: &[&str]| warnings(&resolved(profile, &with_sets(sets)));
    assert_eq!(
        said(Profile::Edge, &["streamer.replicaCount=3"]),
        [
            "--set streamer.replicaCount: `streamer.replicaCount` has no effect: while the \
             autoscaler is on, it keeps between 2 and 8 pods; set \
             `streamer.autoscaling.minReplicas`, or `streamer.autoscaling.enabled=false`"
        ]
    );
    let none: [&str; 0] = [];
    assert_eq!(said(Profile::Edge, &["streamer.replicaCount=2"]), none);
    assert_eq!(said(Profile::Dev, &["streamer.replicaCount=3"]), none);
    assert_eq!(said(Profile::Central, &["streamer.replicaCount=3"]), none);
    let off = "streamer.replicaCount=3,streamer.autoscaling.enabled=false";
    assert_eq!(said(Profile::Edge, &[off]), none);
    let lab = Layers {
        files: vec![ValuesFile::open("lab").expect("there is an overlay lab")],
        ..Layers::default()
    };
    for profile in Profile::ALL {
        assert_eq!(warnings(&resolved(profile, &Layers::default())), none);
        assert_eq!(warnings(&resolved(profile, &lab)), none);
    }
}
