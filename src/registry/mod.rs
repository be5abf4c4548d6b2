//! The registry of workers: etcd, or a table in the process.
//!
//! A registration lives as long as its lease. It is advisory: a worker never stops because the
//! registry is down.

pub mod address;
pub mod entries;
pub mod etcd;
pub mod lookup;
pub mod memory;
pub mod registration;
pub mod watch;

use std::time::Duration;

use crate::model::service_record::ServiceRecord;

/// Every registration is stored under this.
pub const PREFIX: &str = "/services/";

/// A lease: what a registration hangs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseId(pub i64);

/// As etcdctl writes it.
impl std::fmt::Display for LeaseId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:x}", self.0)
    }
}

/// What the registry answers to a keep-alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepAlive {
    /// The lease lives for another `ttl`.
    Alive {
        /// How long.
        ttl: Duration,
    },
    /// The lease is gone and the key with it: register again.
    Gone,
}

/// A registration as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The key.
    pub key: String,
    /// The record, or why the value is none.
    pub record: Result<ServiceRecord, String>,
    /// Seconds that the lease has left; `None` if the key hangs on no lease.
    pub lease_remaining: Option<i64>,
}

/// A registry. Both implementations pass the conformance suite in `tests/it/conformance`.
pub trait Registry: Clone + Send + Sync + 'static {
    /// A new lease.
    fn grant(&self, ttl: Duration) -> impl Future<Output = Result<LeaseId, RegistryError>> + Send;

    /// Writes a record under its key, bound to a lease.
    fn put(
        &self,
        record: &ServiceRecord,
        lease: LeaseId,
    ) -> impl Future<Output = Result<(), RegistryError>> + Send;

    /// Keeps a lease alive once.
    fn keep_alive(
        &self,
        lease: LeaseId,
    ) -> impl Future<Output = Result<KeepAlive, RegistryError>> + Send;

    /// Ends a lease, and with it everything bound to it.
    fn revoke(&self, lease: LeaseId) -> impl Future<Output = Result<(), RegistryError>> + Send;

    /// The record under a key, if there is one.
    fn get(
        &self,
        key: &str,
    ) -> impl Future<Output = Result<Option<Registered>, RegistryError>> + Send;

    /// Everything under `/services/`, ordered by key.
    fn list(&self) -> impl Future<Output = Result<Vec<Registered>, RegistryError>> + Send;
}

/// What can go wrong with a registry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// It does not answer, or refuses.
    #[error("the registry at {endpoints} cannot {action}")]
    Unavailable {
        /// Where.
        endpoints: String,
        /// What was tried, as a verb phrase.
        action: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
