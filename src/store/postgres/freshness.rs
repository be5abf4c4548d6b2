//! How fresh the data is.

use tokio_postgres::Row;

use crate::store::freshness::{Arrival, BATCHES_PER_SOURCE, Freshness, Newest, join};

use super::PostgresStore;
use super::fault::Fault;
use super::read::{Time, query};

const NEWEST: &str = "
    SELECT cluster, uuid, (array_agg(host ORDER BY page.ts DESC))[1],
           (array_agg(gpu_id ORDER BY page.ts DESC))[1], max(page.ts)
    FROM series CROSS JOIN LATERAL (
        SELECT ts FROM sample WHERE sample.series_id = series.series_id
        ORDER BY ts DESC LIMIT 1) AS page
    WHERE uuid <> ''
    GROUP BY cluster, uuid";

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
    let newest = query(store, NEWEST, &[]).await?;
    let arrivals = query(store, ARRIVALS, &[&BATCHES_PER_SOURCE]).await?;
    let newest = newest.iter().filter_map(|row| {
        Some(Newest {
            cluster: row.get(0),
            uuid: row.get(1),
            hostname: row.get(2),
            gpu_id: row.get(3),
            at: time(row, 4)?,
        })
    });
    let arrivals = arrivals.iter().filter_map(|row| {
        Some(Arrival {
            cluster: row.get(0),
            covers: time(row, 1).zip(time(row, 2)),
            stored_at: time(row, 3)?,
        })
    });
    Ok(join(newest.collect(), arrivals.collect()))
}
