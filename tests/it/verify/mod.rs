//! `telectl verify data` on real servers, filled by the real workers.

#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

mod expired;
mod wide;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;

use telectl::config::worker::DatabaseSettings;
use telectl::store::Store as _;

use crate::pipeline::{self, Worker};
use crate::program::{LIMIT, run};
use crate::servers::eventually;
use crate::servers::postgres::PostgresServer;
use crate::servers::redis::RedisServer;
use crate::store_data::MadeUp;
use crate::store_fixture::{InPostgres, StoreFixture as _};

const READER: &str = "reader-canary-1f0e";
const HEADER: &str = "timestamp,metric_name,gpu_id,uuid,Hostname,value\n";

/// What the command answered.
struct Answer {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Answer {
    #[track_caller]
    fn assert(&self, code: i32, parts: &[&str]) {
        let said = format!("{}{}", self.stdout, self.stderr);
        assert_eq!(self.code, Some(code), "{said}");
        for part in parts {
            assert!(said.contains(part), "`{part}` is missing:\n{said}");
        }
        assert!(!said.contains("canary"), "a secret in: {said}");
    }
}

/// Asks as a user who may only read.
async fn verify(settings: &DatabaseSettings, more: &[&str]) -> Answer {
    let port = settings.endpoint.port.to_string();
    let password = settings.password.as_ref().unwrap().expose();
    let environment = [
        ("DB_HOST", settings.endpoint.host.as_str()),
        ("DB_PORT", &port),
        ("DB_NAME", &settings.name),
        ("DB_USER", &settings.user),
        ("DB_PASSWORD", password),
        ("DB_SSL_MODE", "disable"),
    ];
    let output = run(&[&["verify", "data"], more].concat(), &environment).await;
    Answer {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

async fn json(settings: &DatabaseSettings, more: &[&str]) -> Value {
    let answer = verify(settings, &[&["-o", "json"], more].concat()).await;
    serde_json::from_str(&answer.stdout).unwrap()
}

/// A role that may read the tables, and nothing else.
fn reader(server: &PostgresServer, owner: &DatabaseSettings) -> DatabaseSettings {
    let user = format!("reader_of_{}", owner.name);
    let sql = format!(
        "CREATE ROLE {user} LOGIN PASSWORD '{READER}';
         GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user}"
    );
    server.sql(&owner.name, &sql);
    DatabaseSettings {
        user,
        password: Some(READER.into()),
        ..owner.clone()
    }
}

/// A collector and two streamers on real servers.
struct Pipeline {
    server: Arc<PostgresServer>,
    database: DatabaseSettings,
    folder: TempDir,
    file: PathBuf,
    redis: RedisServer,
    workers: Vec<Worker>,
}

impl Pipeline {
    async fn start(text: &str, more: &[(&'static str, String)]) -> Option<Self> {
        let server = PostgresServer::shared().await?;
        let redis = RedisServer::start().await?;
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("metrics.csv");
        std::fs::write(&file, text).unwrap();
        let mut started = Self {
            database: server.database(),
            server,
            folder,
            file,
            redis,
            workers: Vec::new(),
        };
        let mut environment = started.environment();
        environment.extend_from_slice(more);
        for (worker, name) in [
            ("collector", "collector-0"),
            ("streamer", "streamer-0"),
            ("streamer", "streamer-1"),
        ] {
            let worker = pipeline::start(worker, name, "edge", &environment);
            started.workers.push(worker);
        }
        Some(started)
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        let database = self.database.clone();
        vec![
            ("REDIS_URL", format!("redis://{}", self.redis.endpoint())),
            ("DB_HOST", database.endpoint.host),
            ("DB_PORT", database.endpoint.port.to_string()),
            ("DB_NAME", database.name),
            ("DB_USER", database.user),
            ("DB_PASSWORD", database.password.unwrap().expose().clone()),
            ("DB_SSL_MODE", "disable".to_owned()),
            ("CSV_FILE", self.file.to_str().unwrap().to_owned()),
        ]
    }

    fn sql(&self, statement: &str) -> String {
        self.server.sql(&self.database.name, statement)
    }

    /// Waits until the file is proven.
    async fn complete(&self) {
        eventually("the proof of the whole file", LIMIT, async || {
            let answer = verify(&self.database, &["--complete"]).await;
            (answer.code == Some(0)).then_some(())
        })
        .await;
    }

    /// What a reader is told after a change, which is then taken back.
    async fn after(&self, change: &str, back: &str, code: i32, parts: &[&str]) {
        self.sql(change);
        let answer = verify(&self.database, &["--file", self.file.to_str().unwrap()]).await;
        self.sql(back);
        answer.assert(code, parts);
    }

    fn other_file(&self, text: &str) -> PathBuf {
        let path = self.folder.path().join("other").join("metrics.csv");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Six hundred rows of four GPUs: times, values, blanks, and three lines that are no rows, one of
/// them with a quote that a lenient reader would follow to the end of the file.
fn sample() -> String {
    let mut lines = HEADER.to_owned();
    for row in 0..600 {
        let (minute, second, gpu) = (row / 60, row % 60, row % 4);
        let value = match row {
            100 => "nonsense".to_owned(),
            200 => "\"5".to_owned(),
            300 => "1,5".to_owned(),
            _ if row % 50 == 7 => String::new(),
            _ => format!("{}.25", row % 97),
        };
        lines.push_str(&format!(
            "2025-07-18T20:{minute:02}:{second:02}Z,UTIL,{gpu},GPU-{gpu},host,{value}\n"
        ));
    }
    lines
}

#[tokio::test]
async fn v17_a_pipeline_run_is_proven_and_every_change_by_hand_is_named() {
    let Some(mut pipeline) = Pipeline::start(&sample(), &[]).await else {
        return;
    };
    pipeline.complete().await;
    // Nobody may deliver again what is taken away below.
    pipeline.workers.clear();
    let reader = reader(&pipeline.server, &pipeline.database);
    let file = text(&pipeline.file);
    let answer = verify(&reader, &["--complete", "--file", file]).await;
    let size = std::fs::metadata(file).unwrap().len();
    answer.assert(
        0,
        &[
            "edge/metrics.csv",
            "complete",
            "597",
            "the same: every row of 4 series",
            "Proven, by ranges and counts: every row that was read is stored once, or set aside.",
        ],
    );
    let report = json(&reader, &["--file", file]).await;
    assert_eq!(report["schema_version"], 1, "{report}");
    assert_eq!(report["complete"], true, "{report}");
    let source = &report["sources"][0];
    assert_eq!(source["size"], size, "{report}");
    assert_eq!(source["covered_bytes"], size, "{report}");
    let counts = [
        "read_rows",
        "stored_rows",
        "quarantined_rows",
        "missing_rows",
    ];
    let counts = counts.map(|name| source[name].as_u64().unwrap());
    assert_eq!(counts, [600, 597, 3, 0], "{report}");
    assert_eq!(report["files"][0]["rows"], 597, "{report}");
    assert_eq!(report["files"][0]["clusters"][0]["result"], "same");

    ledger_changes(&pipeline).await;
    sample_changes(&pipeline).await;
    verify(&reader, &["--complete", "--file", file])
        .await
        .assert(0, &["Proven"]);
    let longer = format!("{}x", sample());
    let other = pipeline.other_file(&longer);
    let known = format!("edge/metrics.csv@{}", source["digest"].as_str().unwrap());
    verify(&reader, &["--file", text(&other)]).await.assert(
        4,
        &[
            "no source has this content",
            &format!("{known} has the same name, so the file is another one now"),
        ],
    );
}

/// Somebody takes a range out of the ledger, changes a record, or enters a range twice.
async fn ledger_changes(pipeline: &Pipeline) {
    let second = second_range(pipeline);
    pipeline
        .after(
            "CREATE TABLE aside AS SELECT * FROM ledger WHERE lower(range) =
                 (SELECT min(upper(range)) FROM ledger);
             DELETE FROM ledger USING aside WHERE ledger.range = aside.range",
            "INSERT INTO ledger SELECT * FROM aside; DROP TABLE aside",
            4,
            &[
                "incomplete",
                &second,
                "by streamer-",
                "gap",
                "before",
                "after",
                "nowhere",
            ],
        )
        .await;
    pipeline
        .after(
            "UPDATE signed_off SET rows = rows + 2",
            "UPDATE signed_off SET rows = rows - 2",
            4,
            &[
                "with 597 rows, and 599 were signed off",
                "the file has 597 rows, and 599",
            ],
        )
        .await;
    pipeline
        .after(
            "ALTER TABLE ledger DROP CONSTRAINT ledger_no_overlap;
             INSERT INTO ledger SELECT source_id, pass, int8range(lower(range) + 9, upper(range)),
                 checksum, 0, 0, null, null, 'another-spool', 7, 'streamer-9'
                 FROM ledger WHERE lower(range) = 0",
            "DELETE FROM ledger WHERE streamer = 'streamer-9'",
            4,
            &[
                "bytes 9..",
                "are in the ledger twice",
                "by streamer-9, batch another-spool#7",
            ],
        )
        .await;
}

/// Somebody deletes a sample, or changes a value, which only the file can tell.
async fn sample_changes(pipeline: &Pipeline) {
    pipeline
        .after(
            "CREATE TABLE aside AS SELECT * FROM sample WHERE ts = '2025-07-18T20:00:33Z';
             DELETE FROM sample WHERE ts = '2025-07-18T20:00:33Z'",
            "INSERT INTO sample SELECT * FROM aside; DROP TABLE aside",
            4,
            &[
                "the ledger counts 597 rows, 596 samples are there: 1 missing",
                "between 2025-07-18T20:00:00Z and 2025-07-18T20:09:59Z",
                "1 series differ, the first is UTIL of GPU GPU-1 on host (line 3)",
            ],
        )
        .await;
    pipeline
        .after(
            "UPDATE sample SET value = value + 1 WHERE ts = '2025-07-18T20:00:34Z'",
            "UPDATE sample SET value = value - 1 WHERE ts = '2025-07-18T20:00:34Z'",
            4,
            &[
                "1 series differ, the first is UTIL of GPU GPU-2 on host",
                "The store agrees with itself, and not with a file.",
            ],
        )
        .await;
}

/// The second range of the ledger as the report writes it.
fn second_range(pipeline: &Pipeline) -> String {
    let bounds = pipeline.sql(
        "SELECT lower(range) || '..' || upper(range) FROM ledger ORDER BY range OFFSET 1 LIMIT 1",
    );
    let number = |text: &str| {
        let number: u64 = text.parse().unwrap();
        match (number / 1000, number % 1000) {
            (0, rest) => rest.to_string(),
            (thousands, rest) => format!("{thousands},{rest:03}"),
        }
    };
    let (start, end) = bounds.split_once("..").unwrap();
    format!("bytes {}..{}", number(start), number(end))
}

#[tokio::test]
async fn v17_a_growing_source_and_an_empty_store_fail_only_with_complete() {
    let Some(fixture) = InPostgres::prepared().await else {
        return;
    };
    let reader = reader(&fixture.server, &fixture.settings);
    let empty = "The store is empty: nothing was read into it yet.";
    verify(&reader, &[]).await.assert(0, &[empty]);
    verify(&reader, &["--complete"]).await.assert(4, &[empty]);
    let source = MadeUp::of("edge", "a.csv", 60);
    let store = fixture.open();
    store.store(&[source.batch(0..30)]).await.unwrap();
    let growing = ["growing", "400 so far", "Nothing is wrong so far"];
    verify(&reader, &[]).await.assert(0, &growing);
    verify(&reader, &["--complete"]).await.assert(4, &growing);
    let report = json(&reader, &[]).await;
    assert_eq!(report["sources"][0]["state"], "growing", "{report}");
    assert_eq!(
        (&report["ok"], &report["complete"]),
        (&true.into(), &false.into())
    );
    store.sign_off(&source.signed_off()).await.unwrap();
    fixture.sql("UPDATE ledger SET ingested_at = now()");
    let told = verify(&reader, &[]).await;
    told.assert(
        4,
        &[
            "bytes 400..700 of 700 are not in the ledger",
            "the end of the source",
            "look again",
        ],
    );
    fixture.sql("UPDATE ledger SET ingested_at = ingested_at - interval '1 hour'");
    let told = verify(&reader, &[]).await;
    told.assert(4, &["UPDATE store_token SET token = gen_random_uuid()"]);
}

#[tokio::test]
async fn v17_what_keeps_the_proof_from_being_made_is_named_with_the_next_step() {
    let output = run(&["verify", "data"], &[]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("`DB_HOST` is not set"), "{said}");
    assert!(said.contains("hint: set DB_HOST; DB_PORT (5432)"), "{said}");
    assert!(said.contains("exec deploy/collector"), "{said}");
    let Some(fixture) = InPostgres::unprepared().await else {
        return;
    };
    let owner = &fixture.settings;
    let unprepared = verify(owner, &[]).await;
    unprepared.assert(1, &["no collector has prepared it yet"]);
    fixture.open().migrate().await.unwrap();
    fixture.sql(&format!(
        "CREATE ROLE blind_{0} LOGIN PASSWORD '{READER}'",
        owner.name
    ));
    let blind = DatabaseSettings {
        user: format!("blind_{}", owner.name),
        password: Some(READER.into()),
        ..owner.clone()
    };
    let refused = verify(&blind, &[]).await;
    refused.assert(
        1,
        &["GRANT SELECT ON ALL TABLES", "permission denied for table"],
    );
    let mut nowhere = owner.clone();
    nowhere.endpoint.port = 1;
    let refused = verify(&nowhere, &[]).await;
    refused.assert(1, &["127.0.0.1:1", "Connection refused", "hint: "]);
    let missing = verify(owner, &["--file", "/nowhere.csv"]).await;
    missing.assert(2, &["cannot read `/nowhere.csv`", "No such file"]);
}

/// A table that somebody locks, as an upgrade of the schema does, is waited for as long as the flag
/// says.
#[tokio::test]
async fn v17_the_proof_ends_in_time() {
    let Some(fixture) = InPostgres::prepared().await else {
        return;
    };
    let settings = &fixture.settings;
    let (client, connection) = tokio_postgres::Config::new()
        .host(&settings.endpoint.host)
        .port(settings.endpoint.port)
        .dbname(&settings.name)
        .user(&settings.user)
        .password(settings.password.as_ref().unwrap().expose())
        .connect(tokio_postgres::NoTls)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    client
        .batch_execute("BEGIN; LOCK TABLE ledger IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let answer = verify(settings, &["--timeout", "1s"]).await;
    answer.assert(7, &["did not say within 1 s", "hint: give it more time"]);
    drop(client);
    connection.await.unwrap().unwrap();
}
