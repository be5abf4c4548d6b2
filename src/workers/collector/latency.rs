//! How long batches take from their streamer's publication to the commit here.
//!
//! Two clocks are compared, the streamer's and this collector's: what they differ by is in every
//! number. Where it makes the way look shorter than nothing, it is counted and not observed.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::model::component::Component;
use crate::queue::Delivery;

use super::meters::Labels;

/// Upper bounds of the histogram, in seconds: a line between clusters at one end, an outage that was
/// waited for at the other.
const BUCKETS: [f64; 12] = [
    0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];
/// Clusters that are told apart. The names come with the batches, so somebody could make them up.
const CLUSTERS: usize = 100;
/// Stands for all others.
const OTHERS: &str = "other";

/// The histogram, shared with the metrics registry.
pub(super) struct Latency {
    target: String,
    seen: Mutex<BTreeSet<String>>,
    times: Family<Labels, Histogram, fn() -> Histogram>,
    backward: Counter,
}

impl Latency {
    /// For a collector in this cluster.
    pub(super) fn register(registry: &mut Registry, target: &str) -> Self {
        let latency = Self {
            target: target.to_owned(),
            seen: Mutex::default(),
            times: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            backward: Counter::default(),
        };
        registry.register(
            "cross_cluster_latency_seconds",
            "Seconds from a batch's publication by the streamer's clock to its commit by the collector's",
            latency.times.clone(),
        );
        registry.register(
            "telectl_collector_clock_backward",
            "Batches that by the two clocks were committed before they were published",
            latency.backward.clone(),
        );
        latency
    }

    /// A batch of a streamer in `source` was committed `now`.
    pub(super) fn observe(&self, delivery: &Delivery, source: &str, now: Timestamp) {
        let Some(sent) = delivery.sent_ms.and_then(|time| i64::try_from(time).ok()) else {
            return;
        };
        let milliseconds = now.as_millisecond().saturating_sub(sent);
        if milliseconds < 0 {
            self.backward.inc();
            return;
        }
        let labels = vec![
            ("source_cluster", self.known(source).to_owned()),
            ("target_cluster", self.target.clone()),
            ("component", Component::Collector.name().to_owned()),
        ];
        let times = self.times.get_or_create(&labels);
        times.observe(milliseconds as f64 / 1000.0);
    }

    fn known<'a>(&self, cluster: &'a str) -> &'a str {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.contains(cluster) {
            return cluster;
        }
        if seen.len() == CLUSTERS {
            return OTHERS;
        }
        seen.insert(cluster.to_owned());
        cluster
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::model::source::{BatchId, IncarnationId};
    use crate::queue::Entry;

    fn sent(sent_ms: Option<u64>) -> Delivery {
        let id = BatchId {
            incarnation: IncarnationId("one".to_owned()),
            sequence: 1,
        };
        let payload = Bytes::new();
        Delivery {
            shard: 0,
            position: "1-0".to_owned(),
            entry: Entry { id, payload },
            published_ms: 0,
            sent_ms,
        }
    }

    fn text(registry: &Registry) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
        text
    }

    #[test]
    fn o01_the_latency_is_between_two_clocks_and_never_negative() {
        let mut registry = Registry::default();
        let latency = Latency::register(&mut registry, "central");
        let now = Timestamp::from_millisecond(10_000).unwrap();
        latency.observe(&sent(Some(9_250)), "edge", now);
        latency.observe(&sent(Some(10_001)), "edge", now);
        latency.observe(&sent(None), "edge", now);
        let text = text(&registry);
        let labels = "source_cluster=\"edge\",target_cluster=\"central\",component=\"collector\"";
        for line in [
            format!("cross_cluster_latency_seconds_sum{{{labels}}} 0.75"),
            format!("cross_cluster_latency_seconds_count{{{labels}}} 1"),
            "telectl_collector_clock_backward_total 1".to_owned(),
        ] {
            assert!(text.contains(&line), "{line} in {text}");
        }
    }

    #[test]
    fn o01_made_up_clusters_do_not_make_metrics_without_end() {
        let mut registry = Registry::default();
        let latency = Latency::register(&mut registry, "central");
        let now = Timestamp::from_millisecond(10_000).unwrap();
        for number in 0..500 {
            latency.observe(&sent(Some(9_000)), &format!("edge-{number}"), now);
        }
        latency.observe(&sent(Some(9_000)), "edge-7", now);
        let text = text(&registry);
        let counts: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("cross_cluster_latency_seconds_count"))
            .collect();
        assert_eq!(counts.len(), CLUSTERS + 1);
        let count = |cluster: &str| {
            let label = format!("source_cluster=\"{cluster}\"");
            let line = counts.iter().find(|line| line.contains(&label));
            line.and_then(|line| line.rsplit(' ').next())
                .map(str::to_owned)
        };
        assert_eq!(count("edge-7").as_deref(), Some("2"));
        assert_eq!(count(OTHERS).as_deref(), Some("400"));
    }
}
