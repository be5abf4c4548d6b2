//! What `--help` says.

use clap::{Command, CommandFactory as _};

fn undocumented(command: &Command, path: &str, found: &mut Vec<String>) {
    let path = format!("{path} {}", command.get_name());
    if command.get_about().is_none() {
        found.push(path.clone());
    }
    for argument in command.get_arguments() {
        if argument.get_help().is_none() && argument.get_long_help().is_none() {
            found.push(format!("{path} {}", argument.get_id()));
        }
    }
    for below in command.get_subcommands() {
        undocumented(below, &path, found);
    }
}

#[test]
fn every_command_and_flag_has_a_help_text() {
    let command = super::Arguments::command();
    command.clone().debug_assert();
    let mut found = Vec::new();
    undocumented(&command, "", &mut found);
    assert!(found.is_empty(), "without help: {found:#?}");
}
