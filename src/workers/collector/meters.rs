//! What a collector counts.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use serde_json::json;

use crate::config::worker::IdentitySettings;
use crate::model::component::Component;
use crate::queue::Depth;
use crate::store::Outcome;
use crate::workers::vitals::Vitals;

type Labels = Vec<(&'static str, String)>;

/// Upper bounds of the histogram of commits, in seconds.
const COMMIT_BUCKETS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// The counters, shared with the metrics registry.
pub(super) struct Meters {
    rows: Counter,
    batches: Family<Labels, Counter>,
    dead_letters: Counter,
    commit: Histogram,
    oldest: Gauge<f64, AtomicU64>,
    entries: Gauge,
    pending: Gauge,
    connected: Gauge,
}

impl Meters {
    /// Registers them.
    pub(super) fn register(vitals: &Vitals, identity: &IdentitySettings) -> Self {
        let connections = Family::<Labels, Gauge>::default();
        let labels = vec![
            ("cluster", identity.cluster_id.clone()),
            ("component", Component::Collector.name().to_owned()),
        ];
        let meters = Self {
            rows: Counter::default(),
            batches: Family::default(),
            dead_letters: Counter::default(),
            commit: Histogram::new(COMMIT_BUCKETS),
            oldest: Gauge::default(),
            entries: Gauge::default(),
            pending: Gauge::default(),
            connected: connections.get_or_create_owned(&labels),
        };
        vitals.with_metrics(|registry| {
            let mut add = |name: &str, help: &str, metric| registry.register(name, help, metric);
            add("telectl_collector_rows", "Rows stored", meters.rows.clone());
            add(
                "telectl_collector_dead_letters",
                "Entries that cannot be stored",
                meters.dead_letters.clone(),
            );
            registry.register(
                "telectl_collector_batches",
                "Batches by what became of them",
                meters.batches.clone(),
            );
            registry.register(
                "telectl_collector_commit_seconds",
                "Time to store a group of batches, outages included",
                meters.commit.clone(),
            );
            registry.register(
                "telectl_queue_oldest_entry_seconds",
                "Age of the oldest entry in the queue, 0 if there is none",
                meters.oldest.clone(),
            );
            registry.register(
                "telectl_queue_entries",
                "Entries in the queue",
                meters.entries.clone(),
            );
            registry.register(
                "telectl_queue_pending_entries",
                "Entries delivered and not acknowledged",
                meters.pending.clone(),
            );
            registry.register(
                "message_queue_connection_status",
                "1 if the last use of the queue worked, else 0",
                connections,
            );
        });
        meters
    }

    fn of_outcome(&self, outcome: &'static str) -> u64 {
        self.batches
            .get_or_create(&vec![("outcome", outcome.to_owned())])
            .get()
    }

    /// Counts what became of a batch.
    pub(super) fn count(&self, outcome: &Outcome) {
        let (name, rows) = match outcome {
            Outcome::Stored { rows } => ("stored", *rows),
            Outcome::Completed { rows } => ("completed", *rows),
            Outcome::AlreadyStored => ("already_stored", 0),
            Outcome::Refused { .. } => ("refused", 0),
        };
        self.rows.inc_by(rows);
        self.batches
            .get_or_create(&vec![("outcome", name.to_owned())])
            .inc();
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

    /// Notes how full the queue is.
    pub(super) fn depth(&self, depth: &Depth, vitals: &Vitals) {
        let oldest = depth.oldest.unwrap_or_default().as_secs_f64();
        self.oldest.set(oldest);
        self.entries
            .set(i64::try_from(depth.entries).unwrap_or(i64::MAX));
        self.pending
            .set(i64::try_from(depth.pending).unwrap_or(i64::MAX));
        vitals.detail(
            "queue",
            json!({
                "entries": depth.entries,
                "pending": depth.pending,
                "oldest_seconds": oldest,
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
                "batches": {
                    "stored": self.of_outcome("stored"),
                    "completed": self.of_outcome("completed"),
                    "already_stored": self.of_outcome("already_stored"),
                    "refused": self.of_outcome("refused"),
                },
                "dead_letters": self.dead_letters.get(),
                "last_commit": Timestamp::now().to_string(),
            }),
        );
    }
}
