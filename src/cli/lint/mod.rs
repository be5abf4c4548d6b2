//! `telectl lint`: what is wrong with values, and with what is made from them, without a cluster.

mod checklist;
mod view;

use clap::{Args, ValueEnum};

use crate::config::Layers;
use crate::lint::{self, Answer, Finding, LintError, Severity, Standing, merged};
use crate::model::exit::ExitCode;
use crate::model::profile::Profile;

use super::error::CliError;
use super::render;
use super::session::Session;
use super::targets::Targets;
use super::values::{self, ValuesArgs};

/// From which severity on the command fails
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// Something is wrong
    Error,
    /// Something is wrong or odd
    Warning,
}

/// The form of the report
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LintOutput {
    /// For people
    Text,
    /// For programs
    Json,
}

/// Arguments of `telectl lint`
#[derive(Debug, Args)]
pub(super) struct LintArgs {
    /// Profiles that the values are for; all if none is given
    #[arg(value_name = "PROFILE", value_parser = values::profile())]
    profiles: Vec<Profile>,
    #[command(flatten)]
    values: ValuesArgs,
    /// Let a rule be broken, by its id; may be given several times. In values: lint.allow
    #[arg(long, value_name = "ID", value_parser = rule_id())]
    allow: Vec<String>,
    /// From which severity on to exit with 4
    #[arg(long, value_name = "SEVERITY", default_value = "error")]
    fail_on: FailOn,
    /// Print the zero-trust checklist instead: for each principle and profile whether it is kept, and
    /// where it is not. Fails only with --fail-on warning
    #[arg(long)]
    zero_trust: bool,
    /// The form of the report
    #[arg(short, long, value_name = "FORM", default_value = "text")]
    output: LintOutput,
}

/// Reads the id of a rule; a mistyped one is answered with the nearest.
fn rule_id() -> clap::builder::PossibleValuesParser {
    lint::RULES.iter().map(|rule| rule.id).into()
}

pub(super) fn run(
    args: &LintArgs,
    targets: &Targets,
    session: &Session,
) -> Result<ExitCode, CliError> {
    let layers = render::layers(&args.values, targets, session)?;
    let profiles = match args.profiles.as_slice() {
        [] => Profile::ALL.to_vec(),
        given => given.to_vec(),
    };
    if args.zero_trust {
        return checklist(args, &profiles, &layers, session);
    }
    let mut found = Vec::new();
    for profile in profiles {
        found.extend(lint::lint(profile, &layers)?);
    }
    for finding in &mut found {
        finding.allowed |= args.allow.iter().any(|id| id == finding.rule.id);
    }
    let found = merged(found);
    let text = match args.output {
        LintOutput::Text => view::text(&found, session.ui.data_coloring()),
        LintOutput::Json => view::json(&found),
    };
    session.answer(&text, verdict(args.fail_on, &found))
}

fn checklist(
    args: &LintArgs,
    profiles: &[Profile],
    layers: &Layers,
    session: &Session,
) -> Result<ExitCode, CliError> {
    let mut answers = Vec::new();
    for profile in profiles {
        answers.extend(lint::checklist(*profile, layers)?);
    }
    let text = match args.output {
        LintOutput::Text => checklist::text(&answers, session.ui.data_coloring()),
        LintOutput::Json => checklist::json(&answers),
    };
    let is_broken = |answer: &Answer| matches!(answer.standing, Standing::Broken(_));
    let fails = args.fail_on == FailOn::Warning && answers.iter().any(is_broken);
    let code = if fails {
        ExitCode::ValidationFailed
    } else {
        ExitCode::Ok
    };
    session.answer(&text, code)
}

fn verdict(fail_on: FailOn, found: &[Finding]) -> ExitCode {
    let has = |severity| found.iter().any(|finding| finding.counts_as(severity));
    let warned = fail_on == FailOn::Warning && has(Severity::Warning);
    if has(Severity::Error) || warned {
        ExitCode::ValidationFailed
    } else {
        ExitCode::Ok
    }
}

impl From<LintError> for CliError {
    fn from(error: LintError) -> Self {
        match error {
            LintError::Values(error) => error.into(),
            LintError::Render(error) => error.into(),
        }
    }
}
