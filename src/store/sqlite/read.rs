//! Queries of the gateway.

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use crate::store::summary::{self, LedgerSum, SignOff};
use crate::store::{
    Gpu, Order, Position, SourceProgress, Statistics, TelemetryPoint, TelemetryQuery,
};

use super::Fault;

/// Every GPU, as its newest series describes it.
pub(super) fn gpus(connection: &Connection) -> Result<Vec<Gpu>, Fault> {
    // With a bare `max`, SQLite takes the other columns from the row that has it.
    let mut statement = connection.prepare_cached(
        "SELECT cluster, uuid, gpu_id, host, device, model, max(created)
         FROM series WHERE uuid <> '' GROUP BY cluster, uuid",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(Gpu {
            cluster: row.get(0)?,
            uuid: row.get(1)?,
            gpu_id: row.get(2)?,
            hostname: row.get(3)?,
            device: row.get(4)?,
            model_name: row.get(5)?,
        })
    })?;
    let mut gpus = rows.collect::<Result<Vec<_>, _>>()?;
    summary::sort_gpus(&mut gpus);
    Ok(gpus)
}

/// The columns that [`point`] reads.
pub(super) const POINT: &str =
    "series_id, metric, uuid, host, gpu_id, cluster, ts, value, sample.rowid";

/// A sample from [`POINT`].
pub(super) fn point(row: &Row<'_>) -> Result<TelemetryPoint, rusqlite::Error> {
    let time: i64 = row.get(6)?;
    Ok(TelemetryPoint {
        timestamp: timestamp(time),
        metric: row.get(1)?,
        value: row.get(7)?,
        uuid: row.get(2)?,
        hostname: row.get(3)?,
        gpu_id: row.get(4)?,
        cluster: row.get(5)?,
        position: Position {
            time,
            series: row.get(0)?,
            row: row.get(8)?,
        },
    })
}

pub(super) fn timestamp(time: i64) -> Timestamp {
    // Out of range only for rows that somebody else entered.
    Timestamp::from_microsecond(time).unwrap_or_default()
}

/// A page of samples.
pub(super) fn telemetry(
    connection: &Connection,
    asked: &TelemetryQuery,
) -> Result<Vec<TelemetryPoint>, Fault> {
    let (direction, beyond) = match asked.order {
        Order::Ascending => ("ASC", ">"),
        Order::Descending => ("DESC", "<"),
    };
    let continued = match asked.after {
        Some(_) => format!("AND (ts, series_id, sample.rowid) {beyond} (?6, ?7, ?8)"),
        None => String::new(),
    };
    let statement = format!(
        "SELECT {POINT} FROM series JOIN sample USING (series_id)
         WHERE uuid = ?1 AND (?2 IS NULL OR metric = ?2) AND ts >= ?3 AND ts < ?4 {continued}
         ORDER BY ts {direction}, series_id {direction}, sample.rowid {direction} LIMIT ?5"
    );
    let mut parameters = vec![
        Value::from(asked.uuid.clone()),
        Value::from(asked.metric.clone()),
        Value::from(asked.from.map_or(i64::MIN, Timestamp::as_microsecond)),
        Value::from(asked.to.map_or(i64::MAX, Timestamp::as_microsecond)),
        Value::from(asked.limit),
    ];
    if let Some(after) = asked.after {
        parameters.extend([after.time, after.series, after.row].map(Value::from));
    }
    let mut statement = connection.prepare_cached(&statement)?;
    let rows = statement.query_map(params_from_iter(parameters), point)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The newest sample of each series.
pub(super) fn latest(
    connection: &Connection,
    uuid: Option<&str>,
) -> Result<Vec<TelemetryPoint>, Fault> {
    let condition = if uuid.is_some() {
        "WHERE uuid = ?1"
    } else {
        ""
    };
    let statement = format!(
        "SELECT {POINT} FROM series JOIN sample USING (series_id)
         {condition} {conjunction} sample.rowid = (
             SELECT newest.rowid FROM sample AS newest
             WHERE newest.series_id = series.series_id
             ORDER BY newest.ts DESC, newest.rowid DESC LIMIT 1)",
        conjunction = if uuid.is_some() { "AND" } else { "WHERE" },
    );
    let mut statement = connection.prepare_cached(&statement)?;
    let rows = statement.query_map(params_from_iter(uuid), point)?;
    let mut points = rows.collect::<Result<Vec<_>, _>>()?;
    summary::sort_latest(&mut points);
    Ok(points)
}

/// By the ledger: counting the samples themselves takes longer the more there are.
pub(super) fn statistics(connection: &Connection) -> Result<Statistics, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT coalesce(sum(\"rows\"), 0), min(first_ts), max(last_ts),
                (SELECT count(DISTINCT nullif(uuid, '')) FROM series),
                (SELECT count(DISTINCT nullif(host, '')) FROM series),
                (SELECT count(*) FROM series)
         FROM ledger",
    )?;
    let statistics = statement.query_row([], |row| {
        let time = |column: usize| -> Result<_, rusqlite::Error> {
            Ok(row.get::<_, Option<i64>>(column)?.map(timestamp))
        };
        Ok(Statistics {
            total_records: count(row, 0)?,
            unique_gpus: count(row, 3)?,
            unique_hosts: count(row, 4)?,
            unique_series: count(row, 5)?,
            earliest_timestamp: time(1)?,
            latest_timestamp: time(2)?,
        })
    })?;
    Ok(statistics)
}

/// The ledger per source and pass, beside what was signed off.
pub(super) fn sources(connection: &mut Connection) -> Result<Vec<SourceProgress>, Fault> {
    let transaction = connection.transaction()?;
    let ends = transaction
        .prepare_cached(
            "SELECT cluster, name, digest, pass, size, \"rows\"
             FROM signed_off JOIN source ON source.id = source_id",
        )?
        .query_map([], |row| {
            Ok(SignOff {
                key: key(row)?,
                size: count(row, 4)?,
                rows: count(row, 5)?,
            })
        })?
        .collect::<Result<_, rusqlite::Error>>()?;
    let sums = transaction
        .prepare_cached(
            "SELECT cluster, name, digest, pass, streamer,
                    sum(\"end\" - \"start\"), sum(\"rows\"), sum(quarantined)
             FROM ledger JOIN source ON source.id = source_id
             GROUP BY cluster, name, digest, pass, streamer",
        )?
        .query_map([], |row| {
            Ok(LedgerSum {
                key: key(row)?,
                streamer: row.get(4)?,
                bytes: count(row, 5)?,
                rows: count(row, 6)?,
                quarantined: count(row, 7)?,
            })
        })?
        .collect::<Result<_, rusqlite::Error>>()?;
    Ok(summary::progress(sums, ends))
}

fn key(row: &Row<'_>) -> Result<[String; 4], rusqlite::Error> {
    Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?])
}

pub(super) fn count(row: &Row<'_>, column: usize) -> Result<u64, rusqlite::Error> {
    row.get::<_, i64>(column).map(i64::unsigned_abs)
}
