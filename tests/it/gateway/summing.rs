//! What the gateway sums up, and what it shows to Prometheus.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::StatusCode;
use telectl::store::Store as _;

use crate::store_data::{MadeUp, RealFile, uuid};
use crate::store_fixture::{InPostgres, InSqlite, StoreFixture};

use super::Gateway;

async fn w13_buckets_are_answered_with_what_they_were_asked_for(fixture: &impl StoreFixture) {
    let store = fixture.open();
    let file = RealFile::read("edge");
    store.store(&file.cut(2_470)).await.unwrap();
    let gateway = Gateway::of(store, None).await;
    let [metric, uuid, host, index] = &file.rows[1].labels;
    let range = "start_time=2025-07-18T20:42:00Z&end_time=1752871380";
    let path = |name: &str| format!("/api/v1/gpus/{name}/aggregate?metric={metric}&{range}");
    let found = gateway.ok(&format!("{}&bucket=1m", path(uuid))).await;
    let values: Vec<f64> = file
        .rows
        .iter()
        .filter(|row| row.labels[..2] == [metric.clone(), uuid.clone()])
        .filter_map(|row| row.value)
        .collect();
    assert_eq!(found["count"], 1, "{found}");
    assert_eq!(found["bucket_seconds"], 60);
    assert_eq!(found["end_time"], "2025-07-18T20:43:00Z");
    let bucket = &found["buckets"][0];
    assert_eq!(bucket["start"], "2025-07-18T20:42:00Z");
    assert_eq!(bucket["count"], values.len());
    assert_eq!(bucket["sum"].as_f64().unwrap(), values.iter().sum::<f64>());
    assert_eq!(bucket["last"].as_f64().unwrap(), *values.last().unwrap());
    let by_place = gateway.ok(&path(&format!("{host}:{index}"))).await;
    assert_eq!(by_place, found, "a minute is the usual width");
    let empty = format!("/api/v1/gpus/{uuid}/aggregate?metric=NONE&{range}");
    assert_eq!(gateway.ok(&empty).await["count"], 0);
    gateway.problem(&path("GPU-0"), 404, "no GPU").await;
    gateway.problem(&path("%00"), 404, "no GPU").await;
}

/// A sample of an exposition: name, labels, and value and time as they stand there.
type Sample = (String, BTreeMap<String, String>, String, Option<String>);

/// Reads Prometheus' text format strictly: every line is a comment of a known kind or a sample, each
/// metric stands in one group below its type, and no series stands twice.
fn read_exposition(text: &str) -> Vec<Sample> {
    let mut samples: Vec<Sample> = Vec::new();
    let (mut typed, mut current) = (BTreeSet::new(), String::new());
    assert!(text.is_empty() || text.ends_with('\n'));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["gauge", "counter"].contains(&kind), "{line}");
            assert!(typed.insert(name.to_owned()), "a second group of {name}");
            current = name.to_owned();
        } else if line.starts_with('#') {
            assert!(line.starts_with("# HELP "), "{line}");
        } else {
            let sample = read_sample(line);
            assert_eq!(sample.0, current, "{line}");
            let is_twice = samples
                .iter()
                .any(|it| (&it.0, &it.1) == (&sample.0, &sample.1));
            assert!(!is_twice, "twice: {line}");
            samples.push(sample);
        }
    }
    samples
}

fn read_sample(line: &str) -> Sample {
    let (name, rest) = line.split_once('{').unwrap();
    let allowed = |symbol: char| symbol.is_ascii_alphanumeric() || symbol == '_' || symbol == ':';
    assert!(name.chars().all(allowed), "{line}");
    assert!(!name.starts_with(|first: char| first.is_ascii_digit()));
    let mut labels = BTreeMap::new();
    let mut rest = rest;
    while !rest.starts_with('}') {
        let (label, value) = rest.split_once("=\"").unwrap();
        let label = label.trim_start_matches(',');
        assert!(label.chars().all(allowed) && !label.contains(':'), "{line}");
        let (value, end) = read_quoted(value);
        assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
        rest = end;
    }
    let fields: Vec<&str> = rest[1..].split_whitespace().collect();
    assert!(matches!(fields.len(), 1 | 2), "{line}");
    let time = fields.get(1).map(|time| (*time).to_owned());
    (name.to_owned(), labels, fields[0].to_owned(), time)
}

/// The text up to the closing quote, and what follows.
fn read_quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut symbols = text.char_indices();
    while let Some((at, symbol)) = symbols.next() {
        match symbol {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match symbols.next().unwrap().1 {
                'n' => '\n',
                escaped @ ('\\' | '"') => escaped,
                other => panic!("\\{other} in {text}"),
            }),
            other => value.push(other),
        }
    }
    panic!("no closing quote in {text}");
}

async fn exposition(gateway: &Gateway, query: &str) -> Vec<Sample> {
    let url = format!("{}/metrics/gpu{query}", gateway.base);
    let response = gateway.client.get(url).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let kind = response.headers()["content-type"].to_str().unwrap();
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    read_exposition(&response.text().await.unwrap())
}

async fn w13_prometheus_reads_the_newest_values_of_the_real_file(fixture: &impl StoreFixture) {
    let store = fixture.open();
    let file = RealFile::read("edge");
    store.store(&file.cut(400)).await.unwrap();
    let gateway = Gateway::of(store, None).await;
    let samples = exposition(&gateway, "?max_age=36600d").await;
    let mut found: Vec<_> = samples
        .iter()
        .map(|(metric, labels, value, time)| {
            let label = |name: &str| labels[name].clone();
            let time: i64 = time.as_ref().unwrap().parse().unwrap();
            let labels = [
                metric.clone(),
                label("UUID"),
                label("Hostname"),
                label("gpu"),
            ];
            (labels, time, value.parse::<f64>().unwrap())
        })
        .collect();
    let mut expected: Vec<_> = file
        .rows
        .iter()
        .map(|row| (row.labels.clone(), row.time / 1_000, row.value.unwrap()))
        .collect();
    found.sort_by(|a, b| a.partial_cmp(b).unwrap());
    expected.sort_by(|a, b| a.partial_cmp(b).unwrap());
    assert_eq!(found.len(), 2_470);
    assert_eq!(found, expected);
    for (_, labels, ..) in &samples {
        assert_eq!(labels["cluster"], "edge");
        assert_eq!(labels["modelName"], "NVIDIA H100 80GB HBM3");
        assert_eq!(labels["device"], format!("nvidia{}", labels["gpu"]));
        assert!(!labels.contains_key("pod"), "an empty label is none");
    }
    // The file is old: by itself nothing of it is shown.
    assert_eq!(exposition(&gateway, "").await, []);
    let without = exposition(&gateway, "?max_age=36600d&timestamps=false").await;
    assert!(without.iter().all(|(.., time)| time.is_none()));
    gateway.problem("/metrics/gpu?max_age=5", 400, "5m").await;
}

#[tokio::test]
async fn w13_labels_of_any_text_stay_one_line_of_the_exposition() {
    let fixture = InSqlite::prepared().await.unwrap();
    let store = fixture.open();
    let source = MadeUp::of("edge\"}\n# x \\", "a.csv", 40);
    store.store(&source.cut(40)).await.unwrap();
    let gateway = Gateway::of(store, None).await;
    let samples = exposition(&gateway, "?max_age=36600d").await;
    assert!(samples.len() > 3, "{samples:?}");
    for (_, labels, ..) in &samples {
        assert_eq!(labels["cluster"], "edge\"}\n# x \\");
    }
}

#[tokio::test]
async fn w13_a_question_that_takes_too_long_says_what_to_do() {
    let Some(fixture) = InPostgres::prepared().await else {
        return;
    };
    let store = fixture.open();
    store
        .store(&MadeUp::of("edge", "a.csv", 40).cut(40))
        .await
        .unwrap();
    // Every value that is read takes a second.
    fixture.sql(
        "ALTER TABLE sample RENAME TO slow;
         CREATE FUNCTION late(double precision) RETURNS double precision LANGUAGE plpgsql VOLATILE
             AS 'BEGIN PERFORM pg_sleep(5); RETURN $1; END';
         CREATE VIEW sample AS SELECT series_id, ts, late(value) AS value, ctid FROM slow",
    );
    let gateway = Gateway::of(store, None).await;
    let path = format!("/api/v1/gpus/{}/aggregate", uuid(0));
    let path = format!("{path}?metric=METRIC_0&start_time=2025-07-18T00:00:00Z&bucket=1d");
    let path = format!("{path}&end_time=2025-07-20T00:00:00Z");
    let problem = gateway.problem(&path, 503, "shorter range").await;
    assert_eq!(problem["type"], "/docs#time");
}

super::claims!(
    w13_buckets_are_answered_with_what_they_were_asked_for,
    w13_prometheus_reads_the_newest_values_of_the_real_file,
);
