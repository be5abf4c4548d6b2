//! The store in PostgreSQL.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use deadpool_postgres::{Object, Pool};
use jiff::Timestamp;

use crate::config::worker::{DatabaseSettings, UpkeepSettings};
use crate::model::batch::{Batch, SignedOff};
use crate::model::canary::CanaryId;
use crate::model::source::{BatchId, StoreToken};

use super::canary::{CanaryArrival, CanaryRecord};
use super::proof::file::Origin;
use super::proof::{Proof, Question};
use super::{
    Additions, AdditionsQuery, AggregateQuery, Bucket, Freshness, Gpu, Host, Reading,
    SourceProgress, Statistics, Store, StoreError, Stored, TelemetryPoint, TelemetryQuery, Upkeep,
};

mod additions;
mod aggregate;
mod canary;
mod catalogue;
mod connection;
pub mod copy;
mod fault;
mod freshness;
mod indexes;
mod ledger;
mod live;
mod newest;
mod partitions;
mod proof;
mod read;
mod retention;
mod schema;
pub mod tables;
mod tls;
mod token;
mod transaction;
mod upkeep;
mod version;
mod write;

use catalogue::Catalogue;
use fault::Fault;
pub use tls::is_about_name_only;

/// Version of the newest schema that this program knows.
pub const SCHEMA_VERSION: usize = schema::STEPS.len();
/// How a collector's sessions are called in the server's list of them.
pub const COLLECTOR_SESSION: &str = "telectl collector";
/// Longest time for a query, the connection excluded.
const QUERY_LIMIT: Duration = Duration::from_secs(10);
/// Longest time for a transaction that stores.
const STORE_LIMIT: Duration = Duration::from_secs(60);
/// Longest time for an upgrade of the schema, waiting for another one included.
const MIGRATE_LIMIT: Duration = Duration::from_secs(120);

/// A store in PostgreSQL. Cheap to clone: the clones share their connections.
#[derive(Debug, Clone)]
pub struct PostgresStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    address: String,
    pool: Pool,
    /// One connection for work that takes long, so that nobody waits for it.
    keeper: Pool,
    upkeep: UpkeepSettings,
    catalogue: Mutex<Catalogue>,
}

/// A store whose present life is known: what is remembered holds for no other.
pub(super) struct Known<'a> {
    store: &'a PostgresStore,
    token: StoreToken,
}

impl Known<'_> {
    /// What is remembered about this life of the data.
    fn catalogue(&self) -> std::sync::MutexGuard<'_, Catalogue> {
        let mut catalogue = self.store.catalogue();
        if catalogue.token.as_ref() != Some(&self.token) {
            *catalogue = Catalogue::of(self.token.clone());
        }
        catalogue
    }
}

impl PostgresStore {
    /// A store that connects when it is first used, so that it may be made while the server is
    /// down.
    ///
    /// # Errors
    /// [`StoreError::Trust`] if the certificate authority is missing or unusable.
    pub fn new(settings: &DatabaseSettings) -> Result<Self, StoreError> {
        Self::called(settings, "telectl", UpkeepSettings::default())
    }

    /// The same for a collector, whose sessions can be told from those of others, and which keeps the
    /// partitions in this way.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn of_collector(
        settings: &DatabaseSettings,
        upkeep: UpkeepSettings,
    ) -> Result<Self, StoreError> {
        Self::called(settings, COLLECTOR_SESSION, upkeep)
    }

    fn called(
        settings: &DatabaseSettings,
        name: &str,
        upkeep: UpkeepSettings,
    ) -> Result<Self, StoreError> {
        Ok(Self(Arc::new(Inner {
            address: settings.endpoint.to_string(),
            pool: connection::pool(settings, name)?,
            keeper: connection::keeper(settings, name)?,
            upkeep,
            catalogue: Mutex::default(),
        })))
    }

    /// A connection from the pool, or a new one.
    async fn client(&self) -> Result<Object, Fault> {
        self.0.pool.get().await.map_err(Fault::from)
    }

    /// Finds out which life of the data is behind a connection.
    async fn known(&self, client: &Object) -> Result<Known<'_>, Fault> {
        let token = token::read(client).await?;
        Ok(Known { store: self, token })
    }

    /// Ends the use of a connection: one on which something went wrong is not used again, because
    /// a failed start of a COPY and an abandoned query leave answers behind on it.
    fn settle<T>(
        &self,
        client: Object,
        limit: Duration,
        result: Result<Result<T, Fault>, tokio::time::error::Elapsed>,
    ) -> Result<T, Fault> {
        let result = result.unwrap_or(Err(Fault::Timeout(limit)));
        if result.is_err() {
            drop(Object::take(client));
            self.forget();
        }
        result
    }

    /// Forgets what is known about series, sources and partitions: behind a new connection may be
    /// another database.
    fn forget(&self) {
        *self.catalogue() = Catalogue::default();
    }

    fn catalogue(&self) -> std::sync::MutexGuard<'_, Catalogue> {
        self.0
            .catalogue
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn fails(&self, action: &'static str) -> impl FnOnce(Fault) -> StoreError {
        let address = self.0.address.clone();
        move |fault| fault.into_error(address, action)
    }
}

impl Store for PostgresStore {
    async fn token(&self) -> Result<StoreToken, StoreError> {
        write::present(self)
            .await
            .map_err(self.fails("say which data it holds"))
    }

    async fn migrate(&self) -> Result<StoreToken, StoreError> {
        let result = match self.client().await {
            Ok(mut client) => {
                let work = async {
                    version::check(&client, &self.0.address).await?;
                    let token = schema::migrate(&mut client, &self.0.address).await?;
                    indexes::prepare(&mut client, self.0.upkeep.ingest).await?;
                    Ok(token)
                };
                let result = tokio::time::timeout(MIGRATE_LIMIT, work).await;
                self.settle(client, MIGRATE_LIMIT, result)
            }
            Err(fault) => Err(fault),
        };
        result.map_err(self.fails("upgrade its schema"))
    }

    async fn store(&self, batches: &[Batch]) -> Result<Stored, StoreError> {
        write::store(self, batches)
            .await
            .map_err(self.fails("store batches"))
    }

    async fn sign_off(&self, signed_off: &SignedOff) -> Result<StoreToken, StoreError> {
        write::sign_off(self, signed_off)
            .await
            .map_err(self.fails("note the end of a source"))
    }

    async fn dead_letter(
        &self,
        id: &BatchId,
        payload: &[u8],
        reason: &str,
    ) -> Result<StoreToken, StoreError> {
        write::dead_letter(self, id, payload, reason)
            .await
            .map_err(self.fails("keep a dead letter"))
    }

    async fn note_canary(&self, arrival: &CanaryArrival) -> Result<StoreToken, StoreError> {
        canary::note(self, arrival)
            .await
            .map_err(self.fails("note a canary"))
    }

    async fn canary(&self, id: &CanaryId) -> Result<Option<CanaryRecord>, StoreError> {
        canary::find(self, id)
            .await
            .map_err(self.fails("look for a canary"))
    }

    async fn gpus(&self) -> Result<Vec<Gpu>, StoreError> {
        read::gpus(self).await.map_err(self.fails("list the GPUs"))
    }

    async fn hosts(&self) -> Result<Vec<Host>, StoreError> {
        let gpus = read::gpus(self)
            .await
            .map_err(self.fails("list the hosts"))?;
        Ok(super::summary::hosts_of(&gpus))
    }

    async fn telemetry(&self, query: &TelemetryQuery) -> Result<Vec<TelemetryPoint>, StoreError> {
        read::telemetry(self, query)
            .await
            .map_err(self.fails("read samples"))
    }

    async fn latest(&self, uuid: Option<&str>) -> Result<Vec<TelemetryPoint>, StoreError> {
        read::latest(self, uuid)
            .await
            .map_err(self.fails("read the newest samples"))
    }

    async fn aggregate(&self, query: &AggregateQuery) -> Result<Vec<Bucket>, StoreError> {
        aggregate::aggregate(self, query)
            .await
            .map_err(self.fails("sum samples up"))
    }

    async fn readings(&self, since: Timestamp) -> Result<Vec<Reading>, StoreError> {
        live::readings(self, since)
            .await
            .map_err(self.fails("read the newest values"))
    }

    async fn additions(&self, query: &AdditionsQuery) -> Result<Additions, StoreError> {
        additions::additions(self, query)
            .await
            .map_err(self.fails("read what was added"))
    }

    async fn statistics(&self) -> Result<Statistics, StoreError> {
        read::statistics(self)
            .await
            .map_err(self.fails("count what it holds"))
    }

    async fn sources(&self) -> Result<Vec<SourceProgress>, StoreError> {
        read::sources(self)
            .await
            .map_err(self.fails("read the ledger"))
    }

    async fn freshness(&self) -> Result<Freshness, StoreError> {
        freshness::freshness(self)
            .await
            .map_err(self.fails("say how fresh its data is"))
    }

    async fn prove(&self, question: &Question) -> Result<Proof, StoreError> {
        proof::prove(self, question)
            .await
            .map_err(self.fails("prove what it holds"))
    }

    async fn origins(&self, digest: &str) -> Result<Vec<Origin>, StoreError> {
        proof::origins(self, digest)
            .await
            .map_err(self.fails("look for a source"))
    }

    async fn upkeep(&self) -> Result<Upkeep, StoreError> {
        upkeep::upkeep(self)
            .await
            .map_err(self.fails("keep its partitions"))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        read::ping(self).await.map_err(self.fails("answer"))
    }
}
