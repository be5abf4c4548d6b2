//! The streamer, from the real file to the queue.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use telectl::config::worker::StreamerSettings;
use telectl::queue::embedded::SpoolQueue;
use tempfile::TempDir;

use crate::servers::eventually;
use crate::streamer_harness::{
    IDLE, LIMIT, Ledger, SAMPLE, SAMPLE_SIZE, Streamer, is_drained, settings,
};

#[tokio::test]
async fn w02_w15_the_sample_file_arrives_completely_and_the_spool_is_freed() {
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
    for detail in ["chunks_total", "chunks_claimed", "chunks_completed"] {
        assert_eq!(streamer.number(detail), 25, "{detail}");
    }
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
async fn w02_a_bad_file_is_an_error_that_names_the_place() {
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
        let text = telectl::model::causes::chain(&error);
        assert!(text.contains(expected), "{text}");
    }
    let missing = settings(folder.path().join("none.csv"), &folder.path().join("spool"));
    let error = Streamer::start("streamer-0", &missing, &queue)
        .task
        .await
        .unwrap()
        .unwrap_err();
    assert!(error.to_string().contains("none.csv"), "{error}");
}

#[tokio::test]
async fn w02_bad_rows_are_quarantined_with_their_lines_and_the_rest_arrives() {
    let folder = TempDir::new().unwrap();
    let queue = SpoolQueue::open(&folder.path().join("queue"), IDLE).unwrap();
    let sample = std::fs::read_to_string(SAMPLE).unwrap();
    let bad = folder.path().join("bad.csv");
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
