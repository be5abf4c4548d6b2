//! Redis Cluster: masters that die, slots that move.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use telectl::config::worker::RedisSettings;
use telectl::queue::redis::RedisQueue;
use telectl::queue::{Queue as _, QueueError};

use super::Line;
use crate::conformance::queue::{self as suite, IDLE};
use crate::program::LIMIT;
use crate::queue::chain;
use crate::servers::eventually;
use crate::servers::redis_cluster::RedisCluster;

/// Longest time from a fault until rows are stored again.
const RECOVERY: Duration = Duration::from_secs(15);
const ROWS: u64 = 100_000;

/// Each of the suite's tests has a pipeline of its own, and so two slots of its own.
macro_rules! conformance {
    ($cluster:expr, $($name:ident,)*) => {
        $(
            let settings = RedisSettings {
                claim_idle: IDLE,
                ..$cluster.settings(stringify!($name))
            };
            suite::$name(RedisQueue::new(&settings).expect("sound settings")).await;
        )*
    };
}

#[tokio::test]
async fn w08_a_cluster_is_a_queue_like_any_other() {
    let Some(cluster) = RedisCluster::start().await else {
        return;
    };
    conformance! {
        cluster,
        w08_an_entry_stays_until_it_is_acknowledged,
        acknowledgements_are_told_until_they_are_forgotten,
        a_published_entry_can_be_looked_for,
        consumers_share_the_entries,
        w09_entries_of_a_silent_consumer_are_taken_over,
        receiving_waits_for_entries,
        an_entry_between_two_calls_is_not_lost,
        w09_a_dead_entry_is_set_aside,
        w17_a_claim_is_held_by_one,
        w17_work_is_completed_into_one_store,
        v10_canaries_take_the_way_of_data_and_leave_nothing,
    }
    let elsewhere = RedisSettings {
        database: 3,
        ..cluster.settings("lab")
    };
    let refused = RedisQueue::new(&elsewhere).err().expect("no such database");
    assert!(
        refused.to_string().contains("no database but number 0"),
        "{refused}"
    );
}

/// Who is told one node of a cluster as if it were all is told what it is.
#[tokio::test]
async fn w19_a_node_that_is_taken_for_a_single_server_says_what_it_is() {
    let Some(cluster) = RedisCluster::start().await else {
        return;
    };
    let owner = cluster.owner("tele:{lab.0}").await;
    let other = cluster.nodes[(owner + 1) % 3].settings();
    let queue = RedisQueue::new(&other).expect("sound settings");
    let refused: QueueError = queue.publish(suite::entry(0)).await.expect_err("not there");
    let says = chain(&refused);
    assert!(says.contains("REDIS_CLUSTER_NODES"), "{says}");
}

#[tokio::test]
async fn w19_a_master_of_a_cluster_dies_and_every_row_is_stored_once() {
    let Some(mut cluster) = RedisCluster::start().await else {
        return;
    };
    let Some(line) = Line::start(&cluster.environment(), ROWS, "10ms").await else {
        return;
    };
    line.until_stored(5_000).await;
    let owner = cluster.owner("tele:{lab.0}").await;
    let killed = Instant::now();
    cluster.nodes[owner].stop();
    line.until_flow().await;
    // Of that shard, too.
    let successor = cluster.owner("tele:{lab.0}").await;
    assert_ne!(successor, owner);
    let recovery = killed.elapsed();
    assert!(recovery < RECOVERY, "{recovery:?}");
    let (streamer, collector) = line.finish().await;
    for log in [&streamer, &collector] {
        assert!(log.contains("another server has the queue"), "{log}");
        assert!(!log.contains("canary"), "{log}");
    }
    let said = collector
        .lines()
        .find(|line| line.contains("the owner of `tele:{lab.0}`, says"));
    assert!(
        said.is_some(),
        "errors tell who named the server: {collector}"
    );
}

/// The stream and its token are at the new owner already, and the slot is still the old one's: `ASK`
/// leads there, for reads that wait, too. What needs keys of both waits.
#[tokio::test]
async fn w19_a_shard_between_two_nodes_is_written_and_read() {
    let Some(cluster) = RedisCluster::start().await else {
        return;
    };
    let queue = RedisQueue::new(&cluster.settings("lab")).expect("sound settings");
    let publish = async |sequence| {
        let published = queue.publish(suite::entry(sequence)).await;
        published.expect("it is published")
    };
    let before = publish(0).await;
    let first = suite::receive(&queue, "a", 1).await;
    let stream = "tele:{lab.0}";
    let (slot, from) = (cluster.slot(stream), cluster.owner(stream).await);
    let to = (from + 1) % 3;
    cluster.begin_move(&slot, from, to);
    cluster.move_key(stream, from, to);
    let answer = cluster.nodes[from].cli(&["EXISTS", stream]);
    assert!(answer.contains("ASK"), "{answer}");
    cluster.move_key(&format!("{stream}:token"), from, to);
    let reading = suite::receive(&queue, "a", 1);
    let (after, second) = tokio::join!(publish(2), reading);
    assert_eq!(before.token, after.token);
    assert_eq!(suite::sequences(&second), BTreeSet::from([2]));
    let both: Vec<_> = first.into_iter().chain(second).collect();
    let store = suite::store_token();
    let acknowledging = async {
        let told = queue.acknowledge(&both, &store).await;
        told.expect("it waits until all keys are on one node");
    };
    let moving = async {
        // It is under way, and told to try again.
        tokio::task::yield_now().await;
        cluster.end_move(&slot, from, to);
    };
    tokio::join!(acknowledging, moving);
    let depth = queue.depth().await.expect("it answers");
    assert_eq!((depth.entries, depth.pending), (0, 0));
}

#[tokio::test]
async fn w19_slots_move_while_rows_flow_and_every_row_is_stored_once() {
    let Some(cluster) = RedisCluster::start().await else {
        return;
    };
    let Some(line) = Line::start(&cluster.environment(), ROWS, "10ms").await else {
        return;
    };
    line.until_stored(5_000).await;
    let stream = "tele:{lab.0}";
    let (slot, from) = (cluster.slot(stream), cluster.owner(stream).await);
    let to = (from + 1) % 3;
    let begun = Instant::now();
    cluster.begin_move(&slot, from, to);
    // The stream alone is there until the workers have met it.
    cluster.move_key(stream, from, to);
    eventually("workers that are told to try again", LIMIT, async || {
        let told = cluster.nodes[from].cli(&["INFO", "errorstats"]);
        told.contains("errorstat_TRYAGAIN").then_some(())
    })
    .await;
    cluster.end_move(&slot, from, to);
    line.until_flow().await;
    assert_eq!(cluster.owner(stream).await, to);
    // And the shard's neighbours, by the tool that people use.
    cluster.reshard(from, to);
    line.until_flow().await;
    let took = begun.elapsed();
    assert!(took < 3 * RECOVERY, "{took:?}");
    let (streamer, _) = line.finish().await;
    assert!(
        !streamer.contains("publishing again"),
        "nothing is lost by moving: {streamer}"
    );
}
