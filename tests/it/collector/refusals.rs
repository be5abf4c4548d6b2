//! What a collector does not store.

use std::time::Duration;

use telectl::model::batch::Message;
use telectl::model::source::{BatchId, IncarnationId};
use telectl::queue::embedded::SpoolQueue;
use telectl::queue::{Entry, Queue as _};
use telectl::store::Store as _;
use telectl::workers::collector::CollectorError;

use crate::servers::eventually;
use crate::store_data::MadeUp;
use crate::store_fixture::{InSqlite, StoreFixture as _};

use super::{Running, SOON, is_empty, publish, publish_all, servers};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w09_poison_is_set_aside_with_its_bytes_and_the_rest_flows_on() {
    let Some((_redis, queue, fixture)) = servers().await else {
        return;
    };
    let source = MadeUp::of("edge", "a.csv", 60);
    let batches = source.cut(20);
    let running = Running::start("collector-0", queue.clone(), fixture.open(), None);
    publish_all(&queue, &batches[..1]).await;
    eventually("the first to be stored", SOON, async || {
        is_empty(&queue).await
    })
    .await;
    let garbage = Entry {
        id: BatchId {
            incarnation: IncarnationId("garbage".to_owned()),
            sequence: 7,
        },
        payload: bytes::Bytes::from_static(b"\x00 not a message \xff"),
    };
    queue.publish(garbage.clone()).await.unwrap();
    let mut contradicts = batches[0].clone();
    contradicts.checksum += 1;
    contradicts.id.sequence = 77_777;
    publish(&queue, Message::Batch(contradicts)).await;
    publish_all(&queue, &batches[1..]).await;
    eventually("the queue to be empty", SOON, async || {
        is_empty(&queue).await
    })
    .await;
    assert_eq!(fixture.count("sample"), source.rows());
    assert_eq!(queue.depth().await.unwrap().dead, 2);
    assert_eq!(fixture.count("dead_letter"), 2);
    let kept = fixture.sql("SELECT encode(payload, 'hex') FROM dead_letter WHERE sequence = 7");
    assert_eq!(kept, hex::encode(&garbage.payload));
    let reason = fixture.sql("SELECT reason FROM dead_letter WHERE sequence = 77777");
    assert!(reason.contains("another checksum"), "{reason}");
    eventually("the count", SOON, async || {
        (running.collected("/dead_letters") == 2).then_some(())
    })
    .await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w09_a_series_collision_stops_only_the_batch_that_has_it() {
    let Some((_redis, queue, fixture)) = servers().await else {
        return;
    };
    let store = fixture.open();
    store.migrate().await.unwrap();
    let collides = MadeUp::of("edge", "a.csv", 20);
    store.store(&[collides.batch(0..10)]).await.unwrap();
    fixture.sql("UPDATE series SET pod = 'other' WHERE metric = 'METRIC_0' AND gpu_id = '0'");
    let sound = MadeUp::of("edge-2", "b.csv", 20);
    let all = [
        sound.batch(0..10),
        collides.batch(10..20),
        sound.batch(10..20),
    ];
    publish_all(&queue, &all).await;
    let running = Running::start("collector-0", queue.clone(), fixture.open(), None);
    eventually("the queue to be empty", SOON, async || {
        is_empty(&queue).await
    })
    .await;
    running.stop().await;
    assert_eq!(fixture.count("sample"), 10 + sound.rows());
    let reason = fixture.sql("SELECT reason FROM dead_letter");
    assert!(reason.contains("pod=other"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w12_a_schema_of_a_newer_version_ends_the_collector() {
    let folder = tempfile::tempdir().unwrap();
    let queue = SpoolQueue::open(folder.path(), Duration::from_secs(2)).unwrap();
    let fixture = InSqlite::prepared().await.unwrap();
    fixture.sql("INSERT INTO store_schema (version) VALUES (99)");
    let running = Running::start("collector-0", queue, fixture.open(), None);
    let ended = tokio::time::timeout(SOON, running.task)
        .await
        .unwrap()
        .unwrap();
    assert!(matches!(ended, Err(CollectorError::Store(_))), "{ended:?}");
}
