//! `telectl restore`: a dump goes back, and is proven to be there.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::backup::{self, Place, Replace, State, Verified};
use crate::model::consent::Confirmed;
use crate::model::exit::ExitCode;

use super::{place, refusal, shown, view, within};
use crate::cli::consent::{self, Consent};
use crate::cli::error::CliError;
use crate::cli::session::Session;
use crate::cli::targets::Targets;
use crate::cli::time::time;

/// Arguments of `telectl restore`
#[derive(Debug, Args)]
#[command(
    after_help = "The database is found as `telectl backup` finds it. The dump is held against its \
                  SHA-256 first; then everything is one transaction, which commits only if what is \
                  there then is what FILE.proof.json says. Dumps of the CronJob have no proof \
                  beside them: they are restored and not proven. Stop the collectors before; \
                  streamers may run, and send again what the dump does not have.\n\n\
                  Exits with 4 if what was restored is not what was dumped; the database is as it \
                  was then."
)]
pub(in crate::cli) struct RestoreArgs {
    /// The dump, of `telectl backup` or of the CronJob
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Replace rows that are there: whatever was stored since the dump was taken is lost, unless the
    /// streamers still have it
    #[arg(long)]
    replace: bool,
    /// Restore without asking
    #[arg(short, long)]
    yes: bool,
    /// Look at the dump and at the database and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Longest time for the whole restore, for example 90m
    #[arg(long, value_name = "TIME", default_value = "6h", value_parser = time)]
    timeout: Duration,
}

impl RestoreArgs {
    const fn replace(&self) -> Replace {
        if self.replace {
            Replace::Allow
        } else {
            Replace::Refuse
        }
    }
}

pub(in crate::cli) fn run(
    args: &RestoreArgs,
    targets: &Targets,
    session: &Session,
) -> Result<ExitCode, CliError> {
    crate::cli::block_on(async {
        let verified = backup::verify(&args.file).await;
        let verified = verified.map_err(refusal::explained)?;
        session.ui.note(&view::verified(&verified));
        if verified.manifest.is_none() {
            session.ui.warn(
                "there is no proof beside this dump: what is restored cannot be held against it",
            );
        }
        let place = place(targets, session).await?;
        let looking = looked(&place, &verified, args.replace());
        let state = within(args.timeout, "the database did not answer", looking).await?;
        if args.dry_run {
            session.ui.note("Dry run: nothing was changed.");
            return Ok(ExitCode::Ok);
        }
        let confirmed = confirm(args, &place, &state, session)?;
        let name = place.name();
        let mut progress = shown(session, &name);
        let replace = args.replace();
        let work = backup::restore(&place, &verified, replace, &confirmed, &mut progress);
        let restored = within(args.timeout, "the restore was not done", work).await?;
        drop(progress);
        session.ui.note(&view::afterwards(targets));
        session.answer(&view::restored(&restored, &state), ExitCode::Ok)
    })
}

async fn looked(
    place: &Place,
    verified: &Verified,
    replace: Replace,
) -> Result<State, backup::BackupError> {
    place.refuse_collectors().await?;
    backup::inspect(place, verified, replace).await
}

fn confirm(
    args: &RestoreArgs,
    place: &Place,
    state: &State,
    session: &Session,
) -> Result<Confirmed, CliError> {
    let consent = if args.yes {
        Consent::Given
    } else {
        Consent::Ask
    };
    let (database, place) = (&state.database, place.name());
    if state.with_rows.is_empty() {
        let question = format!("Restore into the empty database {database} ({place})?");
        return consent::obtain(session, consent, &question);
    }
    let tables = state.with_rows.join(", ");
    let question =
        format!("Rows of {tables} in database {database} ({place}) are replaced. Type {database}");
    consent::obtain_by_name(session, consent, &question, database)
}
