//! What the streamer counts, as metrics and on its status page.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::model::component::Component;
use crate::workers::vitals::{QUEUE_STATUS_HELP, Vitals};

/// Counters and gauges. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Meter {
    /// Rows of batches that went into the spool.
    pub(super) rows: Counter,
    /// Bytes of the source that those batches cover.
    pub(super) source_bytes: Counter,
    /// Rows that were left out of those batches.
    pub(super) quarantined: Counter,
    /// Chunks that this streamer made batches of.
    pub(super) chunks_claimed: Counter,
    /// Chunks known to be in the store: own ones, and siblings' that it asked about.
    pub(super) chunks_completed: Counter,
    /// Publications that the queue took, repeated ones included.
    pub(super) published: Counter,
    /// Bytes of what the queue took, repeated ones included.
    pub(super) published_bytes: Counter,
    /// Messages that were published again because the queue had lost them.
    pub(super) lost: Counter,
    /// Messages that the store has.
    pub(super) acknowledged: Counter,
    /// Files that cannot be streamed.
    pub(super) sources_set_aside: Gauge,
    /// Files that are followed.
    pub(super) followed_files: Gauge,
    /// Bytes of them that were not read yet at the last look, lines without an end included.
    pub(super) followed_behind_bytes: Gauge,
    /// Files that cannot be followed.
    pub(super) followed_set_aside: Gauge,
    /// Targets that this streamer scrapes.
    pub(super) scrape_targets: Gauge,
    /// Those of them whose last scrape failed.
    pub(super) scrape_targets_down: Gauge,
    /// Scrapes that were answered.
    pub(super) scrapes: Counter,
    /// Scrapes that were not answered, or not as they should be.
    pub(super) scrapes_failed: Counter,
    /// Scrapes that were not done.
    pub(super) scrapes_dropped: Counter,
    /// Bytes of the spool.
    pub(super) spool_bytes: Gauge,
    /// Messages in the spool that are not acknowledged.
    pub(super) spool_messages: Gauge,
    /// Seconds for which the oldest of them has been there.
    pub(super) spool_oldest: Gauge<f64, AtomicU64>,
    connected: Family<Vec<(&'static str, String)>, Gauge>,
    cluster: String,
}

impl Meter {
    pub(super) fn register(vitals: &Vitals, cluster: &str) -> Self {
        let meter = Self {
            cluster: cluster.to_owned(),
            ..Self::default()
        };
        vitals.with_metrics(|registry| meter.register_in(registry));
        meter.set_connected(0);
        meter
    }

    fn register_in(&self, registry: &mut Registry) {
        for (name, help, counter) in self.counters() {
            registry.register(format!("telectl_streamer_{name}"), help, counter.clone());
        }
        registry.register(
            "telectl_streamer_sources_set_aside",
            "Files that cannot be streamed and are left out until they change",
            self.sources_set_aside.clone(),
        );
        self.register_followed(registry);
        self.register_scraped(registry);
        registry.register(
            "telectl_streamer_spool_bytes",
            "Size of the spool in bytes",
            self.spool_bytes.clone(),
        );
        registry.register(
            "telectl_streamer_spool_messages",
            "Messages in the spool that are not acknowledged",
            self.spool_messages.clone(),
        );
        registry.register(
            "telectl_streamer_spool_oldest_seconds",
            "Seconds for which this process has had the oldest message in the spool, 0 if there is none",
            self.spool_oldest.clone(),
        );
        registry.register(
            "message_queue_connection_status",
            QUEUE_STATUS_HELP,
            self.connected.clone(),
        );
    }

    fn register_followed(&self, registry: &mut Registry) {
        registry.register(
            "telectl_streamer_followed_files",
            "Growing files that this streamer follows",
            self.followed_files.clone(),
        );
        registry.register(
            "telectl_streamer_followed_behind_bytes",
            "Bytes of them that were not read yet at the last look, a line without an end included",
            self.followed_behind_bytes.clone(),
        );
        registry.register(
            "telectl_streamer_followed_set_aside",
            "Files that cannot be followed for now",
            self.followed_set_aside.clone(),
        );
    }

    fn register_scraped(&self, registry: &mut Registry) {
        registry.register(
            "telectl_streamer_scrape_targets",
            "Exporters that this streamer scrapes",
            self.scrape_targets.clone(),
        );
        registry.register(
            "telectl_streamer_scrape_targets_down",
            "Those of them whose last scrape failed",
            self.scrape_targets_down.clone(),
        );
        registry.register(
            "telectl_streamer_scrapes",
            "Scrapes that were answered",
            self.scrapes.clone(),
        );
        registry.register(
            "telectl_streamer_scrapes_failed",
            "Scrapes that failed",
            self.scrapes_failed.clone(),
        );
        registry.register(
            "telectl_streamer_scrapes_dropped",
            "Scrapes that were not done because the spool had no room, or for want of time",
            self.scrapes_dropped.clone(),
        );
    }

    const fn counters(&self) -> [(&'static str, &'static str, &Counter); 9] {
        [
            (
                "rows",
                "Rows of batches that went into the spool",
                &self.rows,
            ),
            (
                "source_bytes",
                "Bytes of the source that those batches cover",
                &self.source_bytes,
            ),
            (
                "rows_quarantined",
                "Rows that cannot be stored",
                &self.quarantined,
            ),
            (
                "chunks_claimed",
                "Chunks that this streamer made batches of",
                &self.chunks_claimed,
            ),
            (
                "chunks_completed",
                "Chunks known to be in the store",
                &self.chunks_completed,
            ),
            (
                "batches_published",
                "Messages that the queue took, repeated ones included",
                &self.published,
            ),
            (
                "published_bytes",
                "Bytes of those messages, packed",
                &self.published_bytes,
            ),
            (
                "batches_lost",
                "Messages that the queue lost and that were published again",
                &self.lost,
            ),
            (
                "batches_acknowledged",
                "Messages that the store has",
                &self.acknowledged,
            ),
        ]
    }

    /// 1 if the queue answered the last time, else 0.
    pub(super) fn set_connected(&self, connected: i64) {
        let labels = vec![
            ("cluster", self.cluster.clone()),
            ("component", Component::Streamer.name().to_owned()),
        ];
        self.connected.get_or_create(&labels).set(connected);
    }
}
