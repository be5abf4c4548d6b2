//! The registry as a table in the process: what the embedded run uses.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::service_record::ServiceRecord;

use super::{KeepAlive, LeaseId, Registered, Registry, RegistryError};

/// A registry that lives as long as the process. Cheap to clone; clones share the table.
#[derive(Debug, Clone, Default)]
pub struct MemoryRegistry(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    last_lease: i64,
    leases: BTreeMap<i64, Lease>,
    records: BTreeMap<String, (ServiceRecord, LeaseId)>,
}

#[derive(Debug, Clone, Copy)]
struct Lease {
    ttl: Duration,
    expires: Instant,
}

/// A record cannot hang on a lease that is gone.
#[derive(Debug, thiserror::Error)]
#[error("lease {0} does not exist")]
struct NoSuchLease(i64);

impl MemoryRegistry {
    /// The table without what has expired.
    fn table(&self) -> MutexGuard<'_, Table> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        table.leases.retain(|_, lease| lease.expires > now);
        table.drop_orphans();
        table
    }
}

impl Table {
    fn drop_orphans(&mut self) {
        let leases = &self.leases;
        self.records
            .retain(|_, (_, lease)| leases.contains_key(&lease.0));
    }

    fn registered(&self, key: &str, record: &ServiceRecord, lease: LeaseId) -> Registered {
        let remaining = self.leases.get(&lease.0).map(|lease| {
            let left = lease.expires.saturating_duration_since(Instant::now());
            i64::try_from(left.as_secs()).unwrap_or(i64::MAX)
        });
        Registered {
            key: key.to_owned(),
            record: Ok(record.clone()),
            lease_remaining: remaining,
        }
    }
}

impl Registry for MemoryRegistry {
    async fn grant(&self, ttl: Duration) -> Result<LeaseId, RegistryError> {
        let mut table = self.table();
        table.last_lease += 1;
        let id = table.last_lease;
        let expires = Instant::now() + ttl;
        table.leases.insert(id, Lease { ttl, expires });
        Ok(LeaseId(id))
    }

    async fn put(&self, record: &ServiceRecord, lease: LeaseId) -> Result<(), RegistryError> {
        let mut table = self.table();
        if !table.leases.contains_key(&lease.0) {
            return Err(RegistryError::Unavailable {
                endpoints: "this process".to_owned(),
                action: format!("store `{}`", record.key()),
                source: Box::new(NoSuchLease(lease.0)),
            });
        }
        table.records.insert(record.key(), (record.clone(), lease));
        Ok(())
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<KeepAlive, RegistryError> {
        let mut table = self.table();
        let Some(lease) = table.leases.get_mut(&lease.0) else {
            return Ok(KeepAlive::Gone);
        };
        lease.expires = Instant::now() + lease.ttl;
        Ok(KeepAlive::Alive { ttl: lease.ttl })
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), RegistryError> {
        let mut table = self.table();
        table.leases.remove(&lease.0);
        table.drop_orphans();
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Option<Registered>, RegistryError> {
        let table = self.table();
        Ok(table
            .records
            .get(key)
            .map(|(record, lease)| table.registered(key, record, *lease)))
    }

    async fn list(&self) -> Result<Vec<Registered>, RegistryError> {
        let table = self.table();
        Ok(table
            .records
            .iter()
            .map(|(key, (record, lease))| table.registered(key, record, *lease))
            .collect())
    }
}
