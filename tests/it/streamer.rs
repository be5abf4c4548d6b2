//! The streamer, from the real file to the queue, with a stand-in for the collector that keeps a
//! ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use telectl::config::environment::Environment;
use telectl::config::worker::{IdentitySettings, StreamerSettings};
use telectl::model::batch::{Batch, Message, SignedOff};
use telectl::model::component::Component;
use telectl::queue::codec::decode;
use telectl::queue::embedded::SpoolQueue;
use telectl::queue::redis::RedisQueue;
use telectl::queue::{Claim, Queue};
use telectl::workers::streamer::{StreamerError, run};
use telectl::workers::vitals::Vitals;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::servers::eventually;
use crate::servers::redis::RedisServer;

const SAMPLE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/data/dcgm_metrics_20250718_134233.csv"
);
const SAMPLE_SIZE: u64 = 1_107_455;
const LIMIT: Duration = Duration::from_secs(30);
const IDLE: Duration = Duration::from_secs(2);

fn settings(csv_file: impl Into<PathBuf>, spool_dir: &Path) -> StreamerSettings {
    StreamerSettings {
        csv_file: csv_file.into(),
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
struct Streamer {
    vitals: Vitals,
    stop: CancellationToken,
    task: JoinHandle<Result<(), StreamerError>>,
}

impl Streamer {
    fn start<Q: Queue>(id: &str, settings: &StreamerSettings, queue: &Q) -> Self {
        let (vitals, stop) = (Vitals::default(), CancellationToken::new());
        let (settings, identity) = (settings.clone(), identity(id));
        let task = tokio::spawn({
            let (queue, vitals, stop) = (queue.clone(), vitals.clone(), stop.clone());
            async move { run(&settings, &identity, queue, vitals, stop).await }
        });
        Self { vitals, stop, task }
    }

    fn number(&self, detail: &str) -> u64 {
        let details = self.vitals.details();
        details
            .get(detail)
            .and_then(|value| value.as_u64())
            .unwrap_or(0)
    }

    async fn wait_for(&self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        eventually(what, LIMIT, async || condition(self).then_some(())).await;
    }

    async fn stop(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(LIMIT, self.task).await;
        ended
            .expect("it stops in time")
            .expect("it does not panic")
            .expect("it stops without an error");
    }

    /// As a power cut would: nothing is flushed, nobody is told.
    async fn kill(self) {
        self.task.abort();
        // Cancelled, unless it had ended just before.
        drop(self.task.await);
    }
}

/// What the store would hold: each range of each pass once.
#[derive(Default)]
struct Ledger {
    batches: BTreeMap<(String, u64, u64), Batch>,
    signed_off: Vec<SignedOff>,
    /// Batches that were there already.
    repeated: u64,
}

impl Ledger {
    /// Takes what is in the queue and acknowledges it.
    async fn collect<Q: Queue>(&mut self, queue: &Q) {
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
                Message::Batch(batch) => {
                    let key = (batch.pass.0.clone(), batch.range.start, batch.range.end);
                    if let Some(known) = self.batches.insert(key, batch.clone()) {
                        assert_eq!(known.checksum, batch.checksum);
                        self.repeated += 1;
                    }
                }
            }
        }
        drop(queue.acknowledge(&deliveries).await);
    }

    async fn collect_until<Q: Queue>(
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

    fn rows(&self) -> usize {
        self.batches.values().map(|batch| batch.rows.len()).sum()
    }

    /// Whether every byte of the source is covered and it is signed off.
    fn is_complete(&self, size: u64) -> bool {
        let covered: u64 = self
            .batches
            .values()
            .map(|batch| batch.range.end - batch.range.start)
            .sum();
        covered >= size && !self.signed_off.is_empty()
    }

    /// The batches of one pass tile the source; no byte is missing, none is there twice.
    fn assert_tiled(&self, pass: &str, size: u64) {
        let mut end = 0;
        for batch in self.batches.values().filter(|batch| batch.pass.0 == pass) {
            assert_eq!(batch.range.start, end);
            end = batch.range.end;
        }
        assert_eq!(end, size);
    }

    fn assert_sample(&self) {
        self.assert_tiled("once", SAMPLE_SIZE);
        assert_eq!(self.rows(), 2470);
        let signed_off = &self.signed_off[0];
        let counted = (signed_off.size, signed_off.rows, signed_off.quarantined);
        assert_eq!(counted, (SAMPLE_SIZE, 2470, 0));
    }

    fn streamers(&self) -> BTreeSet<&str> {
        self.batches
            .values()
            .map(|batch| batch.streamer.as_str())
            .collect()
    }
}

fn is_drained(streamer: &Streamer) -> bool {
    streamer.number("batches_acknowledged") > 0 && streamer.number("spool_undrained") == 0
}

fn redis(server: &RedisServer) -> RedisQueue {
    RedisQueue::new(&server.settings()).expect("sound settings")
}

#[tokio::test]
async fn w02_the_sample_file_arrives_completely_and_the_spool_is_freed() {
    let folder = TempDir::new().unwrap();
    let queue = SpoolQueue::open(&folder.path().join("queue"), IDLE).unwrap();
    let settings = settings(SAMPLE, &folder.path().join("spool"));
    let streamer = Streamer::start("streamer-0", &settings, &queue);
    let mut ledger = Ledger::default();
    ledger
        .collect_until(&queue, "the sample", |ledger| {
            ledger.is_complete(SAMPLE_SIZE)
        })
        .await;
    ledger.assert_sample();
    let series = ledger.batches.values().flat_map(|batch| &batch.series);
    let gpus: BTreeSet<_> = series.clone().map(|series| &series.uuid).collect();
    let metrics: BTreeSet<_> = series.clone().map(|series| &series.metric).collect();
    assert_eq!((gpus.len(), metrics.len()), (247, 10));
    assert!(series.clone().all(|series| series.cluster == "edge"));
    streamer.wait_for("an empty spool", is_drained).await;
    streamer
        .wait_for("no byte in the spool", |streamer| {
            streamer.number("spool_bytes") == 0
        })
        .await;
    assert_eq!(streamer.number("rows_read"), 2470);
    assert_eq!(streamer.number("batches_acknowledged"), 26);
    assert!(streamer.vitals.is_ready());
    let mut metrics = String::new();
    streamer
        .vitals
        .with_metrics(|registry| prometheus_client::encoding::text::encode(&mut metrics, registry))
        .unwrap();
    assert!(
        metrics.contains("telectl_streamer_rows_total 2470"),
        "{metrics}"
    );
    let connected = "message_queue_connection_status{cluster=\"edge\",component=\"streamer\"} 1";
    assert!(metrics.contains(connected), "{metrics}");
    streamer.stop().await;
}

#[tokio::test]
async fn w17_two_streamers_share_the_file() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let start = |id: &str| {
        let settings = StreamerSettings {
            replicas: 2,
            ..settings(SAMPLE, &folder.path().join(id))
        };
        Streamer::start(id, &settings, &redis(&server))
    };
    let streamers = [start("streamer-0"), start("streamer-1")];
    let queue = redis(&server);
    let mut ledger = Ledger::default();
    ledger
        .collect_until(&queue, "the sample", |ledger| {
            ledger.is_complete(SAMPLE_SIZE)
        })
        .await;
    ledger.assert_sample();
    assert_eq!(
        ledger.streamers(),
        BTreeSet::from(["streamer-0", "streamer-1"])
    );
    assert_eq!((ledger.repeated, ledger.signed_off.len()), (0, 1));
    for streamer in streamers {
        streamer.wait_for("an empty spool", is_drained).await;
        streamer.stop().await;
    }
}

#[tokio::test]
async fn w17_chunks_of_a_streamer_that_is_missing_are_taken_over() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let queue = redis(&server);
    let settings = StreamerSettings {
        replicas: 2,
        ..settings(SAMPLE, &folder.path().join("spool"))
    };
    let streamer = Streamer::start("streamer-1", &settings, &queue);
    let mut ledger = Ledger::default();
    ledger
        .collect_until(&queue, "its own half", |ledger| ledger.batches.len() == 12)
        .await;
    // The other half is left alone for a while, then it is made as well.
    ledger
        .collect_until(&queue, "the sample", |ledger| {
            ledger.is_complete(SAMPLE_SIZE)
        })
        .await;
    ledger.assert_sample();
    streamer.stop().await;
}

#[tokio::test]
async fn w19_everything_is_published_again_after_redis_lost_its_data() {
    let Some(mut server) = RedisServer::start().await else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let queue = redis(&server);
    let settings = StreamerSettings {
        stream_interval: Some(Duration::from_millis(40)),
        ..settings(SAMPLE, &folder.path().join("spool"))
    };
    let streamer = Streamer::start("streamer-0", &settings, &queue);
    let mut ledger = Ledger::default();
    ledger
        .collect_until(&queue, "some batches", |ledger| ledger.batches.len() >= 5)
        .await;
    streamer
        .wait_for("a filled queue", |streamer| {
            streamer.number("batches_published") >= 10
        })
        .await;
    assert!(queue.depth().await.unwrap().entries > 0);
    server.restart().await;
    ledger
        .collect_until(&queue, "the sample", |ledger| {
            ledger.is_complete(SAMPLE_SIZE)
        })
        .await;
    ledger.assert_sample();
    streamer
        .wait_for("a count", |streamer| streamer.number("batches_lost") > 0)
        .await;
    eventually("an empty spool", LIMIT, async || {
        ledger.collect(&queue).await;
        is_drained(&streamer).then_some(())
    })
    .await;
    streamer.stop().await;
}

#[tokio::test]
async fn w19_a_single_entry_that_vanished_is_published_again() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let queue = redis(&server);
    let streamer = Streamer::start("streamer-0", &settings(SAMPLE, folder.path()), &queue);
    streamer
        .wait_for("all batches", |streamer| {
            streamer.number("batches_published") == 26
        })
        .await;
    // Whatever deletes a stream, but not the token beside it.
    server.cli(&["DEL", "tele:{0}"]);
    let mut ledger = Ledger::default();
    ledger
        .collect_until(&queue, "the sample", |ledger| {
            ledger.is_complete(SAMPLE_SIZE)
        })
        .await;
    ledger.assert_sample();
    streamer
        .wait_for("a count", |streamer| streamer.number("batches_lost") == 13)
        .await;
    streamer.stop().await;
}

#[tokio::test]
async fn w19_reading_goes_on_into_the_spool_while_redis_is_away() {
    let Some(mut server) = RedisServer::start().await else {
        return;
    };
    server.stop();
    let folder = TempDir::new().unwrap();
    let queue = redis(&server);
    let streamer = Streamer::start("streamer-0", &settings(SAMPLE, folder.path()), &queue);
    streamer
        .wait_for("a full spool", |streamer| {
            streamer.number("spool_undrained") == 26
        })
        .await;
    assert!(!streamer.vitals.is_ready());
    let detail = &streamer.vitals.dependencies()["queue"].detail;
    assert!(detail.contains("connection refused"), "{detail}");
    server.start_again().await;
    let mut ledger = Ledger::default();
    ledger
        .collect_until(&queue, "the sample", |ledger| {
            ledger.is_complete(SAMPLE_SIZE)
        })
        .await;
    ledger.assert_sample();
    streamer.wait_for("an empty spool", is_drained).await;
    assert!(streamer.vitals.is_ready());
    streamer.stop().await;
}

#[tokio::test]
async fn w18_a_stopped_streamer_goes_on_where_it_was() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let queue = redis(&server);
    let settings = StreamerSettings {
        stream_interval: Some(Duration::from_millis(20)),
        ..settings(SAMPLE, folder.path())
    };
    let mut published = 0;
    let mut ledger = Ledger::default();
    for round in 1..=3 {
        let streamer = Streamer::start("streamer-0", &settings, &queue);
        let wanted = round * 5;
        ledger
            .collect_until(&queue, "some batches", |ledger| {
                ledger.batches.len() >= wanted
            })
            .await;
        let begun = Instant::now();
        let vitals = streamer.vitals.clone();
        streamer.stop().await;
        assert!(
            begun.elapsed() < Duration::from_secs(7),
            "{:?}",
            begun.elapsed()
        );
        published += vitals.details()["batches_published"].as_u64().unwrap();
    }
    let streamer = Streamer::start("streamer-0", &settings, &queue);
    ledger
        .collect_until(&queue, "the sample", |ledger| {
            ledger.is_complete(SAMPLE_SIZE)
        })
        .await;
    ledger.assert_sample();
    streamer.wait_for("an empty spool", is_drained).await;
    published += streamer.number("batches_published");
    streamer.stop().await;
    // What was still in the spool at a stop is published once more, and nothing is made twice.
    assert!(published <= 26 + 3 * 5, "{published}");
}

#[tokio::test]
async fn w08_a_killed_streamer_loses_nothing() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let queue = redis(&server);
    let settings = StreamerSettings {
        stream_interval: Some(Duration::from_millis(20)),
        ..settings(SAMPLE, folder.path())
    };
    let mut ledger = Ledger::default();
    for wanted in [3, 9, 15] {
        let streamer = Streamer::start("streamer-0", &settings, &queue);
        ledger
            .collect_until(&queue, "some batches", |ledger| {
                ledger.batches.len() >= wanted
            })
            .await;
        streamer.kill().await;
    }
    let streamer = Streamer::start("streamer-0", &settings, &queue);
    ledger
        .collect_until(&queue, "the sample", |ledger| {
            ledger.is_complete(SAMPLE_SIZE)
        })
        .await;
    ledger.assert_sample();
    streamer.stop().await;
}

#[tokio::test]
async fn w18_stopping_while_redis_is_away_ends_in_time_and_keeps_the_spool() {
    let Some(mut server) = RedisServer::start().await else {
        return;
    };
    server.stop();
    let folder = TempDir::new().unwrap();
    let queue = redis(&server);
    let settings = settings(SAMPLE, folder.path());
    let streamer = Streamer::start("streamer-0", &settings, &queue);
    streamer
        .wait_for("a full spool", |streamer| {
            streamer.number("spool_undrained") == 26
        })
        .await;
    let begun = Instant::now();
    streamer.stop().await;
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
    server.start_again().await;
    let streamer = Streamer::start("streamer-0", &settings, &queue);
    let mut ledger = Ledger::default();
    ledger
        .collect_until(&queue, "the sample", |ledger| {
            ledger.is_complete(SAMPLE_SIZE)
        })
        .await;
    ledger.assert_sample();
    // From the spool alone: no chunk was made again.
    assert_eq!((ledger.repeated, streamer.number("rows_spooled")), (0, 0));
    streamer.stop().await;
}

#[tokio::test]
async fn w11_a_full_spool_pauses_reading() {
    let folder = TempDir::new().unwrap();
    let queue = SpoolQueue::open(&folder.path().join("queue"), IDLE).unwrap();
    let settings = StreamerSettings {
        spool_limit: 20_000,
        ..settings(SAMPLE, &folder.path().join("spool"))
    };
    let streamer = Streamer::start("streamer-0", &settings, &queue);
    streamer
        .wait_for("a full spool", |streamer| {
            streamer.number("spool_bytes") >= 20_000
        })
        .await;
    let longest = 20_000 + 20_000;
    let mut ledger = Ledger::default();
    eventually("the sample", LIMIT, async || {
        assert!(streamer.number("spool_bytes") < longest);
        assert!(streamer.number("rows_spooled") <= 1000 + ledger.rows() as u64);
        ledger.collect(&queue).await;
        ledger.is_complete(SAMPLE_SIZE).then_some(())
    })
    .await;
    ledger.assert_sample();
    streamer.stop().await;
}

#[tokio::test]
async fn w01_batches_are_paced_and_loop_mode_reads_again_and_again() {
    let folder = TempDir::new().unwrap();
    let queue = SpoolQueue::open(&folder.path().join("queue"), IDLE).unwrap();
    let pace = Duration::from_millis(50);
    let settings = StreamerSettings {
        batch_size: 500,
        stream_interval: Some(pace),
        loop_mode: true,
        ..settings(SAMPLE, &folder.path().join("spool"))
    };
    let begun = Instant::now();
    let streamer = Streamer::start("streamer-0", &settings, &queue);
    let mut ledger = Ledger::default();
    ledger
        .collect_until(&queue, "three rounds", |ledger| {
            ledger.signed_off.len() >= 3
        })
        .await;
    assert!(begun.elapsed() >= pace * 15, "{:?}", begun.elapsed());
    streamer.stop().await;
    let passes: BTreeSet<&str> = ledger
        .signed_off
        .iter()
        .map(|one| one.pass.0.as_str())
        .collect();
    assert!(passes.len() >= 3);
    for pass in passes {
        assert_ne!(pass, "once");
        ledger.assert_tiled(pass, SAMPLE_SIZE);
    }
}

#[tokio::test]
async fn w10_a_source_that_was_streamed_is_not_streamed_again() {
    let folder = TempDir::new().unwrap();
    let queue = SpoolQueue::open(&folder.path().join("queue"), IDLE).unwrap();
    let first = Streamer::start(
        "streamer-0",
        &settings(SAMPLE, &folder.path().join("a")),
        &queue,
    );
    let mut ledger = Ledger::default();
    ledger
        .collect_until(&queue, "the sample", |ledger| {
            ledger.is_complete(SAMPLE_SIZE)
        })
        .await;
    first.wait_for("an empty spool", is_drained).await;
    first.stop().await;
    // Another spool, as on another node.
    let second = Streamer::start(
        "streamer-0",
        &settings(SAMPLE, &folder.path().join("b")),
        &queue,
    );
    second
        .wait_for("the end", |streamer| {
            let details = streamer.vitals.details();
            details
                .get("source_state")
                .is_some_and(|state| state == "finished")
        })
        .await;
    assert_eq!(second.number("rows_spooled"), 0);
    assert_eq!(queue.depth().await.unwrap().entries, 0);
    second.stop().await;
}

#[tokio::test]
async fn w02_a_bad_file_is_an_error_that_names_the_place_and_bad_rows_are_counted() {
    let folder = TempDir::new().unwrap();
    let queue = SpoolQueue::open(&folder.path().join("queue"), IDLE).unwrap();
    let sample = std::fs::read_to_string(SAMPLE).unwrap();
    let bad = folder.path().join("bad.csv");
    for (content, expected) in [
        (String::new(), "bad.csv:1`: the file is empty"),
        (
            sample.replacen("uuid", "uid", 1),
            "bad.csv:1`: column `uuid` is missing (the file has `uid`)",
        ),
        (
            sample.replacen("gpu_id", "\"gpu_id", 1),
            "bad.csv:1`: the header cannot be read: unbalanced quote",
        ),
    ] {
        std::fs::write(&bad, content).unwrap();
        let streamer = Streamer::start(
            "streamer-0",
            &settings(&bad, &folder.path().join("spool")),
            &queue,
        );
        let error = streamer.task.await.unwrap().unwrap_err();
        let text = telectl::workers::runtime::dependency::chain(&error);
        assert!(text.contains(expected), "{text}");
    }
    let missing = settings(folder.path().join("none.csv"), &folder.path().join("spool"));
    let error = Streamer::start("streamer-0", &missing, &queue)
        .task
        .await
        .unwrap()
        .unwrap_err();
    assert!(error.to_string().contains("none.csv"), "{error}");

    let mut lines: Vec<&str> = sample.lines().collect();
    let long = "x".repeat(10_000_000);
    lines[10] = "\"2025-07-18T20:42:34Z\",\"open";
    lines[20] = &long;
    lines[30] = "a,b";
    let mut bytes = lines.join("\n").into_bytes();
    let last = bytes.len() - 20;
    bytes[last] = 0xff;
    std::fs::write(&bad, &bytes).unwrap();
    let streamer = Streamer::start(
        "streamer-0",
        &settings(&bad, &folder.path().join("spool")),
        &queue,
    );
    let mut ledger = Ledger::default();
    ledger
        .collect_until(&queue, "the file", |ledger| {
            ledger.is_complete(bytes.len() as u64)
        })
        .await;
    streamer.stop().await;
    ledger.assert_tiled("once", bytes.len() as u64);
    assert_eq!(ledger.rows(), 2466);
    assert_eq!(
        (ledger.signed_off[0].rows, ledger.signed_off[0].quarantined),
        (2466, 4)
    );
    let quarantined = ledger.batches.values().flat_map(|batch| &batch.quarantined);
    let lines: Vec<u64> = quarantined.map(|row| row.line).collect();
    assert_eq!(lines, [11, 21, 31, 2471]);
}

#[tokio::test]
async fn w17_a_dead_streamers_claim_expires_and_its_chunk_is_made() {
    let folder = TempDir::new().unwrap();
    let queue = SpoolQueue::open(&folder.path().join("queue"), IDLE).unwrap();
    // A sibling that claimed the first chunk and died.
    let (digest, first_chunk) = {
        let spool = TempDir::new().unwrap();
        let elsewhere = SpoolQueue::open(&spool.path().join("queue"), IDLE).unwrap();
        let streamer = Streamer::start(
            "streamer-0",
            &settings(SAMPLE, &spool.path().join("spool")),
            &elsewhere,
        );
        let mut ledger = Ledger::default();
        ledger
            .collect_until(&elsewhere, "the sample", |ledger| {
                ledger.is_complete(SAMPLE_SIZE)
            })
            .await;
        streamer.stop().await;
        let first = ledger.batches.values().next().unwrap();
        (first.source.to_string(), first.range)
    };
    let key = format!("{digest}/once/{}-{}", first_chunk.start, first_chunk.end);
    let claimed = queue
        .claim(&key, "dead", Duration::from_secs(3))
        .await
        .unwrap();
    assert_eq!(claimed, Claim::Mine);
    let streamer = Streamer::start(
        "streamer-0",
        &settings(SAMPLE, &folder.path().join("spool")),
        &queue,
    );
    let mut ledger = Ledger::default();
    ledger
        .collect_until(&queue, "the other chunks", |ledger| {
            ledger.batches.len() == 24
        })
        .await;
    ledger
        .collect_until(&queue, "the sample", |ledger| {
            ledger.is_complete(SAMPLE_SIZE)
        })
        .await;
    ledger.assert_sample();
    streamer.stop().await;
}
