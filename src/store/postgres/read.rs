//! Queries of the gateway.

use std::error::Error;

use bytes::{BufMut as _, BytesMut};
use deadpool_postgres::Object;
use jiff::Timestamp;
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};

use crate::store::summary::{self, LedgerSum, SignOff};
use crate::store::{
    Gpu, Order, Position, SourceProgress, Statistics, TelemetryPoint, TelemetryQuery,
};

use super::fault::Fault;
use super::newest::newest;
use super::{PostgresStore, QUERY_LIMIT};

/// PostgreSQL counts microseconds from 2000-01-01; this is that instant since 1970.
pub(super) const EPOCH: i64 = 946_684_800_000_000;
/// Before and after every time that a store holds.
pub(super) const EVER: (i64, i64) = (-62_135_596_800_000_000, 253_402_300_800_000_000);

/// Microseconds since 1970 as `timestamptz`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Time(pub(super) i64);

impl ToSql for Time {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_i64(self.0.saturating_sub(EPOCH));
        Ok(IsNull::No)
    }

    accepts!(TIMESTAMPTZ);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Time {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(
            i64::from_be_bytes(raw.try_into()?).saturating_add(EPOCH),
        ))
    }

    accepts!(TIMESTAMPTZ);
}

impl Time {
    /// As near to this microsecond as a store gets: beyond its own reach the server refuses times.
    pub(super) fn within_reach(microsecond: i64) -> Self {
        Self(microsecond.clamp(EVER.0, EVER.1))
    }

    pub(super) fn timestamp(self) -> Timestamp {
        // Out of range only for rows that somebody else entered.
        Timestamp::from_microsecond(self.0).unwrap_or_default()
    }
}

pub(super) async fn query(
    store: &PostgresStore,
    statement: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, Fault> {
    let client = store.client().await?;
    let work = async {
        let statement = client.prepare_cached(statement).await?;
        Ok(client.query(&statement, parameters).await?)
    };
    let result = timeout(QUERY_LIMIT, work).await;
    finish(store, client, result)
}

/// Like [`PostgresStore::settle`], but an error in a query leaves the connection in order: only a
/// query that was given up takes it along.
pub(super) fn finish<T>(
    store: &PostgresStore,
    client: Object,
    result: Result<Result<T, Fault>, tokio::time::error::Elapsed>,
) -> Result<T, Fault> {
    match result {
        Ok(result) => result,
        Err(elapsed) => store.settle(client, QUERY_LIMIT, Err(elapsed)),
    }
}

/// Every GPU, as its newest series describes it.
pub(super) async fn gpus(store: &PostgresStore) -> Result<Vec<Gpu>, Fault> {
    const STATEMENT: &str = "
        SELECT DISTINCT ON (cluster, uuid) cluster, uuid, gpu_id, host, device, model
        FROM series
        WHERE uuid <> ''
        ORDER BY cluster, uuid, created_at DESC, series_id";
    let rows = query(store, STATEMENT, &[]).await?;
    let mut gpus: Vec<Gpu> = rows
        .iter()
        .map(|row| Gpu {
            cluster: row.get(0),
            uuid: row.get(1),
            gpu_id: row.get(2),
            hostname: row.get(3),
            device: row.get(4),
            model_name: row.get(5),
        })
        .collect();
    summary::sort_gpus(&mut gpus);
    Ok(gpus)
}

/// A page of samples: the first of each series in the order of the index, then the first of all.
pub(super) async fn telemetry(
    store: &PostgresStore,
    asked: &TelemetryQuery,
) -> Result<Vec<TelemetryPoint>, Fault> {
    let (direction, bound, beyond) = match asked.order {
        Order::Ascending => ("ASC", ">=", ">"),
        Order::Descending => ("DESC", "<=", "<"),
    };
    let continued = match asked.after {
        Some(_) => format!(
            "AND ts {bound} $6 AND (ts, series.series_id, ctid) {beyond} ($6, $7, $8::text::tid)"
        ),
        None => String::new(),
    };
    let statement = format!(
        "SELECT {POINT}
         FROM series CROSS JOIN LATERAL (
             SELECT ts, value, ctid FROM sample
             WHERE sample.series_id = series.series_id AND ts >= $3 AND ts < $4 {continued}
             ORDER BY ts {direction}, ctid {direction} LIMIT $5) AS page
         WHERE uuid = $1 AND ($2::text IS NULL OR metric = $2)
         ORDER BY ts {direction}, series_id {direction}, page.ctid {direction} LIMIT $5"
    );
    let from = asked.from.map_or(EVER.0, Timestamp::as_microsecond);
    let to = asked.to.map_or(EVER.1, Timestamp::as_microsecond);
    let (from, to) = (Time::within_reach(from), Time::within_reach(to));
    let limit = i64::from(asked.limit);
    let mut parameters: Vec<&(dyn ToSql + Sync)> =
        vec![&asked.uuid, &asked.metric, &from, &to, &limit];
    let after = asked.after.map(|after| {
        (
            Time::within_reach(after.time),
            after.series,
            tuple(after.row),
        )
    });
    if let Some((time, series, row)) = &after {
        parameters.extend([time as &(dyn ToSql + Sync), series, row]);
    }
    let rows = query(store, &statement, &parameters).await?;
    Ok(rows.iter().map(point).collect())
}

/// The columns that [`point`] reads, from `series` and a page of samples.
pub(super) const POINT: &str =
    "series_id, metric, uuid, host, gpu_id, cluster, page.ts, page.value,
    (page.ctid::text::point)[0]::bigint, (page.ctid::text::point)[1]::bigint";

/// A sample from [`POINT`].
pub(super) fn point(row: &Row) -> TelemetryPoint {
    let time: Time = row.get(6);
    let (block, item): (i64, i64) = (row.get(8), row.get(9));
    TelemetryPoint {
        timestamp: time.timestamp(),
        metric: row.get(1),
        value: row.get(7),
        uuid: row.get(2),
        hostname: row.get(3),
        gpu_id: row.get(4),
        cluster: row.get(5),
        position: Position {
            time: time.0,
            series: row.get(0),
            row: block << 16 | item,
        },
    }
}

/// A row's place within its partition, as PostgreSQL writes it. Samples are never updated, so it
/// stays. Of a number that is none, the nearest one.
pub(super) fn tuple(row: i64) -> String {
    let block = (row >> 16).clamp(0, i64::from(u32::MAX - 1));
    format!("({block},{})", row & 0xffff)
}

/// The newest sample of each series. Those of one GPU are few: each is looked for, newest partition first.
pub(super) async fn latest(
    store: &PostgresStore,
    uuid: Option<&str>,
) -> Result<Vec<TelemetryPoint>, Fault> {
    let statement = format!(
        "SELECT {POINT}
         FROM series CROSS JOIN LATERAL (
             SELECT ts, value, ctid FROM sample
             WHERE sample.series_id = series.series_id
             ORDER BY ts DESC, ctid DESC LIMIT 1) AS page
         WHERE uuid = $1"
    );
    let rows = match uuid {
        Some(uuid) => query(store, &statement, &[&uuid]).await?,
        None => newest(store, POINT, None).await?,
    };
    let mut points: Vec<TelemetryPoint> = rows.iter().map(point).collect();
    summary::sort_latest(&mut points);
    Ok(points)
}

/// By the ledger: counting the samples themselves takes longer the more there are.
pub(super) async fn statistics(store: &PostgresStore) -> Result<Statistics, Fault> {
    const STATEMENT: &str = "
        SELECT (stored.rows - gone.rows)::bigint, known.gpus, known.hosts, known.series,
               stored.first, stored.last
        FROM (SELECT coalesce(sum(rows), 0) AS rows, (max(day) + 1)::timestamptz AS until
              FROM expired WHERE rows > 0) AS gone,
             LATERAL (SELECT coalesce(sum(rows), 0) AS rows,
                             min(greatest(first_ts, gone.until))
                                 FILTER (WHERE last_ts >= coalesce(gone.until, last_ts)) AS first,
                             max(last_ts) FILTER (WHERE last_ts >= coalesce(gone.until, last_ts))
                                 AS last
                      FROM ledger) AS stored,
             (SELECT count(DISTINCT nullif(uuid, '')) AS gpus,
                     count(DISTINCT nullif(host, '')) AS hosts,
                     count(*) AS series FROM series) AS known";
    let rows = query(store, STATEMENT, &[]).await?;
    let Some(row) = rows.first() else {
        return Err(Fault::Pool("the statistics have no row".to_owned()));
    };
    let count = |column: usize| row.get::<_, i64>(column).unsigned_abs();
    let time = |column: usize| row.get::<_, Option<Time>>(column).map(Time::timestamp);
    Ok(Statistics {
        total_records: count(0),
        unique_gpus: count(1),
        unique_hosts: count(2),
        unique_series: count(3),
        earliest_timestamp: time(4),
        latest_timestamp: time(5),
    })
}

/// The ledger per source and pass, beside what was signed off.
pub(super) async fn sources(store: &PostgresStore) -> Result<Vec<SourceProgress>, Fault> {
    const SUMS: &str = "
        SELECT cluster, name, digest, pass, streamer,
               sum(upper(range) - lower(range))::bigint,
               sum(rows)::bigint, sum(quarantined)::bigint
        FROM ledger JOIN source ON source.id = source_id
        GROUP BY cluster, name, digest, pass, streamer";
    const ENDS: &str = "
        SELECT cluster, name, digest, pass, size, rows
        FROM signed_off JOIN source ON source.id = source_id";
    let key = |row: &Row| [row.get(0), row.get(1), row.get(2), row.get(3)];
    let count = |row: &Row, column: usize| row.get::<_, i64>(column).unsigned_abs();
    // The ends first: what is signed off by then is in the ledger by then.
    let ends = query(store, ENDS, &[]).await?;
    let sums = query(store, SUMS, &[]).await?;
    let ends = ends.iter().map(|row| SignOff {
        key: key(row),
        size: count(row, 4),
        rows: count(row, 5),
    });
    let sums = sums.iter().map(|row| LedgerSum {
        key: key(row),
        streamer: row.get(4),
        bytes: count(row, 5),
        rows: count(row, 6),
        quarantined: count(row, 7),
    });
    Ok(summary::progress(sums.collect(), ends.collect()))
}

/// Whether it answers and has its tables.
pub(super) async fn ping(store: &PostgresStore) -> Result<(), Fault> {
    query(store, "SELECT FROM store_schema LIMIT 1", &[]).await?;
    Ok(())
}
