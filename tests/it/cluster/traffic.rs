//! What went through the proxies, and what they say themselves.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use serde_json::json;

pub(super) fn locked<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request as the proxy saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// The cluster's context.
    pub(crate) cluster: String,
    /// The method.
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    /// What the server said, once it did.
    pub(crate) code: Option<u16>,
    /// From when on somebody waited for it: from the connection on, if it was made for it.
    pub(super) began: Instant,
    /// When the last byte of the answer was sent.
    pub(super) ended: Option<Instant>,
    /// Round trips.
    pub(super) cost: u32,
}

impl Seen {
    /// Whether the cluster is another one after it: not a dry run, not a question about permissions.
    pub(crate) fn is_write(&self) -> bool {
        let is_question = self.path.contains("dryRun=All")
            || self.path.starts_with("/apis/authorization.k8s.io/")
            || self.path.starts_with("/apis/authentication.k8s.io/");
        !matches!(self.method, Method::GET | Method::HEAD) && !is_question
    }

    /// The written object: plural and name (no name for what is created without one in the path).
    pub(crate) fn object(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        let below = path
            .split_once("/namespaces/")
            .and_then(|(_, rest)| rest.split_once('/'));
        below.map_or(path, |(_, object)| object).to_owned()
    }

    /// Whether it belongs to telectl's own books and not to what is deployed: the lock, the note of
    /// the unfinished run, the inventory's record, the history.
    pub(crate) fn is_bookkeeping(&self) -> bool {
        let object = self.object();
        object == "leases"
            || object.starts_with("leases/telectl-")
            || object.starts_with("configmaps/telectl-")
    }
}

impl std::fmt::Display for Seen {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {} {}", self.cluster, self.method, self.path)
    }
}

/// Round trips of the longest chain of requests of which each began after the one before had
/// ended: no fewer than depend on each other. Requests that go on for ever are not in it.
pub(crate) fn longest_chain<'s>(seen: impl Iterator<Item = &'s Seen>) -> u32 {
    let mut by_start: Vec<&Seen> = seen.collect();
    by_start.sort_by_key(|seen| seen.began);
    let mut ended: Vec<(Instant, u32)> = Vec::new();
    for seen in by_start {
        let before = ended.iter().filter(|(end, _)| *end <= seen.began);
        let longest = before.map(|(_, length)| *length).max().unwrap_or(0);
        if let Some(end) = seen.ended {
            ended.push((end, longest + seen.cost));
        }
    }
    ended
        .into_iter()
        .map(|(_, length)| length)
        .max()
        .unwrap_or(0)
}

/// What is said instead of what the API server would say.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Refusal {
    /// 429, and after how many seconds to come again.
    TooMany(u32),
    /// 500.
    Broken,
}

/// A refusal as the API server words it.
pub(super) fn refused(refusal: Refusal) -> Response {
    let (code, reason) = match refusal {
        Refusal::TooMany(_) => (StatusCode::TOO_MANY_REQUESTS, "TooManyRequests"),
        Refusal::Broken => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
    };
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "the test's proxy refuses this", "reason": reason, "code": code.as_u16(),
    });
    let mut answer = Response::builder()
        .status(code)
        .header(header::CONTENT_TYPE, "application/json");
    if let Refusal::TooMany(seconds) = refusal {
        answer = answer.header(header::RETRY_AFTER, seconds);
    }
    answer.body(Body::from(body.to_string())).expect("valid")
}

/// What a client of an API server that cannot be reached is told.
pub(super) fn gone(why: &str) -> Response {
    Response::builder()
        .status(StatusCode::BAD_GATEWAY)
        .body(Body::from(why.to_owned()))
        .expect("valid")
}
