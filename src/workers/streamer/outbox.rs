//! The spool, and how far each message in it has come.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::model::batch::Message;
use crate::model::source::{BatchId, IncarnationId, SourceId};
use crate::queue::Published;
use crate::queue::codec;
use crate::queue::spool::{Spool, SpoolError};

use super::meter::Meter;
use super::piece::{Note, Piece};
use super::{StreamerError, blocking};

/// Longest segment of the spool in bytes; a small spool has smaller ones, so that it frees room
/// little by little.
const LONGEST_SEGMENT: u64 = 8 * 1024 * 1024;

/// A message that was published and not acknowledged yet.
#[derive(Debug, Clone)]
pub(super) struct Outstanding {
    pub(super) id: BatchId,
    pub(super) published: Published,
    pub(super) since: Instant,
}

/// The spool with the states of its messages. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Outbox(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    inner: Mutex<Inner>,
    incarnation: IncarnationId,
    limit: u64,
    meter: Meter,
    /// Something is waiting to be published.
    waiting: Notify,
    /// Something was acknowledged.
    freed: Notify,
    /// Held from naming a message until it is written.
    writing: tokio::sync::Mutex<()>,
}

/// Every message of the spool is waiting, published, or on the way: then it is in neither set.
#[derive(Debug)]
struct Inner {
    spool: Spool<Note>,
    /// To be published, for the first time or again.
    waiting: BTreeSet<u64>,
    /// In the queue, as far as we know, and since when.
    published: BTreeMap<u64, (Published, Instant)>,
    /// Since when this process has each message.
    kept: BTreeMap<u64, Instant>,
    /// The pieces whose messages are in the spool.
    keys: BTreeSet<String>,
}

impl Outbox {
    /// Opens the spool; what it holds undone waits to be published. Blocks.
    pub(super) fn open(folder: &Path, limit: u64, meter: Meter) -> Result<Self, StreamerError> {
        let segment = (limit / 4).clamp(1, LONGEST_SEGMENT);
        let spool: Spool<Note> = Spool::open(folder, segment).map_err(StreamerError::Spool)?;
        let waiting: BTreeSet<u64> = spool.undone().map(|(sequence, _)| sequence).collect();
        let opened = Instant::now();
        let kept = waiting.iter().map(|one| (*one, opened)).collect();
        let keys = spool.undone().map(|(_, note)| note.key()).collect();
        let incarnation = spool.incarnation().clone();
        let inner = Inner {
            spool,
            waiting,
            published: BTreeMap::new(),
            kept,
            keys,
        };
        let outbox = Self(Arc::new(Shared {
            inner: Mutex::new(inner),
            incarnation,
            limit,
            meter,
            waiting: Notify::new(),
            freed: Notify::new(),
            writing: tokio::sync::Mutex::new(()),
        }));
        outbox.with(|_| ());
        Ok(outbox)
    }

    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.0.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = work(&mut inner);
        let gauge = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.0.meter.spool_bytes.set(gauge(inner.spool.size()));
        let messages = inner.spool.undone_count() as u64;
        self.0.meter.spool_messages.set(gauge(messages));
        // In the order of their numbers, which is that of their age.
        let oldest = inner.kept.first_key_value();
        let age = oldest.map_or(0.0, |(_, since)| since.elapsed().as_secs_f64());
        self.0.meter.spool_oldest.set(age);
        answer
    }

    pub(super) fn incarnation(&self) -> &IncarnationId {
        &self.0.incarnation
    }

    /// The name of a message of this spool.
    fn id(&self, sequence: u64) -> BatchId {
        BatchId {
            incarnation: self.incarnation().clone(),
            sequence,
        }
    }

    /// Whether the spool holds the message of this piece.
    pub(super) fn holds(&self, note: &Note) -> bool {
        self.with(|inner| inner.keys.contains(&note.key()))
    }

    /// Whether the spool holds any message of this source.
    pub(super) fn holds_any_of(&self, source: &SourceId) -> bool {
        let beginning = format!("{source}/");
        self.with(|inner| {
            let mut from_there = inner.keys.range(beginning.clone()..);
            from_there
                .next()
                .is_some_and(|key| key.starts_with(&beginning))
        })
    }

    /// The pieces whose messages are in the spool.
    pub(super) fn notes(&self) -> Vec<Note> {
        self.with(|inner| inner.spool.undone().map(|(_, note)| note.clone()).collect())
    }

    /// Returns when the spool is below its limit, or holds nothing that could be acknowledged.
    pub(super) async fn room(&self) {
        loop {
            let freed = self.0.freed.notified();
            if self.has_room() {
                return;
            }
            freed.await;
        }
    }

    /// Whether the spool is below its limit, or holds nothing that could be acknowledged.
    pub(super) fn has_room(&self) -> bool {
        let limit = self.0.limit;
        self.with(|inner| inner.spool.size() < limit || inner.spool.undone_count() == 0)
    }

    /// Waits until nobody else is about to write a message.
    pub(super) async fn writing(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.writing.lock().await
    }

    /// The bytes of the next message. `make` gets its name; [`Self::append`] has to follow while
    /// [`Self::writing`] is held.
    pub(super) async fn encode(
        &self,
        make: impl FnOnce(BatchId) -> Message + Send + 'static,
    ) -> Result<Bytes, StreamerError> {
        let id = self.id(self.with(|inner| inner.spool.next_sequence()));
        blocking(move || codec::encode(&make(id)).map_err(StreamerError::Encode)).await
    }

    /// Writes an encoded message durably; it waits to be published then.
    pub(super) async fn append(&self, note: Note, payload: Bytes) -> Result<(), StreamerError> {
        let outbox = self.clone();
        blocking(move || {
            outbox.with(|inner| {
                let key = note.key();
                let appended = inner.spool.append(note, &payload);
                let sequence = appended.map_err(StreamerError::Spool)?;
                inner.waiting.insert(sequence);
                inner.kept.insert(sequence, Instant::now());
                inner.keys.insert(key);
                tracing::debug!(batch = %outbox.id(sequence), bytes = payload.len(), "spooled");
                Ok(())
            })
        })
        .await?;
        self.0.waiting.notify_one();
        Ok(())
    }

    /// Takes the first waiting message to publish it.
    pub(super) fn take_waiting(&self) -> Option<BatchId> {
        let sequence = self.with(|inner| inner.waiting.pop_first())?;
        Some(self.id(sequence))
    }

    /// Returns when something may be waiting.
    pub(super) async fn waiting(&self) {
        self.0.waiting.notified().await;
    }

    /// The bytes of a message; `None` if it was acknowledged meanwhile.
    pub(super) async fn load(&self, sequence: u64) -> Result<Option<Bytes>, StreamerError> {
        let outbox = self.clone();
        blocking(move || {
            outbox
                .with(|inner| inner.spool.load(sequence))
                .map_err(StreamerError::Spool)
        })
        .await
    }

    /// Notes that a message is in the queue, or that it has to be published again.
    pub(super) fn published(&self, sequence: u64, published: Option<Published>) {
        self.with(|inner| match published {
            // Acknowledged already, in answer to an earlier publication.
            _ if inner.spool.note(sequence).is_none() => {}
            Some(published) => {
                let state = (published, Instant::now());
                inner.published.insert(sequence, state);
            }
            None => {
                inner.waiting.insert(sequence);
            }
        });
    }

    /// Lets messages that the queue lost be published again.
    pub(super) fn publish_again(&self, sequences: &BTreeSet<u64>) {
        self.with(|inner| {
            for sequence in sequences {
                if inner.published.remove(sequence).is_some() {
                    inner.waiting.insert(*sequence);
                    tracing::debug!(batch = %self.id(*sequence), "to be published again");
                }
            }
        });
        self.0.waiting.notify_one();
    }

    /// What is in the queue as far as we know, in order.
    pub(super) fn outstanding(&self) -> Vec<Outstanding> {
        self.with(|inner| {
            let published = inner.published.iter();
            let outstanding = published.map(|(sequence, (published, since))| Outstanding {
                id: self.id(*sequence),
                published: published.clone(),
                since: *since,
            });
            outstanding.collect()
        })
    }

    /// How many messages the spool holds that are not acknowledged.
    pub(super) fn undrained(&self) -> usize {
        self.with(|inner| inner.spool.undone_count())
    }

    /// Whether everything in the spool was published.
    pub(super) fn is_published(&self) -> bool {
        self.with(|inner| inner.published.len() == inner.spool.undone_count())
    }

    /// The notes of those of these messages that are in the spool.
    pub(super) fn notes_of(&self, sequences: &BTreeSet<u64>) -> Vec<Note> {
        self.with(|inner| {
            let notes = sequences.iter().filter_map(|one| inner.spool.note(*one));
            notes.cloned().collect()
        })
    }

    /// Frees the spool of messages that the store has, and counts them. If it fails, some may be
    /// freed and others not; it can be tried again with all of them.
    pub(super) async fn acknowledged(&self, sequences: BTreeSet<u64>) -> Result<(), StreamerError> {
        // At once: whoever looks from now on does not count on it any more.
        self.with(|inner| inner.disown(&sequences));
        let outbox = self.clone();
        let marked = blocking(move || {
            outbox.with(|inner| {
                let marked = inner.mark_done(&sequences, &outbox);
                marked.map_err(StreamerError::Spool)
            })
        });
        let marked = marked.await;
        self.0.freed.notify_one();
        marked
    }
}

impl Inner {
    fn disown(&mut self, sequences: &BTreeSet<u64>) {
        let notes = sequences.iter().filter_map(|one| self.spool.note(*one));
        for key in notes.map(Note::key) {
            self.keys.remove(&key);
        }
    }

    fn mark_done(&mut self, sequences: &BTreeSet<u64>, outbox: &Outbox) -> Result<(), SpoolError> {
        let meter = &outbox.0.meter;
        let note = |one: &u64| self.spool.note(*one).map(|note| (*one, note.clone()));
        let notes: Vec<(u64, Note)> = sequences.iter().filter_map(note).collect();
        let marked = self.spool.mark_done(sequences);
        for (sequence, note) in notes {
            if self.spool.note(sequence).is_some() {
                self.keys.insert(note.key());
                continue;
            }
            self.waiting.remove(&sequence);
            self.published.remove(&sequence);
            self.kept.remove(&sequence);
            tracing::debug!(batch = %outbox.id(sequence), "acknowledged, and out of the spool");
            meter.acknowledged.inc();
            if note.piece != Piece::SignOff {
                meter.chunks_completed.inc();
            }
        }
        marked
    }
}
