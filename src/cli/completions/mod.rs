//! `telectl completions`, and `telectl __complete`, which the scripts ask while somebody types.
//!
//! The scripts are thin: what can come next is decided here, where contexts, overlays, keys and
//! checks are known.

mod candidates;

use std::ffi::OsString;

use clap::{Args, ValueEnum};
use clap_complete::Shell;
use clap_complete::engine::complete;

use crate::model::exit::ExitCode;

use super::error::CliError;
use super::session::Session;

const BASH: &str = include_str!("telectl.bash");
const ZSH: &str = include_str!("telectl.zsh");
const FISH: &str = include_str!("telectl.fish");

/// A shell
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// With contexts, overlays, keys and checks
    Bash,
    /// With contexts, overlays, keys and checks
    Zsh,
    /// With contexts, overlays, keys and checks
    Fish,
    /// Commands and flags only
    Elvish,
    /// Commands and flags only
    Powershell,
}

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// Which shell
    shell: Kind,
}

/// The words of a command line that is being typed
#[derive(Debug, Args)]
pub(super) struct CompleteArgs {
    /// The words up to the cursor, the program first; the last one is the one that is typed
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

pub(super) fn run(args: &CompletionsArgs, session: &Session) -> Result<ExitCode, CliError> {
    let script = match args.shell {
        Kind::Bash => BASH.to_owned(),
        Kind::Zsh => ZSH.to_owned(),
        Kind::Fish => FISH.to_owned(),
        Kind::Elvish => generated(Shell::Elvish),
        Kind::Powershell => generated(Shell::PowerShell),
    };
    session.ui.data(&script)?;
    Ok(ExitCode::Ok)
}

fn generated(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::command(), "telectl", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// One candidate per line, with what it is behind a tab. Nothing is ever said to standard error:
/// it would stand in the middle of what somebody types.
pub(super) fn answer(args: &CompleteArgs, session: &Session) -> Result<ExitCode, CliError> {
    let Some(last) = args.words.len().checked_sub(1) else {
        return Ok(ExitCode::Ok);
    };
    let mut command = candidates::offered(super::command(), &args.words, &session.environment);
    let folder = std::env::current_dir().ok();
    let found = complete(&mut command, args.words.clone(), last, folder.as_deref());
    let lines = found.unwrap_or_default().into_iter().map(|candidate| {
        let value = candidate.get_value().to_string_lossy().into_owned();
        let help = candidate.get_help().map(ToString::to_string);
        match help.as_deref().and_then(|help| help.lines().next()) {
            Some(help) => format!("{value}\t{help}\n"),
            None => format!("{value}\n"),
        }
    });
    let text: String = lines.collect();
    if !text.is_empty() {
        session.ui.data(&text)?;
    }
    Ok(ExitCode::Ok)
}
