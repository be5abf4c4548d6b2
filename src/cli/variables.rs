//! Every flag by environment variable: `TELECTL_EDGE_CONTEXT` for `--edge-context`.
//!
//! clap could read the environment itself, but only `config::environment` does that. So a variable
//! becomes the flag's default: whoever gives the flag says something else.

use std::collections::BTreeSet;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::config::environment::Environment;

use super::error::CliError;

/// What a flag's variable begins with.
const PREFIX: &str = "TELECTL_";
/// Flags without a variable of their own: `TELECTL_VALUES` names the user's values file, and
/// `TELECTL_ETCD_ENDPOINTS` sets the value `etcd.endpoints`.
const WITHOUT: [&str; 4] = ["help", "version", "values", "etcd-endpoints"];

/// The variable of a flag; `None` for positions and for flags without one.
pub(super) fn name(argument: &Arg) -> Option<String> {
    let long = argument.get_long().filter(|long| !WITHOUT.contains(long))?;
    Some(format!("{PREFIX}{}", long.to_uppercase().replace('-', "_")))
}

/// The variables of all flags of a command and of those below it.
pub(super) fn names(command: &Command) -> BTreeSet<String> {
    let own = command.get_arguments().filter_map(name);
    own.chain(command.get_subcommands().flat_map(names))
        .collect()
}

/// Names the variables in the help, as clap would: `[env: TELECTL_TIMEOUT]`.
pub(super) fn documented(command: Command) -> Command {
    everywhere(command, &|argument| match name(&argument) {
        Some(name) => {
            let help = argument.get_help().map(ToString::to_string);
            let help = with_variable(&help.unwrap_or_default(), &name);
            argument.help(help)
        }
        None => argument,
    })
}

/// Other names that the text has already stay behind ours.
fn with_variable(help: &str, name: &str) -> String {
    match help.rsplit_once("[env: ") {
        Some((text, others)) => format!("{text}[env: {name}, {others}"),
        None => format!("{help} [env: {name}]"),
    }
}

/// Changes the arguments of a command and of those below it.
pub(super) fn everywhere(command: Command, change: &impl Fn(Arg) -> Arg) -> Command {
    let below: Vec<String> = command
        .get_subcommands()
        .map(|below| below.get_name().to_owned())
        .collect();
    below
        .into_iter()
        .fold(command.mut_args(change), |command, name| {
            command.mut_subcommand(name, |below| everywhere(below, change))
        })
}

/// Gives the flags of the command that was called the values of their variables, except those that
/// contradict a flag on the command line. `called` is a first, forgiving look at that line.
pub(super) fn given(
    command: Command,
    called: &ArgMatches,
    environment: &Environment,
) -> Result<Command, CliError> {
    let mut whole = command.clone();
    whole.build();
    let but = contradicted(&whole, called);
    let path = std::iter::successors(called.subcommand(), |(_, matches)| matches.subcommand());
    let path: Vec<&str> = path.map(|(name, _)| name).collect();
    check(&command, &path, environment, &but)?;
    Ok(along(
        command,
        &path,
        &|argument| match text(&argument, environment, &but) {
            Some(text) => with_default(argument, &text),
            None => argument,
        },
    ))
}

/// The text of a flag's variable, if the variable is to be heeded.
fn text(argument: &Arg, environment: &Environment, but: &BTreeSet<String>) -> Option<String> {
    let variable = name(argument).filter(|_| !but.contains(argument.get_id().as_str()))?;
    environment.get(&variable).map(str::to_owned)
}

/// Changes the arguments of the commands on a path, the whole command first.
fn along(command: Command, path: &[&str], change: &impl Fn(Arg) -> Arg) -> Command {
    let command = command.mut_args(change);
    match path {
        [] => command,
        [name, rest @ ..] => command.mut_subcommand(*name, |below| along(below, rest, change)),
    }
}

/// Refuses what a flag would refuse, and names the variable.
fn check(
    command: &Command,
    path: &[&str],
    environment: &Environment,
    but: &BTreeSet<String>,
) -> Result<(), CliError> {
    for argument in command.get_arguments() {
        let (Some(variable), Some(text)) = (name(argument), text(argument, environment, but))
        else {
            continue;
        };
        refuse_wrong(argument, &variable, &text)?;
    }
    let Some((name, rest)) = path.split_first() else {
        return Ok(());
    };
    match command.find_subcommand(name) {
        Some(below) => check(below, rest, environment, but),
        None => Ok(()),
    }
}

fn refuse_wrong(argument: &Arg, variable: &str, text: &str) -> Result<(), CliError> {
    if matches!(argument.get_action(), ArgAction::SetTrue) {
        return match switched(text) {
            Some(_) => Ok(()),
            None => Err(
                CliError::usage(format!("{variable}: `{text}` is neither true nor false"))
                    .hint("the flag takes no value: true gives it, false or nothing does not"),
            ),
        };
    }
    let long = argument.get_long().unwrap_or_default();
    let words = items(argument, text)
        .into_iter()
        .map(|item| format!("--{long}={item}"));
    let alone = Arg::new(argument.get_id().clone())
        .long(long.to_owned())
        .action(argument.get_action().clone())
        .value_parser(argument.get_value_parser().clone());
    let words = std::iter::once("telectl".to_owned()).chain(words);
    let parsed = Command::new("telectl")
        .arg(alone)
        .try_get_matches_from(words);
    let Err(error) = parsed else { return Ok(()) };
    let said = error.to_string();
    let mut lines = said
        .lines()
        .map(str::trim)
        .take_while(|line| !line.is_empty())
        .map(|line| line.strip_prefix("error: ").unwrap_or(line));
    let first = lines.next().unwrap_or_default();
    let refused = CliError::usage(format!("{variable}: {first}"));
    Err(lines.fold(refused, |refused, line| refused.detail(line)))
}

fn switched(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn with_default(argument: Arg, text: &str) -> Arg {
    let argument = argument.required(false);
    match argument.get_action() {
        ArgAction::SetTrue if switched(text) == Some(true) => argument.default_value("true"),
        ArgAction::Set => argument
            .default_value(text.to_owned())
            .hide_default_value(true),
        ArgAction::Append => {
            let items = items(&argument, text);
            argument.default_values(items).hide_default_value(true)
        }
        _ => argument,
    }
}

/// The items of a list: parted by commas, except where commas part what is inside one (`--set`).
fn items(argument: &Arg, text: &str) -> Vec<String> {
    let names = argument.get_value_names().unwrap_or_default();
    let is_list = matches!(argument.get_action(), ArgAction::Append);
    if !is_list || names.iter().any(|name| name.contains('=')) {
        return vec![text.to_owned()];
    }
    text.split(',')
        .map(|item| item.trim().to_owned())
        .filter(|item| !item.is_empty())
        .collect()
}

/// Flags that contradict one that was typed: the command line wins. `command` is built.
fn contradicted(command: &Command, called: &ArgMatches) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let (mut command, mut matches) = (command, called);
    loop {
        let is_typed = |argument: &&Arg| {
            matches.value_source(argument.get_id().as_str()) == Some(ValueSource::CommandLine)
        };
        for typed in command.get_arguments().filter(is_typed) {
            let own = command.get_arg_conflicts_with(typed).into_iter();
            let theirs = command.get_arguments().filter(|other| {
                let rivals = command.get_arg_conflicts_with(other);
                rivals.iter().any(|rival| rival.get_id() == typed.get_id())
            });
            found.extend(own.chain(theirs).map(|rival| rival.get_id().to_string()));
        }
        let next = matches.subcommand();
        let Some((next, below)) =
            next.and_then(|(name, below)| Some((command.find_subcommand(name)?, below)))
        else {
            return found;
        };
        (command, matches) = (next, below);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_our_variable_before_the_scripts() {
        assert_eq!(
            with_variable("Context [env: EDGE_CONTEXT]", "TELECTL_EDGE_CONTEXT"),
            "Context [env: TELECTL_EDGE_CONTEXT, EDGE_CONTEXT]"
        );
        assert_eq!(
            with_variable("Form", "TELECTL_OUTPUT"),
            "Form [env: TELECTL_OUTPUT]"
        );
    }

    #[test]
    fn commas_part_the_items_of_a_list_and_not_the_settings_of_a_set() {
        let list = |name: &'static str| Arg::new("a").value_name(name).action(ArgAction::Append);
        assert_eq!(items(&list("CONTEXT"), "a, b,,"), ["a", "b"]);
        assert_eq!(items(&list("KEY=VALUE"), "a=1,b=2"), ["a=1,b=2"]);
    }
}
