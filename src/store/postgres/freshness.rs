//! How fresh the data is.

use std::collections::BTreeMap;

use tokio_postgres::Row;

use crate::store::freshness::{Arrival, BATCHES_PER_SOURCE, Freshness, Newest, join};

use super::PostgresStore;
use super::fault::Fault;
use super::newest::newest;
use super::read::{Time, query};

const NEWEST: &str = "cluster, uuid, host, gpu_id, page.ts, series_id";

const ARRIVALS: &str = "
    SELECT cluster, first_ts, last_ts, ingested_at
    FROM (SELECT source.cluster, first_ts, last_ts, ingested_at,
                 row_number() OVER (PARTITION BY source_id ORDER BY ingested_at DESC) AS place
          FROM ledger JOIN source ON source.id = source_id) AS batch
    WHERE place <= $1";

/// The newest sample of each GPU, beside the newest batches of each source.
pub(super) async fn freshness(store: &PostgresStore) -> Result<Freshness, Fault> {
    let time = |row: &Row, column: usize| row.get::<_, Option<Time>>(column).map(Time::timestamp);
    // The samples first: the batch of a sample that is there by then is in the ledger by then.
    let samples = newest(store, NEWEST, None).await?;
    let arrivals = query(store, ARRIVALS, &[&BATCHES_PER_SOURCE]).await?;
    let mut newest: BTreeMap<(String, String), Newest> = BTreeMap::new();
    for row in &samples {
        let (cluster, uuid): (String, String) = (row.get(0), row.get(1));
        let at = row.get::<_, Time>(4).timestamp();
        let key = (cluster, uuid);
        let is_newer = newest.get(&key).is_none_or(|known| known.at < at);
        if !key.1.is_empty() && is_newer {
            let (cluster, uuid) = key.clone();
            let gpu = Newest {
                cluster,
                uuid,
                hostname: row.get(2),
                gpu_id: row.get(3),
                at,
            };
            newest.insert(key, gpu);
        }
    }
    let arrivals = arrivals.iter().filter_map(|row| {
        Some(Arrival {
            cluster: row.get(0),
            covers: time(row, 1).zip(time(row, 2)),
            stored_at: time(row, 3)?,
        })
    });
    Ok(join(newest.into_values().collect(), arrivals.collect()))
}
