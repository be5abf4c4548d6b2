//! How fresh the data in the store is, for whoever looks at the pipeline: `/api/v1/freshness`.
//!
//! The store is asked when somebody asks, and at most once in a while: nobody may keep it busy.
//! The page is the collector's and not the gateway's, because it names hosts, and the gateway is
//! open to the world.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::model::causes::chain;
use crate::model::freshness::{
    BEHIND_SECONDS, ClusterFreshness, FreshnessReport, GpuFreshness, SCHEMA_VERSION,
};
use crate::store::{Freshness, SourceProgress, Store, StoreError};

/// How long an answer is good enough for others who ask.
const GOOD_FOR: Duration = Duration::from_secs(5);
/// Longest time for an answer of the store.
const LIMIT: Duration = Duration::from_secs(8);
/// GPUs that are named.
const NAMED: usize = 100;

struct Shared<S> {
    store: S,
    last: Mutex<Option<(Instant, FreshnessReport)>>,
}

/// The route.
pub fn router<S: Store>(store: S) -> Router {
    Router::new()
        .route("/api/v1/freshness", get(freshness::<S>))
        .with_state(Arc::new(Shared {
            store,
            last: Mutex::new(None),
        }))
}

async fn freshness<S: Store>(State(shared): State<Arc<Shared<S>>>) -> Response {
    // Held while the store is asked: those who ask meanwhile share the answer.
    let mut last = shared.last.lock().await;
    if let Some((at, report)) = &*last
        && at.elapsed() < GOOD_FOR
    {
        return Json(report).into_response();
    }
    let reason = match timeout(LIMIT, ask(&shared.store)).await {
        Ok(Ok(report)) => {
            let answer = Json(&report).into_response();
            *last = Some((Instant::now(), report));
            return answer;
        }
        Ok(Err(error)) => chain(&error),
        Err(_) => format!("the store does not answer within {} s", LIMIT.as_secs()),
    };
    (StatusCode::SERVICE_UNAVAILABLE, reason).into_response()
}

async fn ask<S: Store>(store: &S) -> Result<FreshnessReport, StoreError> {
    let sources = store.sources().await?;
    let freshness = store.freshness().await?;
    Ok(summarise(freshness, &sources, Timestamp::now()))
}

fn summarise(freshness: Freshness, sources: &[SourceProgress], now: Timestamp) -> FreshnessReport {
    let names: BTreeSet<&str> = freshness
        .last_ingest
        .keys()
        .chain(freshness.gpus.iter().map(|gpu| &gpu.cluster))
        .chain(sources.iter().map(|source| &source.cluster))
        .map(String::as_str)
        .collect();
    let clusters = names
        .into_iter()
        .map(|name| cluster(name, &freshness, sources))
        .collect();
    let mut stalest = freshness.gpus;
    stalest.sort_by(|one, other| {
        (one.last_event, &one.hostname, &one.gpu_id).cmp(&(
            other.last_event,
            &other.hostname,
            &other.gpu_id,
        ))
    });
    stalest.truncate(NAMED);
    FreshnessReport {
        schema_version: SCHEMA_VERSION,
        at: now,
        clusters,
        stalest,
    }
}

fn cluster(name: &str, freshness: &Freshness, sources: &[SourceProgress]) -> ClusterFreshness {
    let gpus: Vec<&GpuFreshness> = freshness
        .gpus
        .iter()
        .filter(|gpu| gpu.cluster == name)
        .collect();
    let hosts = |gpus: &[&GpuFreshness]| {
        let names: BTreeSet<&str> = gpus.iter().map(|gpu| gpu.hostname.as_str()).collect();
        names.len()
    };
    let newest_event = gpus.iter().map(|gpu| gpu.last_event).max();
    let is_behind = |gpu: &&GpuFreshness| {
        newest_event
            .is_some_and(|newest| newest.as_second() - gpu.last_event.as_second() > BEHIND_SECONDS)
    };
    let behind: Vec<&GpuFreshness> = gpus.iter().copied().filter(is_behind).collect();
    // A source is complete once every reading of it is.
    let mut complete: BTreeMap<(&str, &str), bool> = BTreeMap::new();
    for source in sources.iter().filter(|source| source.cluster == name) {
        let is_complete = source.size == Some(source.covered_bytes);
        *complete
            .entry((&source.name, &source.digest))
            .or_insert(true) &= is_complete;
    }
    ClusterFreshness {
        cluster: name.to_owned(),
        hosts: hosts(&gpus),
        gpus: gpus.len(),
        hosts_behind: hosts(&behind),
        gpus_behind: behind.len(),
        newest_event,
        oldest_event: gpus.iter().map(|gpu| gpu.last_event).min(),
        last_ingest: freshness.last_ingest.get(name).copied(),
        sources: complete.len(),
        incomplete_sources: complete
            .values()
            .filter(|is_complete| !**is_complete)
            .count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: u32) -> Timestamp {
        format!("2025-07-18T12:{minute:02}:00Z").parse().unwrap()
    }

    fn gpu(host: &str, index: &str, minute: u32) -> GpuFreshness {
        GpuFreshness {
            cluster: "edge".to_owned(),
            hostname: host.to_owned(),
            gpu_id: index.to_owned(),
            uuid: format!("GPU-{host}-{index}"),
            last_event: at(minute),
            last_ingest: None,
        }
    }

    fn source(name: &str, covered: u64, size: Option<u64>) -> SourceProgress {
        SourceProgress {
            cluster: "edge".to_owned(),
            name: name.to_owned(),
            digest: String::new(),
            pass: String::new(),
            covered_bytes: covered,
            stored_rows: 0,
            quarantined_rows: 0,
            size,
            expected_rows: None,
            streamers: BTreeMap::new(),
        }
    }

    #[test]
    fn s07_gpus_are_behind_by_their_own_clusters_clock() {
        let freshness = Freshness {
            gpus: vec![gpu("a", "0", 20), gpu("a", "1", 14), gpu("b", "0", 15)],
            last_ingest: BTreeMap::from([("edge".to_owned(), at(30))]),
        };
        let sources = [
            source("done", 9, Some(9)),
            source("half", 4, Some(9)),
            source("endless", 4, None),
        ];
        let report = summarise(freshness, &sources, at(59));
        let edge = &report.clusters[0];
        assert_eq!((edge.hosts, edge.gpus), (2, 3));
        assert_eq!((edge.hosts_behind, edge.gpus_behind), (1, 1));
        assert_eq!((edge.sources, edge.incomplete_sources), (3, 2));
        assert_eq!(
            (edge.newest_event, edge.oldest_event),
            (Some(at(20)), Some(at(14)))
        );
        assert_eq!(edge.last_ingest, Some(at(30)));
        let order: Vec<&str> = report.stalest.iter().map(|gpu| gpu.uuid.as_str()).collect();
        assert_eq!(order, ["GPU-a-1", "GPU-b-0", "GPU-a-0"]);
    }
}
