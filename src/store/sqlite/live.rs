//! What the store holds now, and what is added to it.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use crate::store::{Additions, AdditionsQuery, Progress, Reading, ReadingLabels};

use super::Fault;
use super::read::{POINT, point, timestamp};
use super::schema;

const READINGS: &str = "
    SELECT metric, gpu_id, uuid, device, model, host, container, namespace, pod, cluster,
           ts, value
    FROM series JOIN sample USING (series_id)
    WHERE value IS NOT NULL AND ts >= ?1 AND sample.rowid = (
        SELECT newest.rowid FROM sample AS newest
        WHERE newest.series_id = series.series_id
        ORDER BY newest.ts DESC, newest.rowid DESC LIMIT 1)";

/// The newest value of each series that has one from `since` on; a blank as the newest is none.
pub(super) fn readings(connection: &Connection, since: Timestamp) -> Result<Vec<Reading>, Fault> {
    let mut statement = connection.prepare_cached(READINGS)?;
    let rows = statement.query_map([since.as_microsecond()], reading)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn reading(row: &Row<'_>) -> Result<Reading, rusqlite::Error> {
    Ok(Reading {
        metric: row.get(0)?,
        labels: ReadingLabels {
            gpu_id: row.get(1)?,
            uuid: row.get(2)?,
            device: row.get(3)?,
            model_name: row.get(4)?,
            hostname: row.get(5)?,
            container: row.get(6)?,
            namespace: row.get(7)?,
            pod: row.get(8)?,
            cluster: row.get(9)?,
        },
        at: timestamp(row.get(10)?),
        value: row.get(11)?,
    })
}

/// A page of what was added. One transaction after the other adds samples, and each sample has a
/// higher number than all before it: so the number of a sample stands for its transaction, too.
pub(super) fn additions(
    connection: &mut Connection,
    asked: &AdditionsQuery,
) -> Result<Additions, Fault> {
    let transaction = connection.transaction()?;
    let token = schema::token(&transaction)?;
    let end: i64 = transaction.query_row(
        "SELECT coalesce(max(rowid), 0) + 1 FROM sample",
        [],
        |row| row.get(0),
    )?;
    let from = asked.from.map_or(end, |from| from.transaction);
    let samples = transaction
        .prepare_cached(&format!(
            "SELECT {POINT} FROM sample CROSS JOIN series USING (series_id)
             WHERE sample.rowid >= ?1 AND (?2 IS NULL OR uuid = ?2)
               AND (?3 IS NULL OR host = ?3) AND (?4 IS NULL OR metric = ?4)
             ORDER BY sample.rowid LIMIT ?5"
        ))?
        .query_map(
            params![from, asked.uuid, asked.hostname, asked.metric, asked.limit],
            |row| {
                let sample = point(row)?;
                Ok((before(sample.position.row + 1), sample))
            },
        )?
        .collect::<Result<Vec<_>, rusqlite::Error>>()?;
    let has_more = samples.len() == asked.limit as usize;
    let last = samples.last().filter(|_| has_more);
    Ok(Additions {
        token,
        next: last.map_or(before(end), |(progress, _)| *progress),
        end: before(end),
        has_more,
        samples,
    })
}

const fn before(row: i64) -> Progress {
    Progress {
        transaction: row,
        after: None,
    }
}
