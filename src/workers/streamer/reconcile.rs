//! Compares what was published with what the queue has and what the store acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::model::source::StoreToken;
use crate::queue::{Queue, QueueError};

use super::StreamerError;
use super::announced::Announced;
use super::health::Health;
use super::meter::Meter;
use super::outbox::{Outbox, Outstanding};
use super::piece::Note;

/// Pause between two comparisons; also how late the spool learns of a commit.
const INTERVAL: Duration = Duration::from_millis(500);
/// Pause between two questions which store the collectors fill; also how late it is noticed that a
/// queue does not answer from which nothing is expected.
const ASK_INTERVAL: Duration = Duration::from_secs(3);
/// How long a message may be in the queue before it is looked for there.
const LOOK_AFTER: Duration = Duration::from_secs(5);
/// Messages that are looked for in one comparison at most.
const LOOKS: usize = 64;
/// Small calls under way at once.
const CONCURRENCY: usize = 16;

/// Life of a claim. A dead streamer's chunks are free after this time.
pub(super) const CLAIM_TIME: Duration = Duration::from_secs(15);
/// Claims are renewed three times within their life.
const RENEW_INTERVAL: Duration = Duration::from_secs(5);

/// Keeps the spool and the queue together.
pub(super) struct Reconciler<'a, Q> {
    pub(super) queue: &'a Q,
    pub(super) announced: &'a Announced,
    pub(super) outbox: &'a Outbox,
    pub(super) health: &'a Health,
    pub(super) meter: &'a Meter,
    /// Name under which pieces are claimed.
    pub(super) owner: &'a str,
}

impl<Q: Queue> Reconciler<'_, Q> {
    /// Runs until the spool fails.
    pub(super) async fn run(&self) -> Result<Infallible, StreamerError> {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looked_up_to = 0;
        let mut renewed = Instant::now();
        let mut asked = Instant::now() - ASK_INTERVAL;
        loop {
            ticks.tick().await;
            if renewed.elapsed() >= RENEW_INTERVAL {
                self.renew_claims().await;
                renewed = Instant::now();
            }
            if !self.outbox.outstanding().is_empty() || !self.health.has_disk() {
                self.compare(&mut looked_up_to).await?;
            }
            if asked.elapsed() >= ASK_INTERVAL {
                // A failure is noted by then, and that is all.
                drop(self.announced.ask(self.queue, self.health).await);
                asked = Instant::now();
            }
        }
    }

    /// One comparison.
    pub(super) async fn compare(&self, looked_up_to: &mut u64) -> Result<(), StreamerError> {
        match self.try_compare(looked_up_to).await {
            Ok(done) => done,
            // Noted already; the next comparison tries again.
            Err(_unavailable) => Ok(()),
        }
    }

    async fn try_compare(
        &self,
        looked_up_to: &mut u64,
    ) -> Result<Result<(), StreamerError>, QueueError> {
        let outstanding = self.outbox.outstanding();
        // Absence first: between a look that finds nothing and the answer about acknowledgements,
        // the message can only have been acknowledged, and then the answer says so.
        let absent = self.absent(&outstanding, looked_up_to).await?;
        let incarnation = self.outbox.incarnation();
        let told = self.queue.acknowledgements(incarnation).await;
        let told = self.health.note(told)?;
        let lost: BTreeSet<u64> = outstanding
            .iter()
            .filter(|one| {
                let token = told.tokens.get(&one.published.shard);
                token != Some(&one.published.token) || absent.contains(&one.id.sequence)
            })
            .map(|one| one.id.sequence)
            .filter(|sequence| !told.sequences.contains_key(sequence))
            .collect();
        if !lost.is_empty() {
            tracing::warn!(
                messages = lost.len(),
                "the queue lost messages; publishing again"
            );
            self.meter.lost.inc_by(lost.len() as u64);
            self.outbox.publish_again(&lost);
        }
        if told.sequences.is_empty() {
            return Ok(Ok(()));
        }
        let Some(store) = self.judging(&told.sequences).await? else {
            // Not announced yet, or again: the next comparison knows more.
            return Ok(Ok(()));
        };
        let (stored, elsewhere) = by_store(told.sequences, &store);
        if !elsewhere.is_empty() {
            tracing::warn!(
                messages = elsewhere.len(),
                "stored in another store than the one that is filled now; publishing again"
            );
            self.meter.lost.inc_by(elsewhere.len() as u64);
            let forgotten = self.queue.forget_acknowledgements(incarnation, &elsewhere);
            self.health.note(forgotten.await)?;
            self.outbox.publish_again(&elsewhere);
        }
        let notes = self.outbox.notes_of(&stored);
        self.complete_claims(&notes, &store).await;
        if self.announced.current().as_ref() != Some(&store) {
            // Heard of meanwhile by those who read, who leave out what is in the spool: it may not be
            // freed any more by what was told of the other store. The next comparison judges anew.
            return Ok(Ok(()));
        }
        let freed = self.outbox.acknowledged(stored.clone()).await;
        match self.health.note_disk(freed) {
            Ok(Some(())) => {}
            // The same ones are told again until there is room.
            Ok(None) => return Ok(Ok(())),
            Err(error) => return Ok(Err(error)),
        }
        // Last: if this is lost, the same ones are told again.
        let forgotten = self.queue.forget_acknowledgements(incarnation, &stored);
        self.health.note(forgotten.await)?;
        Ok(Ok(()))
    }

    /// The store that is filled now, asked for again where an acknowledgement names another one.
    async fn judging(
        &self,
        told: &BTreeMap<u64, StoreToken>,
    ) -> Result<Option<StoreToken>, QueueError> {
        let known = self.announced.current();
        if !told.values().all(|store| Some(store) == known.as_ref()) {
            self.announced.ask(self.queue, self.health).await?;
        }
        Ok(self.announced.current())
    }

    /// Which of the messages that should have arrived long ago are not in the queue. Looks at some
    /// of them, going round.
    async fn absent(
        &self,
        outstanding: &[Outstanding],
        looked_up_to: &mut u64,
    ) -> Result<BTreeSet<u64>, QueueError> {
        let old = |one: &&Outstanding| one.since.elapsed() >= LOOK_AFTER;
        let mut suspects: Vec<&Outstanding> = outstanding.iter().filter(old).collect();
        let first = suspects.partition_point(|one| one.id.sequence <= *looked_up_to);
        suspects.rotate_left(first);
        suspects.truncate(LOOKS);
        *looked_up_to = suspects.last().map_or(0, |one| one.id.sequence);
        let mut absent = BTreeSet::new();
        for together in suspects.chunks(CONCURRENCY) {
            let looks = together.iter().copied().map(|one| self.is_present(one));
            for (one, present) in together.iter().zip(join_all(looks).await) {
                if !self.health.note(present)? {
                    absent.insert(one.id.sequence);
                }
            }
        }
        Ok(absent)
    }

    async fn is_present(&self, one: &Outstanding) -> Result<bool, QueueError> {
        let position = &one.published.position;
        self.queue.is_present(&one.id, position).await
    }

    /// A mark that is lost costs a batch that the ledger ignores.
    async fn complete_claims(&self, notes: &[Note], store: &StoreToken) {
        for together in shared_keys(notes).chunks(CONCURRENCY) {
            let marks = together
                .iter()
                .map(|key| self.queue.complete_claim(key, store));
            for mark in join_all(marks).await {
                if self.health.note(mark).is_err() {
                    return;
                }
            }
        }
    }

    /// Keeps siblings from doing again what is in this spool. What was taken meanwhile is done
    /// twice, which the ledger does not mind.
    async fn renew_claims(&self) {
        let store = self.announced.current();
        for together in shared_keys(&self.outbox.notes()).chunks(CONCURRENCY) {
            let claims = together.iter().map(|key| {
                self.queue
                    .claim(key, self.owner, CLAIM_TIME, store.as_ref())
            });
            for claim in join_all(claims).await {
                if self.health.note(claim).is_err() {
                    return;
                }
            }
        }
    }
}

/// Acknowledged sequences: those that the store has, and those that another one has. These may not
/// be freed: that one may be lost, and a pass for the present store leaves out what is in the spool.
fn by_store(told: BTreeMap<u64, StoreToken>, store: &StoreToken) -> (BTreeSet<u64>, BTreeSet<u64>) {
    let (stored, elsewhere): (Vec<_>, Vec<_>) =
        told.into_iter().partition(|(_, named)| named == store);
    let sequences = |pairs: Vec<(u64, StoreToken)>| pairs.into_iter().map(|pair| pair.0).collect();
    (sequences(stored), sequences(elsewhere))
}

/// The keys of those pieces that siblings could work on as well.
fn shared_keys(notes: &[Note]) -> Vec<String> {
    let shared = notes.iter().filter(|note| note.is_shared());
    shared.map(Note::key).collect()
}
