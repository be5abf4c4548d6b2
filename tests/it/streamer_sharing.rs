//! How streamers share a source, and how one of them is replaced.

use std::collections::BTreeSet;
use std::time::Duration;

use telectl::config::worker::StreamerSettings;
use telectl::queue::embedded::SpoolQueue;
use telectl::queue::{Claim, Queue as _};
use tempfile::TempDir;

use crate::servers::eventually;
use crate::servers::redis::RedisServer;
use crate::streamer_harness::{
    IDLE, LIMIT, Ledger, SAMPLE, SAMPLE_SIZE, Streamer, is_drained, redis, settings,
    without_takeover,
};

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
    let queue = without_takeover(&server);
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
    assert_eq!(ledger.repeated, Vec::<String>::new());
    assert_eq!(ledger.signed_off.len(), 1);
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
        .claim(&key, "dead", Duration::from_secs(3), None)
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

/// The database was lost with everything in it: what it had is read and published again, although
/// every claim on it was completed.
#[tokio::test]
async fn w10_another_store_gets_everything_again() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let queue = without_takeover(&server);
    let mut lost = Ledger::named("the lost store");
    queue.announce_store(&lost.token).await.unwrap();
    let start = |id: &str| {
        let settings = StreamerSettings {
            replicas: 2,
            ..settings(SAMPLE, &folder.path().join(id))
        };
        Streamer::start(id, &settings, &redis(&server))
    };
    let first = start("streamer-0");
    // The later one still looks after what it left to the first when that begins for the new store.
    first
        .wait_for("everything read", |first| {
            first.number("chunks_left_to_siblings") > 0
        })
        .await;
    let streamers = [first, start("streamer-1")];
    lost.collect_until(&queue, "the sample", |ledger| {
        ledger.is_complete(SAMPLE_SIZE)
    })
    .await;
    for streamer in &streamers {
        streamer.wait_for("an empty spool", is_drained).await;
    }
    let mut anew = Ledger::named("the new store");
    queue.announce_store(&anew.token).await.unwrap();
    anew.collect_until(&queue, "the sample again", |ledger| {
        ledger.is_complete(SAMPLE_SIZE)
    })
    .await;
    anew.assert_sample();
    assert_eq!(anew.repeated, Vec::<String>::new());
    for streamer in streamers {
        streamer.wait_for("an empty spool", is_drained).await;
        streamer.stop().await;
    }
}

/// A collector that was late commits into the lost database what the streamer still had in its spool
/// when it began to read for the new one.
#[tokio::test]
async fn w10_what_was_stored_in_a_lost_database_too_late_is_published_again() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let queue = without_takeover(&server);
    let lost = Ledger::named("the lost store").token;
    queue.announce_store(&lost).await.unwrap();
    let settings = settings(SAMPLE, &folder.path().join("spool"));
    let streamer = Streamer::start("streamer-0", &settings, &queue);
    let mut held = Vec::new();
    eventually("every message", LIMIT, async || {
        held.extend(queue.receive("late", 100, IDLE).await.ok()?);
        (held.len() == 26).then_some(())
    })
    .await;
    let late = held.split_off(13);
    queue.acknowledge(&held, &lost).await.unwrap();
    streamer
        .wait_for("half an empty spool", |streamer| {
            streamer.number("spool_undrained") == 13
        })
        .await;
    let mut anew = Ledger::named("the new store");
    anew.collect_until(&queue, "the first half again", |ledger| {
        ledger.batches.len() >= 12
    })
    .await;
    queue.acknowledge(&late, &lost).await.unwrap();
    anew.collect_until(&queue, "the sample", |ledger| {
        ledger.is_complete(SAMPLE_SIZE)
    })
    .await;
    anew.assert_sample();
    // What was published twice is still on its way.
    eventually("an empty spool", LIMIT, async || {
        anew.collect(&queue).await;
        is_drained(&streamer).then_some(())
    })
    .await;
    streamer.stop().await;
}
