//! `telectl config overlays`: the small files of values that telectl brings with it.

use clap::Args;

use crate::config::overlay;
use crate::model::exit::ExitCode;
use crate::report::Table;

use super::super::error::CliError;
use super::super::session::Session;

#[derive(Debug, Args)]
pub(super) struct OverlaysArgs {
    /// Print this overlay instead of the list
    name: Option<String>,
}

pub(super) fn run(args: &OverlaysArgs, session: &Session) -> Result<ExitCode, CliError> {
    match &args.name {
        Some(name) => session.ui.data(overlay::text(name)?)?,
        None => session.ui.table(&table())?,
    }
    Ok(ExitCode::Ok)
}

fn table() -> Table {
    let mut table = Table::new(&["OVERLAY", "FOR"]);
    for (name, purpose) in overlay::list() {
        table.row(vec![name.into(), purpose.into()]);
    }
    table
}
