//! What only PostgreSQL can do, or do wrong.

use std::error::Error as _;
use std::time::Duration;

use telectl::config::worker::{DatabaseSettings, SslMode};
use telectl::model::endpoint::Endpoint;
use telectl::model::secret::Secret;
use telectl::store::postgres::PostgresStore;
use telectl::store::{Outcome, Store as _, StoreError};

use crate::servers::postgres::PostgresServer;
use crate::servers::{Certificates, eventually};
use crate::store_data::MadeUp;
use crate::store_fixture::{InPostgres, StoreFixture as _};

/// The error and all its causes, as an operator reads them.
fn causes(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

async fn ping(settings: &DatabaseSettings) -> Result<(), String> {
    let store = PostgresStore::new(settings).map_err(|error| causes(&error))?;
    store.migrate().await.map_err(|error| causes(&error))?;
    store.ping().await.map_err(|error| causes(&error))
}

#[track_caller]
fn assert_says(result: Result<(), String>, expected: &str) {
    let said = result.expect_err("it has to fail");
    assert!(said.contains(expected), "{said}");
    assert!(!said.contains("canary"), "a secret in: {said}");
}

#[tokio::test]
async fn w12_each_ssl_mode_checks_what_it_promises() {
    let certificates = Certificates::for_names(&["127.0.0.1"]);
    let Some(server) = PostgresServer::start(Some(certificates)).await else {
        return;
    };
    let full = server.database();
    assert_eq!(full.ssl_mode, SslMode::VerifyFull);
    ping(&full).await.unwrap();

    let mut other_name = full.clone();
    other_name.endpoint = Endpoint::new("localhost", full.endpoint.port);
    assert_says(ping(&other_name).await, "not valid for name");
    other_name.ssl_mode = SslMode::VerifyCa;
    ping(&other_name).await.unwrap();

    let mut other_ca = full.clone();
    other_ca.ca_cert = Some(Certificates::for_names(&["127.0.0.1"]).ca);
    assert_says(ping(&other_ca).await, "invalid peer certificate");
    other_ca.ssl_mode = SslMode::VerifyCa;
    assert_says(ping(&other_ca).await, "invalid peer certificate");
    other_ca.ssl_mode = SslMode::Require;
    ping(&other_ca).await.unwrap();

    let mut no_ca = full.clone();
    no_ca.ca_cert = None;
    assert_says(ping(&no_ca).await, "DB_CA_CERT is not set");
    no_ca.ca_cert = Some("not a certificate".to_owned());
    assert_says(ping(&no_ca).await, "DB_CA_CERT");
    for (mode, encrypted) in [
        (SslMode::VerifyFull, "t"),
        (SslMode::Require, "t"),
        (SslMode::Prefer, "t"),
        (SslMode::Disable, "f"),
    ] {
        let mut settings = full.clone();
        settings.ssl_mode = mode;
        let store = PostgresStore::new(&settings).unwrap();
        store.ping().await.unwrap();
        let sessions = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                        WHERE application_name = 'telectl'";
        eventually(&format!("{mode:?}"), Duration::from_secs(5), async || {
            (server.sql("postgres", sessions) == encrypted).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn w12_a_server_without_tls_is_refused_where_tls_is_required() {
    let Some(fixture) = InPostgres::unprepared().await else {
        return;
    };
    let mut settings = fixture.settings.clone();
    settings.ssl_mode = SslMode::Require;
    assert_says(ping(&settings).await, "server does not support TLS");
    settings.ssl_mode = SslMode::Prefer;
    ping(&settings).await.unwrap();
}

#[tokio::test]
async fn w12_each_cause_of_a_failed_connection_has_its_own_words() {
    let Some(fixture) = InPostgres::unprepared().await else {
        return;
    };
    let mut wrong = fixture.settings.clone();
    wrong.password = Some(Secret::from("canary-of-a-wrong-password"));
    assert_says(ping(&wrong).await, "password authentication failed");
    let mut wrong = fixture.settings.clone();
    wrong.name = "nowhere".to_owned();
    assert_says(ping(&wrong).await, "database \"nowhere\" does not exist");
    let mut wrong = fixture.settings.clone();
    wrong.endpoint.port = 1;
    assert_says(ping(&wrong).await, "Connection refused");
    let mut wrong = fixture.settings.clone();
    wrong.endpoint.host = "database.invalid".to_owned();
    assert_says(ping(&wrong).await, "failed to lookup address");
}

#[tokio::test]
async fn w12_an_extension_that_may_not_be_made_names_the_remedy() {
    let Some(fixture) = InPostgres::unprepared().await else {
        return;
    };
    fixture.sql("CREATE ROLE weak LOGIN PASSWORD 'weak'; GRANT CREATE ON SCHEMA public TO weak");
    let mut settings = fixture.settings.clone();
    settings.user = "weak".to_owned();
    settings.password = Some(Secret::from("weak"));
    let store = PostgresStore::new(&settings).unwrap();
    let error = store.migrate().await.unwrap_err();
    assert!(
        error.to_string().contains("CREATE EXTENSION btree_gist"),
        "{error}"
    );
    assert!(!error.is_passing());
    // The remedy, followed, helps.
    fixture.sql("CREATE EXTENSION btree_gist");
    store.migrate().await.unwrap();
    fixture.sql("DROP OWNED BY weak; DROP ROLE weak");
}

#[tokio::test]
async fn w09_a_batch_that_the_server_cannot_take_is_told_apart_from_the_others() {
    let Some(fixture) = InPostgres::prepared().await else {
        return;
    };
    fixture.sql("ALTER TABLE sample ADD CHECK (value < 1000000)");
    let source = MadeUp::of("edge", "a.csv", 100);
    let mut batches = source.cut(10);
    batches[6].rows.value[1] = Some(2_000_000.0);
    let outcomes = fixture.open().store(&batches).await.unwrap().outcomes;
    for (place, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Outcome::Refused { reason } => {
                assert_eq!(place, 6);
                assert!(reason.contains("SQLSTATE 23514"), "{reason}");
            }
            other => {
                let rows = batches[place].rows.len() as u64;
                assert_eq!(*other, Outcome::Stored { rows });
            }
        }
    }
    let refused = batches[6].rows.len() as u64;
    assert_eq!(fixture.count("sample"), source.rows() - refused);
    assert_eq!(fixture.count("ledger"), 9);
}

#[tokio::test]
async fn a_partition_that_was_dropped_is_made_again() {
    let Some(fixture) = InPostgres::prepared().await else {
        return;
    };
    let source = MadeUp::of("edge", "a.csv", 120);
    let store = fixture.open();
    store.store(&[source.batch(0..100)]).await.unwrap();
    assert_eq!(
        fixture.count("pg_inherits WHERE inhparent = 'sample'::regclass"),
        2
    );
    fixture.sql("DROP TABLE sample_2025_07_19");
    let outcomes = store
        .store(&[source.batch(100..120)])
        .await
        .unwrap()
        .outcomes;
    assert_eq!(outcomes, vec![Outcome::Stored { rows: 19 }]);
    assert_eq!(fixture.count("sample_2025_07_19"), 19);
}

#[tokio::test]
async fn a_batch_that_spreads_over_too_many_days_is_refused_by_itself() {
    let Some(fixture) = InPostgres::prepared().await else {
        return;
    };
    let source = MadeUp::of("edge", "a.csv", 600);
    let mut wide = source.batch(0..550);
    for (day, time) in wide.rows.time.iter_mut().enumerate() {
        time.0 = i64::try_from(day).unwrap() * 86_400_000_000;
    }
    let batches = [wide, source.batch(550..600)];
    let outcomes = fixture.open().store(&batches).await.unwrap().outcomes;
    assert!(matches!(&outcomes[0], Outcome::Refused { reason } if reason.contains("500 days")));
    assert!(
        matches!(outcomes[1], Outcome::Stored { .. }),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn w08_a_restart_of_the_server_loses_and_doubles_nothing() {
    let Some(mut server) = PostgresServer::start(None).await else {
        return;
    };
    let settings = server.database();
    let store = PostgresStore::new(&settings).unwrap();
    store.migrate().await.unwrap();
    let source = MadeUp::of("edge", "a.csv", 100);
    store.store(&[source.batch(0..50)]).await.unwrap();
    server.stop();
    let error = store.store(&source.cut(50)).await.unwrap_err();
    assert!(error.is_passing(), "{error:?}");
    server.start_again().await;
    let outcomes = eventually("the store", Duration::from_secs(10), async || {
        store.store(&source.cut(50)).await.ok()
    })
    .await
    .outcomes;
    assert_eq!(outcomes[0], Outcome::AlreadyStored);
    assert_eq!(outcomes[1], Outcome::Stored { rows: 45 });
    let count = server.sql(&settings.name, "SELECT count(*) FROM sample");
    assert_eq!(count, source.rows().to_string());
}

#[tokio::test]
async fn a_server_that_is_frozen_is_given_up_in_time() {
    let Some(server) = PostgresServer::start(None).await else {
        return;
    };
    let settings = server.database();
    let store = PostgresStore::new(&settings).unwrap();
    // Only the postmaster: new connections are accepted by the kernel and never served.
    server.process().signal("STOP");
    let started = tokio::time::Instant::now();
    let error = store.ping().await.unwrap_err();
    server.process().signal("CONT");
    assert!(
        started.elapsed() < Duration::from_secs(8),
        "{:?}",
        started.elapsed()
    );
    assert!(causes(&error).contains("within 5 s"), "{}", causes(&error));
}

/// What the store remembers about a database does not reach into the next one of the same name:
/// there the source has another number and no series is known.
#[tokio::test]
async fn w10_a_database_that_was_made_anew_is_another_one() {
    let Some(server) = PostgresServer::start(None).await else {
        return;
    };
    let settings = server.database();
    let store = PostgresStore::new(&settings).unwrap();
    let lost = store.migrate().await.unwrap();
    let [first, second] = ["a.csv", "b.csv"].map(|name| MadeUp::of("edge", name, 40));
    store.store(&[first.batch(0..20)]).await.unwrap();
    let name = &settings.name;
    server.sql("postgres", &format!("DROP DATABASE {name} WITH (FORCE)"));
    server.sql("postgres", &format!("CREATE DATABASE {name}"));
    let other = PostgresStore::new(&settings).unwrap();
    let anew = other.migrate().await.unwrap();
    assert_ne!(anew, lost);
    other.store(&[second.batch(0..20)]).await.unwrap();
    let stored = eventually("the store", Duration::from_secs(10), async || {
        store.store(&[first.batch(0..20)]).await.ok()
    })
    .await;
    assert_eq!(stored.token, anew);
    let rows = "SELECT string_agg(name || ' ' || rows, ', ' ORDER BY name)
                FROM ledger JOIN source ON source.id = source_id";
    assert_eq!(server.sql(name, rows), "a.csv 19, b.csv 19");
    let strays = "SELECT count(*) FROM sample LEFT JOIN series USING (series_id)
                  WHERE series.series_id IS NULL";
    assert_eq!(server.sql(name, strays), "0");
}

/// Also somebody who is no superuser can tell the lives of a database apart; a restart is none, a
/// standby that took over is one, because it may lack the last commits.
#[tokio::test]
async fn w10_a_promoted_standby_is_another_life_and_a_restart_is_none() {
    let Some(mut server) = PostgresServer::start(None).await else {
        return;
    };
    let mut settings = server.database();
    server.sql(
        &settings.name,
        "CREATE EXTENSION btree_gist;
         CREATE ROLE worker LOGIN PASSWORD 'worker-canary';
         GRANT CREATE ON SCHEMA public TO worker",
    );
    settings.user = "worker".to_owned();
    settings.password = Some(Secret::from("worker-canary"));
    let token = async || {
        let limit = Duration::from_secs(20);
        eventually("an answer", limit, async || {
            let store = PostgresStore::new(&settings).unwrap();
            store.migrate().await.ok()
        })
        .await
    };
    let before = token().await;
    server.stop();
    server.start_again().await;
    assert_eq!(token().await, before);
    // Where the server's inside is closed, the database itself still tells.
    let closed = "FUNCTION pg_control_system()";
    let name = &settings.name;
    server.sql(name, &format!("REVOKE EXECUTE ON {closed} FROM PUBLIC"));
    let outside = token().await;
    server.stop();
    server.be_standby();
    server.start_again().await;
    server.sql("postgres", "SELECT pg_promote()");
    assert_ne!(token().await, outside);
    let outside = token().await;
    server.sql(name, &format!("GRANT EXECUTE ON {closed} TO PUBLIC"));
    assert_ne!(token().await, outside);
    // As from a dump: the same row, written again.
    let before = token().await;
    server.sql(name, "UPDATE store_token SET token = token");
    assert_ne!(token().await, before);
    let beside = "INSERT INTO store_token (token) VALUES ('of a dump') ON CONFLICT DO NOTHING";
    let restored = token().await;
    server.sql(name, beside);
    assert_eq!(token().await, restored);
}
