//! The way from a worker to queue and store, with somebody in between who decides what arrives.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use crate::model::batch::{Batch, SignedOff};
use crate::model::canary::CanaryId;
use crate::model::source::{BatchId, IncarnationId, StoreToken};
use crate::queue::embedded::SpoolQueue;
use crate::queue::{Acknowledgements, Claim, Delivery, Depth, Entry, Published, Queue, QueueError};
use crate::store::canary::{CanaryArrival, CanaryRecord};
use crate::store::proof::file::Origin;
use crate::store::proof::{Proof, Question};
use crate::store::sqlite::SqliteStore;
use crate::store::{
    Additions, AdditionsQuery, AggregateQuery, Bucket, Freshness, Gpu, Host, Reading,
    SourceProgress, Statistics, Store, StoreError, Stored, TelemetryPoint, TelemetryQuery,
};

use super::action::Fate;

/// What is there when a question arrives.
#[derive(Clone)]
pub(super) struct Servers {
    pub(super) queue: SpoolQueue,
    pub(super) store: SqliteStore,
}

/// A question that waits.
pub(super) struct Request {
    /// What it is, for the order among several: it does not depend on how threads are scheduled.
    pub(super) what: (&'static str, String),
    pub(super) work: Work,
}

pub(super) enum Work {
    Call(Box<dyn FnOnce(Servers, Fate) -> BoxFuture<'static, ()> + Send>),
    /// Waits for entries.
    Receive(usize, oneshot::Sender<Result<Vec<Delivery>, QueueError>>),
}

/// One worker's end. Cheap to clone.
#[derive(Clone)]
pub(super) struct Line {
    requests: mpsc::UnboundedSender<Request>,
    heard: Arc<Mutex<Option<StoreToken>>>,
}

fn away() -> std::io::Error {
    std::io::ErrorKind::ConnectionReset.into()
}

/// A server's error.
pub(super) trait Failure: Send + 'static {
    fn away(action: &str) -> Self;
}

impl Failure for QueueError {
    fn away(action: &str) -> Self {
        Self::Unavailable {
            address: "simulated".to_owned(),
            action: action.to_owned(),
            source: Box::new(away()),
        }
    }
}

impl Failure for StoreError {
    fn away(action: &str) -> Self {
        Self::Unavailable {
            address: "simulated".to_owned(),
            action: action.to_owned(),
            source: Box::new(away()),
        }
    }
}

impl Line {
    /// A line, and where its questions come out.
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Request>) {
        let (requests, asked) = mpsc::unbounded_channel();
        let heard = Arc::default();
        (Self { requests, heard }, asked)
    }

    /// Which store the worker was told of last.
    pub(super) fn heard(&self) -> Option<StoreToken> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.clone()
    }

    async fn ask<T, E, F>(
        &self,
        what: (&'static str, String),
        work: impl FnOnce(Servers) -> F + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: Failure,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let action = what.0;
        let call = move |servers, fate| -> BoxFuture<'static, ()> {
            Box::pin(async move {
                let outcome = match fate {
                    Fate::Answered | Fate::Midway => work(servers).await,
                    Fate::AnswerLost => work(servers).await.and(Err(E::away(action))),
                    Fate::Refused => Err(E::away(action)),
                };
                // Who asked may be gone.
                drop(answer.send(outcome));
            })
        };
        self.send(what, Work::Call(Box::new(call)));
        wait(answered).await
    }

    fn send(&self, what: (&'static str, String), work: Work) {
        // The other end is gone only when the case is over.
        drop(self.requests.send(Request { what, work }));
    }
}

/// A question that nobody will answer leaves its worker waiting.
async fn wait<T>(answered: oneshot::Receiver<T>) -> T {
    match answered.await {
        Ok(answer) => answer,
        Err(_) => std::future::pending().await,
    }
}

fn positions(deliveries: &[Delivery]) -> String {
    let positions = deliveries.iter().map(|one| one.position.as_str());
    positions.collect::<Vec<_>>().join(",")
}

impl Queue for Line {
    async fn publish(&self, entry: Entry) -> Result<Published, QueueError> {
        let what = ("publish", format!("{:08}", entry.id.sequence));
        self.ask(
            what,
            |servers| async move { servers.queue.publish(entry).await },
        )
        .await
    }

    async fn acknowledgements(
        &self,
        incarnation: &IncarnationId,
    ) -> Result<Acknowledgements, QueueError> {
        let incarnation = incarnation.clone();
        self.ask(("acknowledgements", String::new()), |servers| async move {
            servers.queue.acknowledgements(&incarnation).await
        })
        .await
    }

    async fn forget_acknowledgements(
        &self,
        incarnation: &IncarnationId,
        sequences: &BTreeSet<u64>,
    ) -> Result<(), QueueError> {
        let (incarnation, sequences) = (incarnation.clone(), sequences.clone());
        self.ask(("forget", String::new()), |servers| async move {
            servers
                .queue
                .forget_acknowledgements(&incarnation, &sequences)
                .await
        })
        .await
    }

    async fn is_present(&self, id: &BatchId, position: &str) -> Result<bool, QueueError> {
        let what = ("is present", format!("{:08}", id.sequence));
        let (id, position) = (id.clone(), position.to_owned());
        self.ask(what, |servers| async move {
            servers.queue.is_present(&id, &position).await
        })
        .await
    }

    async fn claim(
        &self,
        key: &str,
        owner: &str,
        time: Duration,
        store: Option<&StoreToken>,
    ) -> Result<Claim, QueueError> {
        let (key, owner, store) = (key.to_owned(), owner.to_owned(), store.cloned());
        self.ask(("claim", key.clone()), move |servers| async move {
            servers
                .queue
                .claim(&key, &owner, time, store.as_ref())
                .await
        })
        .await
    }

    async fn complete_claim(&self, key: &str, store: &StoreToken) -> Result<(), QueueError> {
        let (key, store) = (key.to_owned(), store.clone());
        self.ask(("complete claim", key.clone()), |servers| async move {
            servers.queue.complete_claim(&key, &store).await
        })
        .await
    }

    async fn announce_store(&self, store: &StoreToken) -> Result<(), QueueError> {
        let store = store.clone();
        self.ask(("announce", String::new()), |servers| async move {
            servers.queue.announce_store(&store).await
        })
        .await
    }

    async fn announced_store(&self) -> Result<Option<StoreToken>, QueueError> {
        let told = self
            .ask(("announced", String::new()), |servers| async move {
                servers.queue.announced_store().await
            })
            .await?;
        if told.is_some() {
            let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.clone_from(&told);
        }
        Ok(told)
    }

    async fn receive(
        &self,
        _consumer: &str,
        limit: usize,
        _wait: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        let (answer, answered) = oneshot::channel();
        self.send(("receive", String::new()), Work::Receive(limit, answer));
        wait(answered).await
    }

    async fn acknowledge(
        &self,
        deliveries: &[Delivery],
        store: &StoreToken,
    ) -> Result<(), QueueError> {
        let (deliveries, store) = (deliveries.to_vec(), store.clone());
        self.ask(
            ("acknowledge", positions(&deliveries)),
            |servers| async move { servers.queue.acknowledge(&deliveries, &store).await },
        )
        .await
    }

    async fn dead_letter(
        &self,
        delivery: &Delivery,
        reason: &str,
        store: &StoreToken,
    ) -> Result<(), QueueError> {
        let (delivery, reason, store) = (delivery.clone(), reason.to_owned(), store.clone());
        self.ask(
            ("dead letter", delivery.position.clone()),
            |servers| async move { servers.queue.dead_letter(&delivery, &reason, &store).await },
        )
        .await
    }

    /// Numbers for the status page decide nothing.
    async fn depth(&self) -> Result<Depth, QueueError> {
        Ok(Depth::default())
    }

    async fn ping(&self) -> Result<(), QueueError> {
        Ok(())
    }
}

/// A question that decides nothing, and that no worker of these asks.
macro_rules! read {
    ($self:ident, $name:ident($($argument:expr),*)) => {
        $self.ask((stringify!($name), String::new()), |servers| async move {
            servers.store.$name($(&$argument),*).await
        })
        .await
    };
}

impl Store for Line {
    async fn token(&self) -> Result<StoreToken, StoreError> {
        read!(self, token())
    }

    async fn migrate(&self) -> Result<StoreToken, StoreError> {
        read!(self, migrate())
    }

    async fn store(&self, batches: &[Batch]) -> Result<Stored, StoreError> {
        let batches = batches.to_vec();
        let ranges: Vec<(u64, u64)> = batches
            .iter()
            .map(|batch| (batch.range.start, batch.range.end))
            .collect();
        self.ask(("store", format!("{ranges:?}")), |servers| async move {
            servers.store.store(&batches).await
        })
        .await
    }

    async fn sign_off(&self, signed_off: &SignedOff) -> Result<StoreToken, StoreError> {
        let signed_off = signed_off.clone();
        read!(self, sign_off(signed_off))
    }

    async fn dead_letter(
        &self,
        id: &BatchId,
        payload: &[u8],
        reason: &str,
    ) -> Result<StoreToken, StoreError> {
        let (id, payload, reason) = (id.clone(), payload.to_vec(), reason.to_owned());
        self.ask(("keep dead letter", id.to_string()), |servers| async move {
            servers.store.dead_letter(&id, &payload, &reason).await
        })
        .await
    }

    async fn note_canary(&self, arrival: &CanaryArrival) -> Result<StoreToken, StoreError> {
        let arrival = arrival.clone();
        read!(self, note_canary(arrival))
    }

    async fn canary(&self, id: &CanaryId) -> Result<Option<CanaryRecord>, StoreError> {
        let id = id.clone();
        read!(self, canary(id))
    }

    async fn gpus(&self) -> Result<Vec<Gpu>, StoreError> {
        read!(self, gpus())
    }

    async fn hosts(&self) -> Result<Vec<Host>, StoreError> {
        read!(self, hosts())
    }

    async fn telemetry(&self, query: &TelemetryQuery) -> Result<Vec<TelemetryPoint>, StoreError> {
        let query = query.clone();
        read!(self, telemetry(query))
    }

    async fn latest(&self, uuid: Option<&str>) -> Result<Vec<TelemetryPoint>, StoreError> {
        let uuid = uuid.map(str::to_owned);
        self.ask(("latest", String::new()), |servers| async move {
            servers.store.latest(uuid.as_deref()).await
        })
        .await
    }

    async fn aggregate(&self, query: &AggregateQuery) -> Result<Vec<Bucket>, StoreError> {
        let query = query.clone();
        read!(self, aggregate(query))
    }

    async fn readings(&self, since: jiff::Timestamp) -> Result<Vec<Reading>, StoreError> {
        self.ask(("readings", String::new()), move |servers| async move {
            servers.store.readings(since).await
        })
        .await
    }

    async fn additions(&self, query: &AdditionsQuery) -> Result<Additions, StoreError> {
        let query = query.clone();
        read!(self, additions(query))
    }

    async fn statistics(&self) -> Result<Statistics, StoreError> {
        read!(self, statistics())
    }

    async fn sources(&self) -> Result<Vec<SourceProgress>, StoreError> {
        read!(self, sources())
    }

    async fn freshness(&self) -> Result<Freshness, StoreError> {
        read!(self, freshness())
    }

    async fn prove(&self, question: &Question) -> Result<Proof, StoreError> {
        let question = question.clone();
        read!(self, prove(question))
    }

    async fn origins(&self, digest: &str) -> Result<Vec<Origin>, StoreError> {
        let digest = digest.to_owned();
        read!(self, origins(digest))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        read!(self, ping())
    }
}
