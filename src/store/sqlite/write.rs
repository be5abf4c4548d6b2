//! Storing: one transaction per call, and one writer at a time.

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};

use crate::model::batch::{Batch, SeriesLabels, SignedOff};
use crate::model::source::{BatchId, ByteRange, SourceId, StoreToken};
use crate::store::check::{self, printable};
use crate::store::coverage::{self, Covered, Verdict, judge};
use crate::store::identity::{series_id, shown};
use crate::store::{Outcome, StoreError, Stored};

use super::Fault;
use super::schema::token;

/// Stores batches in one transaction.
pub(super) fn store(connection: &mut Connection, batches: &[Batch]) -> Result<Stored, Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let outcomes = batches
        .iter()
        .map(|batch| store_one(&transaction, batch))
        .collect::<Result<_, _>>()?;
    let token = token(&transaction)?;
    transaction.commit()?;
    Ok(Stored {
        outcomes,
        expired: 0,
        token,
    })
}

fn store_one(transaction: &Transaction<'_>, batch: &Batch) -> Result<Outcome, Fault> {
    if let Some(reason) = check::defect(batch) {
        return Ok(Outcome::Refused { reason });
    }
    let source = source_id(transaction, &batch.source)?;
    let overlapping = overlapping(transaction, source, batch)?;
    let ranges = match judge(batch.range, batch.checksum, &overlapping) {
        Verdict::AlreadyStored => return Ok(Outcome::AlreadyStored),
        Verdict::Contradiction => {
            return Ok(Outcome::Refused {
                reason: format!(
                    "bytes {}..{} of {} are stored with another checksum",
                    batch.range.start, batch.range.end, batch.source
                ),
            });
        }
        Verdict::Missing(ranges) => ranges,
    };
    let series = series(transaction, batch)?;
    for range in &ranges {
        enter(transaction, source, batch, *range)?;
    }
    let rows = samples(transaction, batch, &series, &ranges)?;
    quarantine(transaction, source, batch, &ranges)?;
    if ranges == [batch.range] {
        Ok(Outcome::Stored { rows })
    } else {
        Ok(Outcome::Completed { rows })
    }
}

fn source_id(transaction: &Transaction<'_>, source: &SourceId) -> Result<i64, Fault> {
    let key = params![source.cluster, source.name, source.digest];
    transaction
        .prepare_cached(
            "INSERT INTO source (cluster, name, digest) VALUES (?1, ?2, ?3)
             ON CONFLICT DO NOTHING",
        )?
        .execute(key)?;
    let id = transaction
        .prepare_cached("SELECT id FROM source WHERE cluster = ?1 AND name = ?2 AND digest = ?3")?
        .query_row(key, |row| row.get(0))?;
    Ok(id)
}

/// The ledger's entries that overlap the batch. As entries never overlap each other, the earliest
/// candidate is the last one that starts at or before the batch.
fn overlapping(
    transaction: &Transaction<'_>,
    source: i64,
    batch: &Batch,
) -> Result<Vec<Covered>, Fault> {
    let mut statement = transaction.prepare_cached(
        "SELECT \"start\", \"end\", checksum FROM ledger
         WHERE source_id = ?1 AND pass = ?2 AND \"start\" < ?4 AND \"end\" > ?3
           AND \"start\" >= coalesce(
               (SELECT max(\"start\") FROM ledger
                WHERE source_id = ?1 AND pass = ?2 AND \"start\" <= ?3), ?3)",
    )?;
    let (start, end) = (signed(batch.range.start), signed(batch.range.end));
    let rows = statement.query_map(params![source, batch.pass.0, start, end], |row| {
        Ok(Covered {
            range: ByteRange {
                start: row.get::<_, i64>(0)?.unsigned_abs(),
                end: row.get::<_, i64>(1)?.unsigned_abs(),
            },
            checksum: row.get(2)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The id of every series of the dictionary, made if they are new.
fn series(transaction: &Transaction<'_>, batch: &Batch) -> Result<Vec<i64>, Fault> {
    let ids = batch.series.iter().map(|labels| {
        let id = series_id(labels);
        let stored = stored_labels(transaction, id)?;
        match stored {
            None => insert_series(transaction, id, labels)?,
            Some(stored) if stored == labels.texts() => {}
            Some(stored) => {
                return Err(StoreError::SeriesCollision {
                    id,
                    stored: shown(&stored),
                    offered: shown(&labels.texts()),
                    origin: Box::new(batch.source.clone()),
                }
                .into());
            }
        }
        Ok(id)
    });
    ids.collect()
}

fn stored_labels(transaction: &Transaction<'_>, id: i64) -> Result<Option<[String; 11]>, Fault> {
    let statement = format!(
        "SELECT {} FROM series WHERE series_id = ?1",
        SeriesLabels::NAMES.join(", ")
    );
    let mut statement = transaction.prepare_cached(&statement)?;
    let stored = statement.query_row([id], |row| {
        let mut labels: [String; 11] = Default::default();
        for (column, label) in labels.iter_mut().enumerate() {
            *label = row.get(column)?;
        }
        Ok(labels)
    });
    Ok(stored.optional()?)
}

fn insert_series(
    transaction: &Transaction<'_>,
    id: i64,
    labels: &SeriesLabels,
) -> Result<(), Fault> {
    let statement = format!(
        "INSERT INTO series (series_id, created, {})
         VALUES (?1, (SELECT count(*) FROM series), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        SeriesLabels::NAMES.join(", ")
    );
    let mut statement = transaction.prepare_cached(&statement)?;
    statement.raw_bind_parameter(1, id)?;
    for (label, place) in labels.texts().into_iter().zip(2..) {
        statement.raw_bind_parameter(place, label)?;
    }
    statement.raw_execute()?;
    Ok(())
}

fn enter(
    transaction: &Transaction<'_>,
    source: i64,
    batch: &Batch,
    range: ByteRange,
) -> Result<(), Fault> {
    let times = || {
        let rows = batch.rows.time.iter().zip(&batch.rows.offset);
        rows.filter(|(_, offset)| coverage::holds(&[range], **offset))
            .map(|(time, _)| time.0)
    };
    let quarantined = batch.quarantined.iter().map(|row| row.offset);
    let checksum = (range == batch.range).then_some(batch.checksum);
    transaction
        .prepare_cached(
            "INSERT INTO ledger (source_id, pass, \"start\", \"end\", checksum, \"rows\",
                                 quarantined, first_ts, last_ts, incarnation, sequence, streamer)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            source,
            batch.pass.0,
            signed(range.start),
            signed(range.end),
            checksum,
            signed(times().count() as u64),
            signed(coverage::count(quarantined, range)),
            times().min(),
            times().max(),
            batch.id.incarnation.0,
            signed(batch.id.sequence),
            batch.streamer,
        ])?;
    Ok(())
}

fn samples(
    transaction: &Transaction<'_>,
    batch: &Batch,
    series: &[i64],
    ranges: &[ByteRange],
) -> Result<u64, Fault> {
    let rows = &batch.rows;
    let mut samples: Vec<(i64, i64, Option<f64>)> = (0..rows.len())
        .filter(|row| coverage::holds(ranges, rows.offset[*row]))
        .map(|row| {
            (
                series[rows.series[row] as usize],
                rows.time[row].0,
                rows.value[row],
            )
        })
        .collect();
    samples.sort_unstable_by_key(|(series, time, _)| (*series, *time));
    let mut statement = transaction
        .prepare_cached("INSERT INTO sample (series_id, ts, value) VALUES (?1, ?2, ?3)")?;
    for sample in &samples {
        statement.execute(*sample)?;
    }
    Ok(samples.len() as u64)
}

fn quarantine(
    transaction: &Transaction<'_>,
    source: i64,
    batch: &Batch,
    ranges: &[ByteRange],
) -> Result<(), Fault> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO quarantine (source_id, pass, line, \"offset\", reason, record)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for row in &batch.quarantined {
        if coverage::holds(ranges, row.offset) {
            statement.execute(params![
                source,
                batch.pass.0,
                signed(row.line),
                signed(row.offset),
                printable(&row.reason),
                row.record
            ])?;
        }
    }
    Ok(())
}

/// Notes the end of a source.
pub(super) fn sign_off(connection: &mut Connection, end: &SignedOff) -> Result<StoreToken, Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let source = source_id(&transaction, &end.source)?;
    transaction
        .prepare_cached(
            "INSERT INTO signed_off
                 (source_id, pass, size, \"rows\", quarantined, incarnation, sequence, streamer)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            source,
            end.pass.0,
            signed(end.size),
            signed(end.rows),
            signed(end.quarantined),
            end.id.incarnation.0,
            signed(end.id.sequence),
            end.streamer,
        ])?;
    let token = token(&transaction)?;
    transaction.commit()?;
    Ok(token)
}

/// Keeps an entry's bytes.
pub(super) fn dead_letter(
    connection: &mut Connection,
    id: &BatchId,
    payload: &[u8],
    reason: &str,
) -> Result<StoreToken, Fault> {
    connection
        .prepare_cached(
            "INSERT INTO dead_letter (incarnation, sequence, digest, payload, reason)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            printable(&id.incarnation.0),
            id.sequence.to_string(),
            check::digest(payload),
            payload,
            printable(reason),
        ])?;
    token(connection)
}

/// As the database holds it; the callers have checked that it fits, or it is beyond all measure.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
