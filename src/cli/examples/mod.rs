//! Examples for the help of every command. Each line is parsed by a test.

mod clusters;
mod data_path;

use clap::Command;

/// A command line, and what it is good for.
type Example = (&'static str, &'static str);

/// The examples of a command, by its words without `telectl`.
pub(super) fn of(path: &str) -> &'static [Example] {
    let mut all = clusters::EXAMPLES.iter().chain(data_path::EXAMPLES);
    let found = all.find(|(command, _)| *command == path);
    found.map_or(&[], |(_, examples)| examples)
}

/// Puts them at the end of the long help of every command.
pub(super) fn shown(command: Command) -> Command {
    add(command, "")
}

fn add(command: Command, path: &str) -> Command {
    let below: Vec<String> = command
        .get_subcommands()
        .map(|below| below.get_name().to_owned())
        .collect();
    let command = below.into_iter().fold(command, |command, name| {
        let path = format!("{path} {name}");
        command.mut_subcommand(name, |below| add(below, path.trim_start()))
    });
    let examples = of(path);
    if examples.is_empty() {
        return command;
    }
    let mut text = String::new();
    if let Some(after) = command.get_after_help() {
        text = format!("{after}\n\n");
    }
    text.push_str("Examples:");
    let width = examples.iter().map(|(line, _)| line.len()).max();
    let width = width.unwrap_or_default();
    for (line, what) in examples {
        // Where both fit on one line they stand on one.
        if width + what.len() + 6 <= 80 {
            text.push_str(&format!("\n  {line:width$}  # {what}"));
        } else {
            text.push_str(&format!("\n  # {what}\n  {line}"));
        }
    }
    command.after_long_help(text)
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::of;

    fn commands(command: &Command, path: &str, found: &mut Vec<String>) {
        found.push(path.to_owned());
        for below in command.get_subcommands().filter(|one| !one.is_hide_set()) {
            let path = format!("{path} {}", below.get_name());
            commands(below, path.trim_start(), found);
        }
    }

    #[test]
    fn every_command_has_examples_in_its_help_and_every_example_is_right() {
        let mut found = Vec::new();
        commands(&super::super::command(), "", &mut found);
        for path in found {
            let examples = of(&path);
            assert!(!examples.is_empty(), "`{path}` has no line in EXAMPLES");
            for (line, _) in examples {
                let begun = format!("telectl {path}");
                assert!(
                    line.starts_with(begun.trim_end()),
                    "{line} is not of `{path}`"
                );
                let parsed = super::super::command().try_get_matches_from(line.split(' '));
                assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
            }
            let mut words: Vec<&str> = vec!["telectl"];
            words.extend(path.split(' ').filter(|word| !word.is_empty()));
            words.push("--help");
            let help = super::super::command().try_get_matches_from(words);
            let help = help.unwrap_err().to_string();
            assert!(help.contains("Examples:"), "{path}: {help}");
        }
    }
}
