//! Sources that are many files, or none.

use std::path::Path;
use std::time::Duration;

use telectl::config::worker::{GenerateSettings, SourceSettings, StreamerSettings};
use telectl::queue::embedded::SpoolQueue;
use tempfile::TempDir;

use crate::streamer_harness::{Ledger, Streamer, is_drained, settings};

const HEADER: &str = "timestamp,metric_name,gpu_id,uuid,Hostname,value\n";

/// A file of as many rows, put into place whole.
fn put(folder: &Path, name: &str, rows: usize) {
    let rows = (0..rows).map(|row| format!("2025-07-18T20:42:34Z,{name},0,GPU-{row},h,{row}\n"));
    let text: String = std::iter::once(HEADER.to_owned()).chain(rows).collect();
    replace(folder, name, &text);
}

fn replace(folder: &Path, name: &str, text: &str) {
    let hidden = folder.join(format!(".{name}"));
    std::fs::write(&hidden, text).expect("a file");
    std::fs::rename(hidden, folder.join(name)).expect("it is put into place");
}

/// How many rows of each file arrived, by its name, which its metric is called like.
fn rows_of(ledger: &Ledger, name: &str) -> usize {
    let batches = ledger.batches.values();
    let of_file = batches.filter(|batch| batch.source.name == name);
    of_file.map(|batch| batch.rows.len()).sum()
}

/// A queue in a folder of its own, as the demo has it.
fn queue(folder: &TempDir) -> SpoolQueue {
    let idle = Duration::from_secs(60);
    SpoolQueue::open(&folder.path().join("queue"), idle).expect("a queue")
}

#[tokio::test]
async fn w01_the_files_of_a_folder_are_streamed_and_those_that_come_later() {
    let folder = TempDir::new().unwrap();
    let files = folder.path().join("in");
    std::fs::create_dir(&files).unwrap();
    put(&files, "a.csv", 250);
    replace(&files, "b.csv", "no,header,of,ours\n1,2,3,4\n");
    put(&files, "c.csv", 30);
    let queue = queue(&folder);
    let start = |id: &str| {
        let settings = StreamerSettings {
            replicas: 2,
            ..settings(&files, &folder.path().join(id))
        };
        Streamer::start(id, &settings, &queue)
    };
    let streamers = [start("streamer-0"), start("streamer-1")];
    let mut ledger = Ledger::default();
    ledger
        .collect_until(&queue, "two files", |ledger| ledger.signed_off.len() >= 2)
        .await;
    put(&files, "d.csv", 7);
    // Mended meanwhile.
    put(&files, "b.csv", 5);
    ledger
        .collect_until(&queue, "four files", |ledger| ledger.signed_off.len() >= 4)
        .await;
    let counts = ["a.csv", "b.csv", "c.csv", "d.csv"].map(|name| rows_of(&ledger, name));
    assert_eq!(counts, [250, 5, 30, 7]);
    assert_eq!(ledger.repeated, Vec::<String>::new());
    for streamer in streamers {
        streamer.wait_for("an empty spool", is_drained).await;
        streamer.stop().await;
    }
}

#[tokio::test]
async fn w01_a_file_that_cannot_be_streamed_is_told_and_one_that_grew_is_not_stored_twice() {
    let folder = TempDir::new().unwrap();
    let files = folder.path().join("in");
    std::fs::create_dir(&files).unwrap();
    put(&files, "a.csv", 20);
    let queue = queue(&folder);
    let settings = settings(files.join("*.csv"), &folder.path().join("spool"));
    let streamer = Streamer::start("streamer-0", &settings, &queue);
    let mut ledger = Ledger::default();
    ledger
        .collect_until(&queue, "one file", |ledger| ledger.signed_off.len() == 1)
        .await;
    replace(&files, "b.csv", "");
    std::os::unix::fs::symlink("d.csv", files.join("d.csv")).unwrap();
    let grown = std::fs::read_to_string(files.join("a.csv")).unwrap();
    let more = format!("{grown}2025-07-18T20:42:35Z,a.csv,0,GPU-0,h,1\n");
    replace(&files, "a.csv", &more);
    put(&files, "c.csv", 3);
    let mut told = String::new();
    streamer
        .wait_for("three files set aside", |streamer| {
            told = streamer.vitals.details()["sources_set_aside"].to_string();
            ["a.csv", "b.csv", "d.csv"]
                .iter()
                .all(|name| told.contains(name))
        })
        .await;
    assert!(told.contains("grew after it was streamed"), "{told}");
    assert!(told.contains("the file is empty"), "{told}");
    ledger
        .collect_until(&queue, "the other file", |ledger| {
            ledger.signed_off.len() == 2
        })
        .await;
    assert_eq!(
        ["a.csv", "c.csv"].map(|name| rows_of(&ledger, name)),
        [20, 3]
    );
    streamer.stop().await;
}

fn generating(made_up: &GenerateSettings, spool: &Path) -> StreamerSettings {
    StreamerSettings {
        source: SourceSettings::Generated(made_up.clone()),
        replicas: 3,
        ..settings("", spool)
    }
}

#[tokio::test]
async fn w21_made_up_telemetry_arrives_once_although_its_streamer_was_killed() {
    let folder = TempDir::new().unwrap();
    let queue = queue(&folder);
    let made_up = GenerateSettings {
        rows: 3000,
        ..GenerateSettings::default()
    };
    let settings = generating(&made_up, &folder.path().join("spool"));
    let mut ledger = Ledger::default();
    let streamer = Streamer::start("streamer-1", &settings, &queue);
    ledger
        .collect_until(&queue, "a part of it", |ledger| ledger.batches.len() >= 3)
        .await;
    streamer.kill().await;
    let streamer = Streamer::start("streamer-1", &settings, &queue);
    ledger
        .collect_until(&queue, "all of it", |ledger| !ledger.signed_off.is_empty())
        .await;
    ledger
        .collect_until(&queue, "every row", |ledger| ledger.rows() >= 3000)
        .await;
    let signed_off = &ledger.signed_off[0];
    assert_eq!((signed_off.rows, signed_off.quarantined), (3000, 0));
    ledger.assert_tiled("once", signed_off.size);
    assert_eq!(ledger.rows(), 3000);
    assert_eq!(signed_off.source.name, "generated-streamer-1");
    streamer.stop().await;
}

#[tokio::test]
async fn w21_in_loop_mode_made_up_telemetry_goes_on_as_time_does() {
    let folder = TempDir::new().unwrap();
    let queue = queue(&folder);
    let made_up = GenerateSettings {
        hosts: 1,
        gpus: 2,
        rows: 40,
        interval: Duration::from_millis(100),
    };
    let settings = StreamerSettings {
        loop_mode: true,
        ..generating(&made_up, &folder.path().join("spool"))
    };
    let streamer = Streamer::start("streamer-0", &settings, &queue);
    let mut ledger = Ledger::default();
    ledger
        .collect_until(&queue, "five rounds", |ledger| ledger.signed_off.len() >= 5)
        .await;
    let batches = ledger.batches.values();
    let mut times: Vec<i64> = batches
        .flat_map(|batch| batch.rows.time.iter().map(|time| time.0))
        .collect();
    times.sort_unstable();
    times.dedup();
    let steps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(steps.iter().all(|step| *step == 100_000), "{steps:?}");
    let now = jiff::Timestamp::now().as_microsecond();
    assert!(times.last().is_some_and(|last| *last <= now));
    streamer.stop().await;
}
