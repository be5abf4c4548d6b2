//! How fresh the data is, by what a collector says about the store. Pure.
//!
//! Event times alone do not tell an outage: a file that was recorded a year ago is as old as it is.
//! What tells it is that nothing comes in any more of a source that is not stored whole.

use jiff::Timestamp;

use super::collect::Collected;
use super::report::DataStatus;
use crate::model::freshness::{ClusterFreshness, FreshnessReport, GpuFreshness};

/// Seconds without a batch after which a source that is not stored whole has stalled.
const STALLED_SECONDS: i64 = 300;

/// The data, the stalest GPUs, and why neither is known.
pub(super) type Data = (Vec<DataStatus>, Vec<GpuFreshness>, Option<String>);

/// What the first collector says that knows.
pub(super) fn data(collected: &Collected, now: Timestamp) -> Data {
    let mut why = None;
    for answer in collected
        .clusters
        .iter()
        .filter_map(|facts| facts.freshness.as_ref())
    {
        match answer {
            Ok(report) => return known(report, now),
            Err(reason) => why = why.or(Some(reason.clone())),
        }
    }
    let why = why.unwrap_or_else(|| "no collector was asked".to_owned());
    (Vec::new(), Vec::new(), Some(why))
}

fn known(report: &FreshnessReport, now: Timestamp) -> Data {
    let status = |one: &ClusterFreshness| {
        let age = one.last_ingest.map(|at| now.as_second() - at.as_second());
        DataStatus {
            freshness: one.clone(),
            ingest_age_seconds: age,
            is_stalled: one.incomplete_sources > 0 && age.is_some_and(|age| age > STALLED_SECONDS),
        }
    };
    let clusters = report.clusters.iter().map(status).collect();
    (clusters, report.stalest.clone(), None)
}
