//! The collector: moves batches from the queue into the store.
//!
//! An entry is acknowledged after the transaction that holds its effect was committed, never
//! before. Whatever happens in between, it is delivered again, and the ledger of the store tells
//! that it is there. The acknowledgement says which life of the store has it, and the collectors
//! announce the present one, so that what another life had is read again. A server that is down is
//! waited for, for ever; an entry is set aside only because of what is wrong *in it*.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::channel::mpsc;
use futures::stream::FuturesUnordered;
use futures::{SinkExt as _, StreamExt as _};
use jiff::Timestamp;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::worker::{CollectorSettings, IdentitySettings};
use crate::model::backoff::Backoff;
use crate::model::batch::Batch;
use crate::model::canary::Canary;
use crate::model::causes::chain;
use crate::model::source::StoreToken;
use crate::queue::codec::Decoder;
use crate::queue::{Delivery, Queue, QueueError};
use crate::store::{Outcome, Store, StoreError, Stored};

use super::vitals::Vitals;

mod canaries;
mod demand;
pub mod freshness;
mod inbox;
mod keeping;
mod latency;
mod life;
mod meters;
pub mod streamers;
mod under_way;

use canaries::{Canaries, arrival};
use demand::Demand;
use inbox::{Group, Inbox};
use meters::Meters;
use streamers::Streamers;
use under_way::UnderWay;

/// Transactions under way at once: one is computed here while the other is in the database's hands.
const AT_ONCE: usize = 2;
/// Pause between two looks at how full the queue is and which life the store is in.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// How often the status page tells anew which streamers there are.
const SHOW_INTERVAL: Duration = Duration::from_secs(1);
/// Looks in a row at which another store was announced until it is no transition any more.
const CONTRADICTIONS: u32 = 6;
/// Longest time for one look at the queue.
const LOOK_LIMIT: Duration = Duration::from_secs(10);

/// Why a collector cannot work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectorError {
    /// The store has to be prepared by somebody else first.
    #[error("the store cannot be prepared")]
    Store(#[source] StoreError),
}

/// Collects until `stop`; then the transaction under way is finished and acknowledged.
///
/// # Errors
/// [`CollectorError::Store`] if the store cannot be prepared, for a reason that waiting does not
/// mend. Outages are no errors: they are waited for.
#[expect(
    clippy::too_many_arguments,
    reason = "what it works with and what it works on are seven different things"
)]
pub async fn run<Q: Queue, S: Store>(
    settings: &CollectorSettings,
    identity: &IdentitySettings,
    queue: Q,
    store: S,
    streamers: Streamers,
    vitals: Vitals,
    stop: CancellationToken,
) -> Result<(), CollectorError> {
    let collector = Collector {
        settings,
        consumer: &identity.id,
        meters: Meters::register(&vitals, identity),
        canaries: Canaries::announce(&vitals),
        under_way: UnderWay::default(),
        queue,
        store,
        streamers,
        vitals,
        stop,
    };
    if collector.prepare().await? {
        tokio::join!(collector.collect(), collector.watch(), collector.keep());
    }
    Ok(())
}

struct Collector<'a, Q, S> {
    settings: &'a CollectorSettings,
    consumer: &'a str,
    meters: Meters,
    canaries: Canaries,
    under_way: UnderWay,
    queue: Q,
    store: S,
    streamers: Streamers,
    vitals: Vitals,
    stop: CancellationToken,
}

impl<Q: Queue, S: Store> Collector<'_, Q, S> {
    /// Makes the tables, as soon as the store answers; `false` if it was stopped before.
    async fn prepare(&self) -> Result<bool, CollectorError> {
        let made = self.insist("store", || hopeful(self.store.migrate())).await;
        match made {
            Some(Ok(token)) => {
                let announce = || self.queue.announce_store(&token);
                Ok(self.insist("queue", announce).await.is_some())
            }
            Some(Err(error)) => Err(CollectorError::Store(error)),
            None => Ok(false),
        }
    }

    /// Reads and decodes the next group while others are stored, so that neither the database nor
    /// this process waits for the other.
    async fn collect(&self) {
        let at_once = match self.settings.pace {
            Some(_) => 1,
            None => AT_ONCE,
        };
        let (ready, groups) = mpsc::channel(0);
        tokio::join!(self.read(ready), self.store_groups(groups, at_once));
    }

    /// Stores groups until there are no more. What was read and not begun when it is stopped is
    /// delivered again.
    async fn store_groups(&self, mut groups: mpsc::Receiver<Group>, at_once: usize) {
        let mut under_way = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some(()) = under_way.next() => {}
                group = groups.next(), if under_way.len() < at_once => match group {
                    Some(group) if !self.stop.is_cancelled() => under_way.push(self.finish(group)),
                    _ => break,
                },
            }
        }
        while under_way.next().await.is_some() {}
    }

    async fn finish(&self, group: Group) {
        let places = group.places();
        if self.process(group).await.is_some() {
            self.under_way.end(&places);
            self.pause().await;
        }
    }

    /// Hands groups over until it is stopped.
    async fn read(&self, mut ready: mpsc::Sender<Group>) {
        let mut demand = Demand::new(self.settings.batch_size);
        let mut decoder = Decoder::default();
        while let Some(mut deliveries) = self.receive(demand.entries()).await {
            let received = deliveries.len();
            deliveries.retain(|delivery| self.under_way.begin(delivery));
            life::received(&deliveries);
            self.meters.received(&deliveries);
            let (mut rows, mut bytes) = (0, 0);
            let mut inbox = Inbox::new(VecDeque::from(deliveries));
            while let Some(group) = inbox.next_group(self.settings.batch_size, &mut decoder) {
                rows += group.rows();
                bytes += group.bytes;
                if ready.send(group).await.is_err() {
                    return;
                }
            }
            demand.learn(received, rows, bytes);
        }
    }

    /// The next entries, none if there are none in time; `None` once it is stopped.
    async fn receive(&self, entries: usize) -> Option<Vec<Delivery>> {
        if self.stop.is_cancelled() {
            return None;
        }
        let wait = self.settings.poll_interval;
        let received = self.insist("queue", || self.queue.receive(self.consumer, entries, wait));
        tokio::select! {
            // Entries of a read that is dropped here stay pending, and are delivered again.
            () = self.stop.cancelled() => None,
            received = received => received,
        }
    }

    /// Waits as the settings say, unless it is stopped.
    async fn pause(&self) {
        if let Some(pace) = self.settings.pace {
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = sleep(pace) => {}
            }
        }
    }

    /// Brings entries into the store and out of the queue. `None`: it was stopped while a server
    /// was down, and what is not done is delivered again.
    async fn process(&self, group: Group) -> Option<()> {
        let is_data = !group.is_canaries_only();
        for (delivery, reason) in &group.poison {
            self.set_aside(delivery, reason).await?;
        }
        let mut done: BTreeMap<StoreToken, Vec<Delivery>> = BTreeMap::new();
        if !group.batches.is_empty() {
            let outcomes = self.store_batches(&group.batches).await?;
            let entries = group.deliveries.into_iter().zip(&group.batches);
            for ((delivery, batch), (outcome, token)) in entries.zip(outcomes) {
                self.note_batch(&delivery, batch, &outcome);
                match outcome {
                    Outcome::Refused { reason } => self.set_aside(&delivery, &reason).await?,
                    _ => done.entry(token).or_default().push(delivery),
                }
            }
        }
        for (token, deliveries) in &done {
            self.acknowledge(deliveries, token).await?;
        }
        for (delivery, canary) in group.canaries {
            self.note_canary(delivery, canary).await?;
        }
        for (delivery, end) in group.ends {
            let token = self.insist("store", || self.store.sign_off(&end)).await?;
            life::noted(&delivery, "end of a source");
            self.acknowledge(&[delivery], &token).await?;
        }
        if is_data {
            self.meters.publish(&self.vitals);
        }
        Some(())
    }

    /// Takes note of what became of a batch.
    fn note_batch(&self, delivery: &Delivery, batch: &Batch, outcome: &Outcome) {
        let now = Timestamp::now();
        life::committed(delivery, outcome);
        self.meters.count(outcome);
        if let Outcome::Stored { rows } | Outcome::Completed { rows } = outcome {
            self.meters.arrived(delivery, &batch.source.cluster, now);
            self.streamers.heard(batch, *rows, now);
        }
    }

    /// Removes entries from the queue whose effect is in the store.
    async fn acknowledge(&self, deliveries: &[Delivery], token: &StoreToken) -> Option<()> {
        let acknowledge = || self.queue.acknowledge(deliveries, token);
        self.insist("queue", acknowledge).await?;
        life::acknowledged(deliveries);
        Some(())
    }

    /// A canary takes the way of data: into the store, then out of the queue.
    async fn note_canary(&self, delivery: Delivery, canary: Canary) -> Option<()> {
        let arrival = arrival(canary, &delivery, self.consumer, Timestamp::now());
        let note = || self.store.note_canary(&arrival);
        let token = self.insist("store", note).await?;
        self.canaries.stored(&arrival.canary, &self.vitals);
        life::noted(&delivery, "canary");
        self.acknowledge(&[delivery], &token).await
    }

    /// What became of each batch, and the life of the store that says so.
    async fn store_batches(&self, batches: &[Batch]) -> Option<Vec<(Outcome, StoreToken)>> {
        let started = Instant::now();
        let is_again = AtomicBool::new(false);
        let stored = self.insist("store", || hopeful(self.store_prepared(batches, &is_again)));
        let outcomes = match stored.await? {
            Ok(stored) => self.taken(stored),
            Err(error) => self.store_separately(batches, &error).await?,
        };
        self.meters.committed(started.elapsed());
        Some(outcomes)
    }

    /// Counts rows, and gives each outcome the life of the store that says so.
    fn taken(&self, stored: Stored) -> Vec<(Outcome, StoreToken)> {
        let Stored {
            outcomes,
            expired,
            token,
        } = stored;
        let rows: u64 = outcomes.iter().map(|outcome| life::words(outcome).1).sum();
        self.meters.stored(rows.saturating_sub(expired), expired);
        let pairs = outcomes.into_iter().map(|outcome| (outcome, token.clone()));
        pairs.collect()
    }

    /// After a failure, the store may be another one that has no tables yet.
    async fn store_prepared(
        &self,
        batches: &[Batch],
        is_again: &AtomicBool,
    ) -> Result<Stored, StoreError> {
        if is_again.swap(true, Ordering::Relaxed) {
            self.store.migrate().await?;
        }
        self.store.store(batches).await
    }

    /// Something is wrong with one of the batches that concerns the whole store: finds out which.
    async fn store_separately(
        &self,
        batches: &[Batch],
        error: &StoreError,
    ) -> Option<Vec<(Outcome, StoreToken)>> {
        tracing::error!(error = chain(error), "a batch contradicts the store");
        let token = self.insist("store", || self.store.migrate()).await?;
        let mut outcomes = Vec::new();
        for batch in batches {
            let one = std::slice::from_ref(batch);
            let stored = self.insist("store", || hopeful(self.store.store(one)));
            outcomes.extend(match stored.await? {
                Ok(stored) => self.taken(stored),
                Err(error) => {
                    let reason = chain(&error);
                    vec![(Outcome::Refused { reason }, token.clone())]
                }
            });
        }
        Some(outcomes)
    }

    /// Keeps an entry that cannot be stored: first in the store, then in the queue.
    async fn set_aside(&self, delivery: &Delivery, reason: &str) -> Option<()> {
        let entry = &delivery.entry;
        tracing::error!(batch = %entry.id, reason, "set aside as a dead letter");
        let keep = || self.store.dead_letter(&entry.id, &entry.payload, reason);
        let token = self.insist("store", keep).await?;
        self.insist("queue", || self.queue.dead_letter(delivery, reason, &token))
            .await?;
        life::acknowledged(std::slice::from_ref(delivery));
        self.meters.set_aside();
        Some(())
    }

    /// Tries until it works, with growing pauses. `None`: it did not work, and it was stopped.
    async fn insist<T, E, F>(&self, server: &'static str, work: impl Fn() -> F) -> Option<T>
    where
        E: std::error::Error + 'static,
        F: Future<Output = Result<T, E>>,
    {
        let mut backoff = Backoff::default();
        loop {
            let reason = match work().await {
                Ok(answer) => {
                    self.note(server, Ok(()));
                    return Some(answer);
                }
                Err(error) => chain(&error),
            };
            tracing::warn!(server, reason, "trying again");
            self.note(server, Err(reason));
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = sleep(backoff.failed(rand::random())) => {}
            }
        }
    }

    fn note(&self, server: &'static str, outcome: Result<(), String>) {
        if server == "queue" {
            self.meters.connected(outcome.is_ok());
        }
        self.vitals.required(server, outcome);
    }

    /// Until `stop`: keeps the numbers about the queue current, and the announcement of the store.
    async fn watch(&self) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = self.watch_depth() => {}
            () = self.watch_store() => {}
            () = self.show_streamers() => {}
        }
    }

    async fn show_streamers(&self) {
        loop {
            self.streamers.show(&self.vitals);
            sleep(SHOW_INTERVAL).await;
        }
    }

    async fn watch_depth(&self) {
        loop {
            let told = timeout(LOOK_LIMIT, self.queue.depth()).await;
            let depth = told.ok().and_then(Result::ok);
            self.meters.depth(depth.as_ref(), &self.vitals);
            sleep(LOOK_INTERVAL).await;
        }
    }

    /// The store may be replaced while there is nothing to store: makes the tables of an empty one,
    /// and announces it.
    async fn watch_store(&self) {
        let mut contradictions = 0;
        loop {
            let mut looked = self.look(self.store.token()).await;
            if looked.is_none() {
                // It may lack the tables only.
                looked = self.look(self.store.migrate()).await;
            }
            if let Some(token) = looked {
                let announced = self.announce(&token, &mut contradictions).await;
                self.note("queue", announced.map_err(|error| chain(&error)));
            }
            sleep(LOOK_INTERVAL).await;
        }
    }

    /// What the store answers; notes how it went.
    async fn look<T>(&self, asked: impl Future<Output = Result<T, StoreError>>) -> Option<T> {
        let answer = asked.await.map_err(|error| chain(&error));
        self.note("store", answer.as_ref().map(drop).map_err(Clone::clone));
        answer.ok()
    }

    /// Announces the store; warns if others announce another one again and again.
    async fn announce(
        &self,
        token: &StoreToken,
        contradictions: &mut u32,
    ) -> Result<(), QueueError> {
        let before = self.queue.announced_store().await?;
        if before.is_none_or(|before| before == *token) {
            *contradictions = 0;
        } else {
            *contradictions += 1;
        }
        if *contradictions >= CONTRADICTIONS {
            tracing::warn!(
                "other collectors move the same queue into another store: give each pipeline a \
                 name of its own (global.pipeline)"
            );
        }
        self.queue.announce_store(token).await
    }
}

/// Takes out of the errors those that trying again does not mend.
async fn hopeful<T>(
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<Result<T, StoreError>, StoreError> {
    match work.await {
        Err(error) if !error.is_passing() => Ok(Err(error)),
        Err(error) => Err(error),
        Ok(answer) => Ok(Ok(answer)),
    }
}
