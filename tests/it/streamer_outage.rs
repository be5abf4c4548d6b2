//! What a streamer does when it is stopped or killed, and when Redis is.

use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use telectl::config::worker::StreamerSettings;
use telectl::queue::Queue as _;
use telectl::queue::embedded::SpoolQueue;
use tempfile::TempDir;

use crate::servers::eventually;
use crate::servers::redis::RedisServer;
use crate::streamer_harness::{
    LIMIT, Ledger, SAMPLE, SAMPLE_SIZE, Streamer, is_drained, redis, settings, without_takeover,
};

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
    server.cli(&["DEL", "tele:{lab.0}"]);
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
async fn w11_a_streamer_waits_for_room_to_free_its_spool() {
    let folder = TempDir::new().unwrap();
    let (spool, entries) = (folder.path().join("spool"), folder.path().join("queue"));
    let queue = SpoolQueue::open(&entries, LIMIT).unwrap();
    let streamer = Streamer::start("streamer-0", &settings(SAMPLE, &spool), &queue);
    streamer
        .wait_for("all batches", |streamer| {
            streamer.number("batches_published") == 26
        })
        .await;
    let mut ledger = Ledger::default();
    queue.announce_store(&ledger.token).await.unwrap();
    let some = queue.receive("collector", 10, LIMIT).await.unwrap();
    // The file of the marks: it answers as a full disk does.
    let marks = spool.join(format!("{:020}.done", 0));
    symlink("/dev/full", &marks).unwrap();
    queue.acknowledge(&some, &ledger.token).await.unwrap();
    streamer
        .wait_for("a full disk", |streamer| {
            let known = streamer.vitals.dependencies();
            known.get("spool").is_some_and(|spool| !spool.ok)
        })
        .await;
    assert_eq!(streamer.number("spool_undrained"), 26);
    std::fs::remove_file(&marks).unwrap();
    streamer
        .wait_for("some room", |streamer| {
            streamer.number("batches_acknowledged") == 10
        })
        .await;
    assert!(streamer.vitals.is_ready());
    eventually("an empty spool", LIMIT, async || {
        ledger.collect(&queue).await;
        is_drained(&streamer).then_some(())
    })
    .await;
    assert_eq!(streamer.number("batches_acknowledged"), 26);
    streamer.stop().await;
}

#[tokio::test]
async fn w18_stopping_while_redis_is_away_ends_in_time_and_keeps_the_spool() {
    let Some(mut server) = RedisServer::start().await else {
        return;
    };
    server.stop();
    let folder = TempDir::new().unwrap();
    let queue = without_takeover(&server);
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
    assert_eq!(ledger.repeated, Vec::<String>::new());
    assert_eq!(streamer.number("rows_spooled"), 0);
    streamer.stop().await;
}
