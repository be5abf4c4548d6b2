//! Canaries: noted, found, forgotten.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use crate::model::canary::CanaryId;
use crate::model::source::StoreToken;
use crate::store::canary::{CanaryArrival, CanaryRecord, KEPT_FOR, MOST_KEPT};
use crate::store::check::printable;

use super::Fault;
use super::read::timestamp;
use super::schema::token;

/// Notes a canary, or that it was delivered again, and forgets those that are too old or too many.
pub(super) fn note(
    connection: &mut Connection,
    arrival: &CanaryArrival,
    now: Timestamp,
) -> Result<StoreToken, Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let canary = &arrival.canary;
    transaction
        .prepare_cached(
            "INSERT INTO canary
                 (id, cluster, sent_at, published_at, received_at, stored_at, collector)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (id) DO UPDATE SET deliveries = deliveries + 1",
        )?
        .execute(params![
            canary.id.as_str(),
            canary.cluster,
            canary.sent_at.0,
            arrival.published_at.as_microsecond(),
            arrival.received_at.as_microsecond(),
            now.as_microsecond(),
            printable(&arrival.collector),
        ])?;
    let oldest = now.saturating_sub(KEPT_FOR).unwrap_or(Timestamp::MIN);
    transaction
        .prepare_cached(
            "DELETE FROM canary
             WHERE stored_at < ?1
                OR id NOT IN (SELECT id FROM canary ORDER BY stored_at DESC, id LIMIT ?2)",
        )?
        .execute(params![oldest.as_microsecond(), MOST_KEPT])?;
    let token = token(&transaction)?;
    transaction.commit()?;
    Ok(token)
}

/// A canary that arrived and is not forgotten.
pub(super) fn find(connection: &Connection, id: &CanaryId) -> Result<Option<CanaryRecord>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT id, cluster, sent_at, published_at, received_at, stored_at, collector, deliveries
         FROM canary WHERE id = ?1",
    )?;
    let found = statement.query_row([id.as_str()], |row| {
        Ok(CanaryRecord {
            id: row.get(0)?,
            cluster: row.get(1)?,
            sent_at: timestamp(row.get(2)?),
            published_at: timestamp(row.get(3)?),
            received_at: timestamp(row.get(4)?),
            stored_at: timestamp(row.get(5)?),
            collector: row.get(6)?,
            deliveries: row.get::<_, i64>(7)?.unsigned_abs(),
        })
    });
    Ok(found.optional()?)
}
