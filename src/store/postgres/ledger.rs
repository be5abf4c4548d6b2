//! The ledger in a transaction: entering ranges, and judging batches by what is there.

use std::collections::BTreeSet;

use deadpool_postgres::Transaction;

use crate::model::source::ByteRange;
use crate::store::coverage::{self, Covered, Verdict, judge};

use super::catalogue::Located;
use super::fault::Fault;
use super::read::Time;
use super::transaction::Plan;
use super::write::signed;

/// Source, pass, incarnation and sequence.
pub(super) type Key<'a> = (i32, &'a str, &'a str, i64);

/// Source, pass and name: what a ledger row is told by, beside its range.
pub(super) fn key<'a>(plan: &Plan<'a>, index: usize) -> Key<'a> {
    let Located { batch, source, .. } = &plan.located[index];
    let sequence = signed(batch.id.sequence);
    (*source, &batch.pass.0, &batch.id.incarnation.0, sequence)
}

/// Enters ranges into the ledger, in this order; answers which were taken. A range that overlaps
/// one of a transaction that is still running waits for its end.
pub(super) async fn enter<'a>(
    transaction: &Transaction<'_>,
    plan: &Plan<'a>,
    pieces: &[(usize, ByteRange)],
) -> Result<BTreeSet<(Key<'a>, ByteRange)>, Fault> {
    let columns = LedgerColumns::of(plan, pieces);
    let statement = transaction
        .prepare_cached(
            "INSERT INTO ledger (source_id, pass, range, checksum, rows, quarantined,
                                 first_ts, last_ts, incarnation, sequence, streamer)
             SELECT source, pass, int8range(start, stop), checksum, rows, quarantined,
                    first_ts, last_ts, incarnation, sequence, streamer
             FROM unnest($1::integer[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[],
                         $6::bigint[], $7::bigint[], $8::timestamptz[], $9::timestamptz[],
                         $10::text[], $11::bigint[], $12::text[])
                  WITH ORDINALITY
                  AS piece (source, pass, start, stop, checksum, rows, quarantined,
                            first_ts, last_ts, incarnation, sequence, streamer, place)
             ORDER BY place
             ON CONFLICT DO NOTHING
             RETURNING source_id, incarnation, sequence, lower(range), upper(range)",
        )
        .await?;
    let rows = transaction.query(&statement, &columns.parameters()).await?;
    let mut taken = BTreeSet::new();
    for row in rows {
        let (source, incarnation, sequence) = (row.get(0), row.get::<_, &str>(1), row.get(2));
        let (start, stop): (i64, i64) = (row.get(3), row.get(4));
        let found = pieces.iter().find(|(index, range)| {
            let of_piece = key(plan, *index);
            (of_piece.0, of_piece.2, of_piece.3) == (source, incarnation, sequence)
                && (signed(range.start), signed(range.end)) == (start, stop)
        });
        if let Some((index, range)) = found {
            taken.insert((key(plan, *index), *range));
        }
    }
    Ok(taken)
}

#[derive(Default)]
struct LedgerColumns<'a> {
    source: Vec<i32>,
    pass: Vec<&'a str>,
    start: Vec<i64>,
    stop: Vec<i64>,
    checksum: Vec<Option<i64>>,
    rows: Vec<i64>,
    quarantined: Vec<i64>,
    first: Vec<Option<Time>>,
    last: Vec<Option<Time>>,
    incarnation: Vec<&'a str>,
    sequence: Vec<i64>,
    streamer: Vec<&'a str>,
}

impl<'a> LedgerColumns<'a> {
    fn of(plan: &Plan<'a>, pieces: &[(usize, ByteRange)]) -> Self {
        let mut columns = Self::default();
        for (index, range) in pieces {
            let Located { batch, source, .. } = &plan.located[*index];
            let times = batch
                .rows
                .time
                .iter()
                .zip(&batch.rows.offset)
                .filter(|(_, offset)| coverage::holds(&[*range], **offset))
                .map(|(time, _)| Time(time.0));
            columns.source.push(*source);
            columns.pass.push(&batch.pass.0);
            columns.start.push(signed(range.start));
            columns.stop.push(signed(range.end));
            let whole = *range == batch.range;
            columns
                .checksum
                .push(whole.then_some(batch.checksum.into()));
            columns.rows.push(signed(times.clone().count() as u64));
            let quarantined = batch.quarantined.iter().map(|row| row.offset);
            columns
                .quarantined
                .push(signed(coverage::count(quarantined, *range)));
            columns.first.push(times.clone().min());
            columns.last.push(times.max());
            columns.incarnation.push(&batch.id.incarnation.0);
            columns.sequence.push(signed(batch.id.sequence));
            columns.streamer.push(&batch.streamer);
        }
        columns
    }

    fn parameters(&self) -> [&(dyn tokio_postgres::types::ToSql + Sync); 12] {
        [
            &self.source,
            &self.pass,
            &self.start,
            &self.stop,
            &self.checksum,
            &self.rows,
            &self.quarantined,
            &self.first,
            &self.last,
            &self.incarnation,
            &self.sequence,
            &self.streamer,
        ]
    }
}

/// What is to be done with a batch, by what is committed or entered here.
pub(super) async fn verdict(
    transaction: &Transaction<'_>,
    plan: &Plan<'_>,
    index: usize,
) -> Result<Verdict, Fault> {
    let Located { batch, source, .. } = &plan.located[index];
    let statement = transaction
        .prepare_cached(
            "SELECT lower(range), upper(range), checksum FROM ledger
             WHERE source_id = $1 AND pass = $2 AND range && int8range($3, $4)",
        )
        .await?;
    let (start, stop) = (signed(batch.range.start), signed(batch.range.end));
    let rows = transaction
        .query(&statement, &[source, &batch.pass.0, &start, &stop])
        .await?;
    let covered: Vec<Covered> = rows
        .iter()
        .map(|row| Covered {
            range: ByteRange {
                start: row.get::<_, i64>(0).unsigned_abs(),
                end: row.get::<_, i64>(1).unsigned_abs(),
            },
            checksum: row
                .get::<_, Option<i64>>(2)
                .and_then(|checksum| u32::try_from(checksum).ok()),
        })
        .collect();
    Ok(judge(batch.range, batch.checksum, &covered))
}
