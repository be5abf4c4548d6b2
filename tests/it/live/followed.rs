//! Files that are followed as they grow. Each row has a number of its own as its value.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::program::LIMIT;
use crate::servers::eventually;

use super::Live;

const HEADER: &str = "timestamp,metric_name,gpu_id,uuid,Hostname,value\n";

/// Writes numbered rows.
struct Writer {
    path: PathBuf,
    file: File,
    next: u64,
}

impl Writer {
    /// Appends to a file that is there, from this value on.
    fn again(path: PathBuf, next: u64) -> Self {
        let file = OpenOptions::new().append(true).open(&path).unwrap();
        Self { path, file, next }
    }

    /// Begins a file at a number.
    fn begin(path: PathBuf, next: u64) -> Self {
        let mut file = File::create(&path).unwrap();
        file.write_all(HEADER.as_bytes()).unwrap();
        Self { path, file, next }
    }

    fn rows(&mut self, count: u64) {
        let text: String = (self.next..self.next + count).map(row).collect();
        self.next += count;
        self.text(&text);
    }

    fn text(&mut self, text: &str) {
        self.file.write_all(text.as_bytes()).unwrap();
    }

    /// Renames the file, which is still written to.
    fn rename(&mut self, path: PathBuf) {
        std::fs::rename(&self.path, &path).unwrap();
        self.path = path;
    }
}

/// A row of its own second, so that times do not tie.
fn row(number: u64) -> String {
    let (hour, minute, second) = (number / 3600, number / 60 % 60, number % 60);
    let gpu = number % 4;
    format!("2025-07-18T{hour:02}:{minute:02}:{second:02}Z,UTIL,{gpu},GPU-{gpu},host,{number}\n")
}

async fn following(what: impl Fn(&Path) -> PathBuf) -> Option<Live> {
    Live::start(|folder| {
        vec![
            ("CSV_FILE", what(folder).to_str().unwrap().to_owned()),
            ("FOLLOW", "true".to_owned()),
            ("FOLLOW_LINGER", "50ms".to_owned()),
            ("FOLLOW_GRACE", "500ms".to_owned()),
            ("BATCH_SIZE", "7".to_owned()),
        ]
    })
    .await
}

fn file(folder: &Path) -> PathBuf {
    folder.join("a.csv")
}

#[tokio::test]
async fn a_growing_file_is_stored_as_it_grows_and_a_line_waits_for_its_end() {
    let Some(mut live) = following(file).await else {
        return;
    };
    live.streamer("streamer-0").await;
    let mut writer = Writer::begin(file(live.folder.path()), 0);
    for rows in [1, 40, 3] {
        writer.rows(rows);
        live.assert_stored(writer.next).await;
    }
    let partial = row(writer.next);
    let (first, _) = partial.split_at(40);
    // All but its end looks like a record.
    writer.text(first);
    writer.text("bad \"line\n");
    writer.text(partial.trim_end());
    eventually("the quarantined line", LIMIT, async || {
        (live.sql("SELECT line || '|' || reason FROM quarantine")
            == "46|unbalanced quote: it stands within an unquoted field")
            .then_some(())
    })
    .await;
    live.assert_stored(writer.next).await;
    writer.text("\n");
    writer.next += 1;
    live.assert_stored(writer.next).await;
    let path = writer.path.to_str().unwrap().to_owned();
    let report = live.assert_proven(0, &["--file", &path]).await;
    assert_eq!(report["sources"][0]["state"], "growing", "{report:#}");
    assert_eq!(report["sources"][0]["gaps"], 0, "{report:#}");
    assert_eq!(
        report["files"][0]["clusters"][0]["result"], "same",
        "{report:#}"
    );
    // More than the store has is compared up to where it has it.
    live.kill(0).await;
    writer.rows(5);
    let (code, report) = live.verify(&["--file", &path]).await;
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(report["files"][0]["rows"], writer.next - 5, "{report:#}");
}

#[tokio::test]
async fn a_position_that_is_lost_or_behind_costs_nothing_whatever_the_batches() {
    let Some(mut live) = following(file).await else {
        return;
    };
    live.streamer("streamer-0").await;
    let mut writer = Writer::begin(file(live.folder.path()), 0);
    writer.rows(30);
    live.assert_stored(30).await;
    let kept = live.streamers[0].spool.path().join("followed.json");
    let behind = std::fs::read(&kept).unwrap();
    for (number, batch) in ["5", "11", "5000", "1"].into_iter().enumerate() {
        writer.rows(20);
        live.assert_stored(writer.next).await;
        live.kill(0).await;
        if number % 2 == 0 {
            std::fs::remove_file(&kept).unwrap();
        } else {
            std::fs::write(&kept, &behind).unwrap();
        }
        writer.rows(3);
        live.start_again(0, &[("BATCH_SIZE", batch)]).await;
        live.assert_stored(writer.next).await;
    }
    live.assert_proven(0, &["--file", writer.path.to_str().unwrap()])
        .await;
}

#[tokio::test]
async fn a_renamed_file_is_read_to_its_end_and_its_successor_is_another_source() {
    let Some(mut live) = following(Path::to_owned).await else {
        return;
    };
    live.streamer("streamer-0").await;
    let (old, packed) = {
        let folder = live.folder.path();
        (folder.join("a-1.csv"), folder.join("b.csv.gz"))
    };
    std::fs::write(packed, "packed").unwrap();
    let mut first = Writer::begin(file(live.folder.path()), 0);
    first.rows(20);
    live.assert_stored(20).await;
    // Under a name that is one of the folder's, too, and still written to.
    first.rename(old.clone());
    let mut second = Writer::begin(file(live.folder.path()), 25);
    second.rows(5);
    first.rows(4);
    first.text(row(24).trim_end());
    live.assert_stored(30).await;
    live.assert_proven(1, &["--file", old.to_str().unwrap()])
        .await;
    // Renamed while nobody looks.
    second.rows(10);
    live.assert_stored(40).await;
    live.kill(0).await;
    second.rows(5);
    second.rename(live.folder.path().join("a.csv.2"));
    let mut third = Writer::begin(file(live.folder.path()), 45);
    third.rows(5);
    live.start_again(0, &[]).await;
    live.assert_stored(50).await;
    live.assert_proven(2, &[]).await;
}

#[tokio::test]
async fn what_is_cut_off_or_made_anew_is_another_source_also_with_the_same_head() {
    let Some(mut live) = following(file).await else {
        return;
    };
    live.streamer("streamer-0").await;
    let path = file(live.folder.path());
    let mut writer = Writer::begin(path.clone(), 0);
    writer.rows(10);
    live.assert_stored(10).await;
    // Copied and cut off, then written from the start.
    writer.file.set_len(0).unwrap();
    let mut writer = Writer::again(path.clone(), 10);
    writer.text(HEADER);
    writer.rows(5);
    live.assert_stored(15).await;
    live.assert_proven(1, &[]).await;
    // The same first record: only its own row is there twice.
    writer.file.set_len(0).unwrap();
    let mut writer = Writer::again(path.clone(), 15);
    writer.text(HEADER);
    writer.text(&row(10));
    writer.rows(2);
    eventually("the third source", LIMIT, async || {
        (live.stored().len() == 17).then_some(())
    })
    .await;
    let mut stored = live.stored();
    assert_eq!(stored.insert(10, 1), Some(2));
    assert!(stored.values().all(|times| *times == 1), "{stored:?}");
    // And again, longer than before when it is seen.
    std::fs::remove_file(&path).unwrap();
    let mut text = format!("{HEADER}{}", row(10));
    text.extend((17..37).map(row));
    let hidden = live.folder.path().join(".a.csv");
    std::fs::write(&hidden, text).unwrap();
    std::fs::rename(hidden, &path).unwrap();
    eventually("the fourth source", LIMIT, async || {
        (live.stored().len() == 37).then_some(())
    })
    .await;
    live.assert_proven(3, &[]).await;
    let mut stored = live.stored();
    assert_eq!(stored.insert(10, 1), Some(3));
    assert!(stored.values().all(|times| *times == 1), "{stored:?}");
    let digests = live.sql("SELECT count(DISTINCT digest) FROM source");
    assert_eq!(digests, "4");
}

#[tokio::test]
async fn what_is_cut_off_while_nobody_follows_it_is_another_source() {
    let Some(mut live) = following(file).await else {
        return;
    };
    live.streamer("streamer-0").await;
    let path = file(live.folder.path());
    let mut writer = Writer::begin(path.clone(), 0);
    writer.rows(10);
    live.assert_stored(10).await;
    live.kill(0).await;
    // The same inode, and the same first record.
    writer.file.set_len(0).unwrap();
    let mut writer = Writer::again(path, 10);
    writer.text(HEADER);
    writer.text(&row(0));
    writer.rows(4);
    live.start_again(0, &[]).await;
    eventually("the second source", LIMIT, async || {
        (live.stored().len() == 14).then_some(())
    })
    .await;
    live.assert_proven(1, &[]).await;
    let mut stored = live.stored();
    assert_eq!(stored.insert(0, 1), Some(2));
    assert!(stored.values().all(|times| *times == 1), "{stored:?}");
}

#[tokio::test]
async fn one_of_two_streamers_follows_a_file_and_the_other_takes_over() {
    let Some(mut live) = following(file).await else {
        return;
    };
    let mut writer = Writer::begin(file(live.folder.path()), 0);
    writer.rows(30);
    live.streamer("streamer-0").await;
    live.assert_stored(30).await;
    live.streamer("streamer-1").await;
    writer.rows(30);
    live.assert_stored(60).await;
    let streamers = "SELECT string_agg(DISTINCT streamer, ',') FROM ledger";
    assert_eq!(live.sql(streamers), "streamer-0");
    live.kill(0).await;
    writer.rows(30);
    live.assert_stored(90).await;
    assert_eq!(live.sql(streamers), "streamer-0,streamer-1");
    // The first one comes back with a position that is behind, and has nothing to do.
    live.start_again(0, &[]).await;
    writer.rows(30);
    live.assert_stored(120).await;
    std::fs::remove_file(&writer.path).unwrap();
    live.assert_proven(1, &[]).await;
}

#[tokio::test]
async fn a_full_spool_holds_reading_up_and_nothing_is_lost() {
    let Some(mut live) = following(file).await else {
        return;
    };
    live.variables.push(("SPOOL_LIMIT", "2000".to_owned()));
    let mut writer = Writer::begin(file(live.folder.path()), 0);
    writer.rows(1);
    live.streamer("streamer-0").await;
    live.assert_stored(1).await;
    live.collector.signal("STOP");
    writer.rows(400);
    eventually("a full spool", LIMIT, async || {
        let status = live.status(0).await;
        let text = status.to_string();
        text.contains("waiting for room in the spool").then_some(())
    })
    .await;
    assert!(live.stored().len() < 401);
    live.collector.signal("CONT");
    live.assert_stored(401).await;
    live.assert_proven(0, &["--file", writer.path.to_str().unwrap()])
        .await;
}
