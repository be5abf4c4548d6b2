//! `telectl backup` and `telectl restore` on real servers, with PostgreSQL's own programs.

#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

mod again;
mod refusals;

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use telectl::config::worker::{DatabaseSettings, SslMode};
use telectl::store::postgres::{PostgresStore, tables};
use telectl::store::{Outcome, Store as _};

use crate::program::{Program, run};
use crate::servers::Certificates;
use crate::servers::postgres::PostgresServer;
use crate::store_data::MadeUp;
use crate::store_fixture::{InPostgres, StoreFixture as _};

/// What the command answered.
struct Answer {
    code: Option<i32>,
    said: String,
}

impl Answer {
    #[track_caller]
    fn assert(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.said);
        for part in parts {
            assert!(
                self.said.contains(part),
                "`{part}` is missing:\n{}",
                self.said
            );
        }
        assert!(
            !self.said.contains("postgres-canary"),
            "a secret in: {}",
            self.said
        );
    }
}

/// The variables that name a database.
fn variables(settings: &DatabaseSettings) -> Vec<(&'static str, String)> {
    let mode = match settings.ssl_mode {
        SslMode::VerifyFull => "verify-full",
        _ => "disable",
    };
    let password = settings.password.as_ref().unwrap().expose();
    let mut variables = vec![
        ("DB_HOST", settings.endpoint.host.clone()),
        ("DB_PORT", settings.endpoint.port.to_string()),
        ("DB_NAME", settings.name.clone()),
        ("DB_USER", settings.user.clone()),
        ("DB_PASSWORD", password.clone()),
        ("DB_SSL_MODE", mode.to_owned()),
    ];
    variables.extend(settings.ca_cert.clone().map(|text| ("DB_CA_CERT", text)));
    variables
}

fn borrowed<'a>(variables: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    variables
        .iter()
        .map(|(name, value)| (*name, &**value))
        .collect()
}

async fn telectl(settings: &DatabaseSettings, arguments: &[&str]) -> Answer {
    with(settings, &[], arguments).await
}

async fn with(
    settings: &DatabaseSettings,
    more: &[(&'static str, String)],
    arguments: &[&str],
) -> Answer {
    let variables = [variables(settings), more.to_vec()].concat();
    let output = run(arguments, &borrowed(&variables)).await;
    let said = [output.stdout, output.stderr].concat();
    Answer {
        code: output.status.code(),
        said: String::from_utf8(said).unwrap(),
    }
}

/// Starts a command that is going to be stopped.
fn started(settings: &DatabaseSettings, arguments: &[&str]) -> Program {
    Program::start(arguments, &borrowed(&variables(settings)))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A store with two sources, and a folder for its dumps.
struct Filled {
    database: InPostgres,
    folder: TempDir,
    sources: [MadeUp; 2],
}

impl Filled {
    async fn start() -> Option<Self> {
        let database = InPostgres::prepared().await?;
        let sources = [MadeUp::of("edge", "a", 300), MadeUp::of("west", "b", 120)];
        for source in &sources {
            store(&database.open(), source).await;
        }
        Some(Self {
            database,
            folder: TempDir::new().unwrap(),
            sources,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A dump of this name.
    async fn dump(&self, name: &str) -> PathBuf {
        let file = self.path(name);
        let taken = telectl(&self.database.settings, &["backup", "-o", text(&file)]).await;
        taken.assert(
            0,
            &[
                "383 samples of 14 series and 2 sources on 2 days",
                "SHA-256",
            ],
        );
        file
    }

    /// What a look that knows nothing of proofs sees.
    fn contents(&self) -> String {
        contents(&self.database.server, &self.database.settings.name)
    }

    /// Names in the folder, hidden ones included.
    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn contents(server: &PostgresServer, database: &str) -> String {
    let query = |statement: &str| server.sql(database, statement);
    [
        "SELECT md5(string_agg(sample::text, ',' ORDER BY series_id, ts, value)) FROM sample",
        "SELECT md5(string_agg(series::text, ',' ORDER BY series_id)) FROM series",
        "SELECT md5(string_agg(quarantine::text, ',' ORDER BY source_id, \"offset\")) FROM quarantine",
        "SELECT string_agg(source::text, ',' ORDER BY id) FROM source",
        "SELECT string_agg(concat_ws('/', source_id, range, rows, checksum), ',' ORDER BY source_id, range)
         FROM ledger",
        "SELECT string_agg(signed_off::text, ',' ORDER BY source_id) FROM signed_off",
    ]
    .map(query)
    .join("\n")
}

async fn store(store: &PostgresStore, source: &MadeUp) {
    store.store(&source.cut(40)).await.unwrap();
    store.sign_off(&source.signed_off()).await.unwrap();
}

#[tokio::test]
async fn w23_a_dump_goes_into_an_empty_database_and_is_proven_to_be_there() {
    let Some(filled) = Filled::start().await else {
        return;
    };
    let file = filled.dump("one.dump").await;
    assert_eq!(filled.files(), ["one.dump", "one.dump.proof.json"]);
    let proof = std::fs::read_to_string(filled.path("one.dump.proof.json")).unwrap();
    let proof: Value = serde_json::from_str(&proof).unwrap();
    assert_eq!(proof["schema_version"], 1, "{proof}");
    assert_eq!(
        proof["proof"]["days"].as_array().unwrap().len(),
        4,
        "{proof}"
    );
    assert_eq!(
        proof["proof"]["sources"][0]["rows"],
        filled.sources[0].rows(),
        "{proof}"
    );
    let server = &filled.database.server;
    let empty = server.database();
    let dry = ["restore", text(&file), "--dry-run"];
    telectl(&empty, &dry)
        .await
        .assert(0, &["SHA-256 as in its proof", "nothing was changed"]);
    let there = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(server.sql(&empty.name, there), "0");
    let restored = telectl(&empty, &["restore", text(&file), "--yes"]).await;
    restored.assert(
        0,
        &["and proven: 383 samples", "every table is what was dumped"],
    );
    assert_eq!(contents(server, &empty.name), filled.contents());

    // The tables work: what is there is known, and what is new finds its place.
    let copy = PostgresStore::new(&empty).unwrap();
    copy.migrate().await.unwrap();
    let again = copy.store(&filled.sources[0].cut(40)).await.unwrap();
    let known = |outcome: &Outcome| *outcome == Outcome::AlreadyStored;
    assert!(again.outcomes.iter().all(known), "{again:?}");
    store(&copy, &MadeUp::of("north", "c", 500)).await;
    let verified = telectl(&empty, &["verify", "data", "--complete"]).await;
    verified.assert(0, &["Proven"]);
}

#[tokio::test]
async fn w23_a_dump_goes_over_tls_to_a_server_whose_certificate_is_looked_at() {
    let Some(server) = PostgresServer::start(Some(Certificates::for_names(&["127.0.0.1"]))).await
    else {
        return;
    };
    server.refuse_plaintext();
    let (settings, folder) = (server.database(), TempDir::new().unwrap());
    let filled = PostgresStore::new(&settings).unwrap();
    filled.migrate().await.unwrap();
    store(&filled, &MadeUp::of("edge", "a", 100)).await;
    let file = folder.path().join("tls.dump");
    telectl(&settings, &["backup", "-o", text(&file)])
        .await
        .assert(0, &["91 samples"]);
    let stranger = DatabaseSettings {
        ca_cert: Some(Certificates::for_names(&["127.0.0.1"]).ca),
        ..settings.clone()
    };
    let other = folder.path().join("other.dump");
    let refused = telectl(&stranger, &["backup", "-o", text(&other)]).await;
    refused.assert(1, &["SSL error"]);
    assert!(!other.exists());
}

#[tokio::test]
async fn w23_a_dump_and_its_proof_are_of_one_snapshot_while_rows_are_stored() {
    let Some(filled) = Filled::start().await else {
        return;
    };
    let (writer, stop) = (
        filled.database.open(),
        tokio_util::sync::CancellationToken::new(),
    );
    let stopped = stop.clone();
    let writing = tokio::spawn(async move {
        let mut stored = 0_u64;
        while !stopped.is_cancelled() {
            // Each reaches into days that have no partition yet.
            let source = MadeUp::of("edge", &format!("more-{stored}"), 200);
            writer.store(&source.cut(20)).await.unwrap();
            stored += 1;
        }
        stored
    });
    let server = &filled.database.server;
    let name = &filled.database.settings.name;
    let rows = || -> u64 {
        server
            .sql(name, "SELECT count(*) FROM sample")
            .parse()
            .unwrap()
    };
    for number in 0..3 {
        let file = filled.path(&format!("{number}.dump"));
        let before = rows();
        let taken = telectl(&filled.database.settings, &["backup", "-o", text(&file)]).await;
        taken.assert(0, &[]);
        let after = rows();
        assert!(after > before, "nothing was stored meanwhile");
        let empty = server.database();
        let restored = telectl(&empty, &["restore", text(&file), "--yes"]).await;
        restored.assert(0, &["and proven"]);
        let there: u64 = server
            .sql(&empty.name, "SELECT count(*) FROM sample")
            .parse()
            .unwrap();
        assert!(
            (before..=after).contains(&there),
            "{before} {there} {after}"
        );
        telectl(&empty, &["verify", "data"]).await.assert(0, &[]);
    }
    stop.cancel();
    assert!(writing.await.unwrap() > 0);
}

#[tokio::test]
async fn w23_a_restore_replaces_the_tables_of_the_schema_and_no_others() {
    let Some(database) = InPostgres::prepared().await else {
        return;
    };
    let present = database.sql(
        "SELECT string_agg(relname, ' ' ORDER BY relname COLLATE \"C\") FROM pg_class
         WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
           AND NOT relispartition",
    );
    assert_eq!(present, tables::TABLES.join(" "));
    let data: Vec<&str> = present
        .split(' ')
        .filter(|table| !["canary", "store_schema", "store_token"].contains(table))
        .collect();
    assert_eq!(data, tables::DATA);
}
