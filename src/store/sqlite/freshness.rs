//! How fresh the data is.

use rusqlite::Connection;

use crate::store::freshness::{Arrival, BATCHES_PER_SOURCE, Freshness, Newest, join};

use super::Fault;
use super::read::timestamp;

// With a bare `max`, SQLite takes the other columns from the row that has it.
const NEWEST: &str = "
    SELECT cluster, uuid, host, gpu_id, max(newest) FROM (
        SELECT cluster, uuid, host, gpu_id,
               (SELECT max(ts) FROM sample WHERE sample.series_id = series.series_id) AS newest
        FROM series WHERE uuid <> '')
    WHERE newest IS NOT NULL
    GROUP BY cluster, uuid";

const ARRIVALS: &str = "
    SELECT cluster, first_ts, last_ts, ingested_at
    FROM (SELECT source.cluster, first_ts, last_ts, ingested_at,
                 row_number() OVER (PARTITION BY source_id ORDER BY ingested_at DESC) AS place
          FROM ledger JOIN source ON source.id = source_id)
    WHERE place <= ?1";

/// The newest sample of each GPU, beside the newest batches of each source.
pub(super) fn freshness(connection: &mut Connection) -> Result<Freshness, Fault> {
    let transaction = connection.transaction()?;
    let newest = transaction
        .prepare_cached(NEWEST)?
        .query_map([], |row| {
            Ok(Newest {
                cluster: row.get(0)?,
                uuid: row.get(1)?,
                hostname: row.get(2)?,
                gpu_id: row.get(3)?,
                at: timestamp(row.get(4)?),
            })
        })?
        .collect::<Result<_, rusqlite::Error>>()?;
    let arrivals = transaction
        .prepare_cached(ARRIVALS)?
        .query_map([BATCHES_PER_SOURCE], |row| {
            let (first, last): (Option<i64>, Option<i64>) = (row.get(1)?, row.get(2)?);
            let stored_at: String = row.get(3)?;
            Ok(Arrival {
                cluster: row.get(0)?,
                covers: first.map(timestamp).zip(last.map(timestamp)),
                stored_at: stored_at.parse().unwrap_or_default(),
            })
        })?
        .collect::<Result<_, rusqlite::Error>>()?;
    Ok(join(newest, arrivals))
}
