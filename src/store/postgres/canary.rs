//! Canaries: noted, found, forgotten.

use tokio::time::timeout;

use crate::model::canary::CanaryId;
use crate::model::source::StoreToken;
use crate::store::canary::{CanaryArrival, CanaryRecord, KEPT_FOR, MOST_KEPT};
use crate::store::check::printable;

use super::fault::Fault;
use super::read::{Time, query};
use super::{PostgresStore, QUERY_LIMIT, token};

/// Notes a canary, or that it was delivered again, and forgets those that are too old or too many.
/// What another collector forgets at the same time is left to it.
pub(super) async fn note(
    store: &PostgresStore,
    arrival: &CanaryArrival,
) -> Result<StoreToken, Fault> {
    const NOTE: &str = "
        INSERT INTO canary (id, cluster, sent_at, published_at, received_at, collector)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (id) DO UPDATE SET deliveries = canary.deliveries + 1";
    const FORGET: &str = "
        DELETE FROM canary WHERE id IN (
            SELECT id FROM canary
            WHERE stored_at < clock_timestamp() - make_interval(secs => $1)
               OR id NOT IN (SELECT id FROM canary ORDER BY stored_at DESC, id LIMIT $2)
            FOR UPDATE SKIP LOCKED)";
    let CanaryArrival {
        canary,
        published_at,
        received_at,
        collector,
    } = arrival;
    let mut client = store.client().await?;
    let work = async {
        let transaction = client.transaction().await?;
        let statement = transaction.prepare_cached(NOTE).await?;
        let (sent_at, collector) = (Time(canary.sent_at.0), printable(collector));
        let published_at = Time(published_at.as_microsecond());
        let received_at = Time(received_at.as_microsecond());
        transaction
            .execute(
                &statement,
                &[
                    &canary.id.as_str(),
                    &canary.cluster,
                    &sent_at,
                    &published_at,
                    &received_at,
                    &collector,
                ],
            )
            .await?;
        let statement = transaction.prepare_cached(FORGET).await?;
        let kept_for = KEPT_FOR.as_secs_f64();
        let bounds: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&kept_for, &MOST_KEPT];
        transaction.execute(&statement, &bounds).await?;
        transaction.commit().await?;
        token::read(&client).await
    };
    let result = timeout(QUERY_LIMIT, work).await;
    store.settle(client, QUERY_LIMIT, result)
}

/// A canary that arrived and is not forgotten.
pub(super) async fn find(
    store: &PostgresStore,
    id: &CanaryId,
) -> Result<Option<CanaryRecord>, Fault> {
    const STATEMENT: &str = "
        SELECT id, cluster, sent_at, published_at, received_at, stored_at, collector, deliveries
        FROM canary WHERE id = $1";
    let rows = query(store, STATEMENT, &[&id.as_str()]).await?;
    Ok(rows.first().map(|row| CanaryRecord {
        id: row.get(0),
        cluster: row.get(1),
        sent_at: row.get::<_, Time>(2).timestamp(),
        published_at: row.get::<_, Time>(3).timestamp(),
        received_at: row.get::<_, Time>(4).timestamp(),
        stored_at: row.get::<_, Time>(5).timestamp(),
        collector: row.get(6),
        deliveries: row.get::<_, i64>(7).unsigned_abs(),
    }))
}
