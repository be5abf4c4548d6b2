//! Values that are refused, and what is said about them.

use serde_json::json;
use telectl::config::{self, ConfigError};
use telectl::model::profile::Profile;

use crate::config::{refused, resolved, warnings, with_file, with_sets};

#[test]
fn r36_a_literal_secret_is_refused_with_its_replacement_and_not_repeated() {
    let keys = [
        (
            "externalRedis.password",
            "externalRedis.auth.existingSecret",
        ),
        ("redis.auth.password", "--redis-password env:REDIS_PASSWORD"),
        (
            "externalDatabase.password",
            "externalDatabase.existingSecret",
        ),
        ("postgresql.auth.password", "--db-password env:DB_PASSWORD"),
        (
            "redis.external.password",
            "externalRedis.auth.existingSecret",
        ),
        ("redis.tls.key", "redis.tls.existingSecret"),
        ("backup.storage.secretKey", "backup.storage.existingSecret"),
    ];
    for (key, replacement) in keys {
        for layers in [
            with_sets(&[&format!("{key}=canary-77")]),
            with_file(&nested(key, "canary-77")),
        ] {
            let text = refused(&layers);
            assert!(text.contains(replacement), "{key}: {text}");
            assert!(!text.contains("canary-77"), "{text}");
        }
        let allowed = resolved(Profile::Dev, &with_file(&nested(key, "")));
        assert!(allowed.secrets.is_empty());
    }
}

/// `a.b` with a value, as a file has it.
fn nested(key: &str, value: &str) -> String {
    let tree = key
        .split('.')
        .rev()
        .fold(json!(value), |below, key| json!({ key: below }));
    serde_yaml::to_string(&tree).expect("it is YAML")
}

#[test]
fn r39_an_unknown_key_is_refused_with_file_line_and_nearest_key() {
    let cases = [
        (
            "streamer:\n  replicaCont: 3\n",
            "values.yaml:2: unknown key `streamer.replicaCont`",
            "streamer.replicaCount",
        ),
        (
            "externalredis:\n  host: a\n",
            "values.yaml:1: unknown key `externalredis`",
            "externalRedis",
        ),
        (
            "streamer:\n  replicas: 3\n",
            "`streamer.replicas`",
            "streamer.replicaCount",
        ),
        (
            "collector:\n  resources:\n    limit: {cpu: 1}\n",
            "`collector.resources.limit`",
            "collector.resources.limits",
        ),
    ];
    for (text, place, nearest) in cases {
        let error = refused(&with_file(text));
        assert!(error.contains(place), "{error}");
        assert!(
            error.contains(&format!("the nearest is `{nearest}`")),
            "{error}"
        );
    }
}

#[test]
fn r39_a_key_that_stands_twice_is_refused_with_both_lines() {
    let text = "streamer:\n  replicaCount: 1\ncollector:\n  replicaCount: 2\nstreamer:\n  \
                replicaCount: 3\n";
    let error = refused(&with_file(text));
    assert_eq!(
        error,
        "values.yaml:5: `streamer` stands in values.yaml:1 already"
    );
    let error = refused(&with_file("streamer:\n  a: {b: 1, b: 2}\n"));
    assert!(error.contains("values.yaml:2: `streamer.a.b`"), "{error}");
}

#[test]
fn r39_a_value_of_the_wrong_type_is_refused_with_key_and_line() {
    let cases = [
        (
            "streamer:\n  replicaCount: lots\n",
            "values.yaml:2: `streamer.replicaCount`",
        ),
        (
            "redis:\n  service:\n    type: Balancer\n",
            "values.yaml:3: `redis.service.type`",
        ),
        ("streamer: 5\n", "values.yaml:1: `streamer`"),
        (
            "image:\n  repository: null\n",
            "values.yaml:2: `image.repository` must not be null",
        ),
        (
            "queue:\n  claimIdle: 8\n",
            "values.yaml:2: `queue.claimIdle`",
        ),
        (
            "queue:\n  claimIdle: soon\n",
            "values.yaml:2: `queue.claimIdle` is `soon`",
        ),
        (
            "streamer:\n  resources:\n    limits: {memory: lots}\n",
            "`streamer.resources.limits.memory` is `lots`",
        ),
        (
            "podSecurityContext:\n  runAsUser: 0\n",
            "values.yaml:2: `podSecurityContext.runAsUser`",
        ),
        (
            "image:\n  tag: foo bar\n",
            "values.yaml:2: `image.tag` is `foo bar`, which is no tag",
        ),
    ];
    for (text, place) in cases {
        let error = refused(&with_file(text));
        assert!(error.contains(place), "{error}");
    }
    let several = "streamer:\n  replicaCount: lots\nqueue:\n  shards: -3\nredis: 5\n\
                   collector:\n  podAnnotations:\n    prometheus.io/port: [9100]\n  replicaCount: x\n";
    let error = refused(&with_file(several));
    for line in [2, 4, 5, 8, 9] {
        assert!(error.contains(&format!("values.yaml:{line}: ")), "{error}");
    }
    let error = config::resolve(Profile::Dev, &with_file("a: [\n"));
    let Err(ConfigError::NotYaml { name, source }) = error else {
        panic!("{error:?}")
    };
    assert_eq!(name, "values.yaml");
    assert!(source.to_string().contains("line"), "{source}");
}

#[test]
fn r39_keys_of_the_original_chart_without_effect_are_reported() {
    let text = "rbac: {create: true}\nextraManifests:\n  - kind: ConfigMap\n\
                collector:\n  config: {bufferSize: 1000}\n";
    let resolved = resolved(Profile::Dev, &with_file(text));
    assert_eq!(
        warnings(&resolved),
        [
            "values.yaml:1: `rbac` has no effect: the workers never call the Kubernetes API",
            "values.yaml:2: `extraManifests` has no effect: apply them yourself",
            "values.yaml: `collector.config.bufferSize` has no effect: memory is bounded by \
             collector.config.batchSize",
        ]
    );
}

#[test]
fn r22_a_budget_that_blocks_every_drain_is_refused() {
    let text = refused(&with_sets(&["collector.replicaCount=1"]));
    assert!(
        text.contains("`collector.podDisruptionBudget.minAvailable`"),
        "{text}"
    );
    let allowed = with_sets(&[
        "collector.replicaCount=1",
        "collector.podDisruptionBudget.maxUnavailable=1",
    ]);
    assert!(config::resolve(Profile::Dev, &allowed).is_ok());
}

#[test]
fn r34_a_quota_below_what_starts_is_refused() {
    let layers = with_sets(&[r"resourceQuota.hard.limits\.cpu=10"]);
    let error = config::resolve(Profile::Central, &layers).map(|_| ());
    let text = error.expect_err("the quota is too small").to_string();
    assert!(
        text.contains(r"`resourceQuota.hard.limits\.cpu` is 10"),
        "{text}"
    );
    assert!(text.contains("what starts asks for"), "{text}");
}

#[test]
fn r34_a_quota_below_the_autoscalers_maximum_is_warned_of() {
    let layers = with_sets(&["autoscaling.maxReplicas=40"]);
    let said = warnings(&resolved(Profile::Central, &layers));
    let expected = r"`resourceQuota.hard.limits\.cpu` is 52, but the autoscalers may ask for";
    assert!(said.iter().any(|text| text.contains(expected)), "{said:?}");
}

#[test]
fn w13_an_origin_that_no_browser_sends_is_refused() {
    let key = "apiGateway.config.corsOrigins";
    for wrong in [
        "{app.example.com}",
        "{https://a.example/page}",
        "{*,https://a.example}",
    ] {
        let text = refused(&with_sets(&[&format!("{key}={wrong}")]));
        assert!(text.contains(key), "{wrong}: {text}");
        assert!(text.contains("https://app.example.com"), "{wrong}: {text}");
    }
}
