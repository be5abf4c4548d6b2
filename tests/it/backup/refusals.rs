//! What is refused, and what a failure half-way leaves behind: the database as it was, and no file.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;
use sha2::Digest as _;

use super::{Filled, started, telectl, text, with};
use crate::program::LIMIT;
use crate::servers::eventually;
use crate::store_data::MadeUp;
use crate::store_fixture::StoreFixture as _;

/// Changes the proof beside a dump.
fn change_proof(dump: &Path, change: impl FnOnce(&mut Value)) {
    let file = telectl::backup::Manifest::path_of(dump);
    let mut proof: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    change(&mut proof);
    std::fs::write(file, proof.to_string()).unwrap();
}

/// Makes the proof's checksum that of the file as it is now.
fn agree(dump: &Path) {
    let bytes = std::fs::read(dump).unwrap();
    change_proof(dump, |proof| {
        proof["dump"]["size"] = bytes.len().into();
        proof["dump"]["sha256"] = hex::encode(sha2::Sha256::digest(&bytes)).into();
    });
}

#[tokio::test]
async fn w23_rows_are_replaced_only_if_that_is_said_and_agreed_to() {
    let Some(filled) = Filled::start().await else {
        return;
    };
    let settings = &filled.database.settings;
    let file = filled.dump("a.dump").await;
    let before = filled.contents();
    super::store(&filled.database.open(), &MadeUp::of("north", "late", 50)).await;
    let later = filled.contents();
    let restore = ["restore", text(&file)];
    let refused = telectl(settings, &[&restore[..], &["--yes"]].concat()).await;
    refused.assert(1, &["has rows: ledger, quarantine, sample", "--replace"]);
    let refused = telectl(settings, &[&restore[..], &["--replace"]].concat()).await;
    refused.assert(2, &["nothing was changed", "--yes"]);
    assert_eq!(filled.contents(), later);
    filled.database.sql("CREATE TABLE notes (text text)");
    let replace = [&restore[..], &["--replace", "--yes"]].concat();
    telectl(settings, &replace)
        .await
        .assert(1, &["not telectl's: notes", "SET SCHEMA"]);
    filled
        .database
        .sql("DROP TABLE notes; CREATE VIEW hot AS SELECT * FROM sample");
    let refused = telectl(settings, &replace).await;
    refused.assert(1, &["view hot depends on", "drop or move what depends"]);
    assert_eq!(filled.contents(), later);
    filled.database.sql("DROP VIEW hot");
    telectl(settings, &replace)
        .await
        .assert(0, &["and proven: 383 samples"]);
    assert_eq!(filled.contents(), before);
    let again = telectl(settings, &["backup", "-o", text(&file)]).await;
    again.assert(2, &["cannot write", "name another file"]);
}

#[tokio::test]
async fn w23_a_dump_that_is_not_what_its_proof_says_changes_nothing() {
    let Some(filled) = Filled::start().await else {
        return;
    };
    let settings = &filled.database.settings;
    let file = filled.dump("a.dump").await;
    let (contents, whole) = (filled.contents(), std::fs::read(&file).unwrap());
    let proof = std::fs::read(filled.path("a.dump.proof.json")).unwrap();
    let replace = ["restore", text(&file), "--replace", "--yes"];
    let refuse = async |code: i32, parts: &[&str]| {
        telectl(settings, &replace).await.assert(code, parts);
        assert_eq!(filled.contents(), contents);
        std::fs::write(&file, &whole).unwrap();
        std::fs::write(filled.path("a.dump.proof.json"), &proof).unwrap();
    };

    std::fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    refuse(
        2,
        &[
            "is not the dump that was taken",
            "bytes, and its proof says",
        ],
    )
    .await;
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    std::fs::write(&file, &flipped).unwrap();
    refuse(2, &["its SHA-256 is"]).await;
    std::fs::write(&file, "no dump at all").unwrap();
    agree(&file);
    refuse(2, &["does not begin as pg_dump's custom format does"]).await;

    // Whole by its checksum, and cut where it was taken: it fails when most of it is restored.
    for length in [whole.len() - 200, whole.len() / 2] {
        std::fs::write(&file, &whole[..length]).unwrap();
        agree(&file);
        refuse(1, &["cannot restore the dump", "pg_restore: error"]).await;
    }
    change_proof(&file, |proof| {
        let tables = proof["proof"]["tables"].as_array_mut().unwrap();
        let ledger = tables.iter_mut().find(|table| table["table"] == "ledger");
        ledger.unwrap()["rows"] = 99.into();
        proof["proof"]["days"][0]["digest"] = "1".into();
    });
    let parts = [
        "nothing was changed",
        "table ledger: dumped 99 rows",
        "samples of edge on 2025-07-18: dumped 55 samples",
        "digest 1; restored 55 samples",
    ];
    refuse(4, &parts).await;
    change_proof(&file, |proof| proof["postgresql_major"] = 99.into());
    refuse(1, &["pg_restore 15 is older than the dump's server 99"]).await;
    change_proof(&file, |proof| proof["schema_version"] = 2.into());
    refuse(2, &["is no proof of a dump", "form 2"]).await;
}

/// As the CronJob dumps.
#[tokio::test]
async fn w23_a_dump_without_a_proof_is_restored_and_said_not_to_be_proven() {
    let Some(filled) = Filled::start().await else {
        return;
    };
    let settings = &filled.database.settings;
    let file = filled.dump("telemetry-20250718T204234Z.dump").await;
    std::fs::remove_file(telectl::backup::Manifest::path_of(&file)).unwrap();
    let (contents, empty) = (filled.contents(), filled.database.server.database());
    let restored = telectl(&empty, &["restore", text(&file), "--yes"]).await;
    restored.assert(0, &["no proof beside this dump", "not proven: 383 samples"]);
    assert_eq!(
        super::contents(&filled.database.server, &empty.name),
        contents
    );

    // A dump of something else, and one of a schema that is not known yet.
    let server = &filled.database.server;
    let replace = ["restore", text(&file), "--replace", "--yes"];
    let other = server.database();
    server.sql(&other.name, "CREATE TABLE other (a int)");
    let refused = telectl(&other, &["backup", "-o", text(&filled.path("o.dump"))]).await;
    refused.assert(1, &["holds no pipeline"]);
    server.sql(&empty.name, "INSERT INTO store_schema VALUES (99)");
    std::fs::remove_file(&file).unwrap();
    telectl(&empty, &["backup", "-o", text(&file)])
        .await
        .assert(0, &[]);
    telectl(settings, &replace)
        .await
        .assert(2, &["schema version 99", "nothing was changed"]);
    assert_eq!(filled.contents(), contents);
}

#[tokio::test]
async fn w23_programs_that_are_too_old_or_missing_are_told() {
    let Some(filled) = Filled::start().await else {
        return;
    };
    let settings = &filled.database.settings;
    let file = filled.path("a.dump");
    let folder = filled.path("programs");
    std::fs::create_dir(&folder).unwrap();
    let path = |rest: &str| ("PATH", format!("{}{rest}", folder.display()));
    let backup = ["backup", "-o", text(&file)];
    // The shell itself has to be found.
    std::os::unix::fs::symlink("/bin/sh", folder.join("sh")).unwrap();
    let setpriv = ["/usr/bin/setpriv", "/bin/setpriv"];
    let setpriv = setpriv.into_iter().find(|path| Path::new(path).exists());
    std::os::unix::fs::symlink(setpriv.unwrap(), folder.join("setpriv")).unwrap();
    let missing = with(settings, &[path("")], &backup).await;
    missing.assert(
        1,
        &[
            "PostgreSQL's programs are not there",
            "install PostgreSQL's client",
        ],
    );
    let old = folder.join("pg_dump");
    std::fs::write(&old, "#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'\n").unwrap();
    std::fs::set_permissions(&old, std::fs::Permissions::from_mode(0o755)).unwrap();
    let refused = with(settings, &[path(":/usr/bin:/bin")], &backup).await;
    refused.assert(
        1,
        &["pg_dump 9 is older than the server 15", "install a pg_dump"],
    );
    assert_eq!(filled.files(), ["programs"]);
}

/// Somebody who holds a lock, so that work stands still.
struct Holder<'a> {
    filled: &'a Filled,
    client: std::process::Child,
}

impl<'a> Holder<'a> {
    async fn of(filled: &'a Filled, mode: &str) -> Self {
        let settings = &filled.database.settings;
        let hold = format!("BEGIN; LOCK TABLE quarantine IN {mode} MODE; SELECT pg_sleep(600)");
        let port = settings.endpoint.port.to_string();
        let mut client = std::process::Command::new("psql");
        client
            .args(["-X", "-q", "-h", "127.0.0.1", "-p", &port])
            .args(["-U", &settings.user, "-d", &settings.name, "-c", &hold])
            .env("PGPASSWORD", settings.password.as_ref().unwrap().expose())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        let client = client.spawn().unwrap();
        let held = "SELECT count(*) > 0 FROM pg_locks JOIN pg_stat_activity USING (pid)
                    WHERE granted AND relation = 'quarantine'::regclass
                      AND query LIKE '%pg_sleep%'";
        until(filled, "the lock", held).await;
        Self { filled, client }
    }

    /// Ends the sessions that wait for it.
    fn end_waiting(&self) {
        self.end("query LIKE '%LOCK TABLE%' AND wait_event_type = 'Lock'");
    }

    fn release(mut self) {
        self.end("query LIKE '%pg_sleep(600)%'");
        self.client.wait().unwrap();
    }

    fn end(&self, which: &str) {
        self.filled.database.sql(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE {which} AND pid <> pg_backend_pid() AND datname = current_database()"
        ));
    }
}

const WAITING: &str = "SELECT count(*) > 0 FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'
                         AND application_name = 'telectl backup'";

async fn until(filled: &Filled, what: &str, question: &str) {
    let is_so = async || (filled.database.sql(question) == "t").then_some(());
    eventually(what, LIMIT, is_so).await;
}

#[tokio::test]
async fn w23_a_dump_that_is_stopped_half_way_leaves_no_file() {
    let Some(filled) = Filled::start().await else {
        return;
    };
    let settings = &filled.database.settings;
    let file = filled.path("b.dump");
    let backup = ["backup", "-o", text(&file)];
    let lock = Holder::of(&filled, "ACCESS EXCLUSIVE").await;
    // pg_dump waits for the table, then its session is ended: a cut in the middle.
    let cut = started(settings, &backup);
    until(&filled, "a dump that waits", WAITING).await;
    lock.end_waiting();
    let (status, said) = cut.end().await;
    assert_eq!(status.code(), Some(1), "{said}");
    assert_eq!(filled.files(), Vec::<String>::new(), "{said}");
    let stopped = started(settings, &backup);
    until(&filled, "a dump that waits", WAITING).await;
    stopped.signal("TERM");
    let (status, said) = stopped.end().await;
    assert_eq!(status.code(), Some(143), "{said}");
    assert_eq!(filled.files(), Vec::<String>::new(), "{said}");
    lock.release();
}

#[tokio::test]
async fn w23_a_restore_that_is_stopped_half_way_leaves_the_database_as_it_was() {
    let Some(filled) = Filled::start().await else {
        return;
    };
    let settings = &filled.database.settings;
    let file = filled.dump("a.dump").await;
    let contents = filled.contents();
    let lock = Holder::of(&filled, "ACCESS SHARE").await;
    let stopped = started(settings, &["restore", text(&file), "--replace", "--yes"]);
    until(&filled, "a restore that waits", WAITING).await;
    stopped.signal("INT");
    let (status, said) = stopped.end().await;
    assert_eq!(status.code(), Some(130), "{said}");
    lock.release();
    let ended = "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database()
                 AND application_name = 'telectl backup'";
    until(&filled, "the end of every session of it", ended).await;
    assert_eq!(filled.contents(), contents);
}
