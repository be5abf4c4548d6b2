//! The newest sample of every series.
//!
//! Where days are indexed by series, the index is asked once per series, newest day first. Days that are
//! open have no such index (`ingest=max`): asking once per series would read all of them thousands of
//! times, so they are read once, for all series together. Which days are what, the catalogue says.

use std::collections::BTreeSet;

use deadpool_postgres::{Object, Transaction};
use tokio::time::timeout;
use tokio_postgres::Row;

use super::aggregate::bounded;
use super::fault::Fault;
use super::indexes::BY_SERIES;
use super::read::{EVER, Time, finish};
use super::{PostgresStore, QUERY_LIMIT};

/// Days in a row of which either all are indexed by series, or none is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    from: Time,
    to: Time,
    is_indexed: bool,
}

/// The columns of the newest sample of each series that has one from `since` on; ties of time are won by
/// the row that was stored last. `columns` are of `series`, unqualified, with `series_id`, and of the
/// sample as `page.ts`, `page.value`, `page.ctid`.
pub(super) async fn newest(
    store: &PostgresStore,
    columns: &str,
    since: Option<Time>,
) -> Result<Vec<Row>, Fault> {
    let mut client = store.client().await?;
    let result = timeout(QUERY_LIMIT, read(&mut client, columns, since)).await;
    finish(store, client, result)
}

async fn read(client: &mut Object, columns: &str, since: Option<Time>) -> Result<Vec<Row>, Fault> {
    let transaction = bounded(client).await?;
    let days = days(&transaction).await?;
    let mut known = BTreeSet::new();
    let mut found = Vec::new();
    for span in spans(&days, since.unwrap_or(Time(EVER.0))) {
        // A later day has the newest sample of these.
        let skipped: Vec<i64> = known.iter().copied().collect();
        let rows = look(&transaction, columns, span, &skipped).await?;
        known.extend(rows.iter().map(|row| row.get::<_, i64>("series_id")));
        found.extend(rows);
    }
    transaction.commit().await?;
    Ok(found)
}

/// Begin of each day that has a partition, newest first, and whether that is indexed by series.
async fn days(transaction: &Transaction<'_>) -> Result<Vec<(Time, bool)>, Fault> {
    let statement = format!(
        "SELECT replace(substr(relname, 8), '_', '-')::date::timestamptz,
                EXISTS (SELECT FROM pg_index WHERE indrelid = oid AND indisvalid
                          AND pg_get_indexdef(indexrelid) LIKE {BY_SERIES})
         FROM pg_class JOIN pg_inherits ON inhrelid = oid
         WHERE inhparent = to_regclass('sample') AND relname ~ '^sample_\\d{{4}}_\\d\\d_\\d\\d$'
         ORDER BY relname DESC"
    );
    let statement = transaction.prepare_cached(&statement).await?;
    let rows = transaction.query(&statement, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Newest first and without a gap, so that a day whose partition is made meanwhile is in one.
fn spans(days: &[(Time, bool)], since: Time) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for (day, is_indexed) in days.iter().copied() {
        match spans.last_mut() {
            Some(last) if last.is_indexed == is_indexed => last.from = day,
            last => {
                let to = last.map_or(Time(EVER.1), |later| later.from);
                spans.push(Span {
                    from: day,
                    to,
                    is_indexed,
                });
            }
        }
    }
    if let Some(oldest) = spans.last_mut() {
        oldest.from = Time(EVER.0);
    } else {
        spans.push(Span {
            from: Time(EVER.0),
            to: Time(EVER.1),
            is_indexed: true,
        });
    }
    for span in &mut spans {
        span.from = span.from.max(since);
    }
    spans.retain(|span| span.from < span.to);
    spans
}

async fn look(
    transaction: &Transaction<'_>,
    columns: &str,
    span: Span,
    known: &[i64],
) -> Result<Vec<Row>, Fault> {
    let pages = if span.is_indexed {
        "CROSS JOIN LATERAL (
             SELECT ts, value, ctid FROM sample
             WHERE sample.series_id = series.series_id AND ts >= $1 AND ts < $2
             ORDER BY ts DESC, ctid DESC LIMIT 1) AS page"
    } else {
        // Rows that nobody analysed yet are taken for few: by nested loops it would be the slow way.
        transaction
            .batch_execute("SET LOCAL enable_nestloop = off")
            .await?;
        "JOIN (SELECT DISTINCT ON (series_id) series_id, ts, value, sample.ctid
               FROM sample JOIN (SELECT series_id, max(ts) AS ts FROM sample
                                 WHERE ts >= $1 AND ts < $2 GROUP BY series_id) AS last
                    USING (series_id, ts)
               WHERE sample.ts >= $1 AND sample.ts < $2
               ORDER BY series_id, sample.ctid DESC) AS page USING (series_id)"
    };
    let statement = format!(
        "SELECT {columns} FROM series {pages}
         WHERE NOT EXISTS (SELECT FROM unnest($3::bigint[]) AS known (id) WHERE id = series_id)"
    );
    let statement = transaction.prepare_cached(&statement).await?;
    let rows = transaction
        .query(&statement, &[&span.from, &span.to, &known])
        .await?;
    if !span.is_indexed {
        transaction
            .batch_execute("SET LOCAL enable_nestloop TO DEFAULT")
            .await?;
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: i64, to: i64, is_indexed: bool) -> Span {
        Span {
            from: Time(from),
            to: Time(to),
            is_indexed,
        }
    }

    #[test]
    fn days_alike_are_one_span_and_all_of_time_is_in_one() {
        let (first, last) = EVER;
        let days = [(50, false), (40, false), (30, true), (10, true), (5, false)];
        let days = days.map(|(day, is_indexed)| (Time(day), is_indexed));
        let all = [
            span(40, last, false),
            span(10, 40, true),
            span(first, 10, false),
        ];
        assert_eq!(spans(&days, Time(first)), all);
        assert_eq!(spans(&days, Time(20)), [all[0], span(20, 40, true)]);
        assert_eq!(spans(&days, Time(45)), [span(45, last, false)]);
        assert_eq!(spans(&[], Time(first)), [span(first, last, true)]);
    }
}
