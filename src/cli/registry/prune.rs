//! `telectl registry prune`: deletes what nobody keeps alive.

use clap::Args;
use jiff::Timestamp;

use crate::cli::consent::{self, Consent};
use crate::cli::error::CliError;
use crate::cli::session::Session;
use crate::model::exit::ExitCode;
use crate::registry::entries::{Deletion, Entry};
use crate::report::visible_in_line;

use super::access::{Access, AccessArgs};
use super::filter::FilterArgs;
use super::view::{RegistrationView, table};

#[derive(Debug, Args)]
#[command(
    after_help = "Stale is what hangs on no lease, readable or not: it stays when its worker is gone. \
                  What hangs on a lease is never deleted, its lease does that. An entry that was \
                  written again since it was shown stays, too."
)]
pub(super) struct PruneArgs {
    #[command(flatten)]
    access: AccessArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// Delete without asking
    #[arg(short, long)]
    yes: bool,
    /// Show what would be deleted and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &PruneArgs, session: &Session) -> Result<ExitCode, CliError> {
    let access = args.access.open(&session.environment)?;
    crate::cli::block_on(prune(args, &access, session))
}

async fn prune(args: &PruneArgs, access: &Access, session: &Session) -> Result<ExitCode, CliError> {
    let (ui, place) = (&session.ui, &access.place);
    let mut entries = access.registry.entries().await?.entries;
    entries.retain(|entry| args.filter.takes(entry));
    let (stale, living): (Vec<Entry>, Vec<Entry>) = entries.into_iter().partition(Entry::is_stale);
    for entry in &living {
        if let Some(kept) = kept(entry) {
            ui.note(&kept);
        }
    }
    if stale.is_empty() {
        ui.note(&format!(
            "Nothing to delete: none of the entries asked for at {place} is stale."
        ));
        return Ok(ExitCode::Ok);
    }
    let now = Timestamp::now();
    let views: Vec<RegistrationView> = stale
        .iter()
        .map(|entry| RegistrationView::of(entry, now))
        .collect();
    ui.table(&table(&views, ui.table_columns()))?;
    if args.dry_run {
        let count = counted(stale.len());
        ui.note(&format!("Dry run: {count} would be deleted, nothing was."));
        return Ok(ExitCode::Ok);
    }
    let consent = if args.yes {
        Consent::Given
    } else {
        Consent::Ask
    };
    let question = format!(
        "Delete {} from the registry at {place}?",
        counted(stale.len())
    );
    let agreed = consent::obtain(session, consent, &question)?;
    let mut deleted = 0;
    for entry in &stale {
        let outcome = access.registry.delete_stale(entry, &agreed).await;
        let outcome = outcome.map_err(|error| {
            CliError::from(error).detail(format!("{} before", counted_as_deleted(deleted)))
        })?;
        deleted += usize::from(outcome == Deletion::Deleted);
        let key = visible_in_line(&entry.registered.key);
        ui.data(&format!("{key} {}", told(outcome)))?;
    }
    ui.note(&format!("Done: {}.", counted_as_deleted(deleted)));
    Ok(ExitCode::Ok)
}

/// Why an entry that cannot be read is left alone.
fn kept(entry: &Entry) -> Option<String> {
    let reason = entry.registered.record.as_ref().err()?;
    let seconds = entry.registered.lease_remaining.unwrap_or_default();
    let key = &entry.registered.key;
    Some(format!(
        "{key} is unreadable ({reason}) and is kept: it hangs on a lease, with {seconds} s left"
    ))
}

const fn told(outcome: Deletion) -> &'static str {
    match outcome {
        Deletion::Deleted => "deleted",
        Deletion::Changed => "kept: it was written again since it was shown",
        Deletion::Gone => "was gone already",
    }
}

fn counted(entries: usize) -> String {
    match entries {
        1 => "1 entry".to_owned(),
        count => format!("{count} entries"),
    }
}

fn counted_as_deleted(entries: usize) -> String {
    let verb = if entries == 1 { "was" } else { "were" };
    format!("{} {verb} deleted", counted(entries))
}
