//! Values files with the keys of the original chart are taken whole.

use std::collections::BTreeSet;

use telectl::config::environment::Environment;
use telectl::config::{Layers, Resolved};
use telectl::model::profile::Profile;

use crate::config::{file, refused, resolved, warnings, with_file};
use crate::lint::{found, ids};

const FILES: &[(&str, Profile, &str)] = &[
    (
        "default",
        Profile::Dev,
        include_str!("../data/chart/default.yaml"),
    ),
    (
        "same-cluster",
        Profile::SameCluster,
        include_str!("../data/chart/same-cluster.yaml"),
    ),
    (
        "edge-cluster",
        Profile::Edge,
        include_str!("../data/chart/edge-cluster.yaml"),
    ),
    (
        "central-cluster",
        Profile::Central,
        include_str!("../data/chart/central-cluster.yaml"),
    ),
    (
        "csv-configmap",
        Profile::Dev,
        include_str!("../data/chart/csv-configmap.yaml"),
    ),
    (
        "csv-pvc",
        Profile::Edge,
        include_str!("../data/chart/csv-pvc.yaml"),
    ),
];

fn layers(name: &str, text: &str) -> Layers {
    Layers {
        files: vec![file(name, text)],
        environment: Environment::from([("DB_PASSWORD", "a"), ("REDIS_PASSWORD", "b")]),
        ..Layers::default()
    }
}

fn of(wanted: &str) -> Resolved {
    let (name, profile, text) = FILES
        .iter()
        .find(|(name, ..)| *name == wanted)
        .unwrap_or_else(|| panic!("there is no file {wanted}"));
    resolved(*profile, &layers(name, text))
}

/// The keys of a file that are reported as without effect.
fn without_effect(name: &str) -> BTreeSet<String> {
    let said = warnings(&of(name));
    let reported = said.iter().filter(|text| text.contains("has no effect: "));
    reported
        .filter_map(|text| text.split('`').nth(1))
        .map(str::to_owned)
        .collect()
}

#[test]
fn r39_every_values_file_of_the_original_chart_is_taken_and_reported_on() {
    for (name, profile, text) in FILES {
        let resolved = resolved(*profile, &layers(name, text));
        for warning in warnings(&resolved) {
            assert!(!warning.contains("unknown"), "{name}: {warning}");
        }
    }
    let expected = [
        "rbac",
        "securityContext",
        "podSecurityContext.runAsNonRoot",
        "collector.config.bufferSize",
        "apiGateway.service.targetPort",
        "extraManifests",
    ];
    for name in ["default", "same-cluster", "central-cluster"] {
        let reported = without_effect(name);
        for key in expected {
            assert!(
                reported.contains(key),
                "{name}: {key} is not in {reported:?}"
            );
        }
    }
    assert!(without_effect("edge-cluster").contains("csvData"));
    assert!(without_effect("central-cluster").contains("postgresql.primary.initdb"));
}

/// What every leaf of the files became: a value, a secret, or a line that says why not.
#[test]
fn r39_no_key_of_the_original_chart_is_lost_without_a_word() {
    for (name, profile, text) in FILES {
        let resolved = resolved(*profile, &layers(name, text));
        let reported = without_effect(name);
        let tree: serde_json::Value = serde_yaml::from_str(text).expect("it is YAML");
        for path in leaves(&tree, "") {
            let held = resolved.explain(&path).is_ok();
            let told = reported
                .iter()
                .any(|key| path == *key || path.starts_with(&format!("{key}.")));
            let empty_secret = path.ends_with("assword") || path.ends_with("Key");
            assert!(held || told || empty_secret, "{name}: {path} is lost");
        }
    }
}

fn leaves(tree: &serde_json::Value, path: &str) -> Vec<String> {
    let map = tree.as_object().filter(|map| !map.is_empty());
    let Some(map) = map else {
        return vec![path.to_owned()];
    };
    let below = map.iter().flat_map(|(key, value)| {
        let key = key.replace('.', "\\.");
        let path = if path.is_empty() {
            key
        } else {
            format!("{path}.{key}")
        };
        leaves(value, &path)
    });
    below.collect()
}

#[test]
fn r36_the_literal_passwords_of_the_original_chart_are_all_that_is_refused() {
    let (_, _, text) = FILES[0];
    let text = text
        .replace("${DB_PASSWORD}", "postgres")
        .replace("${REDIS_PASSWORD}", "canary-66");
    let said = refused(&with_file(&text));
    assert!(said.starts_with("4 settings are wrong:"), "{said}");
    let lines: Vec<&str> = said.lines().skip(1).collect();
    assert!(
        lines.iter().all(|line| line.contains("holds a secret")),
        "{said}"
    );
    assert!(!said.contains("canary-66"), "{said}");
}

#[test]
fn r34_the_quota_of_the_original_chart_is_reported_and_not_refused() {
    for name in ["same-cluster", "central-cluster"] {
        let said = warnings(&of(name));
        let about = |text: &&String| text.contains("the autoscalers may ask for");
        assert!(said.iter().any(|text| about(&text)), "{name}: {said:?}");
    }
    let said = warnings(&of("edge-cluster"));
    assert!(
        said.iter()
            .all(|text| !text.contains("the autoscalers may ask for")),
        "{said:?}"
    );
}

/// What was wrong in the original is found by lint.
#[test]
fn r39_lint_finds_what_is_wrong_in_the_files_of_the_original_chart() {
    let ids_of = |wanted: &str| {
        let (name, profile, text) = FILES
            .iter()
            .find(|(name, ..)| *name == wanted)
            .expect("it is there");
        ids(&found(*profile, &layers(name, text)))
    };
    let same = ids_of("same-cluster");
    for id in [
        "TEL-LNT-008",
        "TEL-LNT-012",
        "TEL-LNT-014",
        "TEL-LNT-039",
        "TEL-LNT-041",
    ] {
        assert!(same.contains(id), "{id}: {same:?}");
    }
    let central = ids_of("central-cluster");
    for id in ["TEL-LNT-007", "TEL-LNT-008", "TEL-LNT-014", "TEL-LNT-039"] {
        assert!(central.contains(id), "{id}: {central:?}");
    }
}

#[test]
fn r17_the_guides_names_for_redis_are_read_with_a_warning() {
    let text = "redis:\n  enabled: false\n  external:\n    host: redis.example.com\n    port: 6380\n    \
                password: ${REDIS_PASSWORD}\n    tls: true\n  tls: {enabled: true}\n";
    for profile in [Profile::Edge, Profile::Central] {
        let resolved = resolved(profile, &layers("guide.yaml", text));
        let redis = &resolved.values.external_redis;
        assert_eq!(
            (redis.host.as_str(), redis.port),
            ("redis.example.com", 6380)
        );
        assert!(redis.enabled && redis.tls.enabled);
        let said = warnings(&resolved);
        for alias in [
            "`redis.external` is read as `externalRedis`",
            "`redis.tls.enabled` is read as",
        ] {
            assert!(said.iter().any(|text| text.contains(alias)), "{said:?}");
        }
    }
}

#[test]
fn r31_the_chart_s_files_for_csv_sources_choose_the_source() {
    use telectl::config::values::CsvSourceType;
    for (name, kind) in [
        ("csv-configmap", CsvSourceType::ConfigMap),
        ("csv-pvc", CsvSourceType::Pvc),
    ] {
        assert_eq!(
            of(name).values.streamer.config.csv_source.kind,
            kind,
            "{name}"
        );
    }
}

/// A download needs its checksum, which the chart did not have.
#[test]
fn r31_the_chart_s_file_for_a_download_lacks_the_checksum_only() {
    let url = include_str!("../data/chart/csv-url.yaml");
    let said = refused(&with_file(url));
    assert!(
        said.contains("`streamer.config.csvSource.sha256` must be"),
        "{said}"
    );
    let digest = "0".repeat(64);
    let known = format!("sha256: \"{digest}\", refreshInterval");
    let resolved = resolved(
        Profile::Edge,
        &with_file(&url.replace("refreshInterval", &known)),
    );
    let said = warnings(&resolved);
    assert!(
        said.iter()
            .any(|text| text.contains("refreshInterval` has no effect")),
        "{said:?}"
    );
}
