//! Examples for the help of every command. Each line is parsed by a test.

use clap::Command;

/// A command line, and what it is good for.
type Example = (&'static str, &'static str);

/// By command; the empty name is telectl itself.
const EXAMPLES: &[(&str, &[Example])] = &[
    (
        "",
        &[
            (
                "telectl demo",
                "see GPU data in seconds, without any cluster",
            ),
            (
                "telectl deploy-all -e edge -c central",
                "deploy to two clusters",
            ),
            (
                "telectl status -e edge -c central",
                "see whether it is well, and where not",
            ),
        ],
    ),
    (
        "render",
        &[
            (
                "telectl render edge -f lab --placeholders",
                "what edge would be",
            ),
            (
                "telectl render dev shared --output-dir manifests",
                "one file per object",
            ),
        ],
    ),
    (
        "plan",
        &[
            (
                "telectl plan -e edge -c central",
                "what would change, by field",
            ),
            (
                "telectl plan -e edge -c central --exit-code -o json",
                "for a pipeline: 3 if something would change",
            ),
        ],
    ),
    (
        "deploy",
        &[
            ("telectl deploy central --context central", "one profile"),
            (
                "telectl deploy edge --context edge -c central --dry-run",
                "edge finds Redis and etcd in central",
            ),
            (
                "telectl deploy same-cluster --context kind-dev -y",
                "all in one cluster",
            ),
        ],
    ),
    (
        "lint",
        &[
            (
                "telectl lint -f my-values.yaml",
                "what is wrong with values, without a cluster",
            ),
            (
                "telectl lint edge central --fail-on warning -o json",
                "for a pipeline",
            ),
        ],
    ),
    (
        "explain",
        &[
            (
                "telectl explain TEL-RED-001",
                "what a check looks at, and what to do",
            ),
            ("telectl explain modes", "one cluster or several"),
        ],
    ),
    (
        "resume",
        &[(
            "telectl resume -c central",
            "go on with a run that broke off, with the values that it had",
        )],
    ),
    (
        "rollback",
        &[
            (
                "telectl rollback -e edge -c central --dry-run",
                "what going back to the last generation would change",
            ),
            (
                "telectl rollback -e edge -c central --to 3",
                "back to generation 3",
            ),
        ],
    ),
    (
        "uninstall",
        &[
            (
                "telectl uninstall -e edge -c central --dry-run",
                "what would go and what would stay",
            ),
            (
                "telectl uninstall -e edge -c central",
                "edges first; volumes and passwords stay",
            ),
        ],
    ),
    (
        "rbac",
        &[(
            "telectl rbac edge central",
            "the Roles that an operator's account needs",
        )],
    ),
    (
        "history",
        &[(
            "telectl history -e edge -c central",
            "what was deployed, when and by whom",
        )],
    ),
    (
        "deploy-all",
        &[
            (
                "telectl deploy-all -e edge -e edge-2 -c central",
                "two edges",
            ),
            (
                "telectl deploy-all -e edge -c central -s shared --yes",
                "Redis and etcd in a cluster of their own, without questions",
            ),
            (
                "telectl deploy-all -e edge -c central --set global.image.tag=1.2",
                "one value for this run",
            ),
        ],
    ),
    (
        "status",
        &[
            (
                "telectl status -e edge -c central",
                "once; exits with 4 if not well",
            ),
            ("telectl status -e edge -c central -w", "until Ctrl-C"),
            (
                "telectl status -c central --read-only -o json",
                "for programs, and without a Job",
            ),
        ],
    ),
    (
        "validate",
        &[
            ("telectl validate -e edge -c central", "every check"),
            (
                "telectl validate connectivity -e edge -c central -o junit",
                "for a CI server",
            ),
        ],
    ),
    (
        "registry",
        &[
            (
                "telectl registry list --etcd-endpoints https://etcd.example:2379",
                "ETCD_CA_CERT and the login come from the environment",
            ),
            (
                "telectl registry resolve-address",
                "where a worker with this environment would say it is",
            ),
        ],
    ),
    (
        "registry list",
        &[
            (
                "telectl registry list --type streamer --cluster edge",
                "the streamers of one cluster; ETCD_ENDPOINTS names the registry",
            ),
            ("telectl registry list -o json", "for a program"),
        ],
    ),
    (
        "registry watch",
        &[
            (
                "telectl registry watch --cluster edge",
                "who comes, changes and goes",
            ),
            ("telectl registry watch -o json", "one object per change"),
        ],
    ),
    (
        "registry show",
        &[(
            "telectl registry show edge.telemetry-system.streamer-0",
            "every field, and whether its address answers",
        )],
    ),
    (
        "registry prune",
        &[
            (
                "telectl registry prune --dry-run",
                "what nobody keeps alive",
            ),
            ("telectl registry prune --yes", "without asking"),
        ],
    ),
    (
        "registry resolve-address",
        &[
            (
                "telectl registry resolve-address --type collector --reach cluster",
                "as in a pod",
            ),
            ("telectl registry resolve-address -o json", "for a program"),
        ],
    ),
    (
        "verify",
        &[(
            "telectl verify data",
            "DB_HOST and its like name the database",
        )],
    ),
    (
        "verify data",
        &[
            ("telectl verify data", "where DB_HOST and its like are set"),
            (
                "telectl verify data --complete -o json",
                "for a pipeline: 4 unless every source is stored whole",
            ),
            (
                "telectl verify data --file metrics.csv",
                "against the file itself, too",
            ),
        ],
    ),
    (
        "config",
        &[
            ("telectl config view edge", "every value of a profile"),
            ("telectl config explain redis.enabled edge", "who set it"),
        ],
    ),
    (
        "config explain",
        &[
            ("telectl config explain redis.enabled edge", "one key"),
            (
                "telectl config explain global --set global.imageRegistry=r.example",
                "all keys below it, and what a flag would change",
            ),
        ],
    ),
    (
        "config diff",
        &[(
            "telectl config diff edge central",
            "the keys that differ, both values, and who set them",
        )],
    ),
    (
        "config overlays",
        &[(
            "telectl config overlays",
            "what -f takes besides files, and what for",
        )],
    ),
    (
        "config schema",
        &[(
            "telectl config schema",
            "the JSON Schema of values files, for an editor",
        )],
    ),
    (
        "config view",
        &[("telectl config view central -f lab", "with an overlay")],
    ),
    (
        "version",
        &[
            ("telectl version", "of this program"),
            (
                "telectl version -e edge -c central -o json",
                "of what runs, too",
            ),
        ],
    ),
    (
        "completions",
        &[
            (
                "telectl completions bash",
                "source <(telectl completions bash)",
            ),
            (
                "telectl completions fish",
                "telectl completions fish | source",
            ),
        ],
    ),
    (
        "man",
        &[
            (
                "telectl man deploy-all",
                "telectl man deploy-all | man -l -",
            ),
            ("telectl man --output-dir man/man1", "every page"),
        ],
    ),
    (
        "demo",
        &[
            ("telectl demo", "a sample of 247 GPUs"),
            (
                "telectl demo --file metrics.csv --once",
                "a file of your own",
            ),
        ],
    ),
    (
        "worker",
        &[(
            "telectl worker collector",
            "as a pod runs it; everything comes from the environment",
        )],
    ),
    (
        "worker streamer",
        &[("telectl worker streamer", "REDIS_URL names the queue")],
    ),
    (
        "worker collector",
        &[(
            "telectl worker collector",
            "REDIS_URL and DB_HOST name the servers",
        )],
    ),
    (
        "worker api-gateway",
        &[("telectl worker api-gateway", "DB_HOST names the database")],
    ),
    (
        "worker fetch",
        &[(
            "telectl worker fetch",
            "SOURCE_URL and SOURCE_SHA256 name the file, CSV_FILE where it goes",
        )],
    ),
    (
        "worker probe",
        &[(
            "telectl worker probe --component collector",
            "what a collector would reach from here",
        )],
    ),
];

/// The examples of a command, by its words without `telectl`.
pub(super) fn of(path: &str) -> &'static [Example] {
    let found = EXAMPLES.iter().find(|(command, _)| *command == path);
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
