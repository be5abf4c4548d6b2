//! What a value can be, by the name that the help gives it: `CONTEXT`, `FILE`, `KEY` …

use std::ffi::{OsStr, OsString};

use clap::{Arg, Command, ValueHint};
use clap_complete::engine::{
    ArgValueCandidates, ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter as _,
};

use crate::cli::targets::{TargetArgs, Targets};
use crate::cli::variables::everywhere;
use crate::cluster::kubeconfig::Contexts;
use crate::config;
use crate::config::environment::Environment;
use crate::validate::CATALOGUE;

/// The command with candidates for its values. The words may name a kubeconfig.
pub(super) fn offered(command: Command, words: &[OsString], environment: &Environment) -> Command {
    let contexts = contexts(words, environment);
    everywhere(command, &|argument| with_candidates(argument, &contexts))
}

fn with_candidates(argument: Arg, contexts: &[String]) -> Arg {
    let names = argument.get_value_names().unwrap_or_default();
    let name = names.first().map(ToString::to_string);
    match name.as_deref() {
        Some("CONTEXT") => fixed(argument, contexts.to_vec()),
        Some("KEY") => fixed(argument, keys().collect()),
        Some("KEY=VALUE") => fixed(argument, keys().map(|key| key + "=").collect()),
        Some("CODE" | "CHECK") => checks(argument),
        Some("FILE") if argument.get_long() == Some("values") => {
            argument.add(ArgValueCompleter::new(values_file))
        }
        Some("FILE" | "CSV" | "PATH") => argument.value_hint(ValueHint::FilePath),
        Some("DIR") => argument.value_hint(ValueHint::DirPath),
        _ => argument,
    }
}

fn fixed(argument: Arg, values: Vec<String>) -> Arg {
    argument.add(ArgValueCandidates::new(move || {
        values.iter().map(CompletionCandidate::new).collect()
    }))
}

fn checks(argument: Arg) -> Arg {
    argument.add(ArgValueCandidates::new(|| {
        let checks = CATALOGUE.iter();
        checks
            .map(|check| CompletionCandidate::new(check.id).help(Some(check.title.into())))
            .collect()
    }))
}

fn keys() -> impl Iterator<Item = String> {
    config::keys().unwrap_or_default().into_iter()
}

/// An overlay of telectl's own, or a file.
fn values_file(typed: &OsStr) -> Vec<CompletionCandidate> {
    let begun = typed.to_string_lossy();
    let overlays = config::overlay::list()
        .map(|(name, _)| name)
        .filter(|name| name.starts_with(&*begun));
    let overlays = overlays.map(|name| {
        CompletionCandidate::new(name).help(Some("overlay that telectl brings with it".into()))
    });
    overlays
        .chain(PathCompleter::file().complete(typed))
        .collect()
}

/// The contexts of the kubeconfig that the words name, or of the environment's. No file, no
/// contexts: what is wrong with it is said when the command is run.
fn contexts(words: &[OsString], environment: &Environment) -> Vec<String> {
    let words: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    let apart = words
        .windows(2)
        .find(|pair| pair[0] == "--kubeconfig")
        .map(|pair| pair[1]);
    let joined = words
        .iter()
        .find_map(|word| word.strip_prefix("--kubeconfig="));
    let named = apart
        .or(joined)
        .or_else(|| environment.get("TELECTL_KUBECONFIG"));
    let flags = TargetArgs {
        kubeconfig: named.map(str::to_owned),
        ..TargetArgs::default()
    };
    let files = Targets::without_fleet(&flags, environment).kubeconfig;
    let found = Contexts::read(&files).map(|contexts| contexts.names());
    found.unwrap_or_default()
}
