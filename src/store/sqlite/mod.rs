//! The store in SQLite: one file, no server.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};

use crate::model::batch::{Batch, SignedOff};
use crate::model::canary::CanaryId;
use crate::model::source::{BatchId, StoreToken};

use super::canary::{CanaryArrival, CanaryRecord};
use super::proof::file::Origin;
use super::proof::{Proof, Question};
use super::{
    Additions, AdditionsQuery, AggregateQuery, Bucket, Freshness, Gpu, Host, Reading,
    SourceProgress, Statistics, Store, StoreError, Stored, TelemetryPoint, TelemetryQuery,
};

mod aggregate;
mod canary;
mod freshness;
mod live;
mod proof;
mod read;
mod schema;
mod write;

/// Longest wait for another process that writes.
const BUSY_LIMIT: Duration = Duration::from_secs(10);

/// A store in SQLite. Cheap to clone: the clones share one connection for writing and one for
/// reading, which do not block each other (write-ahead log).
#[derive(Debug, Clone)]
pub struct SqliteStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    address: String,
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
}

/// An error inside this module, before it is given its place and action.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Database(#[from] rusqlite::Error),
    #[error("the thread that worked on it panicked")]
    Panicked,
    #[error(transparent)]
    Store(Box<StoreError>),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(Box::new(error))
    }
}

impl SqliteStore {
    /// Opens the file, or makes it. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let address = path.display().to_string();
        let open = || -> Result<_, rusqlite::Error> {
            let writer = Connection::open_with_flags(
                path,
                OpenFlags::SQLITE_OPEN_READ_WRITE
                    | OpenFlags::SQLITE_OPEN_CREATE
                    | OpenFlags::SQLITE_OPEN_NO_MUTEX,
            )?;
            prepare(&writer)?;
            let reader = Connection::open(path)?;
            prepare(&reader)?;
            Ok((writer, reader))
        };
        match open() {
            Ok((writer, reader)) => Ok(Self(Arc::new(Inner {
                address,
                writer: Mutex::new(writer),
                reader: Mutex::new(reader),
            }))),
            Err(error) => Err(unavailable(address, "be opened", error)),
        }
    }

    async fn write<T: Send + 'static>(
        &self,
        action: &'static str,
        work: impl FnOnce(&mut Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.blocking(action, |inner| &inner.writer, work).await
    }

    async fn read<T: Send + 'static>(
        &self,
        action: &'static str,
        work: impl FnOnce(&mut Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.blocking(action, |inner| &inner.reader, work).await
    }

    /// Works on a thread that may block.
    async fn blocking<T: Send + 'static>(
        &self,
        action: &'static str,
        connection: fn(&Inner) -> &Mutex<Connection>,
        work: impl FnOnce(&mut Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = Arc::clone(&self.0);
        let result = tokio::task::spawn_blocking(move || {
            let mut connection = connection(&inner)
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            work(&mut connection)
        })
        .await
        .unwrap_or(Err(Fault::Panicked));
        result.map_err(|fault| match fault {
            Fault::Store(error) => *error,
            fault => unavailable(self.0.address.clone(), action, fault),
        })
    }
}

fn prepare(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(BUSY_LIMIT)?;
    connection.set_prepared_statement_cache_capacity(64);
    // FULL: a commit that was answered survives a power cut, as in PostgreSQL.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;",
    )
}

fn unavailable(
    address: String,
    action: &str,
    source: impl std::error::Error + Send + Sync + 'static,
) -> StoreError {
    StoreError::Unavailable {
        address,
        action: action.to_owned(),
        source: Box::new(source),
    }
}

impl Store for SqliteStore {
    async fn token(&self) -> Result<StoreToken, StoreError> {
        self.read("say which data it holds", |connection| {
            schema::token(connection)
        })
        .await
    }

    async fn migrate(&self) -> Result<StoreToken, StoreError> {
        let address = self.0.address.clone();
        self.write("upgrade its schema", move |connection| {
            schema::migrate(connection, &address)
        })
        .await
    }

    async fn store(&self, batches: &[Batch]) -> Result<Stored, StoreError> {
        let batches = batches.to_vec();
        self.write("store batches", move |connection| {
            write::store(connection, &batches)
        })
        .await
    }

    async fn sign_off(&self, signed_off: &SignedOff) -> Result<StoreToken, StoreError> {
        let signed_off = signed_off.clone();
        self.write("note the end of a source", move |connection| {
            write::sign_off(connection, &signed_off)
        })
        .await
    }

    async fn dead_letter(
        &self,
        id: &BatchId,
        payload: &[u8],
        reason: &str,
    ) -> Result<StoreToken, StoreError> {
        let (id, payload, reason) = (id.clone(), payload.to_vec(), reason.to_owned());
        self.write("keep a dead letter", move |connection| {
            write::dead_letter(connection, &id, &payload, &reason)
        })
        .await
    }

    async fn note_canary(&self, arrival: &CanaryArrival) -> Result<StoreToken, StoreError> {
        let arrival = arrival.clone();
        self.write("note a canary", move |connection| {
            canary::note(connection, &arrival, jiff::Timestamp::now())
        })
        .await
    }

    async fn canary(&self, id: &CanaryId) -> Result<Option<CanaryRecord>, StoreError> {
        let id = id.clone();
        self.read("look for a canary", move |connection| {
            canary::find(connection, &id)
        })
        .await
    }

    async fn gpus(&self) -> Result<Vec<Gpu>, StoreError> {
        self.read("list the GPUs", |connection| read::gpus(connection))
            .await
    }

    async fn hosts(&self) -> Result<Vec<Host>, StoreError> {
        let gpus = self
            .read("list the hosts", |connection| read::gpus(connection))
            .await?;
        Ok(super::summary::hosts_of(&gpus))
    }

    async fn telemetry(&self, query: &TelemetryQuery) -> Result<Vec<TelemetryPoint>, StoreError> {
        let query = query.clone();
        self.read("read samples", move |connection| {
            read::telemetry(connection, &query)
        })
        .await
    }

    async fn latest(&self, uuid: Option<&str>) -> Result<Vec<TelemetryPoint>, StoreError> {
        let uuid = uuid.map(str::to_owned);
        self.read("read the newest samples", move |connection| {
            read::latest(connection, uuid.as_deref())
        })
        .await
    }

    async fn aggregate(&self, query: &AggregateQuery) -> Result<Vec<Bucket>, StoreError> {
        let query = query.clone();
        self.read("sum samples up", move |connection| {
            aggregate::aggregate(connection, &query)
        })
        .await
    }

    async fn readings(&self, since: Timestamp) -> Result<Vec<Reading>, StoreError> {
        self.read("read the newest values", move |connection| {
            live::readings(connection, since)
        })
        .await
    }

    async fn additions(&self, query: &AdditionsQuery) -> Result<Additions, StoreError> {
        let query = query.clone();
        self.read("read what was added", move |connection| {
            live::additions(connection, &query)
        })
        .await
    }

    async fn statistics(&self) -> Result<Statistics, StoreError> {
        self.read("count what it holds", |connection| {
            read::statistics(connection)
        })
        .await
    }

    async fn sources(&self) -> Result<Vec<SourceProgress>, StoreError> {
        self.read("read the ledger", read::sources).await
    }

    async fn freshness(&self) -> Result<Freshness, StoreError> {
        self.read("say how fresh its data is", freshness::freshness)
            .await
    }

    async fn prove(&self, question: &Question) -> Result<Proof, StoreError> {
        let question = question.clone();
        self.read("prove what it holds", move |connection| {
            proof::prove(connection, &question)
        })
        .await
    }

    async fn origins(&self, digest: &str) -> Result<Vec<Origin>, StoreError> {
        let digest = digest.to_owned();
        self.read("look for a source", move |connection| {
            proof::origins(connection, &digest)
        })
        .await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.read("answer", |connection| {
            connection.query_row("SELECT count(*) FROM store_schema", [], |_| Ok(()))?;
            Ok(())
        })
        .await
    }
}
