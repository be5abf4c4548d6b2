//! How fresh the data is: per GPU, when it was measured last and when that came in; per cluster,
//! when anything came in last.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::model::freshness::GpuFreshness;

/// Batches that are looked at per source, newest first: enough to find those that brought the newest
/// samples, and no more work the longer a pipeline runs.
pub(super) const BATCHES_PER_SOURCE: i64 = 200;

/// How fresh the data of a store is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Freshness {
    /// Every GPU, by cluster and UUID.
    pub gpus: Vec<GpuFreshness>,
    /// When the last batch of each cluster was stored.
    pub last_ingest: BTreeMap<String, Timestamp>,
}

/// A GPU and its newest sample.
pub(super) struct Newest {
    pub(super) cluster: String,
    pub(super) uuid: String,
    pub(super) hostname: String,
    pub(super) gpu_id: String,
    pub(super) at: Timestamp,
}

/// A batch in the ledger.
pub(super) struct Arrival {
    pub(super) cluster: String,
    /// Its first and its last event time; `None` if none of its rows was stored.
    pub(super) covers: Option<(Timestamp, Timestamp)>,
    pub(super) stored_at: Timestamp,
}

/// Joins both.
pub(super) fn join(newest: Vec<Newest>, arrivals: Vec<Arrival>) -> Freshness {
    let mut by_cluster: BTreeMap<String, Vec<Arrival>> = BTreeMap::new();
    for arrival in arrivals {
        let known = by_cluster.entry(arrival.cluster.clone()).or_default();
        known.push(arrival);
    }
    for known in by_cluster.values_mut() {
        known.sort_by_key(|arrival| std::cmp::Reverse(arrival.stored_at));
    }
    let covering = |cluster: &str, at: Timestamp| {
        let mut arrivals = by_cluster.get(cluster).into_iter().flatten();
        let covers = |arrival: &&Arrival| {
            let covers = arrival.covers;
            covers.is_some_and(|(first, last)| first <= at && at <= last)
        };
        arrivals.find(covers).map(|arrival| arrival.stored_at)
    };
    let mut gpus: Vec<GpuFreshness> = newest
        .into_iter()
        .map(|gpu| GpuFreshness {
            last_ingest: covering(&gpu.cluster, gpu.at),
            last_event: gpu.at,
            cluster: gpu.cluster,
            hostname: gpu.hostname,
            gpu_id: gpu.gpu_id,
            uuid: gpu.uuid,
        })
        .collect();
    gpus.sort_by(|one, other| (&one.cluster, &one.uuid).cmp(&(&other.cluster, &other.uuid)));
    let last_ingest = by_cluster
        .into_iter()
        .filter_map(|(cluster, arrivals)| Some((cluster, arrivals.first()?.stored_at)))
        .collect();
    Freshness { gpus, last_ingest }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: u32) -> Timestamp {
        format!("2025-07-18T12:{minute:02}:00Z").parse().unwrap()
    }

    fn arrival(cluster: &str, covers: Option<(u32, u32)>, stored: u32) -> Arrival {
        Arrival {
            cluster: cluster.to_owned(),
            covers: covers.map(|(first, last)| (at(first), at(last))),
            stored_at: at(stored),
        }
    }

    fn newest(cluster: &str, uuid: &str, minute: u32) -> Newest {
        Newest {
            cluster: cluster.to_owned(),
            uuid: uuid.to_owned(),
            hostname: "h".to_owned(),
            gpu_id: "0".to_owned(),
            at: at(minute),
        }
    }

    #[test]
    fn s07_a_gpu_came_in_with_the_last_batch_of_its_cluster_that_covers_its_time() {
        let fresh = join(
            vec![
                newest("b", "y", 5),
                newest("a", "x", 5),
                newest("a", "z", 1),
            ],
            vec![
                arrival("a", Some((4, 6)), 20),
                arrival("a", Some((5, 9)), 21),
                arrival("a", None, 30),
                arrival("b", Some((6, 9)), 22),
            ],
        );
        let ingests: Vec<_> = fresh.gpus.iter().map(|gpu| gpu.last_ingest).collect();
        assert_eq!(ingests, [Some(at(21)), None, None]);
        assert_eq!(fresh.gpus[0].uuid, "x");
        assert_eq!(
            fresh.last_ingest["a"],
            at(30),
            "also what had no row to store"
        );
        assert_eq!(fresh.last_ingest["b"], at(22));
    }
}
