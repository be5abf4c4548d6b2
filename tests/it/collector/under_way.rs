//! What a collector has begun and not ended.

use telectl::queue::Queue as _;
use telectl::queue::redis::Shard;

use super::stuck::StuckStore;
use super::{Running, SOON, is_empty, publish_all, servers};
use crate::servers::eventually;
use crate::store_data::MadeUp;
use crate::store_fixture::StoreFixture as _;

/// While the database is slow, the queue offers a collector its own entries again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w09_a_collector_does_not_take_its_own_work_for_that_of_a_dead_one() {
    let Some((redis, queue, fixture)) = servers().await else {
        return;
    };
    // No more than two transactions: with both under way, a collector that has a third does not ask.
    let source = MadeUp::of("edge", "a.csv", 100);
    publish_all(&queue, &source.cut(20)).await;
    let held = StuckStore::around(fixture.open());
    let running = Running::start("collector-0", queue.clone(), held.clone(), None);
    let shards = redis.settings().shards;
    eventually("an entry to be delivered twice", SOON, async || {
        let is_repeated = |shard| {
            let shard = Shard::of(&redis.settings().pipeline, shard);
            let asked = ["XPENDING", shard.stream(), "collectors", "-", "+", "100"];
            // Of each entry: position, consumer, silence in ms, deliveries.
            let told = redis.cli(&asked);
            let mut deliveries = told.lines().skip(3).step_by(4);
            deliveries.any(|count| count.trim().parse::<u64>().is_ok_and(|count| count > 1))
        };
        (0..shards).any(is_repeated).then_some(())
    })
    .await;
    held.release();
    eventually("the queue to be empty", SOON, async || {
        is_empty(&queue).await
    })
    .await;
    eventually("the count", SOON, async || {
        (running.collected("/batches/stored") == 5).then_some(())
    })
    .await;
    assert_eq!(running.collected("/batches/already_stored"), 0);
    running.stop().await;
    assert_eq!(fixture.count("sample"), source.rows());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w18_a_stop_finishes_both_transactions_that_are_under_way() {
    let Some((_redis, queue, fixture)) = servers().await else {
        return;
    };
    let source = MadeUp::of("edge", "a.csv", 2000);
    publish_all(&queue, &source.cut(50)).await;
    let held = StuckStore::around(fixture.open());
    let running = Running::start("collector-0", queue.clone(), held.clone(), None);
    eventually("two transactions", SOON, async || {
        (held.begun() == 2).then_some(())
    })
    .await;
    running.stop.cancel();
    held.release();
    running.stop().await;
    // Two groups of two batches; whatever is committed is acknowledged.
    let left = queue.depth().await.unwrap().entries;
    assert_eq!((fixture.count("ledger"), left), (4, 36));
}
