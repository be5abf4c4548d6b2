//! Days that are indexed by series once they are closed (`INGEST=max`).

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use telectl::config::worker::{IngestProfile, UpkeepSettings};
use telectl::store::Store as _;
use telectl::store::postgres::PostgresStore;

use crate::servers::eventually;
use crate::store_data::MadeUp;
use crate::store_fixture::{InPostgres, StoreFixture as _};

const SOON: Duration = Duration::from_secs(20);
const DAYS: [&str; 2] = ["2025-07-18", "2025-07-19"];

fn max(quiet: Duration) -> UpkeepSettings {
    UpkeepSettings {
        ingest: IngestProfile::Max,
        quiet,
        ..UpkeepSettings::default()
    }
}

const LONG: Duration = Duration::from_secs(3600);

/// The kinds of the valid indexes of every partition, in order.
fn kinds(fixture: &InPostgres) -> String {
    fixture.sql(
        "SELECT string_agg(relname || ' ' || kinds, ', ' ORDER BY relname)
         FROM (SELECT part.relname, string_agg(amname, '+' ORDER BY amname) AS kinds
               FROM pg_inherits JOIN pg_class part ON part.oid = inhrelid
                    JOIN pg_index ON indrelid = part.oid AND indisvalid
                    JOIN pg_class own ON own.oid = indexrelid JOIN pg_am ON pg_am.oid = own.relam
               WHERE inhparent = 'sample'::regclass GROUP BY part.relname) AS found",
    )
}

fn broken(fixture: &InPostgres) -> String {
    fixture.sql("SELECT count(*) FROM pg_index WHERE NOT indisvalid")
}

/// Ends sessions and waits until they are gone.
async fn end(fixture: &InPostgres, which: &str) {
    let of_ours = format!("datname = current_database() AND {which}");
    fixture.sql(&format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {of_ours}"
    ));
    eventually("the session to end", SOON, async || {
        let left = fixture.sql(&format!(
            "SELECT count(*) FROM pg_stat_activity WHERE {of_ours}"
        ));
        (left == "0").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_is_indexed_once_it_is_closed_and_takes_late_rows() {
    if let Some(fixture) = InPostgres::unprepared().await {
        is_indexed_once_closed(&fixture).await;
    }
}

/// A day that is closed gets its index, and rows that come late are stored.
pub(crate) async fn is_indexed_once_closed(fixture: &InPostgres) {
    let source = MadeUp::of("edge", "a.csv", 200);
    let store = fixture.kept(max(LONG));
    store.migrate().await.unwrap();
    store.store(&[source.batch(0..100)]).await.unwrap();
    assert!(store.upkeep().await.unwrap().indexed.is_empty());
    assert_eq!(
        kinds(fixture),
        "sample_2025_07_18 brin, sample_2025_07_19 brin"
    );
    // As if the hour were over.
    fixture.sql("UPDATE ledger SET ingested_at = ingested_at - interval '59 minutes'");
    assert!(store.upkeep().await.unwrap().indexed.is_empty());
    fixture.sql("UPDATE ledger SET ingested_at = ingested_at - interval '2 minutes'");
    assert_eq!(store.upkeep().await.unwrap().indexed, DAYS);
    assert_eq!(
        kinds(fixture),
        "sample_2025_07_18 btree, sample_2025_07_19 btree"
    );
    store.store(&[source.batch(100..200)]).await.unwrap();
    assert_eq!(fixture.count("sample"), source.rows());
    assert!(store.upkeep().await.unwrap().indexed.is_empty());
    assert_eq!(broken(fixture), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_that_is_today_stays_open() {
    let Some(fixture) = InPostgres::unprepared().await else {
        return;
    };
    let store = fixture.kept(max(Duration::ZERO));
    store.migrate().await.unwrap();
    let mut batch = MadeUp::of("edge", "a.csv", 10).batch(0..10);
    let now = jiff::Timestamp::now().as_microsecond();
    for time in &mut batch.rows.time {
        time.0 = now;
    }
    store.store(&[batch]).await.unwrap();
    assert!(store.upkeep().await.unwrap().indexed.is_empty());
    assert!(kinds(&fixture).ends_with(" brin"), "{}", kinds(&fixture));
}

/// The days that are there keep their index all the while, and none of their rows moves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_with_data_changes_its_profile_there_and_back() {
    if let Some(fixture) = InPostgres::unprepared().await {
        changes_its_profile(&fixture).await;
    }
}

/// From `default` to `max` and back, while somebody reads.
pub(crate) async fn changes_its_profile(fixture: &InPostgres) {
    let source = MadeUp::of("edge", "a.csv", 100);
    let usual = fixture.open();
    usual.migrate().await.unwrap();
    usual.store(&[source.batch(0..40)]).await.unwrap();
    let places = "SELECT md5(string_agg(ctid::text || xmin || series_id || ts, ' ' ORDER BY ctid))
                  FROM sample_2025_07_18";
    let before = fixture.sql(places);
    let fast = fixture.kept(max(LONG));
    fast.migrate().await.unwrap();
    // A reader that does not end keeps the common index where it is, and nobody waits behind.
    let reader = "BEGIN; SELECT count(*) FROM sample; SELECT pg_sleep(60)";
    let reading = fixture.in_background(reader);
    eventually("the reader", SOON, async || {
        let readers = "SELECT count(*) FROM pg_locks WHERE relation = 'sample'::regclass
                       AND pid <> pg_backend_pid()";
        (fixture.sql(readers) != "0").then_some(())
    })
    .await;
    assert!(fast.upkeep().await.unwrap().indexed.is_empty());
    assert_eq!(
        fixture.sql("SELECT to_regclass('sample_series_ts')"),
        "sample_series_ts"
    );
    end(
        fixture,
        "query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()",
    )
    .await;
    drop(reading);
    assert!(fast.upkeep().await.unwrap().indexed.is_empty());
    assert_eq!(fixture.sql("SELECT to_regclass('sample_series_ts')"), "");
    assert_eq!(kinds(fixture), "sample_2025_07_18 btree");
    fast.store(&[source.batch(40..70)]).await.unwrap();
    assert_eq!(
        kinds(fixture),
        "sample_2025_07_18 btree, sample_2025_07_19 brin"
    );
    // Back: what is open is indexed at once, and a new day from its first row on.
    assert_eq!(usual.upkeep().await.unwrap().indexed, DAYS[1..]);
    let mut batch = source.batch(70..100);
    for time in &mut batch.rows.time {
        time.0 += 86_400_000_000;
    }
    usual.store(&[batch]).await.unwrap();
    assert_eq!(
        kinds(fixture),
        "sample_2025_07_18 btree, sample_2025_07_19 btree, sample_2025_07_20 btree"
    );
    assert_eq!(fixture.count("sample"), source.rows());
    let first_rows = format!("{places} WHERE ts < '2025-07-18T23:59:40Z'");
    assert_eq!(fixture.sql(&first_rows), before);
}

/// A build waits for who wrote before it, and nobody for the build: neither who stores, nor who reads,
/// nor another collector. A build that is killed leaves nothing behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_an_index_and_a_killed_build_is_begun_anew() {
    let Some(fixture) = InPostgres::unprepared().await else {
        return;
    };
    let source = MadeUp::of("edge", "a.csv", 60);
    let store = fixture.kept(max(Duration::ZERO));
    store.migrate().await.unwrap();
    store.store(&[source.batch(0..30)]).await.unwrap();
    let writer = "BEGIN; LOCK TABLE sample IN ROW EXCLUSIVE MODE; SELECT pg_sleep(60)";
    let writing = fixture.in_background(writer);
    let building = {
        let store = store.clone();
        tokio::spawn(async move { store.upkeep().await })
    };
    let build = "query LIKE 'CREATE INDEX CONCURRENTLY%' AND pid <> pg_backend_pid()";
    eventually("the build", SOON, async || {
        let waits = format!(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock' AND {build}"
        );
        (fixture.sql(&waits) == "1").then_some(())
    })
    .await;
    let other: PostgresStore = fixture.kept(max(Duration::ZERO));
    let meanwhile = tokio::time::timeout(Duration::from_secs(10), async {
        assert!(other.upkeep().await.unwrap().indexed.is_empty());
        other.store(&[source.batch(30..60)]).await.unwrap();
        other.latest(None).await.unwrap()
    });
    assert_eq!(meanwhile.await.expect("nobody waits").len(), 7);
    assert_eq!(broken(&fixture), "1");
    end(&fixture, build).await;
    building.await.unwrap().unwrap_err();
    end(
        &fixture,
        "query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()",
    )
    .await;
    drop(writing);
    assert_eq!(broken(&fixture), "1");
    assert_eq!(store.upkeep().await.unwrap().indexed, DAYS[..1]);
    assert_eq!(broken(&fixture), "0");
    assert_eq!(kinds(&fixture), "sample_2025_07_18 btree");
    assert_eq!(fixture.count("sample"), source.rows());
}
