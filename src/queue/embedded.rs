//! The queue within one process, on a spool: for a laptop, without any server.
//!
//! It keeps the promises of a server's queue: entries survive the process until they are
//! acknowledged, and are delivered again to whoever opens it next. Claims and acknowledgements
//! live as long as the process: losing them costs work, never data.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::model::source::{BatchId, IncarnationId, StoreToken};

use super::spool::{Spool, SpoolError};
use super::{
    Acknowledgements, Claim, DataSetToken, Delivery, Depth, Entry, Published, Queue, QueueError,
};

/// Length after which a segment file is full.
const SEGMENT: u64 = 8 * 1024 * 1024;
/// The only shard.
const SHARD: u32 = 0;

/// A queue in a folder, for one process. Cheap to clone.
#[derive(Clone)]
pub struct SpoolQueue(Arc<Shared>);

struct Shared {
    address: String,
    idle: Duration,
    token: DataSetToken,
    state: Mutex<State>,
    arrived: Notify,
}

/// What is noted beside a payload.
#[derive(Serialize, Deserialize)]
struct Note {
    id: BatchId,
    published_ms: u64,
}

/// What is noted beside the payload of a dead entry; a person reads it.
#[derive(Serialize, Deserialize)]
struct DeadNote {
    id: BatchId,
    reason: String,
}

struct State {
    entries: Spool<Note>,
    dead: Spool<DeadNote>,
    /// When an entry was delivered, by its number in the spool.
    delivered: BTreeMap<u64, Instant>,
    acknowledged: BTreeMap<IncarnationId, BTreeMap<u64, StoreToken>>,
    store: Option<StoreToken>,
    claims: BTreeMap<String, ClaimState>,
}

enum ClaimState {
    Held { owner: String, until: Instant },
    Completed(StoreToken),
}

fn now_ms() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0)
}

impl SpoolQueue {
    /// Opens the queue in a folder, or makes it. Entries that were delivered longer than `idle` ago
    /// and not acknowledged are delivered again. Blocks on the disk.
    pub fn open(folder: &Path, idle: Duration) -> Result<Self, QueueError> {
        let address = folder.display().to_string();
        let failed = |source| unavailable(&address, "open", source);
        let entries = Spool::open(&folder.join("entries"), SEGMENT).map_err(failed)?;
        let dead = Spool::open(&folder.join("dead"), SEGMENT).map_err(failed)?;
        let token = DataSetToken(entries.incarnation().0.clone());
        Ok(Self(Arc::new(Shared {
            idle,
            token,
            state: Mutex::new(State {
                entries,
                dead,
                delivered: BTreeMap::new(),
                acknowledged: BTreeMap::new(),
                store: None,
                claims: BTreeMap::new(),
            }),
            arrived: Notify::new(),
            address,
        })))
    }

    fn with_state<T>(&self, use_state: impl FnOnce(&mut State) -> T) -> T {
        let state = self.0.state.lock();
        use_state(&mut state.unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs something that may wait for the disk where waiting is allowed.
    async fn on_disk<T: Send + 'static>(
        &self,
        action: &'static str,
        work: impl FnOnce(&mut State) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, QueueError> {
        let queue = self.clone();
        let worked = tokio::task::spawn_blocking(move || queue.with_state(work)).await;
        match worked {
            Ok(outcome) => outcome.map_err(|error| unavailable(&self.0.address, action, error)),
            Err(stopped) => Err(unavailable(&self.0.address, action, stopped)),
        }
    }
}

fn unavailable(
    address: &str,
    action: &str,
    source: impl std::error::Error + Send + Sync + 'static,
) -> QueueError {
    QueueError::Unavailable {
        address: address.to_owned(),
        action: action.to_owned(),
        source: Box::new(source),
    }
}

fn number(position: &str) -> Option<u64> {
    position.parse().ok()
}

impl State {
    /// Entries that nobody has or that somebody has had for too long.
    fn take(&mut self, limit: usize, idle: Duration) -> Result<Vec<Delivery>, SpoolError> {
        let free: Vec<(u64, BatchId, u64)> = self
            .entries
            .undone()
            .filter(|(number, _)| {
                let delivered = self.delivered.get(number);
                delivered.is_none_or(|since| since.elapsed() >= idle)
            })
            .take(limit)
            .map(|(number, note)| (number, note.id.clone(), note.published_ms))
            .collect();
        let mut deliveries = Vec::new();
        for (number, id, published_ms) in free {
            let payload = match self.entries.load(number) {
                Ok(Some(payload)) => payload,
                Ok(None) => continue,
                // Its streamer does not find it here any more, and publishes it again.
                Err(damaged @ SpoolError::Damaged { .. }) => {
                    tracing::error!(batch = %id, %damaged, "dropped an entry");
                    self.entries.mark_done(&BTreeSet::from([number]))?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            self.delivered.insert(number, Instant::now());
            deliveries.push(Delivery {
                shard: SHARD,
                position: number.to_string(),
                entry: Entry { id, payload },
                published_ms,
                // One process has one clock.
                sent_ms: Some(published_ms),
            });
        }
        Ok(deliveries)
    }

    fn acknowledge(
        &mut self,
        deliveries: &[Delivery],
        store: &StoreToken,
    ) -> Result<(), SpoolError> {
        let numbers: BTreeSet<u64> = deliveries
            .iter()
            .filter_map(|delivery| number(&delivery.position))
            .collect();
        self.entries.mark_done(&numbers)?;
        for number in &numbers {
            self.delivered.remove(number);
        }
        for Delivery { entry, .. } in deliveries {
            let incarnation = entry.id.incarnation.clone();
            let sequences = self.acknowledged.entry(incarnation).or_default();
            sequences.insert(entry.id.sequence, store.clone());
        }
        Ok(())
    }

    fn claim(
        &mut self,
        key: &str,
        owner: &str,
        time: Duration,
        store: Option<&StoreToken>,
    ) -> Claim {
        match self.claims.get(key) {
            Some(ClaimState::Completed(into)) if Some(into) == store => return Claim::Completed,
            Some(ClaimState::Held { owner: held, until })
                if held != owner && *until > Instant::now() =>
            {
                return Claim::Theirs;
            }
            _ => {}
        }
        let held = ClaimState::Held {
            owner: owner.to_owned(),
            until: Instant::now() + time,
        };
        self.claims.insert(key.to_owned(), held);
        Claim::Mine
    }
}

impl Queue for SpoolQueue {
    async fn publish(&self, entry: Entry) -> Result<Published, QueueError> {
        let note = Note {
            id: entry.id,
            published_ms: now_ms(),
        };
        let number = self
            .on_disk("publish", move |state| {
                state.entries.append(note, &entry.payload)
            })
            .await?;
        self.0.arrived.notify_one();
        Ok(Published {
            shard: SHARD,
            position: number.to_string(),
            token: self.0.token.clone(),
        })
    }

    async fn acknowledgements(
        &self,
        incarnation: &IncarnationId,
    ) -> Result<Acknowledgements, QueueError> {
        let sequences = self.with_state(|state| state.acknowledged.get(incarnation).cloned());
        Ok(Acknowledgements {
            tokens: BTreeMap::from([(SHARD, self.0.token.clone())]),
            sequences: sequences.unwrap_or_default(),
        })
    }

    async fn forget_acknowledgements(
        &self,
        incarnation: &IncarnationId,
        sequences: &BTreeSet<u64>,
    ) -> Result<(), QueueError> {
        self.with_state(|state| {
            if let Some(acknowledged) = state.acknowledged.get_mut(incarnation) {
                acknowledged.retain(|sequence, _| !sequences.contains(sequence));
            }
        });
        Ok(())
    }

    async fn is_present(&self, id: &BatchId, position: &str) -> Result<bool, QueueError> {
        Ok(self.with_state(|state| {
            let note = number(position).and_then(|number| state.entries.note(number));
            note.is_some_and(|note| note.id == *id)
        }))
    }

    async fn claim(
        &self,
        key: &str,
        owner: &str,
        time: Duration,
        store: Option<&StoreToken>,
    ) -> Result<Claim, QueueError> {
        Ok(self.with_state(|state| state.claim(key, owner, time, store)))
    }

    async fn complete_claim(&self, key: &str, store: &StoreToken) -> Result<(), QueueError> {
        let completed = ClaimState::Completed(store.clone());
        self.with_state(|state| state.claims.insert(key.to_owned(), completed));
        Ok(())
    }

    async fn announce_store(&self, store: &StoreToken) -> Result<(), QueueError> {
        self.with_state(|state| state.store = Some(store.clone()));
        Ok(())
    }

    async fn announced_store(&self) -> Result<Option<StoreToken>, QueueError> {
        Ok(self.with_state(|state| state.store.clone()))
    }

    async fn receive(
        &self,
        _consumer: &str,
        limit: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        let deadline = Instant::now() + wait;
        let idle = self.0.idle;
        loop {
            let arrived = self.0.arrived.notified();
            let limit = limit.max(1);
            let taken = self
                .on_disk("deliver entries", move |state| state.take(limit, idle))
                .await?;
            if !taken.is_empty() {
                // There may be more, for another consumer.
                self.0.arrived.notify_one();
                return Ok(taken);
            }
            if Instant::now() >= deadline {
                return Ok(taken);
            }
            let looked_again = Instant::now() + idle / 4;
            // Whether woken or not: look again.
            timeout_at(deadline.min(looked_again), arrived)
                .await
                .unwrap_or(());
        }
    }

    async fn acknowledge(
        &self,
        deliveries: &[Delivery],
        store: &StoreToken,
    ) -> Result<(), QueueError> {
        let (deliveries, store) = (deliveries.to_vec(), store.clone());
        self.on_disk("acknowledge", move |state| {
            state.acknowledge(&deliveries, &store)
        })
        .await
    }

    async fn dead_letter(
        &self,
        delivery: &Delivery,
        reason: &str,
        store: &StoreToken,
    ) -> Result<(), QueueError> {
        let (delivery, store) = (delivery.clone(), store.clone());
        let note = DeadNote {
            id: delivery.entry.id.clone(),
            reason: reason.to_owned(),
        };
        self.on_disk("set an entry aside", move |state| {
            state.dead.append(note, &delivery.entry.payload)?;
            state.acknowledge(&[delivery], &store)
        })
        .await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        Ok(self.with_state(|state| Depth {
            entries: state.entries.undone_count() as u64,
            pending: state.delivered.len() as u64,
            oldest: state
                .entries
                .undone()
                .next()
                .map(|(_, note)| Duration::from_millis(now_ms().saturating_sub(note.published_ms))),
            dead: state.dead.undone_count() as u64,
        }))
    }

    async fn ping(&self) -> Result<(), QueueError> {
        Ok(())
    }
}
