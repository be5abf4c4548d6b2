//! What a collector counts.

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use serde_json::json;

use crate::config::worker::IdentitySettings;
use crate::model::component::Component;
use crate::queue::{Delivery, Depth};
use crate::store::Outcome;
use crate::workers::vitals::{QUEUE_STATUS_HELP, Vitals};

use super::latency::Latency;
use super::life::{OUTCOMES, words};

pub(super) type Labels = Vec<(&'static str, String)>;

/// Upper bounds of the histogram of commits, in seconds.
const COMMIT_BUCKETS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// The counters, shared with the metrics registry.
pub(super) struct Meters {
    rows: Counter,
    expired: Counter,
    received: Counter,
    received_bytes: Counter,
    batches: Family<Labels, Counter>,
    dead_letters: Counter,
    latency: Latency,
    lag: Gauge<f64, AtomicU64>,
    undelivered: Gauge<f64, AtomicU64>,
    commit: Histogram,
    oldest: Gauge<f64, AtomicU64>,
    entries: Gauge<f64, AtomicU64>,
    pending: Gauge<f64, AtomicU64>,
    connected: Gauge,
    last_commit: Mutex<Option<Timestamp>>,
}

impl Meters {
    /// Registers them.
    pub(super) fn register(vitals: &Vitals, identity: &IdentitySettings) -> Self {
        let connections = Family::<Labels, Gauge>::default();
        let labels = vec![
            ("cluster", identity.cluster_id.clone()),
            ("component", Component::Collector.name().to_owned()),
        ];
        let latency =
            vitals.with_metrics(|registry| Latency::register(registry, &identity.cluster_id));
        let meters = Self {
            rows: Counter::default(),
            expired: Counter::default(),
            received: Counter::default(),
            received_bytes: Counter::default(),
            batches: Family::default(),
            dead_letters: Counter::default(),
            latency,
            lag: Gauge::default(),
            undelivered: Gauge::default(),
            commit: Histogram::new(COMMIT_BUCKETS),
            oldest: Gauge::default(),
            entries: Gauge::default(),
            pending: Gauge::default(),
            connected: connections.get_or_create_owned(&labels),
            last_commit: Mutex::default(),
        };
        vitals.with_metrics(|registry| {
            meters.register_own(registry);
            meters.register_queue(registry);
            registry.register(
                "message_queue_connection_status",
                QUEUE_STATUS_HELP,
                connections,
            );
        });
        for outcome in OUTCOMES {
            // They are counted from 0 on.
            meters.of_outcome(outcome);
        }
        meters.depth(None, vitals);
        meters
    }

    fn register_own(&self, registry: &mut Registry) {
        for (name, help, counter) in [
            ("rows", "Rows stored", &self.rows),
            (
                "expired_rows",
                "Rows that are noted and not stored, because their day was not kept any more when they \
                 came",
                &self.expired,
            ),
            (
                "entries_received",
                "Entries that came from the queue, repeated deliveries included",
                &self.received,
            ),
            (
                "received_bytes",
                "Bytes of those entries, packed",
                &self.received_bytes,
            ),
            (
                "dead_letters",
                "Entries that cannot be stored",
                &self.dead_letters,
            ),
        ] {
            registry.register(format!("telectl_collector_{name}"), help, counter.clone());
        }
        registry.register(
            "telectl_collector_batches",
            "Batches by what became of them",
            self.batches.clone(),
        );
        registry.register(
            "telectl_collector_commit_seconds",
            "Seconds to store a group of batches, outages included",
            self.commit.clone(),
        );
        registry.register(
            "telectl_collector_lag_seconds",
            "Seconds from publication, by the queue's clock, to commit of the batch that was committed \
             last; 0 before the first",
            self.lag.clone(),
        );
    }

    fn register_queue(&self, registry: &mut Registry) {
        for (name, help, gauge) in [
            (
                "oldest_entry_seconds",
                "Age of the oldest entry in the queue in seconds, 0 if there is none, NaN if unknown",
                &self.oldest,
            ),
            (
                "entries",
                "Entries in the queue, NaN if unknown",
                &self.entries,
            ),
            (
                "pending_entries",
                "Entries delivered and not acknowledged, NaN if unknown",
                &self.pending,
            ),
            (
                "undelivered_entries",
                "Entries that no collector has yet, NaN if unknown",
                &self.undelivered,
            ),
        ] {
            registry.register(format!("telectl_queue_{name}"), help, gauge.clone());
        }
    }

    fn of_outcome(&self, outcome: &'static str) -> u64 {
        self.batches
            .get_or_create(&vec![("outcome", outcome.to_owned())])
            .get()
    }

    /// When rows were committed the last time.
    fn last_commit(&self) -> MutexGuard<'_, Option<Timestamp>> {
        let last = self.last_commit.lock();
        last.unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what became of a batch.
    pub(super) fn count(&self, outcome: &Outcome) {
        let (name, _) = words(outcome);
        if let Outcome::Stored { .. } | Outcome::Completed { .. } = outcome {
            *self.last_commit() = Some(Timestamp::now());
        }
        self.batches
            .get_or_create(&vec![("outcome", name.to_owned())])
            .inc();
    }

    /// Counts rows that a transaction stored, and those that it noted instead.
    pub(super) fn stored(&self, rows: u64, expired: u64) {
        self.rows.inc_by(rows);
        self.expired.inc_by(expired);
    }

    /// Counts entries that came from the queue.
    pub(super) fn received(&self, deliveries: &[Delivery]) {
        self.received.inc_by(deliveries.len() as u64);
        let bytes = deliveries.iter().map(|one| one.entry.payload.len() as u64);
        self.received_bytes.inc_by(bytes.sum());
    }

    /// Notes how long a batch of a cluster was on its way until it was committed `now`.
    pub(super) fn arrived(&self, delivery: &Delivery, cluster: &str, now: Timestamp) {
        self.latency.observe(delivery, cluster, now);
        let published = i64::try_from(delivery.published_ms).unwrap_or(i64::MAX);
        let milliseconds = now.as_millisecond().saturating_sub(published).max(0);
        self.lag.set(milliseconds as f64 / 1000.0);
    }

    /// Notes how long a group took.
    pub(super) fn committed(&self, time: Duration) {
        self.commit.observe(time.as_secs_f64());
    }

    /// Counts a dead letter.
    pub(super) fn set_aside(&self) {
        self.dead_letters.inc();
    }

    /// Notes whether the queue answers.
    pub(super) fn connected(&self, is_connected: bool) {
        self.connected.set(i64::from(is_connected));
    }

    /// Notes how full the queue is; `None`: it does not say, and what it said before is not true any
    /// more.
    pub(super) fn depth(&self, depth: Option<&Depth>, vitals: &Vitals) {
        let set = |gauge: &Gauge<f64, AtomicU64>, of: fn(&Depth) -> f64| {
            gauge.set(depth.map_or(f64::NAN, of));
        };
        set(&self.oldest, oldest_seconds);
        set(&self.entries, |depth| depth.entries as f64);
        set(&self.pending, |depth| depth.pending as f64);
        set(&self.undelivered, |depth| undelivered(depth) as f64);
        let Some(depth) = depth else {
            vitals.forget("queue");
            return;
        };
        vitals.detail(
            "queue",
            json!({
                "entries": depth.entries,
                "pending": depth.pending,
                "undelivered": undelivered(depth),
                "oldest_seconds": oldest_seconds(depth),
                "dead": depth.dead,
            }),
        );
    }

    /// Puts the counts on the status page, after something was done.
    pub(super) fn publish(&self, vitals: &Vitals) {
        vitals.detail(
            "collected",
            json!({
                "rows": self.rows.get(),
                "expired": self.expired.get(),
                "batches": {
                    "stored": self.of_outcome("stored"),
                    "completed": self.of_outcome("completed"),
                    "already_stored": self.of_outcome("already_stored"),
                    "refused": self.of_outcome("refused"),
                },
                "dead_letters": self.dead_letters.get(),
                "lag_seconds": self.lag.get(),
                "last_commit": self.last_commit().map(|time| time.to_string()),
            }),
        );
    }
}

/// The two counts are not of the same moment.
const fn undelivered(depth: &Depth) -> u64 {
    depth.entries.saturating_sub(depth.pending)
}

fn oldest_seconds(depth: &Depth) -> f64 {
    depth.oldest.unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::environment::Environment;

    fn registered() -> (Vitals, Meters) {
        let vitals = Vitals::default();
        let environment = Environment::from([("CLUSTER_ID", "central")]);
        let identity = IdentitySettings::from_environment(Component::Collector, &environment);
        let meters = Meters::register(&vitals, &identity.unwrap());
        (vitals, meters)
    }

    fn metrics(vitals: &Vitals) -> String {
        let mut text = String::new();
        let encoded = vitals.with_metrics(|registry| {
            prometheus_client::encoding::text::encode(&mut text, registry)
        });
        encoded.unwrap();
        text
    }

    #[test]
    fn s03_a_queue_that_does_not_answer_has_no_depth() {
        let (vitals, meters) = registered();
        assert!(metrics(&vitals).contains("telectl_queue_entries NaN"));
        let depth = Depth {
            entries: 7,
            ..Depth::default()
        };
        meters.depth(Some(&depth), &vitals);
        assert_eq!(vitals.details()["queue"]["entries"], 7);
        assert!(metrics(&vitals).contains("telectl_queue_entries 7"));
        meters.depth(None, &vitals);
        assert!(!vitals.details().contains_key("queue"));
        for name in [
            "entries",
            "pending_entries",
            "undelivered_entries",
            "oldest_entry_seconds",
        ] {
            let line = format!("telectl_queue_{name} NaN");
            assert!(metrics(&vitals).contains(&line), "{line}");
        }
    }

    #[test]
    fn s03_the_last_commit_is_one_that_stored_rows() {
        let (vitals, meters) = registered();
        let last = || {
            meters.publish(&vitals);
            vitals.details()["collected"]["last_commit"].clone()
        };
        meters.set_aside();
        meters.count(&Outcome::AlreadyStored);
        assert_eq!(last(), json!(null));
        meters.count(&Outcome::Stored { rows: 3 });
        let stored = last();
        assert!(stored.is_string());
        meters.set_aside();
        assert_eq!(last(), stored);
    }
}
