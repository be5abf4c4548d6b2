//! Samples summed up by buckets of time.

use deadpool_postgres::{Object, Transaction};
use tokio::time::timeout;
use tokio_postgres::Row;

use crate::store::{AggregateQuery, Bucket};

use super::fault::Fault;
use super::read::{Time, finish};
use super::version::Version;
use super::{PostgresStore, QUERY_LIMIT};

/// The server gives up before the caller does, who could not make it stop.
const LIMIT: &str = "SET LOCAL statement_timeout = '8s'";

/// The begin of a sample's bucket.
const BUCKET: &str = "date_bin(make_interval(secs => $5), ts, 'epoch'::timestamptz)";

/// The same where there is no such function: what is left over after whole buckets is taken off. Days
/// and what is beyond them are counted by themselves: as one number of seconds, this version makes
/// floating point of them.
const BUCKET_WITHOUT_FUNCTION: &str = "(
    SELECT ts - make_interval(secs => ((since % width + width) % width) / 1000000.0)
    FROM (SELECT extract(day FROM age)::bigint * 86400000000
                 + round(extract(epoch FROM age - date_trunc('day', age)) * 1000000)::bigint,
                 ($5::double precision * 1000000)::bigint
          FROM (SELECT ts - 'epoch'::timestamptz) AS ages (age)) AS counted (since, width))";

/// Goes on after the bucket. The row's place settles which of several samples of one time is the last.
const STATEMENT: &str = "AS bucket,
           count(*), min(value), max(value), avg(value), sum(value),
           (array_agg(value ORDER BY ts DESC, series_id DESC, ctid DESC))[1]
    FROM sample
    WHERE series_id IN (SELECT series_id FROM series WHERE uuid = $1 AND metric = $2)
      AND ts >= $3 AND ts < $4 AND value IS NOT NULL
    GROUP BY bucket ORDER BY bucket";

/// The buckets that have a value, in the order of time.
pub(super) async fn aggregate(
    store: &PostgresStore,
    asked: &AggregateQuery,
) -> Result<Vec<Bucket>, Fault> {
    let mut client = store.client().await?;
    let result = timeout(QUERY_LIMIT, ask(&mut client, asked)).await;
    let rows = finish(store, client, result)?;
    Ok(rows.iter().map(bucket).collect())
}

/// A transaction that only reads, and whose statements are bounded in time.
pub(super) async fn bounded(client: &mut Object) -> Result<Transaction<'_>, Fault> {
    let transaction = client.build_transaction().read_only(true).start().await?;
    transaction.batch_execute(LIMIT).await?;
    Ok(transaction)
}

async fn ask(client: &mut Object, asked: &AggregateQuery) -> Result<Vec<Row>, Fault> {
    let transaction = bounded(client).await?;
    let bucket = if Version::read(&transaction).await?.bins_dates() {
        BUCKET
    } else {
        BUCKET_WITHOUT_FUNCTION
    };
    let statement = format!("SELECT {bucket} {STATEMENT}");
    let statement = transaction.prepare_cached(&statement).await?;
    let from = Time::within_reach(asked.from.as_microsecond());
    let to = Time::within_reach(asked.to.as_microsecond());
    let width = asked.bucket.as_secs_f64();
    let rows = transaction
        .query(
            &statement,
            &[&asked.uuid, &asked.metric, &from, &to, &width],
        )
        .await?;
    transaction.commit().await?;
    Ok(rows)
}

fn bucket(row: &Row) -> Bucket {
    Bucket {
        start: row.get::<_, Time>(0).timestamp(),
        count: row.get::<_, i64>(1).unsigned_abs(),
        min: row.get(2),
        max: row.get(3),
        avg: row.get(4),
        sum: row.get(5),
        last: row.get(6),
    }
}
