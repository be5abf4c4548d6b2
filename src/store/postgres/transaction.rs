//! The one transaction that stores: ledger, samples, quarantine.

use std::collections::BTreeSet;
use std::pin::pin;

use bytes::{BufMut as _, Bytes, BytesMut};
use deadpool_postgres::{Object, Transaction};
use futures::SinkExt as _;

use crate::model::source::ByteRange;
use crate::store::Outcome;
use crate::store::check::printable;
use crate::store::coverage::{self, Covered, Verdict, judge};

use super::catalogue::Located;
use super::fault::Fault;
use super::read::EPOCH;
use super::write::signed;

/// How far a transaction goes in keeping others out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Not at all; enough unless a batch overlaps others partly.
    Optimistic,
    /// Nobody else completes a partly covered batch of the same sources meanwhile.
    SourcesLocked,
}

/// Batches in the order in which every transaction takes them, so that no two wait for each other.
pub(super) struct Plan<'a> {
    located: Vec<Located<'a>>,
    order: Vec<usize>,
}

/// What the transaction found out about a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Finding {
    /// Store the rows of these ranges; `whole` if that is all of it.
    Granted { ranges: Vec<ByteRange>, whole: bool },
    /// It is there.
    AlreadyStored,
    /// It cannot be.
    Contradicts,
}

impl<'a> Plan<'a> {
    /// A plan for these batches.
    pub(super) fn new(located: Vec<Located<'a>>) -> Self {
        let mut order: Vec<usize> = (0..located.len()).collect();
        order.sort_by_key(|index| {
            let Located { batch, source, .. } = &located[*index];
            (*source, &batch.pass, batch.range)
        });
        Self { located, order }
    }
}

/// Stores the batches of the plan. `None`: nothing was stored, the sources have to be locked.
pub(super) async fn transact(
    client: &mut Object,
    plan: &Plan<'_>,
    mode: Mode,
) -> Result<Option<Vec<Outcome>>, Fault> {
    let transaction = client.transaction().await?;
    let findings = match mode {
        Mode::Optimistic => claim(&transaction, plan).await?,
        Mode::SourcesLocked => Some(claim_locked(&transaction, plan).await?),
    };
    let Some(findings) = findings else {
        transaction.rollback().await?;
        return Ok(None);
    };
    copy(&transaction, &rows(plan, &findings)).await?;
    quarantine(&transaction, plan, &findings).await?;
    transaction.commit().await?;
    Ok(Some(outcomes(plan, findings)))
}

/// Enters all batches into the ledger at once and looks at those that were not taken.
async fn claim(
    transaction: &Transaction<'_>,
    plan: &Plan<'_>,
) -> Result<Option<Vec<Finding>>, Fault> {
    let pieces: Vec<(usize, ByteRange)> = plan
        .order
        .iter()
        .map(|index| (*index, plan.located[*index].batch.range))
        .collect();
    let mut taken = enter(transaction, plan, &pieces).await?;
    let mut findings = vec![Finding::AlreadyStored; plan.located.len()];
    for (index, range) in pieces {
        // Of two deliveries of one batch in the same group, the first one is it.
        if taken.remove(&(key(plan, index), range)) {
            let ranges = vec![range];
            findings[index] = Finding::Granted {
                ranges,
                whole: true,
            };
            continue;
        }
        match verdict(transaction, plan, index).await? {
            Verdict::AlreadyStored => {}
            Verdict::Contradiction => findings[index] = Finding::Contradicts,
            Verdict::Missing(ranges) if ranges.is_empty() => {
                findings[index] = Finding::Granted {
                    ranges,
                    whole: false,
                };
            }
            Verdict::Missing(_) => return Ok(None),
        }
    }
    Ok(Some(findings))
}

/// One batch after the other, each against what is covered by then.
async fn claim_locked(
    transaction: &Transaction<'_>,
    plan: &Plan<'_>,
) -> Result<Vec<Finding>, Fault> {
    let sources: BTreeSet<i32> = plan.located.iter().map(|located| located.source).collect();
    let sources: Vec<i32> = sources.into_iter().collect();
    transaction
        .execute(
            "SELECT FROM source WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE",
            &[&sources],
        )
        .await?;
    let mut findings = vec![Finding::AlreadyStored; plan.located.len()];
    for index in &plan.order {
        findings[*index] = complete(transaction, plan, *index).await?;
    }
    Ok(findings)
}

/// Enters what is missing of a batch until all of it is covered. Others may enter ranges of whole
/// batches meanwhile, which is why one look is not enough; each round finds more covered.
async fn complete(
    transaction: &Transaction<'_>,
    plan: &Plan<'_>,
    index: usize,
) -> Result<Finding, Fault> {
    const ROUNDS: usize = 50;
    let whole_range = plan.located[index].batch.range;
    let mut granted: Vec<ByteRange> = Vec::new();
    for _ in 0..ROUNDS {
        let missing = match verdict(transaction, plan, index).await? {
            Verdict::AlreadyStored if granted.is_empty() => return Ok(Finding::AlreadyStored),
            Verdict::Contradiction => return Ok(Finding::Contradicts),
            Verdict::AlreadyStored => Vec::new(),
            Verdict::Missing(ranges) => ranges,
        };
        if missing.is_empty() {
            let whole = granted == [whole_range];
            return Ok(Finding::Granted {
                ranges: granted,
                whole,
            });
        }
        let pieces: Vec<(usize, ByteRange)> =
            missing.into_iter().map(|range| (index, range)).collect();
        let taken = enter(transaction, plan, &pieces).await?;
        granted.extend(taken.into_iter().map(|(_, range)| range));
    }
    Err(Fault::Contended)
}

type Key<'a> = (i32, &'a str, &'a str, i64);

/// Source, pass and name: what a ledger row is told by, beside its range.
fn key<'a>(plan: &Plan<'a>, index: usize) -> Key<'a> {
    let Located { batch, source, .. } = &plan.located[index];
    let sequence = signed(batch.id.sequence);
    (*source, &batch.pass.0, &batch.id.incarnation.0, sequence)
}

/// Enters ranges into the ledger, in this order; answers which were taken. A range that overlaps
/// one of a transaction that is still running waits for its end.
async fn enter<'a>(
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
    first: Vec<Option<super::read::Time>>,
    last: Vec<Option<super::read::Time>>,
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
                .map(|(time, _)| super::read::Time(time.0));
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

async fn verdict(
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

/// A row of `sample`: series, microseconds since the epoch, value.
type Sample = (i64, i64, Option<f64>);

/// The rows of all granted ranges, in the order of the index, which makes entering them cheap.
fn rows(plan: &Plan<'_>, findings: &[Finding]) -> Vec<Sample> {
    let mut samples = Vec::new();
    for (located, finding) in plan.located.iter().zip(findings) {
        let Finding::Granted { ranges, whole } = finding else {
            continue;
        };
        let rows = &located.batch.rows;
        for row in 0..rows.len() {
            if *whole || coverage::holds(ranges, rows.offset[row]) {
                let series = located.series[rows.series[row] as usize];
                samples.push((series, rows.time[row].0, rows.value[row]));
            }
        }
    }
    samples.sort_unstable_by_key(|(series, time, _)| (*series, *time));
    samples
}

async fn copy(transaction: &Transaction<'_>, samples: &[Sample]) -> Result<(), Fault> {
    if samples.is_empty() {
        return Ok(());
    }
    let sink = transaction
        .copy_in::<_, Bytes>("COPY sample (series_id, ts, value) FROM STDIN BINARY")
        .await?;
    let mut sink = pin!(sink);
    let mut buffer = BytesMut::with_capacity(CHUNK + 64);
    buffer.put_slice(b"PGCOPY\n\xff\r\n\0");
    buffer.put_slice(&[0; 8]);
    for sample in samples {
        encode(&mut buffer, sample);
        if buffer.len() >= CHUNK {
            sink.send(buffer.split().freeze()).await?;
            buffer.reserve(CHUNK + 64);
        }
    }
    buffer.put_i16(-1);
    sink.send(buffer.freeze()).await?;
    let (given, taken) = (samples.len() as u64, sink.finish().await?);
    if given != taken {
        return Err(Fault::Count { given, taken });
    }
    Ok(())
}

/// Bytes sent at once.
const CHUNK: usize = 64 * 1024;

fn encode(buffer: &mut BytesMut, (series, time, value): &Sample) {
    buffer.put_i16(3);
    buffer.put_i32(8);
    buffer.put_i64(*series);
    buffer.put_i32(8);
    buffer.put_i64(time - EPOCH);
    match value {
        Some(value) => {
            buffer.put_i32(8);
            buffer.put_f64(*value);
        }
        None => buffer.put_i32(-1),
    }
}

async fn quarantine(
    transaction: &Transaction<'_>,
    plan: &Plan<'_>,
    findings: &[Finding],
) -> Result<(), Fault> {
    for (located, finding) in plan.located.iter().zip(findings) {
        let Finding::Granted { ranges, .. } = finding else {
            continue;
        };
        for row in &located.batch.quarantined {
            if !coverage::holds(ranges, row.offset) {
                continue;
            }
            let statement = transaction
                .prepare_cached(
                    "INSERT INTO quarantine (source_id, pass, line, \"offset\", reason, record)
                     VALUES ($1, $2, $3, $4, $5, $6)",
                )
                .await?;
            let (line, offset) = (signed(row.line), signed(row.offset));
            let pass = &located.batch.pass.0;
            let reason = printable(&row.reason);
            transaction
                .execute(
                    &statement,
                    &[&located.source, pass, &line, &offset, &reason, &row.record],
                )
                .await?;
        }
    }
    Ok(())
}

fn outcomes(plan: &Plan<'_>, findings: Vec<Finding>) -> Vec<Outcome> {
    findings
        .into_iter()
        .zip(&plan.located)
        .map(|(finding, located)| match finding {
            Finding::AlreadyStored => Outcome::AlreadyStored,
            Finding::Contradicts => Outcome::Refused {
                reason: format!(
                    "bytes {}..{} of {} are stored with another checksum",
                    located.batch.range.start, located.batch.range.end, located.batch.source
                ),
            },
            Finding::Granted { whole: true, .. } => Outcome::Stored {
                rows: located.batch.rows.len() as u64,
            },
            Finding::Granted { ranges, .. } => {
                let offsets = located.batch.rows.offset.iter().copied();
                let rows = offsets.filter(|offset| coverage::holds(&ranges, *offset));
                Outcome::Completed {
                    rows: rows.count() as u64,
                }
            }
        })
        .collect()
}
