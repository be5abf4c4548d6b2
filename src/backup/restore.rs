//! Puts a dump back: in one transaction, which commits only if what is there then is what was dumped.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::cluster::exec::Sink;
use crate::model::consent::Confirmed;
use crate::store::postgres::{COLLECTOR_SESSION, SCHEMA_VERSION, tables};

use super::manifest::Manifest;
use super::parity::{self, Parity, TABLES};
use super::place::Place;
use super::psql::{self, Psql, SETTINGS};
use super::{BackupError, Step, about, version};

const LOOKING: &str = "look at the database";
const DOING: &str = "restore the dump";
/// Bytes that are sent at once.
const PIECE: usize = 256 * 1024;
/// What every dump in the custom format begins with.
const MAGIC: &[u8] = b"PGDMP";
/// Rights come back with the dump; owners do not: the user who restores owns everything. What needs a
/// superuser and is no data of a pipeline stays away.
const PG_RESTORE: &str = "pg_restore --file=- --no-owner --no-comments --no-publications \
                          --no-subscriptions --no-security-labels";

/// Whether rows that are there may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// Nothing may be lost.
    Refuse,
    /// What is there may be replaced.
    Allow,
}

/// A dump whose file is what its proof says.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The file.
    pub file: PathBuf,
    /// Bytes.
    pub size: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
    /// Its proof, if there is one beside it.
    pub manifest: Option<Manifest>,
}

/// What is there before.
#[derive(Debug, Clone)]
pub struct State {
    /// Name of the database.
    pub database: String,
    /// Version of the server.
    pub version: String,
    /// Tables of telectl's that have rows.
    pub with_rows: Vec<String>,
}

/// What is there afterwards.
#[derive(Debug, Clone)]
pub struct Restored {
    /// What was counted, before it was committed.
    pub proof: Parity,
    /// Whether there was a proof that it was held against.
    pub is_proven: bool,
}

#[derive(Debug, Deserialize)]
struct Server {
    database: String,
    version: String,
    major: u32,
    collectors: u64,
}

/// Reads a dump and holds it against its proof. Nothing else is touched.
///
/// # Errors
/// When a file cannot be read, or is not what it should be.
pub async fn verify(file: &Path) -> Result<Verified, BackupError> {
    let manifest = Manifest::beside(file)?;
    let cannot = |error| about(file, "read")(error);
    let mut opened = tokio::fs::File::open(file).await.map_err(cannot)?;
    let (mut digest, mut size) = (Sha256::new(), 0_u64);
    let mut piece = vec![0; PIECE];
    let mut begins = Vec::new();
    loop {
        let count = opened.read(&mut piece).await.map_err(cannot)?;
        if count == 0 {
            break;
        }
        if begins.len() < MAGIC.len() {
            begins.extend_from_slice(&piece[..count.min(MAGIC.len())]);
        }
        digest.update(&piece[..count]);
        size += count as u64;
    }
    let verified = Verified {
        file: file.to_owned(),
        size,
        sha256: hex::encode(digest.finalize()),
        manifest,
    };
    match verified.defect(&begins) {
        None => Ok(verified),
        Some(reason) => Err(BackupError::Damaged {
            file: file.to_owned(),
            reason,
        }),
    }
}

impl Verified {
    fn defect(&self, begins: &[u8]) -> Option<String> {
        if let Some(manifest) = &self.manifest {
            let expected = &manifest.dump;
            if expected.size != self.size {
                let (was, is) = (expected.size, self.size);
                return Some(format!("it has {is} bytes, and its proof says {was}"));
            }
            if expected.sha256 != self.sha256 {
                let (was, is) = (&expected.sha256, &self.sha256);
                return Some(format!("its SHA-256 is {is}, and its proof says {was}"));
            }
        }
        let is_dump = begins.starts_with(MAGIC);
        (!is_dump).then(|| "it does not begin as pg_dump's custom format does".to_owned())
    }
}

/// Looks whether a dump can be restored here, and refuses what must not be. Changes nothing.
///
/// # Errors
/// When something stands in the way.
pub async fn inspect(
    place: &Place,
    verified: &Verified,
    replace: Replace,
) -> Result<State, BackupError> {
    let mut session = Psql::start(place).await?;
    let answer = session.one(LOOKING, &server()).await?;
    let server: Server = serde_json::from_str(&answer).map_err(|_| BackupError::Answer {
        place: place.name(),
        answer,
    })?;
    old(place, &server, verified).await?;
    let database = server.database;
    if server.collectors > 0 {
        return Err(BackupError::Collectors {
            sessions: server.collectors,
            database,
        });
    }
    let mut present = session.ask(LOOKING, TABLES).await?;
    let foreign: Vec<String> = present
        .extract_if(.., |table| !tables::TABLES.contains(&table.as_str()))
        .collect();
    if !foreign.is_empty() {
        return Err(BackupError::Foreign {
            database,
            tables: foreign,
        });
    }
    let mut with_rows = Vec::new();
    for table in present {
        let is_data = tables::DATA.contains(&table.as_str());
        let question = format!("SELECT EXISTS (SELECT FROM public.{table});");
        if is_data && session.one(LOOKING, &question).await? == "t" {
            with_rows.push(table);
        }
    }
    session.end(LOOKING).await?;
    if replace == Replace::Refuse && !with_rows.is_empty() {
        return Err(BackupError::HasRows {
            database,
            tables: with_rows,
        });
    }
    Ok(State {
        database,
        version: server.version,
        with_rows,
    })
}

fn server() -> String {
    format!(
        "SELECT json_build_object(
             'database', current_database(), 'version', current_setting('server_version'),
             'major', current_setting('server_version_num')::int / 10000,
             'collectors', ({}));",
        collectors()
    )
}

fn collectors() -> String {
    format!(
        "SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = '{COLLECTOR_SESSION}'"
    )
}

/// Refuses programs and servers that cannot read the dump.
async fn old(place: &Place, server: &Server, verified: &Verified) -> Result<(), BackupError> {
    let programs = version::of("pg_restore", place).await?;
    let Some(manifest) = &verified.manifest else {
        return Ok(());
    };
    let needed = manifest.postgresql_major;
    let too_old = |(program, found)| BackupError::TooOld {
        program,
        found,
        other: "the dump's server",
        needed,
    };
    let held = [("pg_restore", programs), ("the server", server.major)];
    let found = held.into_iter().find(|(_, found)| *found < needed);
    found.map_or(Ok(()), |one| Err(too_old(one)))
}

/// Restores a dump. Everything happens in one transaction that commits last, once what was restored was
/// counted and is what was dumped: whatever fails before leaves the database as it was.
///
/// # Errors
/// When anything fails. [`BackupError::Differs`] if what was restored is not what was dumped.
pub async fn restore(
    place: &Place,
    verified: &Verified,
    replace: Replace,
    _confirmed: &Confirmed,
    events: &mut dyn FnMut(Step),
) -> Result<Restored, BackupError> {
    let program = place.start(&script(verified.size, replace)).await?;
    let mut session = Psql::over(place, program);
    let sending = async |input: &mut Sink| send(verified, input, events).await;
    session.feed(DOING, sending).await?;
    events(Step::Counting);
    session.ask(DOING, SETTINGS).await?;
    usable(&mut session).await?;
    let proof = parity::count(&mut session, place).await?;
    if let Some(manifest) = &verified.manifest {
        let differences = manifest.proof.differences(&proof);
        if !differences.is_empty() {
            session.ask(DOING, "ROLLBACK;").await?;
            session.end(DOING).await?;
            return Err(BackupError::Differs { differences });
        }
    }
    session.ask(DOING, ANOTHER_LIFE).await?;
    session.ask("commit what was restored", "COMMIT;").await?;
    // Committed is committed: what follows only makes later questions faster.
    drop(session.ask(DOING, "ANALYZE;").await);
    drop(session.end(DOING).await);
    Ok(Restored {
        proof,
        is_proven: verified.manifest.is_some(),
    })
}

/// Makes SQL of the dump where the database is, and hands that to a `psql`, within a transaction that it
/// does not end; what comes behind the dump goes to the same `psql`. A dump that is cut, or cannot be
/// read, ends that without a commit.
fn script(size: u64, replace: Replace) -> String {
    format!(
        "{{ cat <<'TELECTL'\nBEGIN;\n{SETTINGS}\n{}\nTELECTL\n\
         head -c {size} | {PG_RESTORE} && {{ printf '%s\\n' '{}'; cat; }}\n}} | {}",
        cleared(replace),
        psql::mark(),
        psql::behind_a_pipe()
    )
}

/// Takes telectl's tables away, unless they have rows that must stay or somebody stores some.
fn cleared(replace: Replace) -> String {
    let quoted = |names: &[&str]| -> String {
        let names: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
        names.join(", ")
    };
    let kept: &[&str] = match replace {
        Replace::Refuse => &tables::DATA,
        Replace::Allow => &[],
    };
    format!(
        "DO $telectl$
         DECLARE
             present text;
             kept text;
             found boolean;
         BEGIN
             IF ({}) > 0 THEN
                 RAISE EXCEPTION 'collectors have connected meanwhile';
             END IF;
             SELECT string_agg(format('public.%I', relname), ', ') INTO present
             FROM pg_catalog.pg_class
             WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
               AND relname IN ({});
             IF present IS NULL THEN
                 RETURN;
             END IF;
             EXECUTE 'LOCK TABLE ' || present || ' IN ACCESS EXCLUSIVE MODE';
             FOREACH kept IN ARRAY ARRAY[{}]::text[] LOOP
                 IF to_regclass('public.' || kept) IS NOT NULL THEN
                     EXECUTE format('SELECT EXISTS (SELECT FROM public.%I)', kept) INTO found;
                     IF found THEN
                         RAISE EXCEPTION 'table % has rows meanwhile', kept;
                     END IF;
                 END IF;
             END LOOP;
             EXECUTE 'DROP TABLE ' || present;
         END $telectl$;",
        collectors(),
        quoted(&tables::TABLES),
        quoted(kept)
    )
}

/// Whoever was told that rows are stored was told by another life of the data than this one. And the
/// numbers of transactions are those of the database that was dumped.
const ANOTHER_LIFE: &str = "
    DO $telectl$
    BEGIN
        IF to_regclass('public.store_token') IS NOT NULL THEN
            UPDATE public.store_token SET token = gen_random_uuid()::text;
        END IF;
        IF EXISTS (SELECT FROM pg_catalog.pg_attribute
                   WHERE attrelid = to_regclass('public.ledger') AND attname = 'transaction'
                     AND NOT attisdropped) THEN
            UPDATE public.ledger SET transaction = NULL;
        END IF;
    END $telectl$;";

async fn send(
    verified: &Verified,
    input: &mut Sink,
    events: &mut dyn FnMut(Step),
) -> Result<(), BackupError> {
    let cannot = |error| about(&verified.file, "send")(error);
    let file = tokio::fs::File::open(&verified.file).await;
    // The file may have grown since it was held against its proof.
    let mut file = file.map_err(cannot)?.take(verified.size);
    let (mut piece, mut sent) = (vec![0; PIECE], 0_u64);
    let mut digest = Sha256::new();
    loop {
        let count = file.read(&mut piece).await.map_err(cannot)?;
        if count == 0 {
            break;
        }
        digest.update(&piece[..count]);
        input.write_all(&piece[..count]).await.map_err(cannot)?;
        sent += count as u64;
        events(Step::Sent(sent, verified.size));
    }
    input.flush().await.map_err(cannot)?;
    if sent == verified.size && hex::encode(digest.finalize()) == verified.sha256 {
        return Ok(());
    }
    // The other side still waits for what is missing.
    drop(input.shutdown().await);
    *input = Box::new(tokio::io::sink());
    Err(BackupError::Damaged {
        file: verified.file.clone(),
        reason: "it was changed while it was restored".to_owned(),
    })
}

/// Refuses a dump of something else, or of a newer schema.
async fn usable(session: &mut Psql<'_>) -> Result<(), BackupError> {
    let refused = |reason: String| Err(BackupError::Unusable { reason });
    let present = session.ask(DOING, TABLES).await?;
    let has = |table: &str| present.iter().any(|one| one == table);
    if !has("store_schema") || !has("sample") {
        return refused("holds no pipeline".to_owned());
    }
    let version = "SELECT coalesce(max(version), 0) FROM store_schema;";
    let found: usize = session.one(DOING, version).await?.parse().unwrap_or(0);
    if found > SCHEMA_VERSION {
        return refused(format!(
            "has schema version {found}, and this program knows up to {SCHEMA_VERSION}: use the \
             version that took it, or a newer one"
        ));
    }
    Ok(())
}
