//! What can go wrong with a cluster.

use std::path::PathBuf;
use std::time::Duration;

use crate::model::object::{ObjectKind, ObjectRef};

/// An error of one cluster; the cluster is named by its context.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// No file to look for contexts in.
    #[error("there is no kubeconfig: {}", not_found(tried))]
    NoKubeconfig {
        /// The files that were looked for.
        tried: Vec<PathBuf>,
    },
    /// The file cannot be read.
    #[error("cannot read the kubeconfig {}{}", file.display(), at_line(*line))]
    Kubeconfig {
        /// Which.
        file: PathBuf,
        /// The line that is wrong, from 1, if it is known.
        line: Option<u64>,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No such context.
    #[error(
        "there is no context `{context}` in {}, which {}{}",
        listed(files),
        has(known),
        besides(missing)
    )]
    UnknownContext {
        /// What was asked for.
        context: String,
        /// What there is, the most alike first.
        known: Vec<String>,
        /// The files that were read.
        files: Vec<PathBuf>,
        /// The files that should have been read and do not exist.
        missing: Vec<PathBuf>,
    },
    /// The context's entry is unusable.
    #[error("context `{context}` of {} is unusable", listed(files))]
    BrokenContext {
        /// Which.
        context: String,
        /// The files that were read.
        files: Vec<PathBuf>,
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
    /// The definition of a kind is not installed.
    #[error(
        "cluster {cluster} does not know the kind {kind} ({}): its definition is not installed",
        kind.api_version()
    )]
    UnknownKind {
        /// Context.
        cluster: String,
        /// Which.
        kind: ObjectKind,
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

fn listed(files: &[PathBuf]) -> String {
    let names: Vec<String> = files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    names.join(", ")
}

fn besides(missing: &[PathBuf]) -> String {
    match missing {
        [] => String::new(),
        [file] => format!("; {} does not exist", file.display()),
        several => format!("; {} do not exist", listed(several)),
    }
}

fn not_found(tried: &[PathBuf]) -> String {
    match tried {
        [] => "neither --kubeconfig nor KUBECONFIG nor HOME is set".to_owned(),
        [file] => format!("{} does not exist", file.display()),
        several => format!("none of {} exists", listed(several)),
    }
}

fn at_line(line: Option<u64>) -> String {
    line.map_or_else(String::new, |line| format!(":{line}"))
}

fn has(known: &[String]) -> String {
    if known.is_empty() {
        "has no contexts".to_owned()
    } else {
        format!("has: {}", known.join(", "))
    }
}
