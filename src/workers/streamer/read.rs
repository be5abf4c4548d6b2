//! Reads a source and puts the pieces that are this streamer's into the spool.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::model::batch::{Batch, Message, SignedOff};
use crate::model::source::{BatchId, PassId, SourceId};
use crate::queue::{Claim, Queue};
use crate::workers::vitals::Vitals;

use super::announced::Announced;
use super::csv::{Chunk, Limits, Reader};
use super::health::Health;
use super::left_over::{Left, LeftOver};
use super::meter::Meter;
use super::outbox::Outbox;
use super::piece::{Affinity, Note, Piece};
use super::reconcile::CLAIM_TIME;
use super::source::{Source, SourceReader};
use super::{StreamerError, blocking};

/// Pause before writing again to a full disk.
const FULL_DISK_PAUSE: Duration = Duration::from_secs(1);

/// What a pass needs.
#[derive(Clone)]
pub(super) struct Reading<'a, Q> {
    pub(super) queue: &'a Q,
    /// What another store has than the one that was announced last is read again. It may change
    /// during a pass; another pass follows then.
    pub(super) announced: &'a Announced,
    pub(super) outbox: &'a Outbox,
    pub(super) health: &'a Health,
    pub(super) meter: &'a Meter,
    pub(super) vitals: &'a Vitals,
    pub(super) stop: &'a CancellationToken,
    pub(super) streamer: &'a str,
    pub(super) affinity: Affinity,
    pub(super) limits: Limits,
    pub(super) pace: Option<Duration>,
}

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Finished,
    Stopped,
}

/// What to do with a piece.
enum Decision {
    /// Make its message.
    Make,
    /// Leave it to a sibling for now.
    Leave,
    /// It is in the spool already, or in the store.
    Done,
}

/// Status detail with the first rows that were set aside: line, offset and reason of each.
pub const QUARANTINED: &str = "quarantined";
/// How many of them are kept there; all of them are in the store.
const EXAMPLES: usize = 10;

/// Counted over a whole source.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals {
    pub(super) chunks: u64,
    pub(super) rows: u64,
    pub(super) quarantined: u64,
}

impl Totals {
    pub(super) fn add(&mut self, chunk: &Chunk) {
        self.chunks += 1;
        self.rows += chunk.rows.len() as u64;
        self.quarantined += chunk.quarantined.len() as u64;
    }
}

impl<Q: Queue> Reading<'_, Q> {
    /// Reads a source once from start to end; what is a sibling's is noted in `left`.
    pub(super) async fn scan(
        &self,
        source: &Arc<Source>,
        pass: &PassId,
        left: &mut LeftOver,
    ) -> Result<Flow, StreamerError> {
        let mut reader = self.open(source).await?;
        self.tell_ignored(&source.id, reader.ignored_columns());
        let mut totals = Totals::default();
        let mut theirs = left.of(source, pass);
        loop {
            let Some(()) = self.unless_stopped(self.outbox.room()).await else {
                return Ok(Flow::Stopped);
            };
            let (reader_back, chunk) = read_chunk(reader, source).await?;
            reader = reader_back;
            let Some(chunk) = chunk else { break };
            totals.add(&chunk);
            self.show(totals, "reading");
            let note = self.note(&source.id, pass, Piece::Chunk(chunk.range));
            match self.decide(&note, chunk.place.index).await {
                Decision::Make => {
                    if self.make_batch(note, chunk).await? == Flow::Stopped {
                        return Ok(Flow::Stopped);
                    }
                }
                Decision::Leave => theirs.add(Left::Chunk(chunk.place, chunk.range)),
                Decision::Done => {}
            }
        }
        let note = self.note(&source.id, pass, Piece::SignOff);
        match self.decide(&note, totals.chunks).await {
            Decision::Make => return self.sign_off(note, source.size, totals).await,
            Decision::Leave => theirs.add(Left::SignOff(totals)),
            Decision::Done => {}
        }
        Ok(Flow::Finished)
    }

    /// A source at its beginning.
    pub(super) async fn open(
        &self,
        source: &Arc<Source>,
    ) -> Result<Reader<SourceReader>, StreamerError> {
        let (source, limits) = (Arc::clone(source), self.limits);
        blocking(move || {
            let (bytes, cluster) = (source.reopen()?, &source.id.cluster);
            Reader::open(bytes, &source.path, cluster, limits).map_err(StreamerError::Read)
        })
        .await
    }

    pub(super) fn note(&self, source: &SourceId, pass: &PassId, piece: Piece) -> Note {
        Note {
            source: source.clone(),
            pass: pass.clone(),
            piece,
        }
    }

    async fn decide(&self, note: &Note, index: u64) -> Decision {
        if self.outbox.holds(note) {
            return Decision::Done;
        }
        if !note.is_shared() {
            return Decision::Make;
        }
        if !self.affinity.prefers(index) {
            return Decision::Leave;
        }
        match self.claim(note).await {
            // A queue that does not answer is no reason to stop: the spool is there for that, and
            // the ledger for the case that a sibling makes the same batch.
            Some(Claim::Mine) | None => Decision::Make,
            Some(Claim::Theirs) => Decision::Leave,
            Some(Claim::Completed) => Decision::Done,
        }
    }

    /// Claims a piece; `None` if the queue does not answer. It is not asked while it is known to be
    /// away: every attempt would cost its time limit.
    pub(super) async fn claim(&self, note: &Note) -> Option<Claim> {
        if !self.health.is_ok() {
            return None;
        }
        let (key, store) = (note.key(), self.announced.current());
        let claim = self
            .queue
            .claim(&key, self.streamer, CLAIM_TIME, store.as_ref());
        let claim = self.health.note(claim.await).ok();
        if claim == Some(Claim::Completed) && note.piece != Piece::SignOff {
            self.meter.chunks_completed.inc();
        }
        claim
    }

    pub(super) async fn make_batch(&self, note: Note, chunk: Chunk) -> Result<Flow, StreamerError> {
        let rows = chunk.rows.len() as u64;
        for bad in &chunk.quarantined {
            let Note { source, .. } = &note;
            tracing::debug!(%source, line = bad.line, offset = bad.offset, reason = bad.reason, "row quarantined");
            self.vitals.example(
                QUARANTINED,
                EXAMPLES,
                || json!({ "line": bad.line, "offset": bad.offset, "reason": bad.reason }),
            );
        }
        let quarantined = chunk.quarantined.len() as u64;
        let streamer = self.streamer.to_owned();
        let (source, pass) = (note.source.clone(), note.pass.clone());
        let bytes = chunk.range.end - chunk.range.start;
        let make = move |id| {
            let range = chunk.range;
            tracing::debug!(batch = %id, %source, start = range.start, end = range.end, rows, "read");
            Message::Batch(Batch {
                id,
                streamer,
                source,
                pass,
                range: chunk.range,
                checksum: chunk.checksum,
                series: chunk.series,
                rows: chunk.rows,
                quarantined: chunk.quarantined,
            })
        };
        if self.keep(note, make).await? == Flow::Stopped {
            return Ok(Flow::Stopped);
        }
        self.meter.chunks_claimed.inc();
        self.meter.rows.inc_by(rows);
        self.meter.source_bytes.inc_by(bytes);
        self.meter.quarantined.inc_by(quarantined);
        if let Some(pace) = self.pace
            && self.unless_stopped(sleep(pace)).await.is_none()
        {
            return Ok(Flow::Stopped);
        }
        Ok(Flow::Finished)
    }

    pub(super) async fn sign_off(
        &self,
        note: Note,
        size: u64,
        totals: Totals,
    ) -> Result<Flow, StreamerError> {
        let streamer = self.streamer.to_owned();
        let (origin, pass) = (note.source.clone(), note.pass.clone());
        let make = move |id| {
            tracing::debug!(batch = %id, source = %origin, rows = totals.rows, "read to the end");
            Message::SignedOff(SignedOff {
                id,
                streamer,
                source: origin,
                pass,
                size,
                rows: totals.rows,
                quarantined: totals.quarantined,
            })
        };
        self.keep(note, make).await
    }

    /// Puts a message into the spool; waits while the disk is full.
    async fn keep(
        &self,
        note: Note,
        make: impl FnOnce(BatchId) -> Message + Send + 'static,
    ) -> Result<Flow, StreamerError> {
        let _writing = self.outbox.writing().await;
        let payload = self.outbox.encode(make).await?;
        loop {
            let kept = self.outbox.append(note.clone(), payload.clone()).await;
            if self.health.note_disk(kept)?.is_some() {
                return Ok(Flow::Finished);
            }
            if self.unless_stopped(sleep(FULL_DISK_PAUSE)).await.is_none() {
                return Ok(Flow::Stopped);
            }
        }
    }

    /// Tells which columns are for no metric, so that nobody looks for them later.
    pub(super) fn tell_ignored(&self, source: &SourceId, columns: &[String]) {
        self.vitals.detail("columns_ignored", columns.to_vec());
        if !columns.is_empty() {
            let columns = columns.join(", ");
            tracing::warn!(%source, columns, "columns that are for no known metric are left out");
        }
    }

    /// Shows how far reading has come.
    fn show(&self, totals: Totals, state: &str) {
        self.vitals.detail("source_state", state);
        self.vitals.detail("chunks_total", totals.chunks);
        self.vitals.detail("rows_read", totals.rows);
        self.vitals.detail("rows_quarantined", totals.quarantined);
    }

    /// What it waits for; `None` if the worker is told to stop before.
    pub(super) async fn unless_stopped<T>(&self, wait: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            answer = wait => Some(answer),
        }
    }
}

/// Reads the next chunk where waiting for the disk is allowed.
pub(super) async fn read_chunk(
    mut reader: Reader<SourceReader>,
    source: &Arc<Source>,
) -> Result<(Reader<SourceReader>, Option<Chunk>), StreamerError> {
    let source = Arc::clone(source);
    blocking(move || {
        let chunk = reader.next_chunk().map_err(StreamerError::Read)?;
        // After reading: a chunk of a file that is another one by now must not be kept.
        source.verify_unchanged()?;
        Ok((reader, chunk))
    })
    .await
}
