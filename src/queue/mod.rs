//! The queue between streamers and collectors: Redis Streams, or a spool on disk.
//!
//! A message is delivered at least once; the store's ledger makes the effect exactly once. An
//! entry leaves the queue only by [`Queue::acknowledge`], never by length or age.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use crate::model::source::{BatchId, IncarnationId, StoreToken};

pub mod codec;
pub mod embedded;
pub mod redis;
pub mod spool;

/// An encoded message and its name, as published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub id: BatchId,
    /// The encoded message (`queue::codec`).
    pub payload: Bytes,
}

/// Which life of a shard's data set: changes when the shard lost its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataSetToken(pub String);

/// Where a published entry is in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Which shard.
    pub shard: u32,
    /// The position within the shard, as the queue names it.
    pub position: String,
    /// The data set that the entry was written to.
    pub token: DataSetToken,
}

/// An entry handed to a consumer. It stays pending until it is acknowledged.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Which shard.
    pub shard: u32,
    /// The position within the shard.
    pub position: String,
    /// The entry.
    pub entry: Entry,
    /// When the entry was published, milliseconds since the epoch by the queue's clock.
    pub published_ms: u64,
    /// The same by the publisher's clock; `None` if it is of a version that did not say so.
    pub sent_ms: Option<u64>,
}

/// What the queue knows about the batches of one incarnation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgements {
    /// The data sets that say so, by shard; a shard without one has lost its data or never had any.
    pub tokens: BTreeMap<u32, DataSetToken>,
    /// Sequences that were acknowledged and not yet forgotten, with the store that has them.
    pub sequences: BTreeMap<u64, StoreToken>,
}

/// Who may work on a piece of a source now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The caller, until the claim expires.
    Mine,
    /// Somebody else.
    Theirs,
    /// Nobody any more: it was completed.
    Completed,
}

/// How full the queue is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Depth {
    /// Entries in the queue, delivered or not.
    pub entries: u64,
    /// Entries delivered and not acknowledged.
    pub pending: u64,
    /// Age of the oldest entry; `None` if there is none.
    pub oldest: Option<Duration>,
    /// Entries set aside because of what is wrong in them.
    pub dead: u64,
}

/// A queue. Both implementations pass the conformance suite in `tests/it/conformance`.
///
/// Every call has a deadline of its own; a call that fails may have had its effect.
pub trait Queue: Clone + Send + Sync + 'static {
    /// Appends an entry to the shard that its sequence selects.
    fn publish(&self, entry: Entry) -> impl Future<Output = Result<Published, QueueError>> + Send;

    /// Which of an incarnation's entries were acknowledged since they were last forgotten.
    fn acknowledgements(
        &self,
        incarnation: &IncarnationId,
    ) -> impl Future<Output = Result<Acknowledgements, QueueError>> + Send;

    /// Drops acknowledgements that the spool has taken note of.
    fn forget_acknowledgements(
        &self,
        incarnation: &IncarnationId,
        sequences: &BTreeSet<u64>,
    ) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Whether an entry is still in the queue.
    fn is_present(
        &self,
        id: &BatchId,
        position: &str,
    ) -> impl Future<Output = Result<bool, QueueError>> + Send;

    /// Claims a piece of work for a time, or renews the caller's claim. It is completed only if that
    /// was into this store.
    fn claim(
        &self,
        key: &str,
        owner: &str,
        time: Duration,
        store: Option<&StoreToken>,
    ) -> impl Future<Output = Result<Claim, QueueError>> + Send;

    /// Marks a claimed piece as completed into a store. A mark may be lost; it only keeps work from
    /// being wasted.
    fn complete_claim(
        &self,
        key: &str,
        store: &StoreToken,
    ) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Tells the streamers which store the collectors fill.
    fn announce_store(
        &self,
        store: &StoreToken,
    ) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Which store the collectors fill; `None` until one has announced it.
    fn announced_store(
        &self,
    ) -> impl Future<Output = Result<Option<StoreToken>, QueueError>> + Send;

    /// Waits at most `wait` for entries that nobody has, and takes over those that were delivered
    /// too long ago and not acknowledged, from whomever: also from the caller. An empty answer
    /// means that the time passed.
    fn receive(
        &self,
        consumer: &str,
        limit: usize,
        wait: Duration,
    ) -> impl Future<Output = Result<Vec<Delivery>, QueueError>> + Send;

    /// Removes entries whose effect is in the store, and tells their incarnations in which.
    fn acknowledge(
        &self,
        deliveries: &[Delivery],
        store: &StoreToken,
    ) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Sets an entry aside because of what is wrong in it, and acknowledges it: the store keeps its
    /// bytes.
    fn dead_letter(
        &self,
        delivery: &Delivery,
        reason: &str,
        store: &StoreToken,
    ) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// How full it is.
    fn depth(&self) -> impl Future<Output = Result<Depth, QueueError>> + Send;

    /// Whether it answers.
    fn ping(&self) -> impl Future<Output = Result<(), QueueError>> + Send;
}

/// What can go wrong with a queue.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// It does not answer, or refuses.
    #[error("the queue at {address} cannot {action}")]
    Unavailable {
        /// Where.
        address: String,
        /// What was tried, as a verb phrase.
        action: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The settings cannot work, whatever the server does.
    #[error("the queue at {address} cannot be used: {reason}")]
    Misconfigured {
        /// Where.
        address: String,
        /// What is wrong with the settings.
        reason: &'static str,
    },
}
