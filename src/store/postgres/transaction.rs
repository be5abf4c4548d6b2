//! The one transaction that stores: ledger, samples, quarantine.

use std::collections::BTreeSet;
use std::pin::pin;

use bytes::Bytes;
use deadpool_postgres::{Object, Transaction};
use futures::SinkExt as _;

use crate::model::source::ByteRange;
use crate::store::Outcome;
use crate::store::check::printable;
use crate::store::coverage::{self, Verdict};

use super::catalogue::Located;
use super::copy::{self, Sample};
use super::fault::Fault;
use super::ledger::{enter, key, verdict};
use super::retention;
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
    /// Batches with the ids that stand for them.
    pub(super) located: Vec<Located<'a>>,
    order: Vec<usize>,
    /// Rows before this time are noted and not stored, microseconds since the epoch.
    first_kept: Option<i64>,
}

/// What a transaction did.
pub(super) struct Transacted {
    /// What became of each batch.
    pub(super) outcomes: Vec<Outcome>,
    /// How many rows were noted and not stored.
    pub(super) expired: u64,
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
    pub(super) fn new(located: Vec<Located<'a>>, first_kept: Option<i64>) -> Self {
        let mut order: Vec<usize> = (0..located.len()).collect();
        order.sort_by_key(|index| {
            let Located { batch, source, .. } = &located[*index];
            (*source, &batch.pass, batch.range)
        });
        Self {
            located,
            order,
            first_kept,
        }
    }
}

/// Stores the batches of the plan. `None`: nothing was stored, the sources have to be locked.
pub(super) async fn transact(
    client: &mut Object,
    plan: &Plan<'_>,
    mode: Mode,
) -> Result<Option<Transacted>, Fault> {
    let transaction = client.transaction().await?;
    let findings = match mode {
        Mode::Optimistic => claim(&transaction, plan).await?,
        Mode::SourcesLocked => Some(claim_locked(&transaction, plan).await?),
    };
    let Some(findings) = findings else {
        transaction.rollback().await?;
        return Ok(None);
    };
    let samples = rows(plan, &findings);
    let (expired, kept): (Vec<Sample>, Vec<Sample>) = match plan.first_kept {
        Some(first) => samples.into_iter().partition(|(_, time, _)| *time < first),
        None => (Vec::new(), samples),
    };
    copy(&transaction, kept).await?;
    retention::note_arrivals(&transaction, &expired).await?;
    quarantine(&transaction, plan, &findings).await?;
    transaction.commit().await?;
    Ok(Some(Transacted {
        outcomes: outcomes(plan, findings),
        expired: expired.len() as u64,
    }))
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

/// The rows of all granted ranges.
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
    samples
}

async fn copy(transaction: &Transaction<'_>, samples: Vec<Sample>) -> Result<(), Fault> {
    if samples.is_empty() {
        return Ok(());
    }
    let given = samples.len() as u64;
    let sink = transaction
        .copy_in::<_, Bytes>("COPY sample (series_id, ts, value) FROM STDIN BINARY")
        .await?;
    let mut sink = pin!(sink);
    for frame in copy::frames(samples) {
        sink.send(frame).await?;
    }
    let taken = sink.finish().await?;
    if given != taken {
        return Err(Fault::Count { given, taken });
    }
    Ok(())
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
