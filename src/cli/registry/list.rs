//! `telectl registry list`

use clap::Args;
use jiff::Timestamp;

use crate::cli::error::CliError;
use crate::cli::session::Session;
use crate::model::exit::ExitCode;

use super::access::AccessArgs;
use super::filter::FilterArgs;
use super::view::{Form, ListView, RegistrationView, SCHEMA_VERSION, document, table};

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    access: AccessArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// The form of the list
    #[arg(short, long, value_name = "FORM", default_value = "table")]
    output: Form,
}

pub(super) fn run(args: &ListArgs, session: &Session) -> Result<ExitCode, CliError> {
    let access = args.access.open(&session.environment)?;
    let listing = crate::cli::block_on(async { Ok(access.registry.entries().await?) })?;
    let now = Timestamp::now();
    let wanted = listing
        .entries
        .iter()
        .filter(|entry| args.filter.takes(entry));
    let views: Vec<RegistrationView> = wanted
        .map(|entry| RegistrationView::of(entry, now))
        .collect();
    if views.is_empty() {
        session
            .ui
            .note(&nothing(&args.filter, listing.entries.len(), &access.place));
    }
    let answer = ListView {
        schema_version: SCHEMA_VERSION,
        registrations: &views,
    };
    match args.output {
        Form::Table if views.is_empty() => {}
        Form::Table => session
            .ui
            .table(&table(&views, session.ui.table_columns()))?,
        form => session.ui.data(&document(form, &answer)?)?,
    }
    Ok(ExitCode::Ok)
}

/// What is said where there is nothing to list.
pub(super) fn nothing(filter: &FilterArgs, all: usize, place: &str) -> String {
    if filter.is_empty() || all == 0 {
        format!("Nothing is registered at {place}.")
    } else {
        format!("None of the {all} registrations at {place} is of such a type and cluster.")
    }
}
