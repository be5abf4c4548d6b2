//! From words and the environment to arguments.

use std::collections::BTreeSet;
use std::ffi::OsString;

use clap::{ColorChoice, FromArgMatches as _};

use crate::config::environment::Environment;
use crate::config::unknown_variables;
use crate::model::exit::ExitCode;
use crate::report::Ui;

use super::Arguments;
use super::error::CliError;
use super::order::command_first;
use super::variables;

/// Why words are no command line.
#[derive(Debug)]
pub(super) enum Refusal {
    /// clap says so; also a question for help or version.
    Words(Box<clap::Error>),
    /// A variable says what its flag does not take.
    Variable(CliError),
}

impl Refusal {
    /// Prints it.
    pub(super) fn print(&self, ui: &Ui) -> ExitCode {
        match self {
            Self::Words(error) => {
                // A closed terminal leaves nobody to tell.
                drop(error.print());
                if error.use_stderr() {
                    ExitCode::Usage
                } else {
                    ExitCode::Ok
                }
            }
            Self::Variable(error) => {
                error.print(ui);
                error.exit_code()
            }
        }
    }
}

/// Parses. What the command line leaves open is taken from the environment.
pub(super) fn parse(words: Vec<OsString>, environment: &Environment) -> Result<Arguments, Refusal> {
    let command = variables::documented(super::command()).color(colors(&words, environment));
    let words = &command_first(&command, words);
    let wrong = |error: clap::Error| Refusal::Words(Box::new(error));
    let forgiving = command.clone().ignore_errors(true);
    // A question for help is answered by the second parsing.
    let command = match forgiving.try_get_matches_from(words) {
        Ok(called) => variables::given(command, &called, environment).map_err(Refusal::Variable)?,
        Err(_) => command,
    };
    let matches = command.try_get_matches_from(words).map_err(wrong)?;
    Arguments::from_arg_matches(&matches).map_err(wrong)
}

/// `--color` as far as clap itself is concerned, whose errors come before the flag is known.
fn colors(words: &[OsString], environment: &Environment) -> ColorChoice {
    let mut words = words.iter().filter_map(|word| word.to_str());
    let choice_of = |text: Option<&str>| match text {
        Some("always") => Some(ColorChoice::Always),
        Some("never") => Some(ColorChoice::Never),
        Some("auto") => Some(ColorChoice::Auto),
        _ => None,
    };
    let mut choice = choice_of(environment.get("TELECTL_COLOR")).unwrap_or(ColorChoice::Auto);
    while let Some(word) = words.next() {
        let value = match word.strip_prefix("--color") {
            Some("") => words.next(),
            Some(rest) => rest.strip_prefix('='),
            None => continue,
        };
        choice = choice_of(value).unwrap_or(choice);
    }
    choice
}

/// Warns of variables of ours that mean nothing, and answers the environment that values are read
/// from: a variable that gives a flag sets no value besides.
pub(super) fn without_flags(environment: &Environment, ui: &Ui) -> Result<Environment, CliError> {
    let command = super::command();
    let flags: Vec<String> = variables::names(&command).into_iter().collect();
    for warning in unknown_variables(environment, &flags)? {
        ui.warn(&warning.to_string());
    }
    let claimed: BTreeSet<String> = variables::names(&command);
    let claimed: Vec<String> = claimed
        .into_iter()
        .filter(|name| !KEPT.contains(&name.as_str()))
        .collect();
    Ok(environment.without(&claimed))
}

/// Flags' variables that others read, too.
const KEPT: [&str; 1] = ["TELECTL_FLEET"];

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str], variables: &Environment) -> Result<Arguments, String> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        parse(words, variables).map_err(|refusal| match refusal {
            Refusal::Words(error) => error.to_string(),
            Refusal::Variable(error) => error.text(),
        })
    }

    #[test]
    fn d08_a_variable_gives_a_flag_and_a_typed_flag_beats_it() {
        let environment = Environment::from([
            ("TELECTL_EDGE_CONTEXT", "edge-a, edge-b"),
            ("TELECTL_CENTRAL_CONTEXT", "central-a"),
            ("TELECTL_QUIET", "true"),
        ]);
        let arguments = parsed(&["telectl", "status"], &environment).unwrap();
        assert_eq!(arguments.targets.edge_context, ["edge-a", "edge-b"]);
        let central = arguments.targets.central_context.as_deref();
        assert_eq!(central, Some("central-a"));
        assert!(arguments.global.quiet);
        for words in [
            ["telectl", "-e", "x", "-v", "status"],
            ["telectl", "status", "-e", "x", "-v"],
        ] {
            let arguments = parsed(&words, &environment).unwrap();
            assert_eq!(arguments.targets.edge_context, ["x"]);
            assert!(!arguments.global.quiet, "what is typed wins: {words:?}");
            assert!(arguments.global.verbose);
        }
    }

    #[test]
    fn d09_the_scripts_flags_are_taken_before_and_after_the_command() {
        let flags = "-e edge -c central -s shared -n ns -r redis:6379 -p env:P -d env:D --dry-run";
        for line in [
            format!("telectl {flags} deploy-all"),
            format!("telectl deploy-all {flags} --debug"),
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            let arguments = parsed(&words, &Environment::default()).unwrap();
            let targets = arguments.targets;
            assert_eq!(targets.edge_context, ["edge"]);
            assert_eq!(targets.central_context.as_deref(), Some("central"));
            assert_eq!(targets.shared_context.as_deref(), Some("shared"));
            assert_eq!(targets.namespace.as_deref(), Some("ns"));
            assert!(matches!(
                arguments.command,
                super::super::Command::DeployAll(_)
            ));
        }
    }

    #[test]
    fn a_variable_that_its_flag_refuses_is_named() {
        let output = Environment::from([("TELECTL_OUTPUT", "purple")]);
        let error = parsed(&["telectl", "status"], &output).unwrap_err();
        assert!(
            error.contains("TELECTL_OUTPUT: invalid value 'purple'"),
            "{error}"
        );
        assert!(error.contains("yaml"), "{error}");
        // It is no flag of this command.
        assert!(parsed(&["telectl", "demo"], &output).is_ok());
        let yes = Environment::from([("TELECTL_YES", "perhaps")]);
        let error = parsed(&["telectl", "deploy-all"], &yes).unwrap_err();
        assert!(
            error.contains("TELECTL_YES: `perhaps` is neither"),
            "{error}"
        );
        assert!(parsed(&["telectl", "--help"], &yes).is_err_and(|help| help.contains("Usage")));
    }

    #[test]
    fn a_variable_that_gives_a_flag_sets_no_value_besides() {
        let ui = Ui::new(
            crate::report::Verbosity::Quiet,
            crate::report::ColorChoice::Never,
            None,
        );
        let environment =
            Environment::from([("TELECTL_NAMESPACE", "a"), ("TELECTL_IMAGE_TAG", "b")]);
        let rest = without_flags(&environment, &ui).unwrap();
        assert_eq!(rest.get("TELECTL_NAMESPACE"), None);
        assert_eq!(rest.get("TELECTL_IMAGE_TAG"), Some("b"));
    }
}
