//! `telectl completions`

use clap::Args;
use clap_complete::Shell;

use crate::model::exit::ExitCode;

use super::error::CliError;
use super::session::Session;

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// Which shell
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs, session: &Session) -> Result<ExitCode, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "telectl", &mut script);
    session.ui.data(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::Ok)
}
