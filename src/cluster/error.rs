//! What can go wrong with a cluster.

use std::path::PathBuf;
use std::time::Duration;

use crate::model::object::ObjectRef;

/// An error of one cluster; the cluster is named by its context.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// No file to look for contexts in.
    #[error("there is no kubeconfig: neither --kubeconfig nor KUBECONFIG nor HOME is set")]
    NoKubeconfig,
    /// The file cannot be read.
    #[error("cannot read the kubeconfig {}", file.display())]
    Kubeconfig {
        /// Which.
        file: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No such context.
    #[error("the kubeconfig has no context `{context}` (it has: {})", known.join(", "))]
    UnknownContext {
        /// What was asked for.
        context: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The context's entry is unusable.
    #[error("context `{context}` of the kubeconfig is unusable")]
    BrokenContext {
        /// Which.
        context: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The API server does not answer.
    #[error("cluster {cluster}: the API server at {server} cannot be reached")]
    Unreachable {
        /// Context.
        cluster: String,
        /// URL of the API server.
        server: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The API server does not answer in time.
    #[error("cluster {cluster}: {action} got no answer from {server} within {} s", after.as_secs())]
    TimedOut {
        /// Context.
        cluster: String,
        /// URL of the API server.
        server: String,
        /// What was tried.
        action: String,
        /// How long it was waited.
        after: Duration,
    },
    /// The API server says no.
    #[error("cluster {cluster}: {action} was refused ({code} {reason}): {message}")]
    Refused {
        /// Context.
        cluster: String,
        /// What was tried.
        action: String,
        /// HTTP status.
        code: u16,
        /// The API's word for the reason.
        reason: String,
        /// The API's text.
        message: String,
    },
    /// Somebody else owns fields that were to be written.
    #[error("cluster {cluster}: {object} has fields of other managers")]
    Conflict {
        /// Context.
        cluster: String,
        /// Which object.
        object: ObjectRef,
        /// Field and manager of each, as the API server names them.
        fields: Vec<(String, String)>,
    },
    /// Something did not become what it should.
    #[error("cluster {cluster}: {waited_for} after {} s: {state}", after.as_secs())]
    Deadline {
        /// Context.
        cluster: String,
        /// What was waited for.
        waited_for: String,
        /// How it stood at the end.
        state: String,
        /// How long it was waited.
        after: Duration,
    },
    /// Something failed for good, so that waiting on is of no use.
    #[error("cluster {cluster}: {object} failed: {reason}")]
    Failed {
        /// Context.
        cluster: String,
        /// Which object.
        object: String,
        /// Why, with the last log lines where there are any.
        reason: String,
    },
    /// Somebody else holds the lock.
    #[error("cluster {cluster}: {lock} is held by {holder} since {since}")]
    LockHeld {
        /// Context.
        cluster: String,
        /// Which lock.
        lock: String,
        /// By whom.
        holder: String,
        /// Since when (RFC 3339).
        since: String,
    },
}
