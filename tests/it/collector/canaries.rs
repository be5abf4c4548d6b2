//! Canaries on their way through a collector.

use std::time::Duration;

use telectl::model::batch::Message;
use telectl::model::canary::{Canary, CanaryId};
use telectl::model::time::EventTime;
use telectl::queue::Queue;
use telectl::queue::embedded::SpoolQueue;
use telectl::store::Store as _;
use tempfile::TempDir;

use crate::servers::eventually;
use crate::store_data::MadeUp;
use crate::store_fixture::{InSqlite, StoreFixture};

use super::{Running, SOON, is_empty, publish, publish_all, servers};

fn canary(number: u64) -> Canary {
    Canary {
        route: Canary::route(number),
        id: CanaryId::of(number.into()),
        cluster: "edge".to_owned(),
        sent_at: EventTime::from(jiff::Timestamp::now()),
    }
}

/// Canaries among data arrive, and count for nothing; one that is delivered twice is stored once.
async fn canaries_arrive_among_data(queue: &impl Queue, fixture: &impl StoreFixture) {
    let source = MadeUp::of("edge", "a.csv", 60);
    publish(queue, Message::Canary(canary(0))).await;
    publish_all(queue, &source.cut(20)).await;
    for number in [1, 2, 2] {
        publish(queue, Message::Canary(canary(number))).await;
    }
    let store = fixture.open();
    let running = Running::start("collector-0", queue.clone(), fixture.open(), None);
    eventually("the queue to be empty", SOON, async || {
        is_empty(queue).await
    })
    .await;
    for (number, deliveries) in [(0, 1), (1, 1), (2, 2)] {
        let found = store.canary(&CanaryId::of(number)).await.unwrap().unwrap();
        assert_eq!(found.deliveries, deliveries, "{found:?}");
        assert_eq!(found.collector, "collector-0");
        assert!(found.sent_at <= found.stored_at, "{found:?}");
    }
    let shown = running.vitals.details()["canaries"].clone();
    assert_eq!(shown.as_array().unwrap().len(), 4, "{shown}");
    assert_eq!(fixture.count("sample"), source.rows());
    assert_eq!(
        fixture.count("dead_letter") + fixture.count("signed_off"),
        0
    );
    assert_eq!(
        store.statistics().await.unwrap().total_records,
        source.rows()
    );
    assert_eq!(running.collected("/batches/stored"), 3);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v10_canaries_arrive_among_data_between_real_servers() {
    let Some((_redis, queue, fixture)) = servers().await else {
        return;
    };
    canaries_arrive_among_data(&queue, &fixture).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v10_canaries_arrive_among_data_in_one_process() {
    let folder = TempDir::new().unwrap();
    let queue = SpoolQueue::open(folder.path(), Duration::from_secs(5)).unwrap();
    let fixture = InSqlite::unprepared().await.unwrap();
    canaries_arrive_among_data(&queue, &fixture).await;
}

/// That a collector knows canaries stands on its status page before it has seen one: whoever sends
/// them looks there first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v10_a_collector_says_that_it_knows_canaries() {
    let folder = TempDir::new().unwrap();
    let queue = SpoolQueue::open(folder.path(), Duration::from_secs(5)).unwrap();
    let fixture = InSqlite::unprepared().await.unwrap();
    let running = Running::start("collector-0", queue, fixture.open(), None);
    eventually("the status page", SOON, async || {
        let details = running.vitals.details();
        details.get("canaries")?.as_array().map(drop)
    })
    .await;
    running.stop().await;
}
