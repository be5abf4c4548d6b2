//! Options before the command, as the script took them: `telectl -e edge -r redis deploy-all`.

use std::ffi::OsString;

use clap::{Arg, Command};

/// The same words with the options that stand before the command behind it: there clap takes them
/// all. Words in which no command is found stay as they are.
pub(super) fn command_first(command: &Command, words: Vec<OsString>) -> Vec<OsString> {
    let Some(at) = place_of_command(command, &words) else {
        return words;
    };
    let mut end = at;
    let mut below = Some(command);
    while let Some(next) = words.get(end).and_then(|word| below?.find_subcommand(word)) {
        below = Some(next);
        end += 1;
    }
    let mut ordered = vec![words[0].clone()];
    ordered.extend_from_slice(&words[at..end]);
    ordered.extend_from_slice(&words[1..at]);
    ordered.extend_from_slice(&words[end..]);
    ordered
}

fn place_of_command(command: &Command, words: &[OsString]) -> Option<usize> {
    let mut at = 1;
    while let Some(word) = words.get(at).and_then(|word| word.to_str()) {
        if word == "--" {
            return None;
        }
        if !word.starts_with('-') {
            return command.find_subcommand(word).map(|_| at);
        }
        at += if is_alone(command, word) { 1 } else { 2 };
    }
    None
}

/// Whether an option's value, if it takes one, is not the next word.
fn is_alone(command: &Command, option: &str) -> bool {
    let is_meant = |argument: &Arg| match option.strip_prefix("--") {
        Some(long) => argument
            .get_long_and_visible_aliases()
            .is_some_and(|known| known.contains(&long)),
        None => argument
            .get_short()
            .is_some_and(|short| option == format!("-{short}")),
    };
    !takes_value(command, &is_meant)
}

/// Whether there is such an option with a value, here or below.
fn takes_value(command: &Command, is_meant: &impl Fn(&Arg) -> bool) -> bool {
    let mut own = command.get_arguments();
    own.any(|argument| is_meant(argument) && argument.get_action().takes_values())
        || command
            .get_subcommands()
            .any(|below| takes_value(below, is_meant))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::command_first;

    fn ordered(line: &str) -> String {
        let words = line.split(' ').map(OsString::from).collect();
        let ordered = command_first(&super::super::command(), words);
        let words: Vec<String> = ordered
            .into_iter()
            .map(|word| word.into_string().unwrap())
            .collect();
        words.join(" ")
    }

    #[test]
    fn d09_options_may_stand_before_the_command() {
        for (given, expected) in [
            (
                "telectl -e edge -r redis:6379 --dry-run deploy-all -c central",
                "telectl deploy-all -e edge -r redis:6379 --dry-run -c central",
            ),
            (
                "telectl --set a=b config view edge",
                "telectl config view --set a=b edge",
            ),
            (
                "telectl -v --output=json version",
                "telectl version -v --output=json",
            ),
            // The value of an option is no command, and an unknown word ends the search.
            ("telectl -e status plan", "telectl plan -e status"),
            ("telectl nonsense status", "telectl nonsense status"),
            ("telectl -- status", "telectl -- status"),
        ] {
            assert_eq!(ordered(given), expected);
        }
    }
}
