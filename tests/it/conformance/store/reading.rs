//! What was stored is read back as it was.

use std::collections::BTreeMap;

use telectl::model::source::PassId;
use telectl::store::{Order, Position, Store as _, TelemetryPoint, series_id};

use crate::store_data::{Expected, MadeUp, RealFile, START, uuid};
use crate::store_fixture::StoreFixture;

use super::{everything, pages};

/// Event times, values and blanks come back as they were.
pub(crate) async fn w04_event_times_and_blanks_are_kept(fixture: &impl StoreFixture) {
    let store = fixture.open();
    let source = MadeUp::of("edge", "a.csv", 200);
    let mut early = source.batch(0..3);
    // Before the epoch, in the last microsecond of a day, and far ahead.
    let times = [
        -1,
        START - START % 86_400_000_000 - 1,
        95_617_584_000_000_001,
    ];
    for (place, time) in times.into_iter().enumerate() {
        early.rows.time[place].0 = time;
    }
    store.store(&[early.clone()]).await.unwrap();
    for (place, time) in times.into_iter().enumerate() {
        let found = store
            .telemetry(&everything(&uuid(place as u64)))
            .await
            .unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].timestamp.as_microsecond(), time);
        assert_eq!(found[0].value, early.rows.value[place]);
    }
    assert_eq!(early.rows.value[0], None);
    let statistics = store.statistics().await.unwrap();
    let (earliest, latest) = (statistics.earliest_timestamp, statistics.latest_timestamp);
    assert_eq!(earliest.unwrap().as_microsecond(), times[0]);
    assert_eq!(latest.unwrap().as_microsecond(), times[2]);
    let ingested = fixture.sql("SELECT min(ingested_at) FROM ledger");
    assert!(ingested.as_str() > "2026", "{ingested}");
}

/// Every sample is on exactly one page, in either order, although three rounds of a loop gave
/// three samples to each series and time.
pub(crate) async fn pages_are_complete_and_without_duplicates(fixture: &impl StoreFixture) {
    let store = fixture.open();
    let mut source = MadeUp::of("edge", "a.csv", 100);
    for pass in ["one", "two", "three"] {
        source.pass = PassId(pass.to_owned());
        store.store(&source.cut(30)).await.unwrap();
    }
    let whole = store.telemetry(&everything(&uuid(0))).await.unwrap();
    let place = |point: &TelemetryPoint| (point.position.time, point.position.series);
    assert!(whole.is_sorted_by_key(place));
    for limit in [1, 2, 7, 50] {
        let mut query = everything(&uuid(0));
        query.limit = limit;
        assert_eq!(pages(&store, query.clone()).await, whole, "limit {limit}");
        query.order = Order::Descending;
        let mut backwards = pages(&store, query).await;
        backwards.reverse();
        assert_eq!(backwards, whole, "limit {limit}");
    }
    let positions: std::collections::BTreeSet<Position> =
        whole.iter().map(|point| point.position).collect();
    assert_eq!(positions.len(), whole.len());
}

/// From an instant on, up to but not including another, one metric.
pub(crate) async fn samples_are_selected_by_half_open_range_and_metric(
    fixture: &impl StoreFixture,
) {
    let store = fixture.open();
    let source = MadeUp::of("edge", "a.csv", 200);
    store.store(&source.cut(200)).await.unwrap();
    let at =
        |record: i64| Some(jiff::Timestamp::from_microsecond(START + record * 1_000_000).unwrap());
    let mut query = everything(&uuid(0));
    query.metric = Some("METRIC_0".to_owned());
    // Series 0 has records 0, 7, 14, …; 21 is quarantined.
    (query.from, query.to) = (at(7), at(28));
    let found = store.telemetry(&query).await.unwrap();
    let times: Vec<i64> = found
        .iter()
        .map(|point| (point.timestamp.as_microsecond() - START) / 1_000_000)
        .collect();
    assert_eq!(times, [7, 14]);
    assert!(found.iter().all(|point| point.metric == "METRIC_0"));
    (query.from, query.to) = (at(7), at(7));
    assert_eq!(store.telemetry(&query).await.unwrap(), Vec::new());
    query = everything("nobody");
    assert_eq!(store.telemetry(&query).await.unwrap(), Vec::new());
}

/// The newest sample of each series.
pub(crate) async fn the_latest_sample_of_every_series_is_found(fixture: &impl StoreFixture) {
    let store = fixture.open();
    let source = MadeUp::of("edge", "a.csv", 100);
    assert_eq!(store.latest(None).await.unwrap(), Vec::new());
    // The newest are stored first: it is the event time that counts.
    store.store(&[source.batch(50..100)]).await.unwrap();
    store.store(&[source.batch(0..50)]).await.unwrap();
    let latest = store.latest(None).await.unwrap();
    let mut expected = BTreeMap::new();
    let all = source.batch(0..100);
    for row in 0..all.rows.len() {
        let labels = &all.series[all.rows.series[row] as usize];
        expected.insert(
            series_id(labels),
            (all.rows.time[row].0, all.rows.value[row]),
        );
    }
    let found: BTreeMap<_, _> = latest
        .iter()
        .map(|point| (point.position.series, (point.position.time, point.value)))
        .collect();
    assert_eq!(found, expected);
    assert_eq!(latest.len(), 7);
    assert!(latest.is_sorted_by_key(|point| (&point.hostname, &point.gpu_id, &point.metric)));
    let of_one = store.latest(Some(&uuid(1))).await.unwrap();
    assert_eq!(of_one.len(), 2);
    assert!(of_one.iter().all(|point| point.uuid == uuid(1)));
}

/// What is stored of a source, by whom, and what there should be.
pub(crate) async fn v17_progress_says_what_is_stored_and_what_is_missing(
    fixture: &impl StoreFixture,
) {
    let store = fixture.open();
    let source = MadeUp::of("edge", "a.csv", 90);
    // Records 0..30 by streamer-0, 31..60 by streamer-1.
    store
        .store(&[source.batch(0..30), source.batch(31..60)])
        .await
        .unwrap();
    let before = store.sources().await.unwrap();
    assert_eq!((before[0].size, before[0].expected_rows), (None, None));
    for _ in 0..2 {
        store.sign_off(&source.signed_off()).await.unwrap();
    }
    let mut other = source.signed_off();
    other.rows = 1;
    store.sign_off(&other).await.unwrap();
    assert_eq!(fixture.count("signed_off"), 1);
    let after = store.sources().await.unwrap();
    assert_eq!(after.len(), 1);
    assert_eq!(after[0].size, Some(source.size()));
    assert_eq!(after[0].expected_rows, Some(source.rows()));
    assert_eq!(after[0].covered_bytes, 400 + 290);
    assert_eq!(after[0].stored_rows, 28 + 26);
    assert_eq!(after[0].quarantined_rows, 2 + 3);
    let streamers: Vec<(&str, u64)> = after[0]
        .streamers
        .iter()
        .map(|(name, rows)| (name.as_str(), *rows))
        .collect();
    assert_eq!(streamers, [("streamer-0", 28), ("streamer-1", 26)]);
    // Signed off before anything of it arrived.
    let other = MadeUp::of("edge", "b.csv", 10);
    store.sign_off(&other.signed_off()).await.unwrap();
    let sources = store.sources().await.unwrap();
    assert_eq!(
        (sources[1].name.as_str(), sources[1].stored_rows),
        ("b.csv", 0)
    );
}

/// The real file: GPUs by UUID, and each sample as an independent parser reads it.
pub(crate) async fn w05_the_real_file_is_stored_as_it_is(fixture: &impl StoreFixture) {
    let store = fixture.open();
    let file = RealFile::read("edge");
    for group in file.cut(300).chunks(4) {
        store.store(group).await.unwrap();
    }
    let gpus = store.gpus().await.unwrap();
    assert_eq!(gpus.len(), 247);
    assert_eq!(store.hosts().await.unwrap().len(), 31);
    let mut found = Vec::new();
    for gpu in &gpus {
        let points = store.telemetry(&everything(&gpu.uuid)).await.unwrap();
        assert_eq!(points.len(), 10);
        found.extend(points.into_iter().map(|point| Expected {
            time: point.timestamp.as_microsecond(),
            labels: [point.metric, point.uuid, point.hostname, point.gpu_id],
            value: point.value,
        }));
    }
    let mut expected = file.rows.clone();
    let key = |sample: &Expected| (sample.labels.clone(), sample.time);
    found.sort_by_key(key);
    expected.sort_by_key(key);
    assert_eq!(expected.len(), 2470);
    assert_eq!(found, expected);
}

/// Event time and ingest time of every GPU, and of every cluster.
pub(crate) async fn s07_every_gpu_says_when_it_was_measured_and_stored_last(
    fixture: &impl StoreFixture,
) {
    let store = fixture.open();
    assert!(store.freshness().await.unwrap().gpus.is_empty());
    let before = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(1);
    let real = RealFile::read("edge");
    store.store(&real.cut(500)).await.unwrap();
    let source = MadeUp::of("edge-2", "a.csv", 30);
    store.store(&source.cut(30)).await.unwrap();
    let fresh = store.freshness().await.unwrap();
    let mut expected: BTreeMap<&str, i64> = BTreeMap::new();
    for row in &real.rows {
        let newest = expected.entry(row.labels[1].as_str()).or_insert(row.time);
        *newest = row.time.max(*newest);
    }
    let edge: Vec<_> = fresh
        .gpus
        .iter()
        .filter(|gpu| gpu.cluster == "edge")
        .collect();
    assert_eq!((edge.len(), expected.len()), (247, 247));
    for gpu in edge {
        assert_eq!(gpu.last_event.as_microsecond(), expected[gpu.uuid.as_str()]);
        let ingest = gpu.last_ingest.expect("its batch is among the newest");
        assert!(
            ingest >= before && ingest <= jiff::Timestamp::now(),
            "{ingest}"
        );
        assert!(!gpu.hostname.is_empty() && !gpu.gpu_id.is_empty());
    }
    let clusters: Vec<&String> = fresh.last_ingest.keys().collect();
    assert_eq!(clusters, ["edge", "edge-2"]);
    assert!(fresh.last_ingest["edge"] >= before);
}
