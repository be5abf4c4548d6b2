//! The newest samples where some days are indexed by series and others are not.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use telectl::config::worker::{IngestProfile, UpkeepSettings};
use telectl::store::Store as _;
use telectl::store::postgres::PostgresStore;

use crate::store_data::MadeUp;
use crate::store_fixture::{InPostgres, StoreFixture as _};

fn store_with_open_days(fixture: &InPostgres) -> PostgresStore {
    fixture.kept(UpkeepSettings {
        ingest: IngestProfile::Max,
        ..UpkeepSettings::default()
    })
}

fn indexed(fixture: &InPostgres) -> String {
    fixture.sql(
        "SELECT string_agg(relname, ' ' ORDER BY relname)
         FROM pg_class JOIN pg_index ON indrelid = pg_class.oid
         WHERE relname LIKE 'sample\\_%' AND pg_get_indexdef(indexrelid) LIKE '%btree (series_id, ts)'",
    )
}

/// Time and value of the newest sample of each series, asked by itself.
fn expected(fixture: &InPostgres) -> String {
    fixture.sql(
        "SELECT string_agg(series_id || ' ' || micros || ' ' || coalesce(value::text, '-'), ', '
                           ORDER BY series_id)
         FROM (SELECT DISTINCT ON (series_id) series_id, value,
                      (extract(epoch FROM ts) * 1000000)::bigint AS micros
               FROM sample ORDER BY series_id, ts DESC, ctid DESC) AS newest",
    )
}

async fn found(store: &PostgresStore) -> String {
    let mut points = store.latest(None).await.expect("an answer");
    points.sort_by_key(|point| point.position.series);
    let told = points.iter().map(|point| {
        let value = point
            .value
            .map_or("-".to_owned(), |value| value.to_string());
        format!("{} {} {value}", point.position.series, point.position.time)
    });
    told.collect::<Vec<_>>().join(", ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_samples_are_found_over_open_and_closed_days() {
    let Some(fixture) = InPostgres::unprepared().await else {
        return;
    };
    let store = store_with_open_days(&fixture);
    store.migrate().await.expect("tables");
    let source = MadeUp::of("edge", "a.csv", 130);
    // Three days: of the first, some series have no later sample.
    store.store(&[source.batch(0..100)]).await.expect("room");
    let mut batch = source.batch(100..103);
    for time in &mut batch.rows.time {
        time.0 += 86_400_000_000;
    }
    store.store(&[batch]).await.expect("room");
    fixture.sql(
        "DELETE FROM sample_2025_07_19
         WHERE series_id IN (SELECT series_id FROM series ORDER BY 1 LIMIT 3)",
    );
    for day in ["", "2025_07_19", "2025_07_18", "2025_07_20"] {
        if !day.is_empty() {
            fixture.sql(&format!("CREATE INDEX ON sample_{day} (series_id, ts)"));
            assert!(indexed(&fixture).contains(day));
        }
        let expected = expected(&fixture);
        assert_eq!(expected.split(", ").count(), 7);
        assert_eq!(
            found(&store).await,
            expected,
            "indexed: {}",
            indexed(&fixture)
        );
        let since: Timestamp = "2025-07-19T00:00:10Z".parse().expect("a time");
        let recent = fixture.sql(
            "SELECT count(*) FROM (SELECT DISTINCT ON (series_id) value FROM sample
             WHERE ts >= '2025-07-19T00:00:10Z' ORDER BY series_id, ts DESC, ctid DESC) AS newest
             WHERE value IS NOT NULL",
        );
        let readings = store.readings(since).await.expect("an answer");
        assert_eq!(readings.len().to_string(), recent);
        let freshness = store.freshness().await.expect("an answer");
        let gpus = freshness
            .gpus
            .iter()
            .map(|gpu| format!("{} {}", gpu.uuid, gpu.last_event.as_microsecond()));
        let mut gpus: Vec<String> = gpus.collect();
        gpus.sort();
        let expected = fixture.sql(
            "SELECT string_agg(uuid || ' ' || newest, ', ' ORDER BY uuid)
             FROM (SELECT uuid, (extract(epoch FROM max(ts)) * 1000000)::bigint AS newest
                   FROM sample JOIN series USING (series_id) GROUP BY uuid) AS gpu",
        );
        assert_eq!(gpus.join(", "), expected);
    }
}

/// What took longer than any query may, asked once per series.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_rows_of_an_open_day_are_read_once_for_all_series() {
    let Some(fixture) = InPostgres::unprepared().await else {
        return;
    };
    let store = store_with_open_days(&fixture);
    store.migrate().await.expect("tables");
    let source = MadeUp::of("edge", "a.csv", 50);
    store.store(&[source.batch(0..50)]).await.expect("room");
    fixture.sql(
        "INSERT INTO series (series_id, cluster, metric, gpu_id, device, uuid, model, host,
                             container, pod, namespace, labels_raw)
         SELECT number, cluster, 'M' || number % 4, gpu_id, device, 'GPU-' || number / 4, model,
                host, container, pod, namespace, labels_raw
         FROM (SELECT * FROM series LIMIT 1) AS one, generate_series(1, 2000) AS number;
         INSERT INTO sample SELECT 1 + number % 2000, '2025-07-18'::timestamptz
             + number * interval '50 ms', number FROM generate_series(1, 1000000) AS number",
    );
    assert_eq!(indexed(&fixture), "");
    let begun = Instant::now();
    let latest = store.latest(None).await.expect("an answer in time");
    let took = begun.elapsed();
    assert_eq!(latest.len(), 2007);
    store.freshness().await.expect("an answer in time");
    assert!(took < Duration::from_secs(8), "{took:?}");
}
