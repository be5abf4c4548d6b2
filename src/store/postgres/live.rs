//! What the store holds now.

use jiff::Timestamp;
use tokio_postgres::Row;

use crate::store::{Reading, ReadingLabels};

use super::PostgresStore;
use super::fault::Fault;
use super::newest::newest;
use super::read::Time;

/// The columns that [`reading`] reads.
const READING: &str =
    "metric, gpu_id, uuid, device, model, host, container, namespace, pod, cluster,
    page.ts, page.value, series_id";

/// The newest value of each series that has one from `since` on; a blank as the newest is none.
pub(super) async fn readings(
    store: &PostgresStore,
    since: Timestamp,
) -> Result<Vec<Reading>, Fault> {
    let since = Time::within_reach(since.as_microsecond());
    let rows = newest(store, READING, Some(since)).await?;
    Ok(rows.iter().filter_map(reading).collect())
}

fn reading(row: &Row) -> Option<Reading> {
    Some(Reading {
        metric: row.get(0),
        labels: ReadingLabels {
            gpu_id: row.get(1),
            uuid: row.get(2),
            device: row.get(3),
            model_name: row.get(4),
            hostname: row.get(5),
            container: row.get(6),
            namespace: row.get(7),
            pod: row.get(8),
            cluster: row.get(9),
        },
        at: row.get::<_, Time>(10).timestamp(),
        value: row.get::<_, Option<f64>>(11)?,
    })
}
