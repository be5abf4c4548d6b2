//! What to do about a dump or a restore that did not work.

use crate::backup::BackupError;
use crate::cli::error::CliError;
use crate::config::worker::SettingError;
use crate::model::exit::ExitCode;

/// Differences that are told at most.
const SHOWN: usize = 10;

/// Neither a cluster nor a database is named.
pub(super) fn nowhere(error: SettingError) -> CliError {
    CliError::from_error(ExitCode::Usage, &error)
        .detail("no central cluster is named either")
        .hint("name the cluster with the database: --central-context CONTEXT")
        .hint("or the database, where it can be reached: DB_HOST and its like")
}

/// The error with its exit code and what to do.
pub(super) fn explained(error: BackupError) -> CliError {
    let error = match error {
        BackupError::Cluster(error) => return error.into(),
        other => other,
    };
    let made = CliError::from_error(code(&error), &error);
    match &error {
        BackupError::Differs { differences } => with_differences(made, differences),
        BackupError::NoPod { .. } => made.hint("-n names the namespace of the pipeline").hint(
            "a database outside the cluster is dumped from where it can be reached: without -c, \
                 with DB_HOST and its like, and with pg_dump, pg_restore and psql on the PATH",
        ),
        BackupError::NoPrograms { .. } => {
            made.hint("install PostgreSQL's client programs: pg_dump, pg_restore and psql")
        }
        BackupError::TooOld { program, .. } => match *program {
            "the server" => {
                made.hint("restore into a server of the dump's version, or a newer one")
            }
            program => made.hint(format!(
                "install a {program} that is as new, or use -c: the \
                                          programs of the database's pod are"
            )),
        },
        BackupError::CollectorsRun {
            cluster, namespace, ..
        } => made.hint(format!(
            "stop them: kubectl --context {cluster} -n {namespace} scale deployment \
             -l app.kubernetes.io/component=collector --replicas=0"
        )),
        BackupError::Collectors { .. } => {
            made.hint("stop the collectors: they would store beside what is restored")
        }
        BackupError::HasRows { .. } => {
            made.hint("--replace replaces them; `telectl backup` keeps them first")
        }
        BackupError::Foreign { tables, .. } => made.hint(format!(
            "move them where a restore cannot touch them: ALTER TABLE {} SET SCHEMA …",
            tables.first().map_or("", String::as_str)
        )),
        BackupError::File { source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists => {
            made.hint("no dump is written over: name another file with --output")
        }
        BackupError::Cut { doing, .. } if doing.starts_with("commit") => made.hint(
            "whether it was committed is not known: restore again with --replace, or look with \
             `telectl verify data`",
        ),
        BackupError::Cut { .. } => made.hint("nothing is left of it: run it again"),
        BackupError::Failed { said, .. } if said.contains("max_locks_per_transaction") => made
            .hint(
                "every partition takes two locks: raise max_locks_per_transaction of the server \
             (postgresql.config), and lower it again afterwards",
            ),
        BackupError::Failed { said, .. } if said.contains("other objects depend on") => {
            made.hint("drop or move what depends on telectl's tables; make it again afterwards")
        }
        _ => made,
    }
}

const fn code(error: &BackupError) -> ExitCode {
    match error {
        BackupError::Differs { .. } => ExitCode::ValidationFailed,
        BackupError::File { .. }
        | BackupError::Manifest { .. }
        | BackupError::Damaged { .. }
        | BackupError::Unusable { .. }
        | BackupError::NoPod { .. } => ExitCode::Usage,
        _ => ExitCode::Error,
    }
}

fn with_differences(made: CliError, differences: &[String]) -> CliError {
    let shown = differences.iter().take(SHOWN);
    let made = shown.fold(made, |made, one| made.detail(one.clone()));
    let more = differences.len().saturating_sub(SHOWN);
    let made = if more > 0 {
        made.detail(format!("and {more} more differences"))
    } else {
        made
    };
    made.hint(
        "the proof and the dump are not of one snapshot, or the server changed values: take \
               another dump, or move the proof away to restore this one unproven",
    )
}
