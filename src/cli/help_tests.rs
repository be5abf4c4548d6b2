//! What `--help` says.

use clap::{Command, FromArgMatches as _};

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
    let command = super::command();
    command.clone().debug_assert();
    let mut found = Vec::new();
    undocumented(&command, "", &mut found);
    assert!(found.is_empty(), "without help: {found:#?}");
}

/// The long help of a command below the whole one.
fn help(name: &str) -> String {
    let mut whole = super::command();
    whole.build();
    let command = whole.find_subcommand_mut(name).unwrap();
    command.render_long_help().to_string()
}

#[test]
fn commands_about_no_cluster_take_the_flags_of_clusters_and_do_not_show_them() {
    for name in super::LOCAL {
        assert!(!help(name).contains("--edge-context"), "{name}");
    }
    assert!(help("status").contains("--edge-context"));
    let line = ["telectl", "demo", "--once", "-e", "edge", "-c", "central"];
    let matches = super::command().try_get_matches_from(line).unwrap();
    let arguments = super::Arguments::from_arg_matches(&matches).unwrap();
    assert_eq!(arguments.targets.edge_context, ["edge"]);
    assert_eq!(
        arguments.targets.central_context.as_deref(),
        Some("central")
    );
}

#[test]
fn a_mistyped_profile_is_answered_with_the_nearest() {
    for line in [
        &["telectl", "render", "edeg"][..],
        &["telectl", "deploy", "edeg"],
        &["telectl", "config", "view", "edeg"],
    ] {
        let error = super::command().try_get_matches_from(line).unwrap_err();
        assert!(error.to_string().contains("'edge'"), "{error}");
    }
}
