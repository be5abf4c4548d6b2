//! The whole pipeline around a restore.

use std::path::Path;

use telectl::config::worker::DatabaseSettings;
use tempfile::TempDir;

use super::{telectl, text};
use crate::pipeline::{self, Worker};
use crate::program::LIMIT;
use crate::servers::eventually;
use crate::servers::postgres::PostgresServer;
use crate::servers::redis::RedisServer;

/// A file of as many rows, put into place whole.
fn put(folder: &Path, name: &str, rows: usize) {
    let mut lines = "timestamp,metric_name,gpu_id,uuid,Hostname,value\n".to_owned();
    for row in 0..rows {
        let (minute, second) = (row / 60 % 60, row % 60);
        let time = format!("2025-07-18T20:{minute:02}:{second:02}Z");
        lines.push_str(&format!(
            "{time},{name},{},GPU-{},h,{row}\n",
            row % 4,
            row % 4
        ));
    }
    let hidden = folder.join(format!(".{name}"));
    std::fs::write(&hidden, lines).unwrap();
    std::fs::rename(hidden, folder.join(name)).unwrap();
}

/// Waits until every row of these files is stored, once.
async fn proven(database: &DatabaseSettings, folder: &Path, names: &[&str]) {
    let mut arguments = vec![
        "verify".to_owned(),
        "data".to_owned(),
        "--complete".to_owned(),
    ];
    for name in names {
        arguments.extend(["--file".to_owned(), text(&folder.join(name)).to_owned()]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    eventually("the proof of every file", LIMIT, async || {
        let answer = telectl(database, &arguments).await;
        (answer.code == Some(0)).then_some(())
    })
    .await;
}

/// Rows are stored, dumped, more rows are stored and acknowledged, and the dump goes back into the same
/// database of the same server, while the streamers run on and believe that they are done.
#[tokio::test]
async fn w23_what_was_acknowledged_after_the_dump_is_streamed_again_after_the_restore() {
    let (Some(server), Some(redis)) = (PostgresServer::shared().await, RedisServer::start().await)
    else {
        return;
    };
    let (database, folder) = (server.database(), TempDir::new().unwrap());
    let files = folder.path().join("in");
    std::fs::create_dir(&files).unwrap();
    put(&files, "a.csv", 600);
    let mut environment = super::variables(&database);
    environment.extend([
        ("REDIS_URL", format!("redis://{}", redis.endpoint())),
        ("CSV_FILE", text(&files).to_owned()),
    ]);
    let start = |worker: &str, name: &str| -> Worker {
        pipeline::start(worker, name, "edge", &environment)
    };
    let collector = start("collector", "collector-0");
    let _streamers = [
        start("streamer", "streamer-0"),
        start("streamer", "streamer-1"),
    ];
    proven(&database, &files, &["a.csv"]).await;
    let dump = folder.path().join("early.dump");
    telectl(&database, &["backup", "-o", text(&dump)])
        .await
        .assert(0, &["600 samples"]);
    put(&files, "b.csv", 400);
    proven(&database, &files, &["a.csv", "b.csv"]).await;

    let restore = ["restore", text(&dump), "--replace", "--yes"];
    telectl(&database, &restore)
        .await
        .assert(1, &["sessions of collectors are connected"]);
    drop(collector);
    let sql = |statement: &str| server.sql(&database.name, statement);
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                    AND application_name = 'telectl collector'";
    eventually("the end of the collector's sessions", LIMIT, async || {
        (sql(sessions) == "0").then_some(())
    })
    .await;
    let token = sql("SELECT token FROM store_token");
    telectl(&database, &restore)
        .await
        .assert(0, &["and proven: 600 samples"]);
    assert_eq!(sql("SELECT count(*) FROM sample"), "600");
    assert_ne!(sql("SELECT token FROM store_token"), token);

    let _collector = start("collector", "collector-0");
    proven(&database, &files, &["a.csv", "b.csv"]).await;
    assert_eq!(sql("SELECT count(*) FROM sample"), "1000");
}
