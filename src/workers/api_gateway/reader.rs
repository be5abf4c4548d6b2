//! The questions that routes ask a store, whichever it is.
//!
//! The macros that describe routes take no generic handlers; this is the store without its type.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;

use crate::model::canary::CanaryId;
use crate::store::canary::CanaryRecord;
use crate::store::{
    Additions, AdditionsQuery, AggregateQuery, Bucket, Gpu, Host, Reading, SourceProgress,
    Statistics, Store, StoreError, TelemetryPoint, TelemetryQuery,
};

type Ask<Q, A> = Arc<dyn Fn(Q) -> BoxFuture<'static, Result<A, StoreError>> + Send + Sync>;

/// One function per question.
#[derive(Clone)]
pub(super) struct Reader {
    /// [`Store::gpus`].
    pub(super) gpus: Ask<(), Vec<Gpu>>,
    /// [`Store::hosts`].
    pub(super) hosts: Ask<(), Vec<Host>>,
    /// [`Store::telemetry`].
    pub(super) telemetry: Ask<TelemetryQuery, Vec<TelemetryPoint>>,
    /// [`Store::latest`].
    pub(super) latest: Ask<Option<String>, Vec<TelemetryPoint>>,
    /// [`Store::aggregate`].
    pub(super) aggregate: Ask<AggregateQuery, Vec<Bucket>>,
    /// [`Store::readings`].
    pub(super) readings: Ask<Timestamp, Vec<Reading>>,
    /// [`Store::additions`].
    pub(super) additions: Ask<AdditionsQuery, Additions>,
    /// [`Store::statistics`].
    pub(super) statistics: Ask<(), Statistics>,
    /// [`Store::sources`].
    pub(super) sources: Ask<(), Vec<SourceProgress>>,
    /// [`Store::canary`].
    pub(super) canary: Ask<CanaryId, Option<CanaryRecord>>,
}

impl Reader {
    /// The questions to this store.
    pub(super) fn of<S: Store>(store: &S) -> Self {
        Self {
            gpus: ask(store, |store, ()| async move { store.gpus().await }),
            hosts: ask(store, |store, ()| async move { store.hosts().await }),
            telemetry: ask(store, |store, query| async move {
                store.telemetry(&query).await
            }),
            latest: ask(store, |store, uuid: Option<String>| async move {
                store.latest(uuid.as_deref()).await
            }),
            aggregate: ask(store, |store, query| async move {
                store.aggregate(&query).await
            }),
            readings: ask(
                store,
                |store, since| async move { store.readings(since).await },
            ),
            additions: ask(store, |store, query| async move {
                store.additions(&query).await
            }),
            statistics: ask(store, |store, ()| async move { store.statistics().await }),
            sources: ask(store, |store, ()| async move { store.sources().await }),
            canary: ask(store, |store, id| async move { store.canary(&id).await }),
        }
    }
}

fn ask<S, Q, A, F>(store: &S, question: impl Fn(S, Q) -> F + Send + Sync + 'static) -> Ask<Q, A>
where
    S: Store,
    F: Future<Output = Result<A, StoreError>> + Send + 'static,
{
    let store = store.clone();
    Arc::new(move |asked| question(store.clone(), asked).boxed())
}
