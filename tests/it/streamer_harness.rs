//! A streamer beside the test, and a stand-in for the collector that keeps a ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use telectl::config::environment::Environment;
use telectl::config::worker::{IdentitySettings, RedisSettings, SourceSettings, StreamerSettings};
use telectl::model::batch::{Batch, Message, SignedOff};
use telectl::model::component::Component;
use telectl::model::source::StoreToken;
use telectl::queue::Queue;
use telectl::queue::codec::decode;
use telectl::queue::redis::RedisQueue;
use telectl::workers::streamer::{StreamerError, run};
use telectl::workers::vitals::Vitals;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::servers::eventually;
use crate::servers::redis::RedisServer;

pub(crate) const SAMPLE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/data/dcgm_metrics_20250718_134233.csv"
);
pub(crate) const SAMPLE_SIZE: u64 = 1_107_455;
pub(crate) const LIMIT: Duration = Duration::from_secs(30);
pub(crate) const IDLE: Duration = Duration::from_secs(2);

pub(crate) fn settings(csv_file: impl Into<PathBuf>, spool_dir: &Path) -> StreamerSettings {
    StreamerSettings {
        source: SourceSettings::Files(csv_file.into()),
        uploads: None,
        batch_size: 100,
        stream_interval: None,
        loop_mode: false,
        spool_dir: spool_dir.to_owned(),
        spool_limit: 64 * 1024 * 1024,
        replicas: 1,
    }
}

fn identity(id: &str) -> IdentitySettings {
    let environment = Environment::from([("CLUSTER_ID", "edge"), ("STREAMER_ID", id)]);
    IdentitySettings::from_environment(Component::Streamer, &environment).expect("complete")
}

/// A streamer that runs beside the test.
pub(crate) struct Streamer {
    pub(crate) vitals: Vitals,
    spool: PathBuf,
    stop: CancellationToken,
    pub(crate) task: JoinHandle<Result<(), StreamerError>>,
}

impl Streamer {
    pub(crate) fn start<Q: Queue>(id: &str, settings: &StreamerSettings, queue: &Q) -> Self {
        let (vitals, stop) = (Vitals::default(), CancellationToken::new());
        let (settings, identity) = (settings.clone(), identity(id));
        let spool = settings.spool_dir.clone();
        let task = tokio::spawn({
            let (queue, vitals, stop) = (queue.clone(), vitals.clone(), stop.clone());
            async move { run(&settings, &identity, queue, None, (vitals, stop)).await }
        });
        Self {
            vitals,
            spool,
            stop,
            task,
        }
    }

    pub(crate) fn number(&self, detail: &str) -> u64 {
        let details = self.vitals.details();
        details
            .get(detail)
            .and_then(|value| value.as_u64())
            .unwrap_or(0)
    }

    pub(crate) async fn wait_for(&self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        eventually(what, LIMIT, async || condition(self).then_some(())).await;
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(LIMIT, self.task).await;
        ended
            .expect("it stops in time")
            .expect("it does not panic")
            .expect("it stops without an error");
    }

    /// As a power cut would: nothing is flushed, nobody is told.
    pub(crate) async fn kill(self) {
        self.task.abort();
        // Cancelled, unless it had ended just before.
        drop(self.task.await);
        // A write that was under way goes on in its thread, which the end of a process would end.
        let lock = self.spool.join("lock");
        eventually("the spool of the killed one", LIMIT, async || {
            std::fs::File::open(&lock).ok()?.try_lock().ok()
        })
        .await;
    }
}

/// What the store would hold: each range of each pass of each source once.
pub(crate) struct Ledger {
    pub(crate) token: StoreToken,
    pub(crate) batches: BTreeMap<(String, String, u64, u64), Batch>,
    pub(crate) signed_off: Vec<SignedOff>,
    /// Batches that were there already: which bytes, and who sent them first and who again.
    pub(crate) repeated: Vec<String>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self::named("the first store")
    }
}

impl Ledger {
    /// An empty one.
    pub(crate) fn named(token: &str) -> Self {
        Self {
            token: StoreToken(token.to_owned()),
            batches: BTreeMap::new(),
            signed_off: Vec::new(),
            repeated: Vec::new(),
        }
    }

    /// Takes what is in the queue and acknowledges it, and announces itself, as collectors do.
    pub(crate) async fn collect<Q: Queue>(&mut self, queue: &Q) {
        drop(queue.announce_store(&self.token).await);
        let wait = Duration::from_millis(50);
        // A queue that is away answers later.
        let Ok(deliveries) = queue.receive("collector", 100, wait).await else {
            return;
        };
        for delivery in &deliveries {
            let message = decode(&delivery.entry.payload).expect("a sound message");
            assert_eq!(message.id(), &delivery.entry.id);
            match message {
                Message::SignedOff(signed_off) => self.signed_off.push(signed_off),
                Message::Canary(canary) => panic!("no streamer sends {canary:?}"),
                Message::Batch(batch) => {
                    let (source, pass) = (batch.source.to_string(), batch.pass.0.clone());
                    let key = (source, pass, batch.range.start, batch.range.end);
                    if let Some(known) = self.batches.insert(key, batch.clone()) {
                        assert_eq!(known.checksum, batch.checksum);
                        self.repeated
                            .push(format!("{:?}, then {:?}", known.id, batch.id));
                    }
                }
            }
        }
        drop(queue.acknowledge(&deliveries, &self.token).await);
    }

    pub(crate) async fn collect_until<Q: Queue>(
        &mut self,
        queue: &Q,
        what: &str,
        condition: impl Fn(&Self) -> bool,
    ) {
        eventually(what, LIMIT, async || {
            self.collect(queue).await;
            condition(self).then_some(())
        })
        .await;
    }

    pub(crate) fn rows(&self) -> usize {
        self.batches.values().map(|batch| batch.rows.len()).sum()
    }

    /// Whether every byte of the source is covered and it is signed off.
    pub(crate) fn is_complete(&self, size: u64) -> bool {
        let covered: u64 = self
            .batches
            .values()
            .map(|batch| batch.range.end - batch.range.start)
            .sum();
        covered >= size && !self.signed_off.is_empty()
    }

    /// The batches of one pass tile the source; no byte is missing, none is there twice.
    pub(crate) fn assert_tiled(&self, pass: &str, size: u64) {
        let mut end = 0;
        for batch in self.batches.values().filter(|batch| batch.pass.0 == pass) {
            assert_eq!(batch.range.start, end);
            end = batch.range.end;
        }
        assert_eq!(end, size);
    }

    pub(crate) fn assert_sample(&self) {
        self.assert_tiled("once", SAMPLE_SIZE);
        assert_eq!(self.rows(), 2470);
        let signed_off = &self.signed_off[0];
        let counted = (signed_off.size, signed_off.rows, signed_off.quarantined);
        assert_eq!(counted, (SAMPLE_SIZE, 2470, 0));
    }

    pub(crate) fn streamers(&self) -> BTreeSet<&str> {
        self.batches
            .values()
            .map(|batch| batch.streamer.as_str())
            .collect()
    }
}

pub(crate) fn is_drained(streamer: &Streamer) -> bool {
    streamer.number("batches_acknowledged") > 0 && streamer.number("spool_undrained") == 0
}

pub(crate) fn redis(server: &RedisServer) -> RedisQueue {
    RedisQueue::new(&server.settings()).expect("sound settings")
}

/// A queue that gives nothing that it has delivered to anybody else, however long a busy machine
/// keeps its reader from acknowledging it: what comes twice was sent twice.
pub(crate) fn without_takeover(server: &RedisServer) -> RedisQueue {
    let settings = RedisSettings {
        claim_idle: LIMIT * 2,
        ..server.settings()
    };
    RedisQueue::new(&settings).expect("sound settings")
}
