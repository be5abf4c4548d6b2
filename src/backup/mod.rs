//! Dumps of the database with a proof beside them, and the way back.
//!
//! The work is done by PostgreSQL's own programs where they reach the database ([`place`]): in its pod,
//! so that versions are the same and nothing but the API server has to be reached, or on this machine.
//! The proof ([`parity`]) is counted in the snapshot that is dumped, and again in the transaction that
//! restores, before that commits.

mod manifest;
mod parity;
mod place;
mod psql;
mod restore;
mod take;
mod version;

use std::io;
use std::path::{Path, PathBuf};

use crate::cluster::ClusterError;

pub use manifest::{DumpFile, MANIFEST_SUFFIX, Manifest};
pub use parity::{DayParity, Parity, SourceParity, TableParity};
pub use place::Place;
pub use restore::{Replace, Restored, State, Verified, inspect, restore, verify};
pub use take::take;

/// How far long work has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// So many bytes of the dump came from the database.
    Dumped(u64),
    /// So many bytes of so many went to the database.
    Sent(u64, u64),
    /// What is there is counted.
    Counting,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// A cluster says no, or nothing.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The database is not in this namespace.
    #[error("namespace {namespace} of cluster {cluster} runs no PostgreSQL")]
    NoPod {
        /// Context.
        cluster: String,
        /// Namespace.
        namespace: String,
    },
    /// The database is not up.
    #[error("pod {pod} of PostgreSQL is not ready: {why}")]
    NotReady {
        /// Which.
        pod: String,
        /// In Kubernetes' words.
        why: String,
    },
    /// No program can be started here.
    #[error("cannot start a program")]
    Start(#[source] io::Error),
    /// A temporary file cannot be written.
    #[error("cannot write a temporary file")]
    Temporary(#[source] io::Error),
    /// PostgreSQL's programs are not installed.
    #[error("{place}: PostgreSQL's programs are not there: {said}")]
    NoPrograms {
        /// Where.
        place: String,
        /// What the shell said.
        said: String,
    },
    /// A program says no.
    #[error("cannot {doing}, {place} says: {said}")]
    Failed {
        /// What was tried, as a verb phrase.
        doing: &'static str,
        /// Where.
        place: String,
        /// What it said.
        said: String,
    },
    /// A program's end is not known.
    #[error("cannot {doing}: the connection to {place} was cut{}", after(said))]
    Cut {
        /// What was tried, as a verb phrase.
        doing: &'static str,
        /// Where.
        place: String,
        /// What was said before.
        said: String,
    },
    /// The database answers something else than it was asked for.
    #[error("{place} answered `{answer}`, which is not understood")]
    Answer {
        /// Where.
        place: String,
        /// The answer.
        answer: String,
    },
    /// A program is too old for the server or for the dump.
    #[error("{program} {found} is older than {other} {needed}, which it has to read")]
    TooOld {
        /// Program or server.
        program: &'static str,
        /// Its version.
        found: u32,
        /// What it is held against.
        other: &'static str,
        /// The version of that.
        needed: u32,
    },
    /// There are no tables to dump.
    #[error("database {database} holds no pipeline: no collector has prepared it yet")]
    Unprepared {
        /// Which.
        database: String,
    },
    /// A file cannot be read or written.
    #[error("cannot {action} {}", file.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// Which.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A proof cannot be understood.
    #[error("{} is no proof of a dump: {reason}", file.display())]
    Manifest {
        /// Which.
        file: PathBuf,
        /// Why.
        reason: String,
    },
    /// A dump is not what its proof, or its name, says.
    #[error("{} is not the dump that was taken: {reason}", file.display())]
    Damaged {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Somebody may store rows.
    #[error("collectors run in namespace {namespace} of cluster {cluster}: {}", pods.join(", "))]
    CollectorsRun {
        /// Context.
        cluster: String,
        /// Namespace.
        namespace: String,
        /// Their pods.
        pods: Vec<String>,
    },
    /// Somebody stores rows.
    #[error("{sessions} sessions of collectors are connected to database {database}")]
    Collectors {
        /// How many.
        sessions: u64,
        /// Which database.
        database: String,
    },
    /// There is something that would be lost.
    #[error("database {database} has rows: {}", tables.join(", "))]
    HasRows {
        /// Which.
        database: String,
        /// The tables with rows.
        tables: Vec<String>,
    },
    /// There are tables of somebody else.
    #[error(
        "database {database} has tables in its schema `public` that are not telectl's: {}",
        tables.join(", ")
    )]
    Foreign {
        /// Which.
        database: String,
        /// The tables.
        tables: Vec<String>,
    },
    /// The dump is of another program or a newer one.
    #[error("the dump {reason}; nothing was changed")]
    Unusable {
        /// Why.
        reason: String,
    },
    /// What was restored is not what was dumped.
    #[error("what was restored is not what was dumped; it was undone, and nothing was changed")]
    Differs {
        /// What differs, in words.
        differences: Vec<String>,
    },
}

fn after(said: &str) -> String {
    if said.is_empty() {
        String::new()
    } else {
        format!(": {said}")
    }
}

/// An error about a file.
fn about(file: &Path, action: &'static str) -> impl FnOnce(io::Error) -> BackupError {
    let file = file.to_owned();
    move |source| BackupError::File {
        action,
        file,
        source,
    }
}
