//! The registry in etcd as an operator looks at it: keys with their revisions, the deletion of what
//! nobody keeps alive, and the raw watch that [`super::watch`] follows.

use etcd_client::{
    Compare, CompareOp, GetOptions, KeyValue, Txn, TxnOp, TxnOpResponse, TxnResponse, WatchOptions,
    WatchStream,
};
use futures::{StreamExt as _, TryStreamExt as _};

use crate::model::consent::Confirmed;

use super::etcd::EtcdRegistry;
use super::{LeaseId, PREFIX, Registered, RegistryError};

const LEASE_LOOKUPS_AT_ONCE: usize = 16;

/// A key as it stood at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What others see.
    pub registered: Registered,
    /// The lease that the key hangs on.
    pub lease: Option<LeaseId>,
    /// The key as etcd has it, which need not be text.
    name: Vec<u8>,
    /// The revision at which the key was written last.
    revision: i64,
}

impl Entry {
    /// Whether nobody keeps the key alive: it stays when its worker is gone.
    pub const fn is_stale(&self) -> bool {
        self.lease.is_none()
    }
}

/// Everything under `/services/` at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The registry's revision at that moment.
    pub revision: i64,
    /// Ordered by key.
    pub entries: Vec<Entry>,
}

/// What became of a stale entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// It is deleted.
    Deleted,
    /// It was written again since it was looked at, so it stays.
    Changed,
    /// Somebody else had deleted it.
    Gone,
}

impl EtcdRegistry {
    /// Everything under `/services/`.
    ///
    /// # Errors
    /// When no endpoint answers, or the login does not suffice.
    pub async fn entries(&self) -> Result<Listing, RegistryError> {
        let mut answer = self
            .call("list the registrations", |mut client| async move {
                // Ordered by key, as etcd answers unless told otherwise.
                client
                    .get(PREFIX, Some(GetOptions::new().with_prefix()))
                    .await
            })
            .await?;
        let revision = answer.header().map_or(0, |header| header.revision());
        let found: Vec<Option<Entry>> = futures::stream::iter(answer.take_kvs())
            .map(|pair| {
                let registry = self.clone();
                async move { registry.entry(&pair).await }
            })
            .buffered(LEASE_LOOKUPS_AT_ONCE)
            .try_collect()
            .await?;
        Ok(Listing {
            revision,
            entries: found.into_iter().flatten().collect(),
        })
    }

    async fn entry(&self, pair: &KeyValue) -> Result<Option<Entry>, RegistryError> {
        let registered = self.registered(pair).await?;
        Ok(registered.map(|registered| Entry {
            registered,
            lease: lease_of(pair),
            name: pair.key().to_vec(),
            revision: pair.mod_revision(),
        }))
    }

    /// Deletes an entry that hangs on no lease, if it is still as it was when it was looked at. Both
    /// is decided by etcd itself, in one transaction with the deletion.
    ///
    /// # Errors
    /// When no endpoint answers, or the login does not suffice.
    pub async fn delete_stale(
        &self,
        entry: &Entry,
        _agreed: &Confirmed,
    ) -> Result<Deletion, RegistryError> {
        let action = format!("delete `{}`", entry.registered.key);
        let answer = self
            .call(&action, |mut client| {
                let transaction = deletion(entry);
                async move { client.txn(transaction).await }
            })
            .await?;
        Ok(outcome(&answer))
    }

    /// The changes under `/services/` from a revision on.
    pub(super) async fn watch_from(&self, revision: i64) -> Result<WatchStream, RegistryError> {
        self.call("watch the registrations", |mut client| async move {
            let options = WatchOptions::new()
                .with_prefix()
                .with_start_revision(revision);
            client.watch(PREFIX, Some(options)).await
        })
        .await
    }
}

/// The lease that a key hangs on; etcd says 0 for none.
pub(super) fn lease_of(pair: &KeyValue) -> Option<LeaseId> {
    Some(LeaseId(pair.lease())).filter(|lease| lease.0 != 0)
}

fn deletion(entry: &Entry) -> Txn {
    let name = || entry.name.clone();
    Txn::new()
        .when([
            Compare::mod_revision(name(), CompareOp::Equal, entry.revision),
            Compare::lease(name(), CompareOp::Equal, 0),
        ])
        .and_then([TxnOp::delete(name(), None)])
        .or_else([TxnOp::get(name(), None)])
}

fn outcome(answer: &TxnResponse) -> Deletion {
    if answer.succeeded() {
        return Deletion::Deleted;
    }
    let is_there = answer.op_responses().iter().any(|one| match one {
        TxnOpResponse::Get(found) => !found.kvs().is_empty(),
        _ => false,
    });
    if is_there {
        Deletion::Changed
    } else {
        Deletion::Gone
    }
}
