//! What both stores do with rows after reading them, so that their answers are the same.

use std::collections::BTreeMap;

use super::{Gpu, Host, SourceProgress, TelemetryPoint};

/// What the ledger says about one source and pass, for one streamer.
pub(super) struct LedgerSum {
    /// Cluster, name, digest and pass.
    pub(super) key: [String; 4],
    /// Who read it.
    pub(super) streamer: String,
    /// Bytes covered.
    pub(super) bytes: u64,
    /// Rows stored.
    pub(super) rows: u64,
    /// Rows quarantined.
    pub(super) quarantined: u64,
}

/// What was signed off about one source and pass.
pub(super) struct SignOff {
    /// Cluster, name, digest and pass.
    pub(super) key: [String; 4],
    /// Size in bytes.
    pub(super) size: u64,
    /// Rows that a complete store holds.
    pub(super) rows: u64,
}

/// Joins both; ordered by key.
pub(super) fn progress(sums: Vec<LedgerSum>, signed_off: Vec<SignOff>) -> Vec<SourceProgress> {
    let mut sources: BTreeMap<[String; 4], SourceProgress> = BTreeMap::new();
    for sum in sums {
        let entry = sources
            .entry(sum.key.clone())
            .or_insert_with(|| empty(sum.key));
        entry.covered_bytes += sum.bytes;
        entry.stored_rows += sum.rows;
        entry.quarantined_rows += sum.quarantined;
        *entry.streamers.entry(sum.streamer).or_default() += sum.rows;
    }
    for end in signed_off {
        let entry = sources
            .entry(end.key.clone())
            .or_insert_with(|| empty(end.key));
        entry.size = Some(end.size);
        entry.expected_rows = Some(end.rows);
    }
    sources.into_values().collect()
}

fn empty([cluster, name, digest, pass]: [String; 4]) -> SourceProgress {
    SourceProgress {
        cluster,
        name,
        digest,
        pass,
        covered_bytes: 0,
        stored_rows: 0,
        quarantined_rows: 0,
        size: None,
        expected_rows: None,
        streamers: BTreeMap::new(),
    }
}

/// Indexes in the order of their numbers: `2` before `10`.
fn index_order(index: &str) -> (usize, &str) {
    (index.len(), index)
}

/// Orders by host, index and cluster.
pub(super) fn sort_gpus(gpus: &mut [Gpu]) {
    gpus.sort_by(|a, b| {
        (&a.hostname, index_order(&a.gpu_id), &a.cluster, &a.uuid).cmp(&(
            &b.hostname,
            index_order(&b.gpu_id),
            &b.cluster,
            &b.uuid,
        ))
    });
}

/// Counts the GPUs of every host; ordered by name and cluster.
pub(super) fn hosts_of(gpus: &[Gpu]) -> Vec<Host> {
    let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for gpu in gpus.iter().filter(|gpu| !gpu.hostname.is_empty()) {
        *counts.entry((&gpu.hostname, &gpu.cluster)).or_default() += 1;
    }
    counts
        .into_iter()
        .map(|((hostname, cluster), gpu_count)| Host {
            cluster: cluster.to_owned(),
            hostname: hostname.to_owned(),
            gpu_count,
        })
        .collect()
}

/// Orders by host, index, cluster and metric.
pub(super) fn sort_latest(points: &mut [TelemetryPoint]) {
    points.sort_by(|a, b| {
        (
            &a.hostname,
            index_order(&a.gpu_id),
            &a.cluster,
            &a.metric,
            a.position,
        )
            .cmp(&(
                &b.hostname,
                index_order(&b.gpu_id),
                &b.cluster,
                &b.metric,
                b.position,
            ))
    });
}
