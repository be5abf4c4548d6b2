//! Days that are not kept any more.
//!
//! A partition is dropped in three steps, because readers must not wait: what its samples come to is
//! noted, with the partition (from that commit on they count there, and not as samples); it is detached,
//! which waits for readers and lets none wait; then it is dropped, and in the same transaction noted
//! anew, should rows have come in between. Wherever this is broken off, the next look goes on with it.
//! Rows whose day is over when they arrive are noted in place of being stored.

use deadpool_postgres::{Object, Transaction};
use tokio_postgres::Row;

use super::copy::Sample;
use super::fault::{Fault, Remedy};
use super::partitions;
use super::read::Time;
use super::version::Version;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;
/// Rows about one day and series that are added up.
const CROWD: i64 = 16;

/// The first time that is kept, microseconds since the epoch; `None` if everything is. By the clock of
/// the database: a collector whose clock is wrong must not drop anything.
pub(super) async fn first_kept(client: &Object, days: Option<u32>) -> Result<Option<i64>, Fault> {
    let Some(days) = days.map(i64::from) else {
        return Ok(None);
    };
    let statement = client
        .prepare_cached("SELECT now()::date - '1970-01-01'::date")
        .await?;
    let today: i32 = client.query_one(&statement, &[]).await?.get(0);
    Ok(Some((i64::from(today) - days).saturating_mul(DAY)))
}

/// Notes rows that are not stored, because their day is over.
pub(super) async fn note_arrivals(
    transaction: &Transaction<'_>,
    samples: &[Sample],
) -> Result<(), Fault> {
    const STATEMENT: &str = "
        INSERT INTO expired (day, series_id, on_arrival, rows, filled, total, smallest, largest)
        SELECT (ts AT TIME ZONE 'UTC')::date, series_id, true, count(*), count(value),
               coalesce(sum(value), 0), min(value), max(value)
        FROM unnest($1::bigint[], $2::timestamptz[], $3::double precision[])
             AS arrived (series_id, ts, value)
        GROUP BY 1, 2";
    if samples.is_empty() {
        return Ok(());
    }
    let series: Vec<i64> = samples.iter().map(|(series, _, _)| *series).collect();
    let times: Vec<Time> = samples.iter().map(|(_, time, _)| Time(*time)).collect();
    let values: Vec<Option<f64>> = samples.iter().map(|(_, _, value)| *value).collect();
    let statement = transaction.prepare_cached(STATEMENT).await?;
    transaction
        .execute(&statement, &[&series, &times, &values])
        .await?;
    Ok(())
}

/// Drops the days that are over; answers them. What somebody reads for long is dropped another time.
pub(super) async fn expire(client: &mut Object, days: Option<u32>) -> Result<Vec<String>, Fault> {
    let mut dropped = Vec::new();
    match drop_all(client, days, &mut dropped).await {
        Err(fault) if fault.remedy() == Remedy::Repeat => {
            tracing::debug!(
                reason = fault.reason(),
                "days that are over are dropped later"
            );
        }
        other => other?,
    }
    Ok(dropped)
}

async fn drop_all(
    client: &mut Object,
    days: Option<u32>,
    dropped: &mut Vec<String>,
) -> Result<(), Fault> {
    // What was begun goes on, whatever the settings are by now.
    for old in pending(client).await? {
        proceed(client, &old).await?;
        dropped.push(old.day);
    }
    let Some(days) = days.and_then(|days| i32::try_from(days).ok()) else {
        return Ok(());
    };
    for old in over(client, days).await? {
        begin(client, &old).await?;
        proceed(client, &old).await?;
        dropped.push(old.day);
    }
    add_up(client).await
}

/// A partition whose day is over.
struct Old {
    /// As `2025-07-18`.
    day: String,
    oid: u32,
    table: String,
}

fn old(row: &Row) -> Old {
    Old {
        day: row.get(0),
        oid: row.get(1),
        table: row.get(2),
    }
}

async fn over(client: &Object, days: i32) -> Result<Vec<Old>, Fault> {
    const STATEMENT: &str = "
        SELECT day::text, oid, oid::regclass::text
        FROM (SELECT replace(substr(relname, 8), '_', '-')::date AS day, oid
              FROM pg_class JOIN pg_inherits ON inhrelid = oid
              WHERE inhparent = to_regclass('sample')
                AND relname ~ '^sample_\\d{4}_\\d\\d_\\d\\d$') AS part
        WHERE day < now()::date - $1::integer
        ORDER BY day";
    let rows = client.query(STATEMENT, &[&days]).await?;
    Ok(rows.iter().map(old).collect())
}

/// What was begun and not ended. A note about a partition that is not there came with a restored dump:
/// the partition did, too, under another number, so the note is forgotten and all of it begins anew.
async fn pending(client: &mut Object) -> Result<Vec<Old>, Fault> {
    const STATEMENT: &str = "
        SELECT DISTINCT day::text, pending, relname::text, pending::regclass::text,
                        (day - '1970-01-01'::date)::bigint
        FROM expired LEFT JOIN pg_class
             ON oid = pending AND relname = 'sample_' || to_char(day, 'YYYY_MM_DD')
        WHERE pending IS NOT NULL ORDER BY 1";
    let mut found = Vec::new();
    for row in client.query(STATEMENT, &[]).await? {
        let (day, oid): (String, u32) = (row.get(0), row.get(1));
        if row.get::<_, Option<String>>(2).is_some() {
            let table = row.get(3);
            found.push(Old { day, oid, table });
            continue;
        }
        tracing::warn!(day, "a restored database drops this day anew");
        let transaction = client.transaction().await?;
        partitions::attach(&transaction, row.get(4)).await?;
        forget(&transaction, oid).await?;
        transaction.commit().await?;
    }
    Ok(found)
}

async fn forget(transaction: &Transaction<'_>, oid: u32) -> Result<(), Fault> {
    transaction
        .execute("DELETE FROM expired WHERE pending = $1", &[&oid])
        .await?;
    Ok(())
}

/// Notes what the samples of a partition come to.
fn note(old: &Old, pending: &str) -> String {
    let Old { day, table, .. } = old;
    format!(
        "INSERT INTO expired
             (day, series_id, on_arrival, pending, rows, filled, total, smallest, largest)
         SELECT '{day}'::date, series_id, false, {pending}, count(*), count(value),
                coalesce(sum(value), 0), min(value), max(value)
         FROM {table} GROUP BY series_id"
    )
}

/// From here on the samples of the partition count as expired.
async fn begin(client: &mut Object, old: &Old) -> Result<(), Fault> {
    let Old { day, oid, .. } = old;
    let transaction = client.transaction().await?;
    // A row for the partition itself: it may be empty.
    let partition = format!(
        "INSERT INTO expired (day, series_id, on_arrival, pending, rows, filled, total)
         VALUES ('{day}', 0, false, {oid}, 0, 0, 0)"
    );
    transaction.batch_execute(&partition).await?;
    transaction
        .batch_execute(&note(old, &oid.to_string()))
        .await?;
    Ok(transaction.commit().await?)
}

/// Detaches, if that is not done yet, and drops.
async fn proceed(client: &mut Object, old: &Old) -> Result<(), Fault> {
    let Old { oid, table, .. } = old;
    let attached = client
        .query_opt(
            "SELECT coalesce((to_jsonb(pg_inherits) ->> 'inhdetachpending')::boolean, false)
             FROM pg_inherits WHERE inhrelid = $1",
            &[oid],
        )
        .await?;
    let version = Version::read(&*client).await?;
    let way = match attached.map(|row| row.get::<_, bool>(0)) {
        Some(true) => Some("FINALIZE"),
        Some(false) if version.detaches_concurrently() => Some("CONCURRENTLY"),
        Some(false) => Some(""),
        None => None,
    };
    if let Some(way) = way {
        let detach = format!("ALTER TABLE sample DETACH PARTITION {table} {way}");
        client.batch_execute(&detach).await?;
    }
    let transaction = client.transaction().await?;
    transaction
        .batch_execute(&format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        .await?;
    forget(&transaction, *oid).await?;
    let last = format!("{}; DROP TABLE {table}", note(old, "NULL"));
    transaction.batch_execute(&last).await?;
    Ok(transaction.commit().await?)
}

/// Adds up what transactions noted one by one.
async fn add_up(client: &Object) -> Result<(), Fault> {
    const STATEMENT: &str = "
        WITH crowd AS (
            SELECT day, series_id, on_arrival FROM expired WHERE pending IS NULL
            GROUP BY 1, 2, 3 HAVING count(*) > $1
        ), gone AS (
            DELETE FROM expired USING crowd
            WHERE expired.pending IS NULL AND expired.day = crowd.day
              AND expired.series_id = crowd.series_id AND expired.on_arrival = crowd.on_arrival
            RETURNING expired.*
        )
        INSERT INTO expired (day, series_id, on_arrival, rows, filled, total, smallest, largest)
        SELECT day, series_id, on_arrival, sum(rows), sum(filled), sum(total), min(smallest),
               max(largest)
        FROM gone GROUP BY 1, 2, 3";
    client.execute(STATEMENT, &[&CROWD]).await?;
    Ok(())
}
