//! What every command has: the terminal, the environment and the global flags.

use std::ffi::OsString;

use clap::{Args, ValueEnum};

use crate::config::environment::Environment;
use crate::model::exit::ExitCode;
use crate::model::shell::quoted;
use crate::report::{ColorChoice, Ui, Verbosity};

use super::error::CliError;

/// When to colour the output
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Color {
    /// When it goes to a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Flags of every command.
#[derive(Debug, Args)]
pub struct GlobalArgs {
    /// Say only warnings and errors besides the data
    #[arg(
        short,
        long,
        global = true,
        conflicts_with = "verbose",
        help_heading = "Global options"
    )]
    quiet: bool,
    /// Say every step
    #[arg(
        short,
        long,
        visible_alias = "debug",
        global = true,
        help_heading = "Global options"
    )]
    verbose: bool,
    /// When to colour the output
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    #[arg(help_heading = "Global options")]
    color: Color,
}

/// What every command is given.
#[derive(Debug)]
pub struct Session {
    /// The terminal.
    pub ui: Ui,
    /// The environment of the process.
    pub environment: Environment,
    /// The command line as it can be typed again. Secrets are never in it: flags take references.
    pub command_line: String,
}

impl Session {
    /// From the flags and the environment.
    pub fn new(flags: &GlobalArgs, environment: Environment) -> Self {
        let verbosity = match (flags.quiet, flags.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, true) => Verbosity::Verbose,
            (false, false) => Verbosity::Normal,
        };
        let choice = match flags.color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        let ui = Ui::new(verbosity, choice, environment.get("NO_COLOR"));
        Self {
            ui,
            environment,
            command_line: typed(std::env::args_os()),
        }
    }

    /// Writes the answer of a command whose exit code says something about it: the code stays the
    /// same where nobody reads the answer to its end.
    pub fn answer(&self, text: &str, code: ExitCode) -> Result<ExitCode, CliError> {
        match self.ui.data(text) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
            Ok(()) | Err(_) => Ok(code),
        }
    }

    /// Prints the error, if there is one, and gives the exit code.
    pub fn finish(&self, outcome: Result<ExitCode, CliError>) -> ExitCode {
        match outcome {
            Ok(code) => code,
            Err(error) => {
                error.print(&self.ui);
                error.exit_code()
            }
        }
    }
}

/// Words as a shell takes them.
fn typed(words: impl Iterator<Item = OsString>) -> String {
    let quoted: Vec<String> = words
        .map(|word| quoted(&word.to_string_lossy()).into_owned())
        .collect();
    quoted.join(" ")
}

#[cfg(test)]
mod tests {
    use super::typed;

    #[test]
    fn a_command_line_can_be_typed_again() {
        let words = ["telectl", "deploy", "--set", "a=b c", "it's", ""];
        let line = typed(words.into_iter().map(Into::into));
        assert_eq!(line, r"telectl deploy --set 'a=b c' 'it'\''s' ''");
    }
}
