//! Samples summed up by buckets of time.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use crate::store::{AggregateQuery, Bucket};

use super::Fault;
use super::read::{count, timestamp};

// `%` has the sign of its left side: adding the width makes buckets before 1970 begin at multiples,
// too.
const STATEMENT: &str = "
    SELECT bucket, count(*), min(value), max(value), avg(value), sum(value),
           max(CASE WHEN place = 1 THEN value END)
    FROM (SELECT value, bucket, row_number() OVER (
              PARTITION BY bucket ORDER BY ts DESC, series_id DESC, row DESC) AS place
          FROM (SELECT value, ts, series_id, sample.rowid AS row,
                       ts - ((ts % ?5) + ?5) % ?5 AS bucket
                FROM series JOIN sample USING (series_id)
                WHERE uuid = ?1 AND metric = ?2 AND ts >= ?3 AND ts < ?4
                  AND value IS NOT NULL))
    GROUP BY bucket ORDER BY bucket";

/// The buckets that have a value, in the order of time.
pub(super) fn aggregate(
    connection: &Connection,
    asked: &AggregateQuery,
) -> Result<Vec<Bucket>, Fault> {
    let width = i64::try_from(asked.bucket.as_micros()).unwrap_or(i64::MAX);
    let time = Timestamp::as_microsecond;
    let mut statement = connection.prepare_cached(STATEMENT)?;
    let rows = statement.query_map(
        params![
            asked.uuid,
            asked.metric,
            time(asked.from),
            time(asked.to),
            width
        ],
        |row| {
            Ok(Bucket {
                start: timestamp(row.get(0)?),
                count: count(row, 1)?,
                min: row.get(2)?,
                max: row.get(3)?,
                avg: row.get(4)?,
                sum: row.get(5)?,
                last: row.get(6)?,
            })
        },
    )?;
    Ok(rows.collect::<Result<_, _>>()?)
}
