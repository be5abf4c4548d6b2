//! What is due to the partitions, done by one collector at a time on a connection of its own.

use deadpool_postgres::Object;

use crate::store::Upkeep;

use super::PostgresStore;
use super::fault::Fault;
use super::{indexes, retention};

/// Key of the advisory lock of whoever keeps the partitions. It is the session's: a server that still
/// builds an index for a collector that is gone has it until the index is there.
const UPKEEP_LOCK: i64 = 0x7465_6c65_6374_6c03;

/// Does what is due.
pub(super) async fn upkeep(store: &PostgresStore) -> Result<Upkeep, Fault> {
    let mut client = store.0.keeper.get().await?;
    let result = alone(store, &mut client).await;
    if result.is_err() {
        // With it goes the lock.
        drop(Object::take(client));
    }
    result
}

async fn alone(store: &PostgresStore, client: &mut Object) -> Result<Upkeep, Fault> {
    let row = client
        .query_one("SELECT pg_try_advisory_lock($1)", &[&UPKEEP_LOCK])
        .await?;
    if !row.get::<_, bool>(0) {
        return Ok(Upkeep::default());
    }
    let expired = retention::expire(client, store.0.upkeep.retention).await?;
    let indexed = indexes::keep(client, &store.0.upkeep).await?;
    client
        .execute("SELECT pg_advisory_unlock($1)", &[&UPKEEP_LOCK])
        .await?;
    Ok(Upkeep { indexed, expired })
}
