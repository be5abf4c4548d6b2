//! How partitions are indexed, and when.
//!
//! By default `sample` as a whole is indexed by series and time, so every partition is from its first
//! row on. With `ingest=max` a partition begins with a BRIN index, which costs next to nothing, and gets
//! the other one when its day is closed. PostgreSQL indexes every new partition of a table that is
//! indexed as a whole, also by an index `ON ONLY` it, so the first thing is to let each partition have
//! its index by itself. That stays so: it is the partitions' own indexes that queries use.

use deadpool_postgres::{Object, Transaction};
use tokio_postgres::Row;

use crate::config::worker::{IngestProfile, UpkeepSettings};

use super::fault::{Fault, Remedy};
use super::partitions::PARTITION_LOCK;

/// How PostgreSQL writes the index by series and time.
pub(super) const BY_SERIES: &str = "'% USING btree (series_id, ts)'";

/// The index of `sample` as a whole; `None` if each partition has its own.
pub(super) async fn whole(transaction: &Transaction<'_>) -> Result<Option<String>, Fault> {
    let statement = format!(
        "SELECT indexrelid::regclass::text FROM pg_index
         WHERE indrelid = to_regclass('sample') AND pg_get_indexdef(indexrelid) LIKE {BY_SERIES}"
    );
    let row = transaction.query_opt(&statement, &[]).await?;
    Ok(row.map(|row| row.get(0)))
}

/// The index with which a new partition begins. Rows of a transaction come in the order of series and
/// time, so a small range of blocks has few series: the coarse index helps a single series, too.
pub(super) fn definition(partition: &str, ingest: IngestProfile) -> String {
    match ingest {
        IngestProfile::Default => {
            format!("CREATE INDEX {partition}_series_id_ts_idx ON {partition} (series_id, ts)")
        }
        IngestProfile::Max => format!(
            "CREATE INDEX {partition}_coarse ON {partition}
                 USING brin (series_id, ts) WITH (pages_per_range = 16)"
        ),
    }
}

/// In a store without partitions, lets the first ones begin as they are meant to.
pub(super) async fn prepare(client: &mut Object, ingest: IngestProfile) -> Result<(), Fault> {
    if ingest == IngestProfile::Default {
        return Ok(());
    }
    let transaction = client.transaction().await?;
    // First the lock: an index that another collector drops meanwhile cannot be looked at.
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&PARTITION_LOCK])
        .await?;
    let Some(index) = whole(&transaction).await? else {
        return Ok(transaction.rollback().await?);
    };
    if attached(&transaction).await?.is_empty() {
        transaction
            .batch_execute(&format!("DROP INDEX IF EXISTS {index}"))
            .await?;
    }
    Ok(transaction.commit().await?)
}

/// Indexes what is due; answers the days.
pub(super) async fn keep(
    client: &mut Object,
    settings: &UpkeepSettings,
) -> Result<Vec<String>, Fault> {
    if settings.ingest == IngestProfile::Max {
        match separate(client).await {
            // Somebody reads for long: another time.
            Err(fault) if fault.remedy() == Remedy::Repeat => {
                tracing::debug!(
                    reason = fault.reason(),
                    "partitions keep their common index for now"
                );
            }
            other => other?,
        }
    }
    let mut indexed = Vec::new();
    for partition in unordered(client).await? {
        if settings.ingest == IngestProfile::Max && is_open(client, &partition, settings).await? {
            summarize(client, &partition).await?;
            continue;
        }
        order(client, &partition).await?;
        indexed.push(partition.day);
    }
    Ok(indexed)
}

/// A partition of `sample`.
struct Attached {
    table: String,
    bound: String,
    constraint: String,
}

async fn attached(transaction: &Transaction<'_>) -> Result<Vec<Attached>, Fault> {
    const STATEMENT: &str = "
        SELECT oid::regclass::text, pg_get_expr(relpartbound, oid),
               pg_get_partition_constraintdef(oid)
        FROM pg_class JOIN pg_inherits ON inhrelid = oid
        WHERE inhparent = to_regclass('sample') AND relpartbound IS NOT NULL
        ORDER BY relname";
    let rows = transaction.query(STATEMENT, &[]).await?;
    let attached = rows.iter().map(|row| Attached {
        table: row.get(0),
        bound: row.get(1),
        constraint: row.get(2),
    });
    Ok(attached.collect())
}

/// Name of the constraint that spares a partition a scan when it is attached again.
const WITHIN: &str = "within_its_day";

/// Takes the common index away and leaves each partition its own: all of them are detached and attached
/// again in one transaction, whose look at the catalogue is all that others wait for. That their rows
/// are in order was found out before.
async fn separate(client: &mut Object) -> Result<(), Fault> {
    let transaction = client.transaction().await?;
    let is_common = whole(&transaction).await?.is_some();
    let before = attached(&transaction).await?;
    transaction.commit().await?;
    if !is_common {
        return Ok(());
    }
    for Attached {
        table, constraint, ..
    } in before
    {
        let known = "SELECT FROM pg_constraint
                     WHERE conrelid = to_regclass($1) AND conname = $2";
        if client.query_opt(known, &[&table, &WITHIN]).await?.is_none() {
            let add = format!(
                "ALTER TABLE {table} ADD CONSTRAINT {WITHIN} CHECK ({constraint}) NOT VALID"
            );
            client.batch_execute(&add).await?;
        }
        let validate = format!("ALTER TABLE {table} VALIDATE CONSTRAINT {WITHIN}");
        client.batch_execute(&validate).await?;
    }
    let transaction = client.transaction().await?;
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&PARTITION_LOCK])
        .await?;
    transaction
        .batch_execute("LOCK TABLE sample IN ACCESS EXCLUSIVE MODE")
        .await?;
    if let Some(index) = whole(&transaction).await? {
        let partitions = attached(&transaction).await?;
        transaction
            .batch_execute(&swap(&index, &partitions))
            .await?;
    }
    Ok(transaction.commit().await?)
}

fn swap(index: &str, partitions: &[Attached]) -> String {
    use std::fmt::Write as _;
    let mut statements = String::new();
    for Attached { table, .. } in partitions {
        writeln!(statements, "ALTER TABLE sample DETACH PARTITION {table};").unwrap_or_default();
    }
    writeln!(statements, "DROP INDEX {index};").unwrap_or_default();
    for Attached { table, bound, .. } in partitions {
        writeln!(
            statements,
            "ALTER TABLE sample ATTACH PARTITION {table} {bound};
             ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {WITHIN};"
        )
        .unwrap_or_default();
    }
    statements
}

/// A partition without the index by series.
struct Unordered {
    /// As `2025-07-18`.
    day: String,
    table: String,
    /// What a build that was broken off left behind.
    broken: Vec<String>,
    /// What is in its place until then.
    coarse: Vec<String>,
}

async fn unordered(client: &Object) -> Result<Vec<Unordered>, Fault> {
    let statement = format!(
        "SELECT replace(substr(relname, 8), '_', '-'), oid::regclass::text,
                array(SELECT indexrelid::regclass::text FROM pg_index
                      WHERE indrelid = oid AND NOT indisvalid
                        AND pg_get_indexdef(indexrelid) LIKE {BY_SERIES}),
                array(SELECT indexrelid::regclass::text FROM pg_index
                      WHERE indrelid = oid AND pg_get_indexdef(indexrelid) LIKE '% USING brin (%')
         FROM pg_class JOIN pg_inherits ON inhrelid = oid
         WHERE inhparent = to_regclass('sample') AND relname ~ '^sample_\\d{{4}}_\\d\\d_\\d\\d$'
           AND NOT EXISTS (SELECT FROM pg_index
                           WHERE indrelid = oid AND indisvalid
                             AND pg_get_indexdef(indexrelid) LIKE {BY_SERIES})
         ORDER BY relname"
    );
    let rows = client.query(&statement, &[]).await?;
    let partition = |row: &Row| Unordered {
        day: row.get(0),
        table: row.get(1),
        broken: row.get(2),
        coarse: row.get(3),
    };
    Ok(rows.iter().map(partition).collect())
}

/// Whether rows for this day may still come in numbers: it is today's, or some came lately.
async fn is_open(
    client: &Object,
    partition: &Unordered,
    settings: &UpkeepSettings,
) -> Result<bool, Fault> {
    const STATEMENT: &str = "
        SELECT $1::text::date = now()::date
            OR EXISTS (SELECT FROM ledger
                       WHERE ingested_at > now() - make_interval(secs => $2)
                         AND first_ts < $1::text::date + 1 AND last_ts >= $1::text::date)";
    let quiet = settings.quiet.as_secs_f64();
    let row = client
        .query_one(STATEMENT, &[&partition.day, &quiet])
        .await?;
    Ok(row.get(0))
}

/// Takes blocks into the coarse index that were filled since; without, they are all looked at.
async fn summarize(client: &Object, partition: &Unordered) -> Result<(), Fault> {
    for index in &partition.coarse {
        client
            .execute(
                "SELECT brin_summarize_new_values($1::text::regclass)",
                &[index],
            )
            .await?;
    }
    Ok(())
}

/// Builds the index by series beside whoever writes and reads, then drops the coarse one.
async fn order(client: &Object, partition: &Unordered) -> Result<(), Fault> {
    let Unordered { day, table, .. } = partition;
    tracing::info!(day, "indexing by series");
    // It waits for transactions that are under way, and nobody waits for it.
    client.batch_execute("SET lock_timeout = 0").await?;
    for index in &partition.broken {
        let drop = format!("DROP INDEX CONCURRENTLY IF EXISTS {index}");
        client.batch_execute(&drop).await?;
    }
    let name = table.rsplit('.').next().unwrap_or(table);
    let build =
        format!("CREATE INDEX CONCURRENTLY {name}_series_id_ts_idx ON {table} (series_id, ts)");
    client.batch_execute(&build).await?;
    for index in &partition.coarse {
        let drop = format!("DROP INDEX CONCURRENTLY IF EXISTS {index}");
        client.batch_execute(&drop).await?;
    }
    client.batch_execute("SET lock_timeout = '2s'").await?;
    Ok(())
}
