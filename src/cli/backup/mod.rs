//! `telectl backup`: a dump of the database and its proof.

mod refusal;
mod restore;
mod view;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use crate::backup::{self, BackupError, Manifest, Place, Step};
use crate::cluster::Cluster;
use crate::cluster::kubeconfig::Contexts;
use crate::config::worker::DatabaseSettings;
use crate::model::exit::ExitCode;
use crate::model::profile::Profile;

use super::error::CliError;
use super::session::Session;
use super::targets::Targets;
use super::time::time;

pub(super) use restore::{RestoreArgs, run as restore};

/// Pause between two words about how far it has come.
const PAUSE: Duration = Duration::from_millis(500);

/// Arguments of `telectl backup`
#[derive(Debug, Args)]
#[command(
    after_help = "With -c, pg_dump runs in the database's pod and the dump comes through the API \
                  server. Without a central cluster, pg_dump and psql of this machine reach the \
                  database that the workers' variables name: DB_HOST, DB_PORT, DB_NAME, DB_USER, \
                  DB_PASSWORD, DB_SSL_MODE, DB_CA_CERT. Collectors go on storing meanwhile. Beside \
                  the dump stands FILE.proof.json: what the same snapshot held, which `telectl \
                  restore` holds the database against."
)]
pub(super) struct BackupArgs {
    /// Where the dump goes; telemetry-TIME.dump in the working directory if not given
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Longest time for the whole dump, for example 90m
    #[arg(long, value_name = "TIME", default_value = "6h", value_parser = time)]
    timeout: Duration,
}

pub(super) fn run(
    args: &BackupArgs,
    targets: &Targets,
    session: &Session,
) -> Result<ExitCode, CliError> {
    let now = jiff::Timestamp::now();
    let file = args.output.clone().unwrap_or_else(|| dated(now));
    if file.as_os_str() == "-" {
        return Err(CliError::usage(
            "the dump cannot go to standard output: its proof goes beside it",
        )
        .hint("name a file: --output FILE"));
    }
    super::block_on(async {
        let place = place(targets, session).await?;
        let name = place.name();
        session
            .ui
            .note(&format!("Dumping {name} into {} …", file.display()));
        let mut progress = shown(session, &name);
        let taking = backup::take(&place, &file, env!("CARGO_PKG_VERSION"), &mut progress);
        let manifest = within(args.timeout, "the dump was not whole", taking).await?;
        drop(progress);
        let proof = Manifest::path_of(&file);
        session
            .ui
            .note(&format!("Its proof is {}.", proof.display()));
        session.answer(&view::taken(&manifest, &file), ExitCode::Ok)
    })
}

/// Named as the dumps of the CronJob are.
fn dated(now: jiff::Timestamp) -> PathBuf {
    format!("telemetry-{}.dump", now.strftime("%Y%m%dT%H%M%SZ")).into()
}

/// Where PostgreSQL's programs run: in the central cluster if one is named, else here.
async fn place(targets: &Targets, session: &Session) -> Result<Place, CliError> {
    let Some(context) = &targets.central else {
        let settings = DatabaseSettings::from_environment(&session.environment);
        let settings = settings.map_err(refusal::nowhere)?;
        return Place::local(&settings).map_err(refusal::explained);
    };
    let contexts = Contexts::read(&targets.kubeconfig)?;
    let cluster = Cluster::from_context(&contexts, context).await?;
    let place = Place::in_cluster(&cluster, namespace(targets)).await;
    place.map_err(refusal::explained)
}

/// The namespace of the workers.
fn namespace(targets: &Targets) -> &str {
    let chosen = targets.namespace.as_deref();
    chosen.unwrap_or(Profile::Central.default_namespace())
}

/// Says how far it has come, not more often than somebody can read.
fn shown<'a>(session: &Session, subject: &'a str) -> impl FnMut(Step) + use<'a> {
    let is_interactive = session.ui.is_interactive();
    let mut progress = session.ui.progress();
    let mut said: Option<Instant> = None;
    move |step| {
        if said.is_some_and(|said| said.elapsed() < PAUSE) && !matches!(step, Step::Counting) {
            return;
        }
        said = Some(Instant::now());
        progress.waiting(subject, &view::step(step, is_interactive));
    }
}

/// What is left of work that did not come to its end: a dump has no name before it is whole, and a
/// restore that is not committed is undone.
const LEFT: &str = "no file is left of it, and what was not committed is undone";

/// Work with a deadline, which an interrupt ends.
async fn within<T>(
    limit: Duration,
    not_done: &str,
    work: impl Future<Output = Result<T, BackupError>>,
) -> Result<T, CliError> {
    tokio::select! {
        done = tokio::time::timeout(limit, work) => match done {
            Ok(done) => done.map_err(refusal::explained),
            Err(_) => {
                let message = format!("{not_done} after {} s", limit.as_secs());
                Err(CliError::with_code(ExitCode::Timeout, message)
                    .detail(LEFT)
                    .hint("give it more time: --timeout 12h"))
            }
        },
        code = super::signal::received() => {
            Err(CliError::with_code(code, "interrupted").detail(LEFT))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w23_a_dump_is_named_as_the_cron_job_names_its_own() {
        let time: jiff::Timestamp = "2025-07-18T20:42:34Z".parse().unwrap();
        let name = dated(time).display().to_string();
        assert_eq!(name, "telemetry-20250718T204234Z.dump");
        let script = include_str!("../../../templates/backup.sh.hbs");
        assert!(script.contains("telemetry-$(date -u +%Y%m%dT%H%M%SZ).dump"));
    }
}
