//! A store whose transactions do not end until they are let go.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use telectl::model::batch::{Batch, SignedOff};
use telectl::model::canary::CanaryId;
use telectl::model::source::{BatchId, StoreToken};
use telectl::store::canary::{CanaryArrival, CanaryRecord};
use telectl::store::proof::file::Origin;
use telectl::store::proof::{Proof, Question};
use telectl::store::{
    Additions, AdditionsQuery, AggregateQuery, Bucket, Freshness, Gpu, Host, Reading,
    SourceProgress, Statistics, Store, StoreError, Stored, TelemetryPoint, TelemetryQuery,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Stores nothing before it is let go; the rest is as in the store that it is around.
#[derive(Clone)]
pub(super) struct StuckStore<S> {
    inner: S,
    /// Told when a transaction begins.
    pub(super) entered: Arc<Notify>,
    begun: Arc<AtomicUsize>,
    released: CancellationToken,
}

impl<S: Store> StuckStore<S> {
    /// Around this store.
    pub(super) fn around(inner: S) -> Self {
        Self {
            inner,
            entered: Arc::default(),
            begun: Arc::default(),
            released: CancellationToken::new(),
        }
    }

    /// How many transactions were begun.
    pub(super) fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }

    /// Lets every transaction go, those under way and those to come.
    pub(super) fn release(&self) {
        self.released.cancel();
    }
}

impl<S: Store> Store for StuckStore<S> {
    async fn token(&self) -> Result<StoreToken, StoreError> {
        self.inner.token().await
    }

    async fn migrate(&self) -> Result<StoreToken, StoreError> {
        self.inner.migrate().await
    }

    async fn store(&self, batches: &[Batch]) -> Result<Stored, StoreError> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.entered.notify_one();
        self.released.cancelled().await;
        self.inner.store(batches).await
    }

    async fn sign_off(&self, signed_off: &SignedOff) -> Result<StoreToken, StoreError> {
        self.inner.sign_off(signed_off).await
    }

    async fn dead_letter(
        &self,
        id: &BatchId,
        payload: &[u8],
        reason: &str,
    ) -> Result<StoreToken, StoreError> {
        self.inner.dead_letter(id, payload, reason).await
    }

    async fn note_canary(&self, arrival: &CanaryArrival) -> Result<StoreToken, StoreError> {
        self.inner.note_canary(arrival).await
    }

    async fn canary(&self, id: &CanaryId) -> Result<Option<CanaryRecord>, StoreError> {
        self.inner.canary(id).await
    }

    async fn gpus(&self) -> Result<Vec<Gpu>, StoreError> {
        self.inner.gpus().await
    }

    async fn hosts(&self) -> Result<Vec<Host>, StoreError> {
        self.inner.hosts().await
    }

    async fn telemetry(&self, query: &TelemetryQuery) -> Result<Vec<TelemetryPoint>, StoreError> {
        self.inner.telemetry(query).await
    }

    async fn latest(&self, uuid: Option<&str>) -> Result<Vec<TelemetryPoint>, StoreError> {
        self.inner.latest(uuid).await
    }

    async fn aggregate(&self, query: &AggregateQuery) -> Result<Vec<Bucket>, StoreError> {
        self.inner.aggregate(query).await
    }

    async fn readings(&self, since: jiff::Timestamp) -> Result<Vec<Reading>, StoreError> {
        self.inner.readings(since).await
    }

    async fn additions(&self, query: &AdditionsQuery) -> Result<Additions, StoreError> {
        self.inner.additions(query).await
    }

    async fn statistics(&self) -> Result<Statistics, StoreError> {
        self.inner.statistics().await
    }

    async fn sources(&self) -> Result<Vec<SourceProgress>, StoreError> {
        self.inner.sources().await
    }

    async fn freshness(&self) -> Result<Freshness, StoreError> {
        self.inner.freshness().await
    }

    async fn prove(&self, question: &Question) -> Result<Proof, StoreError> {
        self.inner.prove(question).await
    }

    async fn origins(&self, digest: &str) -> Result<Vec<Origin>, StoreError> {
        self.inner.origins(digest).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.inner.ping().await
    }
}
