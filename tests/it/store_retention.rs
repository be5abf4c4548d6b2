//! Days that are not kept any more: dropped, noted, proven, and never stored again.

use std::time::Duration;

use telectl::config::worker::{IngestProfile, UpkeepSettings};
use telectl::model::source::PassId;
use telectl::store::postgres::PostgresStore;
use telectl::store::proof::{Proof, Question, SeriesQuestion};
use telectl::store::{Outcome, Store as _, series_id};

use crate::servers::eventually;
use crate::store_data::MadeUp;
use crate::store_fixture::{InPostgres, Session, StoreFixture as _};

const SOON: Duration = Duration::from_secs(20);
/// The first day of a made-up source, and its next.
const FIRST: &str = "2025-07-18";
/// Records of the first day.
const OF_FIRST: u64 = 60;

/// Keeps the second day of the made-up sources, and drops the first.
fn keeps_second(ingest: IngestProfile) -> UpkeepSettings {
    UpkeepSettings {
        ingest,
        retention: Some(days_since("2025-07-19")),
        ..UpkeepSettings::default()
    }
}

/// Days from this one to today.
pub(crate) fn days_since(day: &str) -> u32 {
    let day: jiff::civil::Date = day.parse().expect("a day");
    let today = jiff::Timestamp::now()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date();
    let days = today.since(day).expect("days").get_days();
    u32::try_from(days).expect("a day that has been")
}

async fn prove(store: &PostgresStore, source: &MadeUp) -> Proof {
    let ids = source.batch(0..1).series;
    let question = Question {
        limit: SOON,
        files: vec![SeriesQuestion {
            ids: ids.iter().map(|labels| series_id(labels)).collect(),
            from: 1_752_883_140_000_000,
            to: 1_752_883_140_000_000 + 300_000_000,
        }],
    };
    store.prove(&question).await.expect("an answer")
}

/// Rows of the first day.
fn first_rows(source: &MadeUp) -> u64 {
    MadeUp {
        records: source.records.min(OF_FIRST),
        ..source.clone()
    }
    .rows()
}

/// A store with two whole sources of two days.
async fn filled(upkeep: UpkeepSettings) -> Option<(InPostgres, PostgresStore, [MadeUp; 2])> {
    let fixture = InPostgres::unprepared().await?;
    let (store, sources) = fill(&fixture, upkeep).await;
    Some((fixture, store, sources))
}

async fn fill(fixture: &InPostgres, upkeep: UpkeepSettings) -> (PostgresStore, [MadeUp; 2]) {
    let store = fixture.kept(upkeep);
    store.migrate().await.expect("tables");
    let sources =
        [("a.csv", 200), ("b.csv", 90)].map(|(name, size)| MadeUp::of("edge", name, size));
    for source in &sources {
        store.store(&source.cut(30)).await.expect("room");
        store.sign_off(&source.signed_off()).await.expect("room");
    }
    (store, sources)
}

/// A day that is over is dropped, whatever its index, and every row is still proven.
pub(crate) async fn a_day_is_dropped_and_the_proof_holds(
    fixture: &InPostgres,
    ingest: IngestProfile,
) {
    let before_it = UpkeepSettings {
        ingest,
        ..UpkeepSettings::default()
    };
    let (store, [source, other]) = fill(fixture, before_it).await;
    let (source, other) = (&source, &other);
    let (all, gone) = (
        source.rows() + other.rows(),
        first_rows(source) + first_rows(other),
    );
    let (token, before) = (
        store.token().await.expect("one"),
        prove(&store, source).await,
    );
    assert!(before.is_complete(), "{before:?}");
    let keeper = fixture.kept(keeps_second(ingest));
    let again = fixture.kept(keeps_second(ingest));
    let (one, two) = tokio::join!(keeper.upkeep(), again.upkeep());
    let mut dropped = one.expect("it works").expired;
    dropped.extend(two.expect("it works").expired);
    assert_eq!(dropped, [FIRST]);
    assert_eq!(fixture.count("sample"), all - gone);
    assert_eq!(fixture.sql("SELECT to_regclass('sample_2025_07_18')"), "");
    let after = prove(&store, source).await;
    assert!(after.is_complete(), "{after:?}");
    assert_eq!((after.expired.rows, after.expired.on_arrival), (gone, 0));
    // Series by series, what is kept and what is not are together what was there.
    assert_eq!(after.files, before.files);
    assert_eq!(store.token().await.expect("one"), token);
    let told = store.statistics().await.expect("numbers");
    assert_eq!(told.total_records, all - gone);
    let earliest = told.earliest_timestamp.expect("a time").to_string();
    assert!(earliest.starts_with("2025-07-19"), "{earliest}");
    // A replay brings nothing back.
    let replayed = keeper.store(&source.cut(30)).await.expect("room");
    assert!(
        replayed
            .outcomes
            .iter()
            .all(|one| *one == Outcome::AlreadyStored)
    );
    assert_eq!(fixture.count("sample"), all - gone);
    // What is missing besides is still found.
    fixture.sql("DELETE FROM sample WHERE ctid IN (SELECT ctid FROM sample LIMIT 1)");
    assert!(!prove(&store, source).await.holds());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_that_is_over_is_dropped_and_the_proof_holds() {
    if let Some(fixture) = InPostgres::unprepared().await {
        a_day_is_dropped_and_the_proof_holds(&fixture, IngestProfile::Default).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_without_an_index_by_series_is_dropped_alike() {
    if let Some(fixture) = InPostgres::unprepared().await {
        a_day_is_dropped_and_the_proof_holds(&fixture, IngestProfile::Max).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_note_of_what_expired_that_is_lost_is_found() {
    let Some((fixture, store, [source, _])) = filled(keeps_second(IngestProfile::Default)).await
    else {
        return;
    };
    store.upkeep().await.expect("it works");
    assert!(prove(&store, &source).await.is_complete());
    fixture.sql("DELETE FROM expired WHERE ctid IN (SELECT ctid FROM expired LIMIT 1)");
    assert!(!prove(&store, &source).await.holds());
}

/// In loop mode every pass brings the day again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_a_day_that_is_over_are_counted_on_arrival_and_not_stored() {
    let Some(fixture) = InPostgres::unprepared().await else {
        return;
    };
    let store = fixture.kept(keeps_second(IngestProfile::Default));
    store.migrate().await.expect("tables");
    let mut source = MadeUp::of("edge", "a.csv", 100);
    let passes = 20;
    for pass in 0..passes {
        source.pass = PassId(format!("pass-{pass}"));
        let taken = store.store(&source.cut(50)).await.expect("room");
        assert_eq!(taken.expired, first_rows(&source));
        store.sign_off(&source.signed_off()).await.expect("room");
    }
    let gone = passes * first_rows(&source);
    assert_eq!(fixture.count("sample"), passes * source.rows() - gone);
    assert_eq!(fixture.sql("SELECT to_regclass('sample_2025_07_18')"), "");
    let proof = prove(&store, &source).await;
    assert!(proof.is_complete(), "{proof:?}");
    assert_eq!((proof.expired.rows, proof.expired.on_arrival), (gone, gone));
    // Many notes become few, and say the same.
    let notes = fixture.count("expired");
    store.upkeep().await.expect("it works");
    assert!(fixture.count("expired") < notes);
    let after = prove(&store, &source).await;
    assert!(after.is_complete(), "{after:?}");
    assert_eq!((after.expired, after.files), (proof.expired, proof.files));
}

/// Who reads `sample` and does not end.
async fn reader(fixture: &InPostgres) -> Session {
    let session = fixture.in_background("BEGIN; SELECT count(*) FROM sample; SELECT pg_sleep(60)");
    eventually("the reader", SOON, async || {
        let readers = "SELECT count(*) FROM pg_locks WHERE relation = 'sample'::regclass
                       AND pid <> pg_backend_pid()";
        (fixture.sql(readers) != "0").then_some(())
    })
    .await;
    session
}

async fn end(fixture: &InPostgres, session: Session) {
    let which = "query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()
                 AND datname = current_database()";
    fixture.sql(&format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {which}"
    ));
    eventually("the session to end", SOON, async || {
        let left = fixture.sql(&format!(
            "SELECT count(*) FROM pg_stat_activity WHERE {which}"
        ));
        (left == "0").then_some(())
    })
    .await;
    drop(session);
}

/// A drop waits for a reader, nobody for the drop, and the proof holds all the while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_a_drop_and_one_that_is_broken_off_goes_on() {
    if let Some(fixture) = InPostgres::unprepared().await {
        a_drop_waits_for_a_reader(&fixture).await;
    }
}

/// A drop waits for a reader, nobody for the drop, and who comes next ends it.
pub(crate) async fn a_drop_waits_for_a_reader(fixture: &InPostgres) {
    let (usual, [source, other]) = fill(fixture, UpkeepSettings::default()).await;
    let store = fixture.kept(keeps_second(IngestProfile::Default));
    let gone = first_rows(&source) + first_rows(&other);
    let late = MadeUp::of("edge", "d.csv", 90);
    let reading = reader(fixture).await;
    assert!(store.upkeep().await.expect("it waits").expired.is_empty());
    let meanwhile = async {
        let proof = prove(&store, &source).await;
        assert!(proof.is_complete(), "{proof:?}");
        assert_eq!(proof.expired.rows, gone);
        assert_eq!(store.latest(None).await.expect("an answer").len(), 7);
        let more = MadeUp::of("edge", "c.csv", 90);
        store.store(&more.cut(90)).await.expect("room");
        store.sign_off(&more.signed_off()).await.expect("room");
        // Who keeps the day cannot store it now, and does not take its rows for bad ones. On PostgreSQL 13
        // the day is there until it goes.
        let mut stored_late = 0;
        if let Ok(stored) = usual.store(&late.cut(90)).await {
            assert!(!matches!(stored.outcomes[0], Outcome::Refused { .. }));
            usual.sign_off(&late.signed_off()).await.expect("room");
            stored_late = first_rows(&late);
        }
        (first_rows(&more), stored_late)
    };
    let (on_arrival, stored_late) = tokio::time::timeout(Duration::from_secs(10), meanwhile)
        .await
        .expect("nobody waits");
    end(fixture, reading).await;
    // Also a collector that keeps everything by now ends what was begun.
    assert_eq!(usual.upkeep().await.expect("it works").expired, [FIRST]);
    let proof = prove(&store, &source).await;
    assert!(proof.is_complete(), "{proof:?}");
    assert_eq!(
        (proof.expired.rows, proof.expired.on_arrival),
        (gone + on_arrival + stored_late, on_arrival)
    );
    let stored = usual.store(&late.cut(90)).await.expect("room");
    assert_eq!(stored.outcomes.len(), 1, "{stored:?}");
    assert!(!matches!(stored.outcomes[0], Outcome::Refused { .. }));
}

/// A collector that keeps everything, or one of an earlier version, may bring the day again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_that_comes_again_is_dropped_again() {
    let Some((fixture, usual, [source, _])) = filled(UpkeepSettings::default()).await else {
        return;
    };
    let store = fixture.kept(keeps_second(IngestProfile::Default));
    assert_eq!(store.upkeep().await.expect("it works").expired, [FIRST]);
    let more = MadeUp::of("edge", "c.csv", 90);
    let taken = usual.store(&more.cut(90)).await.expect("room");
    assert_eq!(taken.expired, 0);
    usual.sign_off(&more.signed_off()).await.expect("room");
    let proof = prove(&store, &source).await;
    assert!(proof.is_complete(), "{proof:?}");
    assert_eq!(store.upkeep().await.expect("it works").expired, [FIRST]);
    let after = prove(&store, &source).await;
    assert!(after.is_complete(), "{after:?}");
    assert_eq!(after.expired.rows, proof.expired.rows + first_rows(&more));
}

/// A dump that was made in the middle of a drop: the table is there, detached, under another number.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_database_drops_anew_what_was_being_dropped() {
    let Some((fixture, store, [source, _])) = filled(UpkeepSettings::default()).await else {
        return;
    };
    fixture.sql(
        "INSERT INTO expired (day, series_id, on_arrival, pending, rows, filled, total)
         SELECT '2025-07-18', series_id, false, 1, count(*), count(value), sum(value)
         FROM sample_2025_07_18 GROUP BY series_id;
         ALTER TABLE sample DETACH PARTITION sample_2025_07_18",
    );
    assert!(store.upkeep().await.expect("it works").expired.is_empty());
    let proof = prove(&store, &source).await;
    assert!(proof.is_complete(), "{proof:?}");
    assert_eq!(proof.expired.rows, 0);
}
