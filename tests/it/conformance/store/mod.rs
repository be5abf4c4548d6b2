//! What every store has to do, whatever it is made of.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::sync::Arc;

use futures::future::join_all;
use telectl::model::batch::Batch;
use telectl::model::source::{BatchId, IncarnationId, PassId};
use telectl::store::{Order, Outcome, Store, StoreError, TelemetryPoint, TelemetryQuery};

use crate::store_data::{MadeUp, RealFile, uuid};
use crate::store_fixture::StoreFixture;

pub(crate) mod additions;
pub(crate) mod canaries;
mod proving;
mod reading;
mod summing;

pub(crate) use additions::{
    w13_additions_are_selected_and_not_repeated, w13_what_is_added_is_read_once,
};
pub(crate) use canaries::{
    v10_a_canary_is_found_and_counts_for_nothing, v10_old_canaries_are_forgotten,
};
pub(crate) use proving::*;
pub(crate) use reading::*;
pub(crate) use summing::*;

/// Everything of a GPU.
pub(crate) fn everything(uuid: &str) -> TelemetryQuery {
    TelemetryQuery {
        uuid: uuid.to_owned(),
        metric: None,
        from: None,
        to: None,
        order: Order::Ascending,
        limit: 10_000,
        after: None,
    }
}

async fn pages(store: &impl Store, mut query: TelemetryQuery) -> Vec<TelemetryPoint> {
    let mut all = Vec::new();
    loop {
        let page = store.telemetry(&query).await.unwrap();
        assert!(page.len() <= query.limit as usize);
        assert!(all.len() < 10_000, "the pages do not end");
        let Some(last) = page.last() else { return all };
        query.after = Some(last.position);
        all.extend(page);
    }
}

fn stored(rows: u64) -> Outcome {
    Outcome::Stored { rows }
}

fn completed(rows: u64) -> Outcome {
    Outcome::Completed { rows }
}

/// The source is stored exactly once: counted in the tables, and by the ledger.
async fn assert_complete(fixture: &impl StoreFixture, store: &impl Store, source: &MadeUp) {
    assert_eq!(fixture.count("sample"), source.rows());
    assert_eq!(fixture.count("quarantine"), source.quarantined());
    let progress = store.sources().await.unwrap();
    assert_eq!(progress.len(), 1);
    assert_eq!(progress[0].covered_bytes, source.size());
    assert_eq!(progress[0].stored_rows, source.rows());
    assert_eq!(progress[0].quarantined_rows, source.quarantined());
    let mut seen = Vec::new();
    for gpu in 0..3 {
        seen.extend(pages(store, everything(&uuid(gpu))).await);
    }
    let mut seen: Vec<(i64, Option<f64>)> = seen
        .into_iter()
        .map(|point| (point.timestamp.as_microsecond(), point.value))
        .collect();
    seen.sort_by_key(|(time, _)| *time);
    let all = source.batch(0..source.records).rows;
    let expected: Vec<(i64, Option<f64>)> = all
        .time
        .iter()
        .zip(all.value)
        .map(|(time, value)| (time.0, value))
        .collect();
    assert_eq!(seen, expected);
}

/// Delivered twice, stored once.
pub(crate) async fn w10_replay_adds_no_rows(fixture: &impl StoreFixture) {
    let store = fixture.open();
    let source = MadeUp::of("edge", "a.csv", 200);
    let batches = source.cut(50);
    let first = store.store(&batches).await.unwrap().outcomes;
    let rows: Vec<u64> = batches
        .iter()
        .map(|batch| batch.rows.len() as u64)
        .collect();
    assert_eq!(first, rows.into_iter().map(stored).collect::<Vec<_>>());
    // By the same process, by another one, and twice in one transaction.
    for store in [store.clone(), fixture.open()] {
        let again = store.store(&batches).await.unwrap().outcomes;
        assert_eq!(again, vec![Outcome::AlreadyStored; 4]);
    }
    let twice = [batches[1].clone(), batches[1].clone()];
    assert_eq!(
        store.store(&twice).await.unwrap().outcomes,
        vec![Outcome::AlreadyStored; 2]
    );
    assert_complete(fixture, &store, &source).await;
}

/// The same batch twice in one call, nothing stored before.
pub(crate) async fn w10_a_batch_delivered_twice_at_once_is_stored_once(
    fixture: &impl StoreFixture,
) {
    let store = fixture.open();
    let source = MadeUp::of("edge", "a.csv", 20);
    let batch = source.batch(0..20);
    let outcomes = store.store(&[batch.clone(), batch]).await.unwrap().outcomes;
    assert_eq!(
        outcomes,
        vec![stored(source.rows()), Outcome::AlreadyStored]
    );
    assert_complete(fixture, &store, &source).await;
}

/// A successor that cut its batches elsewhere: only what is missing is added, on either side.
pub(crate) async fn w10_partial_overlaps_add_only_what_is_missing(fixture: &impl StoreFixture) {
    let store = fixture.open();
    let source = MadeUp::of("edge", "a.csv", 100);
    // 10..20, 30..40 and 60..70 are there.
    for start in [10, 30, 60] {
        store
            .store(&[source.batch(start..start + 10)])
            .await
            .unwrap();
    }
    let one = async |records, expected: Outcome| {
        let outcomes = store
            .store(&[source.batch(records)])
            .await
            .unwrap()
            .outcomes;
        assert_eq!(outcomes, vec![expected]);
    };
    // Overlaps at its end (record 10 is quarantined): 5..10 are new.
    one(5..15, completed(5)).await;
    // At its start: 20..25 are new, of which 21 is quarantined.
    one(15..25, completed(4)).await;
    // Spans several: 25..30, 40..60 and 70..75 are new, of which 43 and 54 are quarantined.
    one(22..75, completed(5 + 18 + 5)).await;
    // Lies within.
    one(31..39, completed(0)).await;
    // Is what several made together.
    one(10..40, completed(0)).await;
    // The rest, in one call with what overlaps it.
    let rest = [
        source.batch(0..50),
        source.batch(60..100),
        source.batch(90..100),
    ];
    let outcomes = store.store(&rest).await.unwrap().outcomes;
    assert_eq!(outcomes, vec![completed(5), completed(22), completed(0)]);
    assert_complete(fixture, &store, &source).await;
    // And all of it again, cut in yet another way.
    let outcomes = store.store(&source.cut(33)).await.unwrap().outcomes;
    assert_eq!(outcomes, vec![completed(0); 4]);
    assert_complete(fixture, &store, &source).await;
}

/// A part that a completed batch brought has no checksum of its own to be compared with.
pub(crate) async fn w10_the_rest_of_an_overlap_may_be_delivered_by_itself(
    fixture: &impl StoreFixture,
) {
    let store = fixture.open();
    let source = MadeUp::of("edge", "a.csv", 20);
    store.store(&[source.batch(0..10)]).await.unwrap();
    store.store(&[source.batch(5..20)]).await.unwrap();
    let outcomes = store.store(&[source.batch(10..20)]).await.unwrap().outcomes;
    assert_eq!(outcomes, vec![Outcome::AlreadyStored]);
    assert_complete(fixture, &store, &source).await;
}

/// Loop mode: every round counts.
pub(crate) async fn every_pass_counts_anew(fixture: &impl StoreFixture) {
    let store = fixture.open();
    let mut source = MadeUp::of("edge", "a.csv", 50);
    for pass in ["one", "two", "three"] {
        source.pass = PassId(pass.to_owned());
        store.store(&source.cut(20)).await.unwrap();
        store.store(&source.cut(20)).await.unwrap();
    }
    assert_eq!(fixture.count("sample"), 3 * source.rows());
    let sources = store.sources().await.unwrap();
    let passes: Vec<&str> = sources.iter().map(|source| source.pass.as_str()).collect();
    assert_eq!(passes, ["one", "three", "two"]);
}

/// Two edge clusters with the same file: both count.
pub(crate) async fn the_same_file_in_two_clusters_is_stored_twice(fixture: &impl StoreFixture) {
    let store = fixture.open();
    for cluster in ["edge-1", "edge-2"] {
        let file = RealFile::read(cluster);
        store.store(&file.cut(500)).await.unwrap();
        store.store(&file.cut(500)).await.unwrap();
    }
    assert_eq!(fixture.count("sample"), 4940);
    assert_eq!(store.statistics().await.unwrap().total_records, 4940);
    assert_eq!(store.statistics().await.unwrap().unique_gpus, 247);
    assert_eq!(store.gpus().await.unwrap().len(), 494);
    let hosts = store.hosts().await.unwrap();
    assert_eq!(hosts.len(), 62);
    assert_eq!(
        (hosts[0].cluster.as_str(), hosts[0].gpu_count),
        ("edge-1", 8)
    );
    assert_eq!(hosts[0].hostname, hosts[1].hostname);
}

/// Many at once, each with batches of its own cut in its own order: every row is stored once.
pub(crate) async fn w17_concurrent_stores_store_every_row_once(fixture: &impl StoreFixture) {
    let source = MadeUp::of("edge", "a.csv", 700);
    let collectors = (0..6_u64).map(|number| {
        let store = fixture.open();
        let cut = [50, 50, 70, 50, 33, 70][usize::try_from(number).unwrap()];
        let mut batches = source.cut(cut);
        if number % 2 == 1 {
            batches.reverse();
        }
        async move {
            let mut rows = 0;
            for group in batches.chunks(3) {
                for outcome in store.store(group).await.unwrap().outcomes {
                    rows += match outcome {
                        Outcome::Stored { rows } | Outcome::Completed { rows } => rows,
                        Outcome::AlreadyStored => 0,
                        Outcome::Refused { reason } => panic!("{reason}"),
                    };
                }
            }
            rows
        }
    });
    let rows: u64 = join_all(collectors).await.into_iter().sum();
    assert_eq!(rows, source.rows());
    assert_complete(fixture, &fixture.open(), &source).await;
}

/// Several that start at once make the schema once, also where it is there.
pub(crate) async fn w12_migrations_at_once_do_not_disturb_each_other<F: StoreFixture>(fixture: &F) {
    for _ in 0..2 {
        let stores: Vec<_> = (0..4).map(|_| fixture.open()).collect();
        let migrations = stores.iter().map(Store::migrate);
        for result in join_all(migrations).await {
            result.unwrap();
        }
    }
    assert_eq!(
        fixture.count("store_schema"),
        F::SCHEMA_STEPS,
        "each step once"
    );
    fixture.open().ping().await.unwrap();
}

/// Without tables a store says so.
pub(crate) async fn w12_an_unprepared_store_says_so(fixture: &impl StoreFixture) {
    let store = fixture.open();
    let error = store.ping().await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    store.migrate().await.unwrap();
    store.ping().await.unwrap();
}

/// Whoever stores something learns in which life of the data it is, and all learn the same.
pub(crate) async fn w10_every_answer_tells_which_life_of_the_data_it_is(
    fixture: &impl StoreFixture,
) {
    let token = fixture.open().migrate().await.unwrap();
    let store = fixture.open();
    assert_eq!(store.migrate().await.unwrap(), token);
    assert_eq!(store.token().await.unwrap(), token);
    let source = MadeUp::of("edge", "a.csv", 20);
    let stored = store.store(&source.cut(10)).await.unwrap();
    assert_eq!(stored.token, token);
    assert_eq!(store.store(&[]).await.unwrap().token, token);
    assert_eq!(store.sign_off(&source.signed_off()).await.unwrap(), token);
    let id = source.batch(0..10).id;
    let kept = store.dead_letter(&id, b"payload", "a reason").await;
    assert_eq!(kept.unwrap(), token);
    fixture.sql("DELETE FROM store_token");
    fixture.sql("INSERT INTO store_token (token) VALUES ('another')");
    assert_ne!(fixture.open().migrate().await.unwrap(), token);
    assert_ne!(store.store(&source.cut(10)).await.unwrap().token, token);
}

/// A schema of a later version is left alone.
pub(crate) async fn w12_a_newer_schema_is_refused(fixture: &impl StoreFixture) {
    fixture.sql("INSERT INTO store_schema (version) VALUES (99)");
    let error = fixture.open().migrate().await.unwrap_err();
    assert!(
        matches!(error, StoreError::SchemaTooNew { found: 99, .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("schema version 99"), "{error}");
    assert!(!error.is_passing());
}

/// What cannot be stored is refused by itself.
pub(crate) async fn w09_only_the_batch_that_is_bad_is_refused(fixture: &impl StoreFixture) {
    let store = fixture.open();
    let source = MadeUp::of("edge", "a.csv", 40);
    let mut bad = MadeUp::of("edge", "b.csv", 10).batch(0..10);
    Arc::make_mut(&mut bad.series[0]).host = "a\0b".to_owned();
    let batches = [source.batch(0..20), bad, source.batch(20..40)];
    let outcomes = store.store(&batches).await.unwrap().outcomes;
    assert_eq!(outcomes[0], stored(19));
    assert_eq!(outcomes[2], stored(18));
    let Outcome::Refused { reason } = &outcomes[1] else {
        panic!("{:?}", outcomes[1])
    };
    assert!(reason.contains("NUL"), "{reason}");
    // The same bytes of the same source, with another checksum.
    let mut contradicts: Batch = source.batch(0..20);
    contradicts.checksum += 1;
    let outcomes = store.store(&[contradicts]).await.unwrap().outcomes;
    assert!(matches!(&outcomes[0], Outcome::Refused { reason } if reason.contains("checksum")));
    assert_complete(fixture, &store, &source).await;
}

/// Two label sets with one id: nothing of it is stored, and the error shows both.
pub(crate) async fn a_series_collision_is_loud(fixture: &impl StoreFixture) {
    let source = MadeUp::of("edge", "a.csv", 10);
    let store = fixture.open();
    store.store(&[source.batch(0..5)]).await.unwrap();
    fixture.sql("UPDATE series SET pod = 'somebody-else' WHERE labels_raw = 'number=\"3\"'");
    let error = fixture
        .open()
        .store(&[source.batch(5..10)])
        .await
        .unwrap_err();
    assert!(
        matches!(error, StoreError::SeriesCollision { .. }),
        "{error:?}"
    );
    let text = error.to_string();
    assert!(
        text.contains("pod=somebody-else") && text.contains("a.csv"),
        "{text}"
    );
    assert_eq!(fixture.count("sample"), 5);
}

/// The bytes of a dead letter are kept once per content.
pub(crate) async fn w09_dead_letters_keep_their_bytes(fixture: &impl StoreFixture) {
    let store = fixture.open();
    let id = BatchId {
        incarnation: IncarnationId("with\0nul".to_owned()),
        sequence: u64::MAX,
    };
    for payload in [&b"\x00\xffone"[..], b"\x00\xffone", b"two"] {
        store
            .dead_letter(&id, payload, "bad \0 checksum")
            .await
            .unwrap();
    }
    assert_eq!(fixture.count("dead_letter"), 2);
    assert_eq!(
        fixture.count("dead_letter WHERE reason LIKE 'bad%checksum'"),
        2
    );
}

/// Nothing to do is nothing done.
pub(crate) async fn an_empty_store_answers_with_nothing(fixture: &impl StoreFixture) {
    let store = fixture.open();
    assert_eq!(store.store(&[]).await.unwrap().outcomes, Vec::new());
    assert_eq!(store.gpus().await.unwrap(), Vec::new());
    assert_eq!(store.hosts().await.unwrap(), Vec::new());
    assert_eq!(store.sources().await.unwrap(), Vec::new());
    let statistics = store.statistics().await.unwrap();
    assert_eq!(
        (statistics.total_records, statistics.earliest_timestamp),
        (0, None)
    );
}
