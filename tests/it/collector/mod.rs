//! The collector between a real queue and a real store.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use telectl::config::worker::{
    AdvertiseSettings, CollectorSettings, IdentitySettings, UpkeepSettings,
};
use telectl::model::batch::{Batch, Message};
use telectl::model::source::IncarnationId;
use telectl::queue::embedded::SpoolQueue;
use telectl::queue::redis::RedisQueue;
use telectl::queue::{Entry, Queue, codec};
use telectl::store::Store;
use telectl::store::postgres::PostgresStore;
use telectl::workers::collector::streamers::Streamers;
use telectl::workers::collector::{self, CollectorError};
use telectl::workers::vitals::Vitals;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::servers::eventually;
use crate::servers::postgres::PostgresServer;
use crate::servers::redis::RedisServer;
use crate::store_data::{MadeUp, RealFile};
use crate::store_fixture::{InPostgres, InSqlite, StoreFixture};

mod canaries;
mod refusals;
mod stuck;
mod under_way;

use stuck::StuckStore;

const SOON: Duration = Duration::from_secs(30);

/// A collector that runs in this process.
struct Running {
    stop: CancellationToken,
    vitals: Vitals,
    task: JoinHandle<Result<(), CollectorError>>,
}

impl Running {
    fn start<Q: Queue, S: Store>(id: &str, queue: Q, store: S, pace: Option<Duration>) -> Self {
        let (stop, vitals) = (CancellationToken::new(), Vitals::default());
        let (token, told, id) = (stop.clone(), vitals.clone(), id.to_owned());
        let settings = CollectorSettings {
            batch_size: 100,
            poll_interval: Duration::from_millis(200),
            pace,
            upkeep: UpkeepSettings::default(),
        };
        let task = tokio::spawn(async move {
            let identity = identity(id);
            let streamers = Streamers::of("lab", &told);
            collector::run(&settings, &identity, queue, store, streamers, told, token).await
        });
        Self { stop, vitals, task }
    }

    async fn stop(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(SOON, self.task).await;
        ended.expect("it stops in time").unwrap().unwrap();
    }

    /// As kill -9 would: wherever it is.
    async fn kill(self) {
        self.task.abort();
        drop(self.task.await);
    }

    fn collected(&self, pointer: &str) -> u64 {
        let details = self.vitals.details();
        let collected = details.get("collected").cloned().unwrap_or_default();
        collected
            .pointer(pointer)
            .and_then(serde_json::Value::as_u64)
            .unwrap_or(0)
    }
}

fn identity(id: String) -> IdentitySettings {
    IdentitySettings {
        cluster_id: "central".to_owned(),
        namespace: None,
        id,
        listen_port: 0,
        tls_folder: None,
        advertise: AdvertiseSettings::default(),
        shutdown_grace: Duration::from_secs(5),
        log_level: "info".to_owned(),
        log_json: false,
    }
}

async fn publish(queue: &impl Queue, message: Message) {
    let id = message.id().clone();
    let payload = codec::encode(&message).unwrap();
    queue.publish(Entry { id, payload }).await.unwrap();
}

async fn publish_all(queue: &impl Queue, batches: &[Batch]) {
    for batch in batches {
        publish(queue, Message::Batch(batch.clone())).await;
    }
}

async fn is_empty(queue: &impl Queue) -> Option<()> {
    (queue.depth().await.ok()?.entries == 0).then_some(())
}

/// Both servers; `None` where one is not installed.
async fn servers() -> Option<(RedisServer, RedisQueue, InPostgres)> {
    let redis = RedisServer::start().await?;
    let fixture = InPostgres::unprepared().await?;
    let queue = RedisQueue::new(&redis.settings()).unwrap();
    Some((redis, queue, fixture))
}

/// Everything of a source arrives, is signed off, and leaves the queue acknowledged.
async fn a_source_is_collected(queue: &impl Queue, fixture: &impl StoreFixture) {
    let file = RealFile::read("edge");
    publish_all(queue, &file.cut(100)).await;
    let source = MadeUp::of("edge", "a.csv", 300);
    publish(queue, Message::SignedOff(source.signed_off())).await;
    publish_all(queue, &source.cut(40)).await;
    let running = Running::start("collector-0", queue.clone(), fixture.open(), None);
    eventually("the queue to be empty", SOON, async || {
        is_empty(queue).await
    })
    .await;
    let rows = 2470 + source.rows();
    assert_eq!(fixture.count("sample"), rows);
    assert_eq!(fixture.count("signed_off"), 1);
    eventually("the count", SOON, async || {
        (running.collected("/rows") == rows).then_some(())
    })
    .await;
    assert!(running.vitals.is_ready());
    running.stop().await;
    let incarnation = IncarnationId("real-edge".to_owned());
    let acknowledged = queue.acknowledgements(&incarnation).await.unwrap();
    assert_eq!(acknowledged.sequences.len(), 25);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w08_a_source_is_collected_from_redis_into_postgresql() {
    if let Some((_redis, queue, fixture)) = servers().await {
        a_source_is_collected(&queue, &fixture).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w08_a_source_is_collected_from_the_spool_into_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let queue = SpoolQueue::open(folder.path(), Duration::from_secs(2)).unwrap();
    let fixture = InSqlite::unprepared().await.unwrap();
    a_source_is_collected(&queue, &fixture).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w08_a_crash_between_commit_and_acknowledgement_adds_nothing() {
    let Some((_redis, queue, fixture)) = servers().await else {
        return;
    };
    let store = fixture.open();
    store.migrate().await.unwrap();
    let source = MadeUp::of("edge", "a.csv", 100);
    publish_all(&queue, &source.cut(20)).await;
    // Somebody receives, commits, and is gone.
    let mut taken = 0;
    while taken < 3 {
        for delivery in queue
            .receive("dead", 3, Duration::from_secs(1))
            .await
            .unwrap()
        {
            let Message::Batch(batch) = codec::decode(&delivery.entry.payload).unwrap() else {
                panic!("only batches were published")
            };
            store.store(&[batch]).await.unwrap();
            taken += 1;
        }
    }
    let running = Running::start("collector-0", queue.clone(), store, None);
    eventually("the queue to be empty", SOON, async || {
        is_empty(&queue).await
    })
    .await;
    assert_eq!(fixture.count("sample"), source.rows());
    eventually("the counts", SOON, async || {
        (running.collected("/batches/already_stored") == taken).then_some(())
    })
    .await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w08_kills_at_any_moment_lose_and_double_nothing() {
    let Some((_redis, queue, fixture)) = servers().await else {
        return;
    };
    let source = MadeUp::of("edge", "a.csv", 6000);
    publish_all(&queue, &source.cut(25)).await;
    // Two at a time, under the names of those before, each time in the middle of their work.
    for _ in 0..10 {
        let names = ["collector-0", "collector-1"];
        let running = names.map(|name| Running::start(name, queue.clone(), fixture.open(), None));
        eventually("some work to be done", SOON, async || {
            let done = |one: &Running| {
                one.collected("/rows") + one.collected("/batches/already_stored") > 0
            };
            running.iter().any(done).then_some(())
        })
        .await;
        for one in running {
            one.kill().await;
        }
    }
    let running = Running::start("collector-2", queue.clone(), fixture.open(), None);
    eventually("the queue to be empty", SOON, async || {
        is_empty(&queue).await
    })
    .await;
    running.stop().await;
    assert_eq!(fixture.count("sample"), source.rows());
    let progress = fixture.open().sources().await.unwrap();
    assert_eq!(progress[0].covered_bytes, source.size());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w08_nothing_is_acknowledged_before_its_commit() {
    let folder = tempfile::tempdir().unwrap();
    let queue = SpoolQueue::open(folder.path(), Duration::from_millis(200)).unwrap();
    let fixture = InSqlite::prepared().await.unwrap();
    let source = MadeUp::of("edge", "a.csv", 50);
    publish_all(&queue, &source.cut(10)).await;
    // Its first transaction never ends.
    let stuck = StuckStore::around(fixture.open());
    let entered = stuck.entered.clone();
    let running = Running::start("collector-0", queue.clone(), stuck, None);
    tokio::time::timeout(SOON, entered.notified())
        .await
        .unwrap();
    let incarnation = IncarnationId("incarnation-of-a.csv".to_owned());
    let known = queue.acknowledgements(&incarnation).await.unwrap();
    assert!(known.sequences.is_empty(), "{known:?}");
    assert_eq!(queue.depth().await.unwrap().entries, 5);
    running.kill().await;
    let running = Running::start("collector-1", queue.clone(), fixture.open(), None);
    eventually("the queue to be empty", SOON, async || {
        is_empty(&queue).await
    })
    .await;
    running.stop().await;
    assert_eq!(fixture.count("sample"), source.rows());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w08_a_database_that_is_down_is_waited_for() {
    let (Some(redis), Some(mut server)) = (
        RedisServer::start().await,
        PostgresServer::start(None).await,
    ) else {
        return;
    };
    let queue = RedisQueue::new(&redis.settings()).unwrap();
    let settings = server.database();
    let store = PostgresStore::new(&settings).unwrap();
    server.stop();
    let source = MadeUp::of("edge", "a.csv", 200);
    publish_all(&queue, &source.cut(20)).await;
    let running = Running::start("collector-0", queue.clone(), store, None);
    // Down at the start: it waits for the schema.
    let failed = async || {
        let state = running.vitals.dependencies().get("store").cloned()?;
        (!state.ok).then_some(state.detail)
    };
    let reason = eventually("the failure to be noted", SOON, failed).await;
    assert!(reason.contains("refused"), "{reason}");
    assert!(!running.vitals.is_ready());
    assert_eq!(queue.depth().await.unwrap().entries, 10);
    server.start_again().await;
    eventually("the queue to be empty", SOON, async || {
        is_empty(&queue).await
    })
    .await;
    // Down in between: what is delivered stays pending.
    server.stop();
    let other = MadeUp::of("edge", "b.csv", 200);
    publish_all(&queue, &other.cut(20)).await;
    eventually("the failure to be noted", SOON, failed).await;
    assert_eq!(queue.depth().await.unwrap().entries, 10);
    assert_eq!(queue.depth().await.unwrap().dead, 0);
    server.start_again().await;
    eventually("the queue to be empty", SOON, async || {
        is_empty(&queue).await
    })
    .await;
    assert!(running.vitals.is_ready());
    running.stop().await;
    let count = server.sql(&settings.name, "SELECT count(*) FROM sample");
    assert_eq!(count, (source.rows() + other.rows()).to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w18_a_stop_finishes_and_acknowledges_what_is_under_way() {
    let Some((_redis, queue, fixture)) = servers().await else {
        return;
    };
    let source = MadeUp::of("edge", "a.csv", 2000);
    publish_all(&queue, &source.cut(50)).await;
    let pace = Some(Duration::from_millis(100));
    let running = Running::start("collector-0", queue.clone(), fixture.open(), pace);
    eventually("some batches", SOON, async || {
        (running.collected("/batches/stored") >= 4).then_some(())
    })
    .await;
    running.stop().await;
    // Slowed down on purpose, so that the stop comes in the middle.
    let left = queue.depth().await.unwrap().entries;
    assert!(left > 0, "everything was stored before the stop");
    // Whatever is committed is acknowledged: nothing of it is delivered again.
    assert_eq!(fixture.count("ledger"), 40 - left);
    let running = Running::start("collector-1", queue.clone(), fixture.open(), None);
    eventually("the queue to be empty", SOON, async || {
        is_empty(&queue).await
    })
    .await;
    assert_eq!(running.collected("/batches/already_stored"), 0);
    running.stop().await;
    assert_eq!(fixture.count("sample"), source.rows());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w19_a_queue_that_lost_its_data_is_waited_for_and_served_again() {
    let Some((mut redis, queue, fixture)) = servers().await else {
        return;
    };
    let source = MadeUp::of("edge", "a.csv", 200);
    publish_all(&queue, &source.cut(20)).await;
    let running = Running::start("collector-0", queue.clone(), fixture.open(), None);
    eventually("the queue to be empty", SOON, async || {
        is_empty(&queue).await
    })
    .await;
    redis.stop();
    eventually("the failure to be noted", SOON, async || {
        let state = running.vitals.dependencies().get("queue").cloned()?;
        (!state.ok).then_some(())
    })
    .await;
    redis.start_again().await;
    // The spool publishes again what it does not know to be stored.
    eventually("the queue", SOON, async || queue.ping().await.ok()).await;
    publish_all(&queue, &source.cut(20)).await;
    eventually("all to be acknowledged", SOON, async || {
        let incarnation = IncarnationId("incarnation-of-a.csv".to_owned());
        let known = queue.acknowledgements(&incarnation).await.ok()?;
        (known.sequences.len() == 10).then_some(())
    })
    .await;
    running.stop().await;
    assert_eq!(fixture.count("sample"), source.rows());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o02_the_metrics_say_what_was_done() {
    let folder = tempfile::tempdir().unwrap();
    let queue = SpoolQueue::open(folder.path(), Duration::from_secs(2)).unwrap();
    let fixture = InSqlite::unprepared().await.unwrap();
    publish_all(&queue, &MadeUp::of("edge", "a.csv", 60).cut(20)).await;
    let running = Running::start("collector-0", queue.clone(), fixture.open(), None);
    eventually("the queue to be empty", SOON, async || {
        is_empty(&queue).await
    })
    .await;
    let vitals = running.vitals.clone();
    running.stop().await;
    let mut metrics = String::new();
    vitals
        .with_metrics(|registry| prometheus_client::encoding::text::encode(&mut metrics, registry))
        .unwrap();
    for expected in [
        "telectl_collector_rows_total 55",
        "telectl_collector_batches_total{outcome=\"stored\"} 3",
        "message_queue_connection_status{cluster=\"central\",component=\"collector\"} 1",
        "telectl_collector_commit_seconds_count ",
        "telectl_queue_oldest_entry_seconds ",
    ] {
        assert!(metrics.contains(expected), "{expected} in {metrics}");
    }
}
