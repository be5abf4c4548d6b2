//! `telectl config schema`: what an editor needs to complete and check values.

use clap::{Args, ValueEnum};

use crate::config::json_schema;
use crate::model::exit::ExitCode;

use super::super::error::CliError;
use super::super::session::Session;

/// Which files a schema is for
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Subject {
    /// Values files, given with -f
    Values,
    /// The fleet file, telectl.yaml
    Fleet,
}

#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// Which files it is for
    #[arg(default_value = "values")]
    subject: Subject,
}

pub(super) fn run(args: &SchemaArgs, session: &Session) -> Result<ExitCode, CliError> {
    let schema = match args.subject {
        Subject::Values => json_schema::values()?,
        Subject::Fleet => json_schema::fleet()?,
    };
    let text = serde_json::to_string_pretty(&schema)
        .map_err(|error| CliError::failed("cannot write the schema").because(error))?;
    session.ui.data(&text)?;
    Ok(ExitCode::Ok)
}
