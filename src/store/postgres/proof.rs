//! Fetches what the proof is decided from: everything in one snapshot, which takes no lock that
//! anybody waits for. The ledger comes in pages, in order; samples are counted by the server.

use std::time::Duration;

use deadpool_postgres::{Object, Transaction};
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::{IsolationLevel, Row};

use crate::model::source::{BatchId, ByteRange, IncarnationId, PassId, SourceId};
use crate::store::StoreError;
use crate::store::proof::file::{Origin, QuarantinedPlace};
use crate::store::proof::{
    Account, Count, End, Facts, Key, Letters, Line, MOST_LETTERS, Over, Piece, Proof, Question,
    SeriesQuestion, Spans, Sums,
};

use super::PostgresStore;
use super::fault::Fault;
use super::read::{Time, query};

/// Rows of the ledger that are fetched at once.
const PAGE: i32 = 8192;
/// Dead letters that are fetched at once; each may be some 256 KiB.
const LETTERS: i32 = 16;

const LEDGER: &str = "
    SELECT source_id, pass, coalesce(lower(range), 0), coalesce(upper(range), lower(range) + 1, 1),
           rows, quarantined, first_ts, last_ts, incarnation, sequence, streamer,
           greatest(0, extract(epoch FROM now() - ingested_at))::bigint
    FROM ledger
    ORDER BY source_id, pass COLLATE \"C\", lower(range), upper(range)";

// First by series, so that samples are joined with nothing.
const SAMPLES: &str = "
    SELECT cluster, bucket, sum(samples)::bigint
    FROM (SELECT series_id, width_bucket(ts, $1::timestamptz[]) AS bucket, count(*) AS samples
          FROM sample
          WHERE tableoid <> ALL (ARRAY (SELECT pending FROM expired WHERE pending IS NOT NULL))
          GROUP BY 1, 2) AS counted
         LEFT JOIN series USING (series_id)
    GROUP BY cluster, bucket";

// What is not kept any more, by day and by cluster.
const OVER: &str = "
    SELECT cluster, (day - '1970-01-01'::date)::bigint, sum(rows)::bigint,
           coalesce(sum(rows) FILTER (WHERE on_arrival), 0)::bigint
    FROM expired LEFT JOIN series USING (series_id)
    WHERE rows > 0
    GROUP BY 1, 2";

const SERIES: &str = "
    SELECT series_id, sum(rows)::bigint, sum(filled)::bigint, sum(total), min(smallest),
           max(largest)
    FROM (SELECT series_id, count(*) AS rows, count(value) AS filled,
                 coalesce(sum(value), 0) AS total, min(value) AS smallest, max(value) AS largest
          FROM sample
          WHERE series_id = ANY ($1) AND ts BETWEEN $2 AND $3
            AND tableoid <> ALL (ARRAY (SELECT pending FROM expired WHERE pending IS NOT NULL))
          GROUP BY series_id
          UNION ALL
          SELECT series_id, rows, filled, total, smallest, largest FROM expired
          WHERE series_id = ANY ($1)
            AND day BETWEEN ($2::timestamptz AT TIME ZONE 'UTC')::date
                        AND ($3::timestamptz AT TIME ZONE 'UTC')::date) AS part
    GROUP BY series_id ORDER BY series_id";

/// Proves what the store holds.
pub(super) async fn prove(store: &PostgresStore, question: &Question) -> Result<Proof, Fault> {
    let mut client = store.client().await?;
    let address = &store.0.address;
    let result = timeout(question.limit, look(&mut client, question)).await;
    let result = store.settle(client, question.limit, result);
    result.map_err(|fault| explained(fault, address))
}

/// A role that may not read needs somebody who lets it.
fn explained(fault: Fault, address: &str) -> Fault {
    match fault {
        Fault::Server(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            StoreError::Unprepared {
                address: address.to_owned(),
                missing: "the right to read its tables",
                remedy: "let the owner of the database run `GRANT SELECT ON ALL TABLES IN SCHEMA \
                         public TO` this user",
                source: Box::new(error),
            }
            .into()
        }
        other => other,
    }
}

async fn look(client: &mut Object, question: &Question) -> Result<Proof, Fault> {
    let transaction = client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await?;
    // Before the moment at which everything is looked at: what is dropped after that moment is dropped
    // after this transaction, and what was dropped before is noted by then.
    transaction
        .batch_execute("LOCK TABLE sample IN ACCESS SHARE MODE")
        .await?;
    allow(&transaction, question.limit).await?;
    let facts = Facts {
        sources: sources(&transaction).await?,
        ends: ends(&transaction).await?,
        kept: kept(&transaction).await?,
        letters: letters(&transaction).await?,
    };
    let mut account = Account::new(facts);
    ledger(&transaction, &mut account).await?;
    let (sources, dead_letters) = account.finish();
    let spans = Spans::of(&sources, over(&transaction).await?);
    let counts = samples(&transaction, &spans).await?;
    let mut files = Vec::new();
    for asked in &question.files {
        files.push(series(&transaction, asked).await?);
    }
    transaction.rollback().await?;
    Ok(Proof::of(sources, dead_letters, spans, counts, files))
}

/// More time than other queries have. Newer servers also notice when nobody waits any more.
async fn allow(transaction: &Transaction<'_>, limit: Duration) -> Result<(), Fault> {
    const STATEMENT: &str = "
        SELECT set_config(name, CASE name WHEN 'client_connection_check_interval' THEN '2s'
                                          ELSE $1 END, true)
        FROM pg_settings
        WHERE name IN ('statement_timeout', 'idle_in_transaction_session_timeout',
                       'client_connection_check_interval')";
    let milliseconds = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    let limit = format!("{milliseconds}ms");
    transaction.query(STATEMENT, &[&limit]).await?;
    Ok(())
}

async fn sources(
    transaction: &Transaction<'_>,
) -> Result<std::collections::HashMap<i64, SourceId>, Fault> {
    let statement = "SELECT id::bigint, cluster, name, digest FROM source";
    let rows = transaction.query(statement, &[]).await?;
    let source = |row: &Row| (row.get(0), identity(row, 1));
    Ok(rows.iter().map(source).collect())
}

fn identity(row: &Row, column: usize) -> SourceId {
    SourceId {
        cluster: row.get(column),
        name: row.get(column + 1),
        digest: row.get(column + 2),
    }
}

fn key(row: &Row) -> Key {
    (row.get::<_, i32>(0).into(), row.get(1))
}

fn count(row: &Row, column: usize) -> u64 {
    // Negative only where somebody entered it by hand: then it is nothing that could hold.
    u64::try_from(row.get::<_, i64>(column)).unwrap_or(u64::MAX >> 1)
}

async fn ends(
    transaction: &Transaction<'_>,
) -> Result<std::collections::BTreeMap<Key, End>, Fault> {
    let statement = "SELECT source_id, pass, size, rows, quarantined FROM signed_off";
    let rows = transaction.query(statement, &[]).await?;
    let end = |row: &Row| End {
        size: count(row, 2),
        rows: count(row, 3),
        quarantined: count(row, 4),
    };
    Ok(rows.iter().map(|row| (key(row), end(row))).collect())
}

async fn kept(transaction: &Transaction<'_>) -> Result<std::collections::HashMap<Key, u64>, Fault> {
    let statement = "SELECT source_id, pass, count(*) FROM quarantine GROUP BY source_id, pass";
    let rows = transaction.query(statement, &[]).await?;
    Ok(rows.iter().map(|row| (key(row), count(row, 2))).collect())
}

async fn letters(transaction: &Transaction<'_>) -> Result<Letters, Fault> {
    let mut letters = Letters::default();
    let total = transaction
        .query_one("SELECT count(*) FROM dead_letter", &[])
        .await?;
    letters.count.total = count(&total, 0);
    let statement = transaction
        .prepare(
            "SELECT incarnation, sequence::text, payload, reason FROM dead_letter
             ORDER BY incarnation, sequence, digest LIMIT $1",
        )
        .await?;
    let portal = transaction.bind(&statement, &[&MOST_LETTERS]).await?;
    let mut seen = 0;
    loop {
        let rows = transaction.query_portal(&portal, LETTERS).await?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            let batch = BatchId {
                incarnation: IncarnationId(row.get(0)),
                sequence: row.get::<_, &str>(1).parse().unwrap_or(u64::MAX),
            };
            letters.push(batch, row.get(2), row.get(3));
            seen += 1;
        }
    }
    letters.count.unreadable += letters.count.total.saturating_sub(seen);
    Ok(letters)
}

async fn ledger(transaction: &Transaction<'_>, account: &mut Account) -> Result<(), Fault> {
    let statement = transaction.prepare(LEDGER).await?;
    let portal = transaction.bind(&statement, &[]).await?;
    loop {
        let rows = transaction.query_portal(&portal, PAGE).await?;
        if rows.is_empty() {
            return Ok(());
        }
        for row in &rows {
            account.push(line(row));
        }
    }
}

fn line(row: &Row) -> Line {
    let time = |column: usize| row.get::<_, Option<Time>>(column).map(|time| time.0);
    Line {
        key: key(row),
        piece: Piece {
            range: ByteRange {
                start: count(row, 2),
                end: count(row, 3),
            },
            batch: BatchId {
                incarnation: IncarnationId(row.get(8)),
                sequence: count(row, 9),
            },
            streamer: row.get(10),
        },
        rows: count(row, 4),
        quarantined: count(row, 5),
        times: time(6).zip(time(7)),
        age: count(row, 11),
    }
}

async fn samples(transaction: &Transaction<'_>, spans: &Spans) -> Result<Vec<Count>, Fault> {
    let thresholds: Vec<Time> = spans.thresholds().iter().copied().map(Time).collect();
    let rows = transaction.query(SAMPLES, &[&thresholds]).await?;
    let counted = rows.iter().map(|row| Count {
        cluster: row.get(0),
        bucket: usize::try_from(row.get::<_, i32>(1)).unwrap_or(0),
        samples: count(row, 2),
    });
    Ok(counted.collect())
}

async fn over(transaction: &Transaction<'_>) -> Result<Vec<Over>, Fault> {
    let rows = transaction.query(OVER, &[]).await?;
    let over = |row: &Row| Over {
        cluster: row.get(0),
        day: row.get(1),
        samples: count(row, 2),
        on_arrival: count(row, 3),
    };
    Ok(rows.iter().map(over).collect())
}

async fn series(
    transaction: &Transaction<'_>,
    asked: &SeriesQuestion,
) -> Result<Vec<(i64, Sums)>, Fault> {
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
        [&asked.ids, &Time(asked.from), &Time(asked.to)];
    let rows = transaction.query(SERIES, &parameters).await?;
    let sums = |row: &Row| Sums {
        rows: count(row, 1),
        values: count(row, 2),
        sum: row.get(3),
        range: row
            .get::<_, Option<f64>>(4)
            .zip(row.get::<_, Option<f64>>(5)),
    };
    Ok(rows.iter().map(|row| (row.get(0), sums(row))).collect())
}

/// Every source and pass with this content.
pub(super) async fn origins(store: &PostgresStore, digest: &str) -> Result<Vec<Origin>, Fault> {
    const PASSES: &str = "
        SELECT id, pass, cluster, name, digest,
               coalesce((SELECT max(upper(range)) FROM ledger
                         WHERE ledger.source_id = id AND ledger.pass = known.pass), 0)::bigint
        FROM source JOIN (SELECT source_id, pass FROM ledger
                          UNION SELECT source_id, pass FROM signed_off) AS known ON id = source_id
        WHERE digest = $1
        ORDER BY cluster, name, pass";
    const ROWS: &str = "
        SELECT \"offset\", octet_length(record)::bigint FROM quarantine
        WHERE source_id = $1 AND pass = $2
        ORDER BY \"offset\"";
    let mut origins = Vec::new();
    for row in query(store, PASSES, &[&digest]).await? {
        let (id, pass): (i32, String) = (row.get(0), row.get(1));
        let rows = query(store, ROWS, &[&id, &pass]).await?;
        let places = rows.iter().map(|row| QuarantinedPlace {
            offset: count(row, 0),
            kept: count(row, 1),
        });
        origins.push(Origin {
            source: identity(&row, 2),
            pass: PassId(pass),
            reach: count(&row, 5),
            quarantined: places.collect(),
        });
    }
    Ok(origins)
}
