//! Samples are summed up by buckets of time, and the newest values are found.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use telectl::model::source::PassId;
use telectl::store::{AggregateQuery, Bucket, Reading, Store as _};

use crate::store_data::{MadeUp, START, uuid};
use crate::store_fixture::StoreFixture;

fn at(microsecond: i64) -> Timestamp {
    Timestamp::from_microsecond(microsecond).unwrap()
}

/// The series 0 of a made-up source.
fn everything(width: SignedDuration) -> AggregateQuery {
    AggregateQuery {
        uuid: uuid(0),
        metric: "METRIC_0".to_owned(),
        from: Timestamp::MIN,
        to: Timestamp::MAX,
        bucket: width,
    }
}

/// What the samples of a source add up to, reckoned here.
fn expected(samples: &[(i64, f64)], width: SignedDuration) -> Vec<Bucket> {
    let width = i64::try_from(width.as_micros()).unwrap();
    let mut buckets: BTreeMap<i64, Vec<(i64, f64)>> = BTreeMap::new();
    for sample in samples {
        let bucket = sample.0.div_euclid(width) * width;
        buckets.entry(bucket).or_default().push(*sample);
    }
    buckets
        .into_iter()
        .map(|(start, mut samples)| {
            samples.sort_by_key(|(time, _)| *time);
            let values: Vec<f64> = samples.iter().map(|(_, value)| *value).collect();
            let sum = values.iter().sum::<f64>();
            Bucket {
                start: at(start),
                count: values.len() as u64,
                min: values.iter().copied().fold(f64::INFINITY, f64::min),
                max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                avg: sum / values.len() as f64,
                sum,
                last: *values.last().unwrap(),
            }
        })
        .collect()
}

/// The values of series 0.
fn samples(source: &MadeUp) -> Vec<(i64, f64)> {
    let rows = source.batch(0..source.records).rows;
    (0..rows.len())
        .filter(|row| rows.series[*row] == 0)
        .filter_map(|row| Some((rows.time[row].0, rows.value[row]?)))
        .collect()
}

#[track_caller]
fn assert_alike(found: &[Bucket], expected: &[Bucket]) {
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        // The mean is reckoned by other ways, which round otherwise.
        assert!((found.avg - expected.avg).abs() < 1e-9, "{found:?}");
        let found = Bucket {
            avg: expected.avg,
            ..found.clone()
        };
        assert_eq!(found, *expected);
    }
}

/// Over two days, by several widths, blanks left out.
pub(crate) async fn w13_buckets_hold_what_their_samples_add_up_to(fixture: &impl StoreFixture) {
    let store = fixture.open();
    let source = MadeUp::of("edge", "a.csv", 1_000);
    store.store(&source.cut(300)).await.unwrap();
    let samples = samples(&source);
    for seconds in [1, 7, 60, 3_600, 86_400] {
        let width = SignedDuration::from_secs(seconds);
        let found = store.aggregate(&everything(width)).await.unwrap();
        assert_alike(&found, &expected(&samples, width));
    }
    let unknown = AggregateQuery {
        metric: "METRIC_9".to_owned(),
        ..everything(SignedDuration::from_secs(60))
    };
    assert_eq!(store.aggregate(&unknown).await.unwrap(), []);
}

/// The range includes its start and not its end, within buckets that begin before it.
pub(crate) async fn w13_a_range_cuts_its_first_and_last_bucket(fixture: &impl StoreFixture) {
    let store = fixture.open();
    let source = MadeUp::of("edge", "a.csv", 1_000);
    store.store(&source.cut(1_000)).await.unwrap();
    let samples = samples(&source);
    let (from, to) = (samples[10].0, samples[50].0);
    let width = SignedDuration::from_secs(100);
    let query = AggregateQuery {
        from: at(from),
        to: at(to),
        ..everything(width)
    };
    let found = store.aggregate(&query).await.unwrap();
    assert_alike(&found, &expected(&samples[10..50], width));
    assert!(found[0].start < query.from, "{found:?}");
    let nothing = AggregateQuery {
        to: query.from,
        ..query
    };
    assert_eq!(store.aggregate(&nothing).await.unwrap(), []);
}

/// Before 1970, too, and with the samples of several rounds.
pub(crate) async fn w13_buckets_before_the_epoch_begin_at_multiples(fixture: &impl StoreFixture) {
    let store = fixture.open();
    let mut source = MadeUp::of("edge", "a.csv", 8);
    let mut expected_samples = Vec::new();
    for (pass, value) in [("one", 1.5), ("two", 2.5)] {
        source.pass = PassId(pass.to_owned());
        let mut batch = source.batch(0..8);
        // Records 0 and 7 are of series 0.
        for (row, time) in [(0, -1), (7, -60_000_001)] {
            batch.rows.time[row].0 = time;
            batch.rows.value[row] = Some(value);
            expected_samples.push((time, value));
        }
        store.store(&[batch]).await.unwrap();
    }
    let width = SignedDuration::from_secs(60);
    let found = store.aggregate(&everything(width)).await.unwrap();
    let starts: Vec<i64> = found.iter().map(|it| it.start.as_microsecond()).collect();
    assert_eq!(starts, [-120_000_000, -60_000_000]);
    assert_alike(&found, &expected(&expected_samples, width));
}

/// One value per series: the newest, if it is new enough and no blank.
pub(crate) async fn w13_the_newest_values_are_found_unless_blank_or_old(
    fixture: &impl StoreFixture,
) {
    let store = fixture.open();
    let source = MadeUp::of("edge", "a.csv", 40);
    store.store(&source.cut(40)).await.unwrap();
    let rows = source.batch(0..40).rows;
    let mut newest: BTreeMap<u32, (i64, Option<f64>)> = BTreeMap::new();
    for row in 0..rows.len() {
        newest.insert(rows.series[row], (rows.time[row].0, rows.value[row]));
    }
    let oldest = newest.values().map(|(time, _)| *time).min().unwrap();
    for since in [oldest, oldest + 1] {
        let mut found: Vec<(i64, f64)> = store
            .readings(at(since))
            .await
            .unwrap()
            .iter()
            .map(|reading| (reading.at.as_microsecond(), reading.value))
            .collect();
        found.sort_by_key(|(time, _)| *time);
        let mut expected: Vec<(i64, f64)> = newest
            .values()
            .filter(|(time, _)| *time >= since)
            .filter_map(|(time, value)| Some((*time, (*value)?)))
            .collect();
        expected.sort_by_key(|(time, _)| *time);
        assert!(expected.len() < 7, "a blank is the newest of some series");
        assert_eq!(found, expected, "since {since}");
    }
    assert_eq!(store.readings(at(START + 60_000_000)).await.unwrap(), []);
    let found = store.readings(at(START)).await.unwrap();
    let of_series = |reading: &&Reading| reading.metric == "METRIC_1";
    let reading = found.iter().find(of_series).unwrap();
    let labels = &reading.labels;
    assert_eq!(labels.cluster, "edge");
    assert_eq!(labels.model_name, "NVIDIA H100 80GB HBM3");
    assert_eq!(labels.device, format!("nvidia{}", labels.gpu_id));
    assert_eq!(labels.uuid, format!("GPU-0000-{}", labels.gpu_id));
    assert!(labels.hostname.starts_with("host-"), "{labels:?}");
}
