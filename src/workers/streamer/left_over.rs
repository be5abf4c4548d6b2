//! Pieces that were left to siblings: each is watched until it is completed, and made here if it
//! stays unclaimed.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::source::{ByteRange, PassId, SourceId};
use crate::queue::{Claim, Queue};

use super::csv::{Place, Reader};
use super::piece::Piece;
use super::read::{Flow, Reading, Totals, read_chunk};
use super::source::{Source, SourceReader};
use super::{StreamerError, blocking};

/// How long a sibling's chunk is left alone. Streamers of one StatefulSet start within seconds of
/// each other; one that is not there by then is late, and its chunks would wait for nothing.
const GRACE: Duration = Duration::from_secs(10);
/// Pause between two looks at chunks that siblings have claimed.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// Siblings' chunks that are looked at together. Their order is that of the file, so the first ones
/// are done first.
const LOOKS: usize = 64;
/// Sources with pieces that are left: each is an open file.
const MOST_SOURCES: usize = 64;

/// What was left of a source.
#[derive(Clone, Copy)]
pub(super) enum Left {
    Chunk(Place, ByteRange),
    SignOff(Totals),
}

#[derive(Clone)]
struct One {
    source: Arc<Source>,
    pass: PassId,
    left: Left,
    /// When reading of the source began.
    since: Instant,
}

/// Everything that was left, in the order in which it was.
#[derive(Default)]
pub(super) struct LeftOver {
    all: Vec<One>,
    /// The last look.
    looked: Option<Instant>,
}

/// Adds what is left of one source.
pub(super) struct Leaving<'a> {
    left: &'a mut LeftOver,
    source: Arc<Source>,
    pass: PassId,
    since: Instant,
}

impl LeftOver {
    pub(super) fn of(&mut self, source: &Arc<Source>, pass: &PassId) -> Leaving<'_> {
        Leaving {
            left: self,
            source: Arc::clone(source),
            pass: pass.clone(),
            since: Instant::now(),
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) const fn len(&self) -> usize {
        self.all.len()
    }

    /// Forgets what was added after there were so many.
    pub(super) fn truncate(&mut self, length: usize) {
        self.all.truncate(length);
    }

    /// Forgets what is left of a source.
    pub(super) fn forget(&mut self, source: &Arc<Source>) {
        self.all.retain(|one| !Arc::ptr_eq(&one.source, source));
    }

    /// Whether anything of a source is left.
    pub(super) fn has_any_of(&self, source: &SourceId) -> bool {
        self.all.iter().any(|one| one.source.id == *source)
    }

    /// Whether another source may be begun.
    pub(super) fn has_room(&self) -> bool {
        let sources = self
            .all
            .chunk_by(|one, next| Arc::ptr_eq(&one.source, &next.source));
        sources.count() < MOST_SOURCES
    }

    /// When to look; `None` if nothing is left.
    pub(super) fn due(&self) -> Option<Instant> {
        let rested = self.all.first()?.since + GRACE;
        let looked = self.looked.map(|looked| looked + LOOK_INTERVAL);
        Some(looked.map_or(rested, |next| next.max(rested)))
    }
}

impl Leaving<'_> {
    pub(super) fn add(&mut self, left: Left) {
        self.left.all.push(One {
            source: Arc::clone(&self.source),
            pass: self.pass.clone(),
            left,
            since: self.since,
        });
    }
}

/// What became of a look.
pub(super) enum Looked {
    At(Flow),
    /// A source is not what it was.
    Failed(Arc<Source>, StreamerError),
}

/// A source that stays open while its pieces are made.
type Opened = Option<(Arc<Source>, Reader<SourceReader>)>;

impl<Q: Queue> Reading<'_, Q> {
    /// Looks once at some of what was left.
    pub(super) async fn look_at(&self, left: &mut LeftOver) -> Result<Looked, StreamerError> {
        // A sibling that has heard of another store works for that one already. What it did is not
        // undone: a failure to hear of it costs batches that the ledger ignores.
        drop(self.announced.ask(self.queue, self.health).await);
        let looked_at: Vec<One> = left.all.drain(..left.all.len().min(LOOKS)).collect();
        let mut still_left = Vec::new();
        let mut looked = Looked::At(Flow::Finished);
        let mut opened = None;
        for one in looked_at {
            if !matches!(looked, Looked::At(Flow::Finished)) {
                still_left.push(one);
                continue;
            }
            let piece = match one.left {
                Left::Chunk(_, range) => Piece::Chunk(range),
                Left::SignOff(_) => Piece::SignOff,
            };
            let note = self.note(&one.source.id, &one.pass, piece);
            match self.claim(&note).await {
                Some(Claim::Completed) => {}
                Some(Claim::Mine) => {
                    let made = match one.left {
                        Left::SignOff(totals) => self.sign_off(note, one.source.size, totals).await,
                        Left::Chunk(place, range) => {
                            self.make_left((&one, place, range), &mut opened).await
                        }
                    };
                    looked = match made {
                        Ok(flow) => Looked::At(flow),
                        Err(error) if error.is_of_source() => {
                            Looked::Failed(Arc::clone(&one.source), error)
                        }
                        Err(error) => return Err(error),
                    };
                }
                // A sibling has it, or the queue does not answer.
                Some(Claim::Theirs) | None => still_left.push(one),
            }
        }
        still_left.append(&mut left.all);
        left.all = still_left;
        left.looked = Some(Instant::now());
        Ok(looked)
    }

    /// Makes the batch of a chunk that a sibling left; it is read again for that.
    async fn make_left(
        &self,
        (one, place, range): (&One, Place, ByteRange),
        opened: &mut Opened,
    ) -> Result<Flow, StreamerError> {
        let Some(()) = self.unless_stopped(self.outbox.room()).await else {
            return Ok(Flow::Stopped);
        };
        let source = &one.source;
        let reader = match opened.take() {
            Some((opened, reader)) if Arc::ptr_eq(&opened, source) => reader,
            _ => self.open(source).await?,
        };
        let reader = blocking(move || reader.go_to(place).map_err(StreamerError::Read)).await?;
        let (reader, chunk) = read_chunk(reader, source).await?;
        *opened = Some((Arc::clone(source), reader));
        // The claim is for these bytes, and for no others.
        let Some(chunk) = chunk.filter(|chunk| chunk.range == range) else {
            return Err(StreamerError::SourceChanged(source.path.clone()));
        };
        tracing::info!(
            source = %source.id,
            chunk = place.index,
            "took over a chunk that nobody worked on"
        );
        let note = self.note(&source.id, &one.pass, Piece::Chunk(range));
        self.make_batch(note, chunk).await
    }
}
