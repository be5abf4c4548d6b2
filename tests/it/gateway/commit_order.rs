//! Samples that are committed in another order than that in which they were written.

use telectl::store::{AdditionsQuery, Progress, Store as _};
use tokio_postgres::{Client, NoTls};

use crate::conformance::store::additions::{end, follow};
use crate::store_data::MadeUp;
use crate::store_fixture::{InPostgres, StoreFixture as _};

/// What a slow collector writes: one sample of 4711, older than all others.
const WRITE: &str = "
    BEGIN;
    INSERT INTO sample SELECT series_id, '2025-07-18T00:00:01Z', 4711 FROM series LIMIT 1;
    INSERT INTO ledger (source_id, pass, range, rows, quarantined, first_ts, last_ts,
                        incarnation, sequence, streamer)
    VALUES (1, 'slow', '[0,10)', 1, 0, '2025-07-18T00:00:01Z', '2025-07-18T00:00:01Z',
            'slow', 1, 'streamer-9')";

async fn connect(fixture: &InPostgres) -> Client {
    let settings = &fixture.settings;
    let mut config = tokio_postgres::Config::new();
    config
        .host(&settings.endpoint.host)
        .port(settings.endpoint.port)
        .dbname(&settings.name)
        .user(&settings.user)
        .password(settings.password.as_ref().unwrap().expose());
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Whoever reads up to the newest commit would pass it over for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w13_a_transaction_that_ends_late_is_waited_for() {
    let Some(fixture) = InPostgres::prepared().await else {
        return;
    };
    let store = fixture.open();
    let source = MadeUp::of("edge", "a.csv", 90);
    store.store(&[source.batch(0..30)]).await.unwrap();
    let slow = connect(&fixture).await;
    fixture.settle().await;
    let mut from = end(&store).await;
    for (how, records, expected) in [("ROLLBACK", 30..60, 0), ("COMMIT", 60..90, 1)] {
        slow.batch_execute(WRITE).await.unwrap();
        let batch = source.batch(records);
        store.store(std::slice::from_ref(&batch)).await.unwrap();
        let query = AdditionsQuery {
            from: Some(from),
            limit: 7,
            ..AdditionsQuery::default()
        };
        assert_eq!(follow(&store, query.clone()).await, [], "before {how}");
        slow.batch_execute(how).await.unwrap();
        fixture.settle().await;
        let found = follow(&store, query).await;
        let late = found.iter().filter(|point| point.value == Some(4711.0));
        assert_eq!(late.count(), expected, "after {how}");
        assert_eq!(found.len(), batch.rows.len() + expected, "after {how}");
        from = end(&store).await;
    }
}

/// What was stored before the ledger knew transactions is nobody's news.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w13_rows_from_before_the_upgrade_are_not_followed() {
    let Some(fixture) = InPostgres::prepared().await else {
        return;
    };
    let store = fixture.open();
    let source = MadeUp::of("edge", "a.csv", 60);
    store.store(&[source.batch(0..30)]).await.unwrap();
    fixture.sql(
        "ALTER TABLE ledger DROP COLUMN transaction;
         DROP TABLE expired;
         DELETE FROM store_schema WHERE version >= 4",
    );
    assert!(store.additions(&AdditionsQuery::default()).await.is_err());
    // Collectors that know nothing of the new version go on while it comes.
    store.migrate().await.unwrap();
    let batch = source.batch(30..60);
    store.store(std::slice::from_ref(&batch)).await.unwrap();
    fixture.settle().await;
    let query = AdditionsQuery {
        from: Some(Progress {
            transaction: 0,
            after: None,
        }),
        limit: 1_000,
        ..AdditionsQuery::default()
    };
    assert_eq!(follow(&store, query).await.len(), batch.rows.len());
}

/// A server that crashed may use numbers again that were given to transactions which wrote nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w13_the_end_is_not_ahead_of_what_was_stored() {
    let Some(fixture) = InPostgres::prepared().await else {
        return;
    };
    let store = fixture.open();
    let source = MadeUp::of("edge", "a.csv", 30);
    store.store(&source.cut(30)).await.unwrap();
    fixture.settle().await;
    let before = end(&store).await;
    for _ in 0..3 {
        fixture.sql("BEGIN; SELECT pg_current_xact_id(); ROLLBACK");
    }
    fixture.settle().await;
    assert_eq!(end(&store).await, before);
    let last = fixture.sql("SELECT max(transaction) FROM ledger");
    assert_eq!(before.transaction, last.parse::<i64>().unwrap() + 1);
}
