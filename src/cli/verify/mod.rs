//! `telectl verify data`: the proof from the database that nothing is lost and nothing stored twice.

mod json;
mod view;
mod words;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand, ValueEnum};

use crate::config::environment::Environment;
use crate::config::worker::{DatabaseSettings, SettingError};
use crate::model::exit::ExitCode;
use crate::model::growing;
use crate::store::postgres::PostgresStore;
use crate::store::proof::file::{self, FileError, Origin, Reading};
use crate::store::proof::{Comparison, Proof, Question};
use crate::store::{Store as _, StoreError};

use super::error::CliError;
use super::session::Session;
use super::targets::TargetArgs;
use super::time::time;

/// What the server has longer than the command, whose own words about the time are the better ones.
const AFTERWARDS: Duration = Duration::from_secs(5);
/// How often a file is read again that grew meanwhile.
const ATTEMPTS: usize = 5;

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    #[command(subcommand)]
    command: VerifyCommand,
}

#[derive(Debug, Subcommand)]
enum VerifyCommand {
    /// Hold the ledger, the signed-off sizes and the samples in PostgreSQL against each other
    Data(DataArgs),
}

/// The form of the report
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReportOutput {
    /// For people
    Table,
    /// For programs
    Json,
}

/// Arguments of `telectl verify data`
#[derive(Debug, Args)]
#[command(
    after_help = "The database is named by the workers' own variables: DB_HOST, DB_PORT, DB_NAME, \
                  DB_USER, DB_PASSWORD, DB_SSL_MODE, DB_CA_CERT. A user that may only read is \
                  enough, and nobody waits for this command. Every collector has them set:\n  \
                  kubectl --context central -n telemetry-system exec deploy/collector -- telectl \
                  verify data\n\n\
                  Exits with 0 if nothing is wrong, and with 4 if a source is incomplete or a file \
                  differs. A source that is still being read is `growing`, which is wrong only with \
                  --complete."
)]
struct DataArgs {
    /// Also compare with this CSV file, read by other code than the streamers'; may be given several
    /// times
    #[arg(long, value_name = "CSV")]
    file: Vec<PathBuf>,
    /// Exit with 4 unless there are sources and every one is complete
    #[arg(long)]
    complete: bool,
    /// The form of the report
    #[arg(short, long, value_name = "FORM", default_value = "table")]
    output: ReportOutput,
    /// Longest time for the whole proof, for example 300s or 5m
    #[arg(long, value_name = "TIME", default_value = "300s", value_parser = time)]
    timeout: Duration,
}

/// A file, and how the store compares with it in each cluster that has read it.
struct FileReport {
    path: PathBuf,
    size: u64,
    digest: String,
    /// `None` where no cluster has read it.
    reading: Option<Reading>,
    /// A source of the same name and other content, if no cluster has read this one.
    same_name: Option<String>,
    clusters: Vec<(String, Comparison)>,
}

impl FileReport {
    fn is_contradiction(&self) -> bool {
        let differs = |(_, found): &(String, Comparison)| found.is_contradiction();
        self.reading.is_none() || self.clusters.iter().any(differs)
    }

    /// Whether the store had as much of a growing file as was read.
    fn is_level(&self) -> bool {
        let is_growing = self.reading.as_ref().is_some_and(|one| one.is_growing);
        let unfinished = |(_, found): &(String, Comparison)| *found == Comparison::Unfinished;
        !(is_growing && self.clusters.iter().any(unfinished))
    }

    fn is_proven(&self) -> bool {
        let same = |(_, found): &(String, Comparison)| matches!(found, Comparison::Same { .. });
        self.reading.is_some() && self.clusters.iter().all(same)
    }
}

/// Refuses flags that name clusters: whoever types one expects the database of that cluster.
pub(super) fn refuse_clusters(
    flags: &TargetArgs,
    environment: &Environment,
) -> Result<(), CliError> {
    flags.refuse_typed("verify", environment).map_err(|error| {
        error
            .hint("DB_HOST and its like name the database; `telectl verify data --help` has them all")
            .hint("every collector has them set: kubectl exec deploy/collector -- telectl verify data")
    })
}

pub(super) fn run(args: &VerifyArgs, session: &Session) -> Result<ExitCode, CliError> {
    let VerifyCommand::Data(args) = &args.command;
    let settings = DatabaseSettings::from_environment(&session.environment).map_err(unset)?;
    let store = PostgresStore::new(&settings)
        .map_err(|error| CliError::from_error(ExitCode::Usage, &error))?;
    let (proof, files) = super::block_on(async {
        let work = tokio::time::timeout(args.timeout, prove(&store, args));
        work.await.unwrap_or_else(|_| Err(late(args, &settings)))
    })?;
    let ui = &session.ui;
    let text = match args.output {
        ReportOutput::Table => view::page(&proof, &files, ui.data_columns(), ui.data_coloring()),
        ReportOutput::Json => json::report(&proof, &files),
    };
    session.answer(&text, verdict(args.complete, &proof, &files))
}

fn late(args: &DataArgs, settings: &DatabaseSettings) -> CliError {
    let message = format!(
        "the store at {} did not say within {} s what it holds",
        settings.endpoint,
        args.timeout.as_secs()
    );
    CliError::with_code(ExitCode::Timeout, message).hint("give it more time: --timeout 30m")
}

fn verdict(complete: bool, proof: &Proof, files: &[FileReport]) -> ExitCode {
    let is_wrong = !proof.holds() || files.iter().any(FileReport::is_contradiction);
    let is_proven = proof.is_complete() && files.iter().all(FileReport::is_proven);
    if is_wrong || (complete && !is_proven) {
        ExitCode::ValidationFailed
    } else {
        ExitCode::Ok
    }
}

/// Reads the files, then asks the store once about everything.
async fn prove(
    store: &PostgresStore,
    args: &DataArgs,
) -> Result<(Proof, Vec<FileReport>), CliError> {
    let begun = Instant::now();
    let mut proven = prove_once(store, args, begun).await?;
    for _ in 1..ATTEMPTS {
        // More was stored of a growing file after it was read here.
        if proven.1.iter().all(FileReport::is_level) {
            break;
        }
        proven = prove_once(store, args, begun).await?;
    }
    Ok(proven)
}

async fn prove_once(
    store: &PostgresStore,
    args: &DataArgs,
    begun: Instant,
) -> Result<(Proof, Vec<FileReport>), CliError> {
    let mut files = Vec::new();
    let mut questions = Vec::new();
    for path in &args.file {
        let (report, clusters) = examine(store, path).await?;
        for cluster in clusters {
            if let Some(reading) = &report.reading {
                questions.push((files.len(), reading.question(&cluster), cluster));
            }
        }
        files.push(report);
    }
    let question = Question {
        limit: args.timeout.saturating_sub(begun.elapsed()) + AFTERWARDS,
        files: questions
            .iter()
            .map(|(_, asked, _)| asked.clone())
            .collect(),
    };
    let proof = store.prove(&question).await.map_err(refused)?;
    for ((place, _, cluster), answer) in questions.into_iter().zip(&proof.files) {
        let report: &mut FileReport = &mut files[place];
        if let Some(reading) = &report.reading {
            let comparison = reading.compare(&proof, &cluster, answer);
            report.clusters.push((cluster, comparison));
        }
    }
    for report in files.iter_mut().filter(|report| report.reading.is_none()) {
        report.same_name = namesake(&report.path, &proof);
    }
    Ok((proof, files))
}

/// Reads a file, if the store knows it, and tells the clusters that have read it.
async fn examine(
    store: &PostgresStore,
    path: &Path,
) -> Result<(FileReport, BTreeSet<String>), CliError> {
    let (size, mut digest) = blocking(path, |path| file::identify(&path)).await?;
    let mut origins = store.origins(&digest).await.map_err(refused)?;
    let is_whole = !origins.is_empty();
    if !is_whole && let Some(head) = blocking(path, |path| file::head(&path)).await? {
        origins = growing_origins(store, &head).await?;
        if let Some(origin) = origins.first() {
            digest.clone_from(&origin.source.digest);
        }
    }
    let mut quarantined: Vec<_> = origins.iter().flat_map(|one| &one.quarantined).collect();
    quarantined.sort_by_key(|place| place.offset);
    quarantined.dedup_by_key(|place| place.offset);
    let quarantined: Vec<_> = quarantined.into_iter().copied().collect();
    let reading = match origins.as_slice() {
        [] => None,
        [first, ..] => {
            let source = first.source.clone();
            let reach = origins.iter().map(|one| one.reach).max().unwrap_or(0);
            let read = move |path: PathBuf| {
                if is_whole {
                    file::read(&path, &source.name, &source.digest, &quarantined)
                } else {
                    file::read_beginning(&path, &source, reach, &quarantined)
                }
            };
            Some(blocking(path, read).await?)
        }
    };
    let report = FileReport {
        path: path.to_owned(),
        size,
        digest,
        reading,
        same_name: None,
        clusters: Vec::new(),
    };
    let clusters = origins.into_iter().map(|one| one.source.cluster);
    Ok((report, clusters.collect()))
}

/// The sources that are growing files with this head: the latest of those that began alike.
async fn growing_origins(store: &PostgresStore, head: &[u8]) -> Result<Vec<Origin>, CliError> {
    let mut latest = Vec::new();
    for generation in 0.. {
        let digest = growing::digest(head, generation);
        let origins = store.origins(&digest).await.map_err(refused)?;
        if origins.is_empty() {
            break;
        }
        latest = origins;
    }
    Ok(latest)
}

/// Reads a file beside the clock, which ends the command when its time is over.
async fn blocking<T: Send + 'static>(
    path: &Path,
    read: impl FnOnce(PathBuf) -> Result<T, FileError> + Send + 'static,
) -> Result<T, CliError> {
    let path = path.to_owned();
    let reading = tokio::task::spawn_blocking(move || read(path));
    match reading.await {
        Ok(read) => read.map_err(unusable),
        Err(error) => Err(CliError::failed("cannot read a file").because(error)),
    }
}

fn namesake(path: &Path, proof: &Proof) -> Option<String> {
    let name = path.file_name()?.to_string_lossy();
    let mut sources = proof.sources.iter().map(|one| &one.source);
    let found = sources.find(|source| source.name == name)?;
    Some(found.to_string())
}

fn unusable(error: FileError) -> CliError {
    let changed = matches!(error, FileError::Changed { .. });
    let refused = CliError::from_error(ExitCode::Usage, &error);
    if changed {
        refused.hint("name a file that nobody writes to")
    } else {
        refused.hint("name the CSV file as the streamers read it: --file CSV")
    }
}

const IN_THE_CLUSTER: &str = "run it where the variables are set: kubectl --context CENTRAL -n \
                              telemetry-system exec deploy/collector -- telectl verify data";

fn unset(error: SettingError) -> CliError {
    CliError::from_error(ExitCode::Usage, &error)
        .hint(
            "set DB_HOST; DB_PORT (5432), DB_NAME (telemetry), DB_USER (telemetry), DB_PASSWORD, \
             DB_SSL_MODE (verify-full) and DB_CA_CERT where they differ",
        )
        .hint(IN_THE_CLUSTER)
}

fn refused(error: StoreError) -> CliError {
    let failed = CliError::from_error(ExitCode::Error, &error);
    match error {
        StoreError::Unavailable { .. } => failed
            .hint("the DB_* variables say where the database is and who asks")
            .hint(IN_THE_CLUSTER),
        _ => failed,
    }
}
