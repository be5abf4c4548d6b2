//! Which streamers there are: those that the registry knows, those that have sent something, and
//! those that are only one of both.
//!
//! The registry is followed beside the data path. While it is away, what was known of it stays and is
//! marked as such; the data path takes no notice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::model::batch::Batch;
use crate::model::component::Component;
use crate::model::service_record::ServiceRecord;
use crate::registry::etcd::EtcdRegistry;
use crate::registry::watch::changes::Seen;
use crate::registry::watch::{Follower, News};
use crate::workers::vitals::Vitals;

use super::meters::Labels;

/// Streamers on the status page.
const SHOWN: usize = 200;
/// Senders that are remembered. The names come with the batches, so somebody could make them up.
const REMEMBERED: usize = 1000;
/// For how long one that is not registered is remembered after its last batch.
const MEMORY: Duration = Duration::from_secs(3600);
/// How long after its last batch one that is not registered counts as sending.
const RECENT: Duration = Duration::from_secs(300);

/// What is known of the streamers. Cheap to clone.
#[derive(Clone)]
pub struct Streamers(Arc<Shared>);

struct Shared {
    pipeline: String,
    known: Mutex<Known>,
    counts: Family<Labels, Gauge>,
}

/// Cluster and name.
type Name = (String, String);

#[derive(Default)]
struct Known {
    registry: Registry,
    registered: BTreeMap<String, Registered>,
    heard: BTreeMap<Name, Heard>,
}

/// How the registry is followed.
#[derive(Default)]
enum Registry {
    #[default]
    NotConfigured,
    NotReached(String),
    Followed,
    Away(String),
}

#[derive(Clone)]
struct Registered {
    name: Name,
    health: String,
    endpoint: String,
}

/// What came from a streamer, through this collector.
struct Heard {
    batches: u64,
    rows: u64,
    last: Timestamp,
}

impl Streamers {
    /// Of a pipeline, without anything known; registers their metric.
    pub fn of(pipeline: &str, vitals: &Vitals) -> Self {
        let counts = Family::default();
        vitals.with_metrics(|registry| {
            registry.register(
                "telectl_collector_streamers",
                "Streamers by state: registered; silent, that is registered without data through this \
                 collector; unregistered, that is data within five minutes without a registration",
                Family::clone(&counts),
            );
        });
        Self(Arc::new(Shared {
            pipeline: pipeline.to_owned(),
            known: Mutex::default(),
            counts,
        }))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a batch that was stored.
    pub(super) fn heard(&self, batch: &Batch, rows: u64, now: Timestamp) {
        let name = (batch.source.cluster.clone(), batch.streamer.clone());
        self.known().note_data(name, rows, now);
    }

    /// Takes note of what the registry told.
    fn note(&self, news: News) {
        let mut known = self.known();
        match news {
            News::Began(entries) => {
                known.registry = Registry::Followed;
                for entry in entries {
                    let found = self.registered(entry.registered.record.as_ref().ok());
                    known.register(entry.registered.key, found);
                }
            }
            News::Changed(changes) => {
                for change in changes {
                    let [_, now] = change.sides();
                    let found = self.registered(now.and_then(record));
                    known.register(change.key().to_owned(), found);
                }
            }
            News::Away(reason) => known.lost(reason),
            News::Back => known.registry = Registry::Followed,
        }
    }

    /// A streamer of this pipeline; one that does not say of which it is, too.
    fn registered(&self, record: Option<&ServiceRecord>) -> Option<Registered> {
        let record = record?;
        let fact = |name: &str| record.metadata.get(name).cloned();
        let is_ours = fact("pipeline").is_none_or(|pipeline| pipeline == self.0.pipeline);
        let is_streamer = Component::Streamer.registry_type() == Some(&record.service_type);
        (is_ours && is_streamer).then(|| Registered {
            name: (fact("cluster_id").unwrap_or_default(), record.id.clone()),
            health: record.health.clone(),
            endpoint: fact("endpoint").unwrap_or_default(),
        })
    }

    /// Brings the status page and the metric up to date.
    pub(super) fn show(&self, vitals: &Vitals) {
        let now = Timestamp::now();
        let mut known = self.known();
        known.forget(now);
        for (state, count) in known.counts(now) {
            let labels = vec![("state", state.to_owned())];
            match count {
                Some(count) => {
                    let count = i64::try_from(count).unwrap_or(i64::MAX);
                    self.0.counts.get_or_create(&labels).set(count);
                }
                // No number is better than one that nobody knows to be true.
                None => drop(self.0.counts.remove(&labels)),
            }
        }
        vitals.detail("streamers", known.page(now));
    }

    /// Follows the registry until `stop`. Never fails, and nothing waits for it.
    pub async fn follow(&self, registry: EtcdRegistry, vitals: &Vitals, stop: &CancellationToken) {
        self.known().registry = Registry::NotReached("not reached yet".to_owned());
        let mut follower = Follower::new(registry);
        loop {
            let news = tokio::select! {
                () = stop.cancelled() => return,
                news = follower.next() => news,
            };
            match &news {
                News::Away(reason) => tracing::warn!(reason, "no news of the streamers"),
                News::Back => tracing::info!("the registry tells of the streamers again"),
                News::Began(_) | News::Changed(_) => {}
            }
            self.note(news);
            self.show(vitals);
        }
    }
}

fn record(seen: &Seen) -> Option<&ServiceRecord> {
    seen.record.as_ref().ok()
}

impl Known {
    fn register(&mut self, key: String, found: Option<Registered>) {
        match found {
            Some(found) => {
                let (cluster, streamer) = &found.name;
                if !self.registered.contains_key(&key) {
                    tracing::info!(cluster, streamer, "streamer registered");
                }
                self.registered.insert(key, found);
            }
            None => {
                if let Some(gone) = self.registered.remove(&key) {
                    let (cluster, streamer) = &gone.name;
                    tracing::info!(cluster, streamer, "streamer not registered any more");
                }
            }
        }
    }

    fn lost(&mut self, reason: String) {
        self.registry = match self.registry {
            Registry::Followed | Registry::Away(_) => Registry::Away(reason),
            Registry::NotConfigured | Registry::NotReached(_) => Registry::NotReached(reason),
        };
    }

    fn note_data(&mut self, name: Name, rows: u64, now: Timestamp) {
        if self.heard.len() >= REMEMBERED && !self.heard.contains_key(&name) {
            return;
        }
        let heard = self.heard.entry(name).or_insert(Heard {
            batches: 0,
            rows: 0,
            last: now,
        });
        heard.batches += 1;
        heard.rows += rows;
        heard.last = now;
    }

    /// Forgets who is gone for long.
    fn forget(&mut self, now: Timestamp) {
        let Self {
            heard, registered, ..
        } = self;
        heard.retain(|name, heard| {
            age(heard, now) < MEMORY || registered.values().any(|one| one.name == *name)
        });
    }

    /// Whether it was told who is registered at all.
    const fn is_told(&self) -> bool {
        matches!(self.registry, Registry::Followed | Registry::Away(_))
    }

    fn by_name(&self) -> BTreeMap<&Name, &Registered> {
        let registered = self.registered.values();
        registered.map(|one| (&one.name, one)).collect()
    }

    /// How many there are in each state; `None` where that is not known.
    fn counts(&self, now: Timestamp) -> [(&'static str, Option<usize>); 3] {
        let registered = self.by_name();
        let silent = registered
            .keys()
            .filter(|name| !self.heard.contains_key(**name));
        let unregistered = self
            .heard
            .iter()
            .filter(|(name, heard)| !registered.contains_key(name) && age(heard, now) < RECENT);
        [
            ("registered", registered.len()),
            ("silent", silent.count()),
            ("unregistered", unregistered.count()),
        ]
        .map(|(state, count)| (state, self.is_told().then_some(count)))
    }

    fn page(&self, now: Timestamp) -> Value {
        let registered = self.by_name();
        let mut names: Vec<&Name> = registered
            .keys()
            .copied()
            .chain(self.heard.keys())
            .collect();
        names.sort();
        names.dedup();
        let list: Vec<Value> = names
            .iter()
            .take(SHOWN)
            .map(|name| self.row(name, registered.get(name).copied()))
            .collect();
        let counts = self.counts(now).into_iter();
        let counts: BTreeMap<&str, Option<usize>> = counts.collect();
        json!({
            "registry": self.registry.words(),
            "counts": counts,
            "list": list,
            "not_shown": names.len().saturating_sub(SHOWN),
        })
    }

    fn row(&self, name: &Name, registered: Option<&Registered>) -> Value {
        let (cluster, id) = name;
        let heard = self.heard.get(name);
        json!({
            "cluster": cluster,
            "id": id,
            "registered": self.is_told().then_some(registered.is_some()),
            "health": registered.map(|one| &one.health),
            "endpoint": registered.map(|one| &one.endpoint),
            "batches": heard.map_or(0, |heard| heard.batches),
            "rows": heard.map_or(0, |heard| heard.rows),
            "last_data": heard.map(|heard| heard.last.to_string()),
        })
    }
}

impl Registry {
    fn words(&self) -> String {
        match self {
            Self::NotConfigured => "not configured".to_owned(),
            Self::NotReached(reason) => reason.clone(),
            Self::Followed => "followed".to_owned(),
            Self::Away(reason) => format!("away, what it said last is shown: {reason}"),
        }
    }
}

/// How long ago the last batch came; none in the future of a clock that was set back.
fn age(heard: &Heard, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(heard.last)).unwrap_or_default()
}

#[cfg(test)]
#[path = "streamers_tests.rs"]
mod tests;
