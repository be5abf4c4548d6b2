//! Takes a dump and its proof from one snapshot.

use std::io::Write as _;
use std::path::Path;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::manifest::{DumpFile, Manifest, SCHEMA_VERSION};
use super::parity;
use super::place::Place;
use super::psql::{Psql, SETTINGS};
use super::{BackupError, Step, about, version};

const DOING: &str = "dump the database";
/// Bytes that are read at once.
const PIECE: usize = 256 * 1024;

/// Locks before the snapshot is made, so that no partition of it goes before it was dumped; nobody who
/// stores waits for that.
const SNAPSHOT: &str = "
    BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
    LOCK TABLE public.sample IN ACCESS SHARE MODE;
    SELECT json_build_object(
        'snapshot', pg_export_snapshot(), 'taken_at', to_char(now() AT TIME ZONE 'UTC',
            'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),
        'schema', (SELECT max(version) FROM public.store_schema));";

const SERVER: &str = "
    SELECT json_build_object(
        'database', current_database(), 'version', current_setting('server_version'),
        'major', current_setting('server_version_num')::int / 10000,
        'prepared', to_regclass('public.sample') IS NOT NULL
                    AND to_regclass('public.store_schema') IS NOT NULL,
        'has_token', to_regclass('public.store_token') IS NOT NULL);";

#[derive(Debug, Deserialize)]
struct Server {
    database: String,
    version: String,
    major: u32,
    prepared: bool,
    has_token: bool,
}

#[derive(Debug, Deserialize)]
struct Snapshot {
    snapshot: String,
    taken_at: String,
    schema: i32,
}

/// Dumps the database of a place into `file`, and its proof beside it. Neither stands under its name
/// before both are whole and on the disk.
///
/// # Errors
/// When a file of these names exists, and when anything fails: nothing is left then.
pub async fn take(
    place: &Place,
    file: &Path,
    telectl_version: &str,
    events: &mut dyn FnMut(Step),
) -> Result<Manifest, BackupError> {
    let proof_file = Manifest::path_of(file);
    for one in [file, &proof_file] {
        if one.exists() {
            let exists = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
            return Err(about(one, "write")(exists));
        }
    }
    let part = part_of(file)?;
    let mut session = Psql::start(place).await?;
    let server = server(&mut session, place).await?;
    session.ask(DOING, SETTINGS).await?;
    let snapshot: Snapshot = one(place, session.one(DOING, SNAPSHOT).await?)?;
    let token = if server.has_token {
        Some(session.one(DOING, "SELECT token FROM store_token;").await?)
    } else {
        None
    };
    // Both see the same snapshot, so they need not wait for each other.
    let counting = parity::count(&mut session, place);
    let dumping = dump(place, &snapshot.snapshot, &part, events);
    let (proof, (size, sha256)) = tokio::try_join!(counting, dumping)?;
    session.end(DOING).await?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let manifest = Manifest {
        schema_version: SCHEMA_VERSION,
        telectl_version: telectl_version.to_owned(),
        postgresql_version: server.version,
        postgresql_major: server.major,
        database: server.database,
        taken_at: snapshot.taken_at,
        store_token: token,
        store_schema: snapshot.schema,
        dump: DumpFile {
            name: name.into_owned(),
            size,
            sha256,
        },
        proof,
    };
    keep(part, file, &manifest)?;
    Ok(manifest)
}

/// The server, if it has something to dump that the programs can read.
async fn server(session: &mut Psql<'_>, place: &Place) -> Result<Server, BackupError> {
    let server: Server = one(place, session.one(DOING, SERVER).await?)?;
    let programs = version::of("pg_dump", place).await?;
    if programs < server.major {
        return Err(BackupError::TooOld {
            program: "pg_dump",
            found: programs,
            other: "the server",
            needed: server.major,
        });
    }
    if server.prepared {
        return Ok(server);
    }
    Err(BackupError::Unprepared {
        database: server.database,
    })
}

fn one<T: for<'a> Deserialize<'a>>(place: &Place, answer: String) -> Result<T, BackupError> {
    serde_json::from_str(&answer).map_err(|_| BackupError::Answer {
        place: place.name(),
        answer,
    })
}

/// The folder of a file.
fn folder(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A file beside the one that is to be, which nobody else may read and which goes if it is not kept.
fn part_of(file: &Path) -> Result<NamedTempFile, BackupError> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    tempfile::Builder::new()
        .prefix(&format!(".{name}."))
        .suffix(".part")
        .tempfile_in(folder(file))
        .map_err(about(file, "write"))
}

/// Dumps a snapshot into a file; answers its size and SHA-256.
async fn dump(
    place: &Place,
    snapshot: &str,
    part: &NamedTempFile,
    events: &mut dyn FnMut(Step),
) -> Result<(u64, String), BackupError> {
    let cannot = |error| about(part.path(), "write")(error);
    let file = part.as_file().try_clone().map_err(cannot)?;
    let mut file = tokio::fs::File::from_std(file);
    let mut program = place.start(&script(snapshot)).await?;
    let (mut digest, mut size) = (Sha256::new(), 0_u64);
    let mut piece = vec![0; PIECE];
    // What cannot be read any more ends the program, and that says why.
    while let Ok(count @ 1..) = program.output.read(&mut piece).await {
        digest.update(&piece[..count]);
        file.write_all(&piece[..count]).await.map_err(cannot)?;
        size += count as u64;
        events(Step::Dumped(size));
    }
    program.finish(DOING, place).await?;
    file.flush().await.map_err(cannot)?;
    file.sync_all().await.map_err(cannot)?;
    Ok((size, hex::encode(digest.finalize())))
}

/// Ends `pg_dump` where what it reads ends: with the connection to a pod. By itself it would wait for ever
/// to be rid of its output, with a transaction open. Whoever is ended by a signal has to be waited for
/// here: in a pod the orphans are the server's, which takes such an end for the crash of a process of its
/// own and begins anew.
fn script(snapshot: &str) -> String {
    format!(
        "exec 3<&0
         pg_dump --format=custom --no-password --snapshot='{snapshot}' 3<&- &
         dump=$!
         {{ cat <&3; kill \"$dump\"; }} >/dev/null 2>&1 &
         watch=$!
         wait \"$dump\"
         code=$?
         kill \"$watch\" 2>/dev/null
         wait \"$watch\" 2>/dev/null
         exit \"$code\""
    )
}

/// Gives both files their names. The proof comes first: a dump that stands there has it beside it.
fn keep(part: NamedTempFile, file: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    let proof_file = Manifest::path_of(file);
    let mut proof = part_of(&proof_file)?;
    proof
        .write_all(manifest.text().as_bytes())
        .and_then(|()| proof.as_file().sync_all())
        .map_err(about(&proof_file, "write"))?;
    let kept = proof.persist_noclobber(&proof_file);
    kept.map_err(|error| about(&proof_file, "write")(error.error))?;
    if let Err(error) = part.persist_noclobber(file) {
        drop(std::fs::remove_file(&proof_file));
        return Err(about(file, "write")(error.error));
    }
    let folder = folder(file);
    let synced = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(about(folder, "write"))
}
