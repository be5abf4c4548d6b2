//! What is added, in the order of transactions.
//!
//! Event times come in any order, and a transaction may begin early and end late. So a reader goes
//! along the numbers of transactions, and only up to the lowest one that is still under way: below it
//! every transaction has ended, nothing will be added there any more, and what is there is visible.
//! And not further than behind the last one that stored something: after a crash, a server may use
//! numbers again of which nothing was written.

use deadpool_postgres::{Object, Transaction};
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::store::{Additions, AdditionsQuery, Progress};

use super::aggregate::bounded;
use super::fault::Fault;
use super::read::{POINT, Time, finish, point, tuple};
use super::{PostgresStore, QUERY_LIMIT, token};

/// Transactions that are looked at at once.
const TRANSACTIONS: usize = 64;

/// Where the end is, and the transactions before it that stored samples.
const ENDED: &str = "
    SELECT horizon.transaction, ended.transaction, ended.first, ended.last
    FROM (SELECT coalesce(max(transaction) + 1, 0) AS transaction FROM ledger
          WHERE transaction < pg_snapshot_xmin(pg_current_snapshot())::text::bigint) AS horizon
    LEFT JOIN LATERAL (
        SELECT ledger.transaction, min(first_ts) AS first, max(last_ts) AS last
        FROM ledger
        WHERE ledger.transaction >= $1 AND ledger.transaction < horizon.transaction
          AND first_ts IS NOT NULL
        GROUP BY ledger.transaction ORDER BY ledger.transaction LIMIT $2) AS ended ON true
    ORDER BY ended.transaction";

/// A transaction that has ended, and between which event times its samples are.
struct Ended {
    transaction: i64,
    first: Time,
    last: Time,
}

/// A page of what was added.
pub(super) async fn additions(
    store: &PostgresStore,
    asked: &AdditionsQuery,
) -> Result<Additions, Fault> {
    let mut client = store.client().await?;
    let result = timeout(QUERY_LIMIT, read(&mut client, asked)).await;
    finish(store, client, result)
}

async fn read(client: &mut Object, asked: &AdditionsQuery) -> Result<Additions, Fault> {
    let token = token::read(client).await?;
    let transaction = bounded(client).await?;
    let (end, ended) = ended(&transaction, asked).await?;
    let mut samples = Vec::new();
    let end = before(end);
    let mut next = end;
    let mut has_more = ended.len() == TRANSACTIONS;
    if let Some(last) = ended.last().filter(|_| has_more) {
        next = before(last.transaction + 1);
    }
    for one in &ended {
        let room = asked.limit as usize - samples.len();
        if room == 0 {
            next = before(one.transaction);
            has_more = true;
            break;
        }
        let rows = samples_of(&transaction, one, asked, room).await?;
        let is_full = rows.len() == room;
        samples.extend(rows.iter().map(|row| {
            let sample = point(row);
            let progress = Progress {
                transaction: one.transaction,
                after: Some(sample.position),
            };
            (progress, sample)
        }));
        if let Some((progress, _)) = samples.last().filter(|_| is_full) {
            next = *progress;
            has_more = true;
            break;
        }
    }
    transaction.commit().await?;
    Ok(Additions {
        token,
        samples,
        next,
        end,
        has_more,
    })
}

const fn before(transaction: i64) -> Progress {
    Progress {
        transaction,
        after: None,
    }
}

/// Where the end is, and which transactions are next.
async fn ended(
    transaction: &Transaction<'_>,
    asked: &AdditionsQuery,
) -> Result<(i64, Vec<Ended>), Fault> {
    let statement = transaction.prepare_cached(ENDED).await?;
    let from = asked.from.map_or(i64::MAX, |from| from.transaction);
    let most = i64::try_from(TRANSACTIONS).unwrap_or(i64::MAX);
    let rows = transaction.query(&statement, &[&from, &most]).await?;
    let end = rows.first().map_or(0, |row| row.get(0));
    let ended = rows.iter().filter_map(|row| {
        Some(Ended {
            transaction: row.get::<_, Option<i64>>(1)?,
            first: row.get::<_, Option<Time>>(2)?,
            last: row.get::<_, Option<Time>>(3)?,
        })
    });
    Ok((end, ended.collect()))
}

/// Samples that a transaction stored: rows know the lower half of the number of theirs.
async fn samples_of(
    transaction: &Transaction<'_>,
    ended: &Ended,
    asked: &AdditionsQuery,
    room: usize,
) -> Result<Vec<Row>, Fault> {
    let after = asked
        .from
        .filter(|from| from.transaction == ended.transaction)
        .and_then(|from| from.after);
    let continued = match after {
        Some(_) => "AND ts >= $8 AND (ts, series.series_id, ctid) > ($8, $9, $10::text::tid)",
        None => "",
    };
    let statement = format!(
        "SELECT {POINT}
         FROM series CROSS JOIN LATERAL (
             SELECT ts, value, ctid FROM sample
             WHERE sample.series_id = series.series_id AND ts >= $2 AND ts <= $3
               AND xmin = ($1::bigint % 4294967296)::text::xid {continued}
             ORDER BY ts, ctid LIMIT $4) AS page
         WHERE ($5::text IS NULL OR uuid = $5) AND ($6::text IS NULL OR host = $6)
           AND ($7::text IS NULL OR metric = $7)
         ORDER BY ts, series_id, page.ctid LIMIT $4"
    );
    let room = i64::try_from(room).unwrap_or(i64::MAX);
    let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![
        &ended.transaction,
        &ended.first,
        &ended.last,
        &room,
        &asked.uuid,
        &asked.hostname,
        &asked.metric,
    ];
    let after = after.map(|after| {
        let time = Time::within_reach(after.time);
        (time, after.series, tuple(after.row))
    });
    if let Some((time, series, row)) = &after {
        parameters.extend([time as &(dyn ToSql + Sync), series, row]);
    }
    let statement = transaction.prepare_cached(&statement).await?;
    Ok(transaction.query(&statement, &parameters).await?)
}
