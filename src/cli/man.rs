//! `telectl man`: one page per command.

use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::model::exit::ExitCode;

use super::error::CliError;
use super::examples;
use super::session::Session;
use super::variables;

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// The command whose page to print, for example deploy-all or config explain; telectl itself if
    /// not given
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
    /// Write every page into this folder instead
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    output_dir: Option<PathBuf>,
}

pub(super) fn run(args: &ManArgs, session: &Session) -> Result<ExitCode, CliError> {
    let pages = pages(super::command());
    if let Some(folder) = &args.output_dir {
        write(folder, &pages)?;
        let (count, folder) = (pages.len(), folder.display());
        session
            .ui
            .note(&format!("{count} pages written to {folder}"));
        return Ok(ExitCode::Ok);
    }
    let name = std::iter::once("telectl")
        .chain(args.command.iter().map(String::as_str))
        .collect::<Vec<&str>>()
        .join("-");
    match pages.iter().find(|page| page.name == name) {
        Some(page) => session.ui.data(&page.text)?,
        None => {
            let wanted = args.command.join(" ");
            return Err(CliError::usage(format!("there is no command `{wanted}`"))
                .hint("`telectl --help` lists the commands"));
        }
    }
    Ok(ExitCode::Ok)
}

/// A page and what it is called, for example `telectl-config-explain`.
struct Page {
    name: String,
    text: String,
}

fn write(folder: &Path, pages: &[Page]) -> Result<(), CliError> {
    let cannot = |path: &Path, error| {
        CliError::failed(format!("cannot write {}", path.display())).because(error)
    };
    std::fs::create_dir_all(folder).map_err(|error| cannot(folder, error))?;
    for page in pages {
        let path = folder.join(format!("{}.1", page.name));
        std::fs::write(&path, &page.text).map_err(|error| cannot(&path, error))?;
    }
    Ok(())
}

/// The pages of a command and of all below it; flags that every command takes stand on the first
/// page only.
fn pages(command: Command) -> Vec<Page> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    add(&command, &mut Vec::new(), &mut pages);
    pages
}

fn add(command: &Command, above: &mut Vec<String>, pages: &mut Vec<Page>) {
    above.push(command.get_name().to_owned());
    let path = above.iter().skip(1).map(String::as_str).collect::<Vec<_>>();
    pages.push(Page {
        name: above.join("-"),
        text: page(command, &path.join(" "), above),
    });
    for below in command.get_subcommands().filter(|one| !one.is_hide_set()) {
        add(below, above, pages);
    }
    above.pop();
}

fn page(command: &Command, path: &str, words: &[String]) -> String {
    let is_first = path.is_empty();
    let shown = command.clone().mut_args(|argument| {
        let is_common = !is_first && argument.is_global_set();
        argument.hide(is_common)
    });
    let shown = shown
        .display_name(words.join("-"))
        .bin_name(words.join(" "));
    let source = concat!("telectl ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(shown)
        .manual("telectl manual")
        .source(source)
        .date("");
    let mut text = Vec::new();
    // Writing to a vector cannot fail.
    let mut section = |render: &dyn Fn(&mut Vec<u8>) -> std::io::Result<()>| {
        render(&mut text).unwrap_or_default();
    };
    section(&|out| man.render_title(out));
    section(&|out| man.render_name_section(out));
    section(&|out| man.render_synopsis_section(out));
    section(&|out| man.render_description_section(out));
    section(&|out| man.render_options_section(out));
    if command.get_subcommands().any(|below| !below.is_hide_set()) {
        section(&|out| man.render_subcommands_section(out));
    }
    section(&|out| examples(path).to_writer(out));
    section(&|out| environment(command, is_first).to_writer(out));
    section(&|out| exit_status(command).to_writer(out));
    String::from_utf8_lossy(&text).into_owned()
}

fn examples(path: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXAMPLES"]);
    for (line, what) in examples::of(path) {
        roff.control("TP", []);
        roff.text([bold(*line)]);
        roff.text([roman(*what)]);
    }
    roff
}

fn environment(command: &Command, is_first: bool) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["ENVIRONMENT"]);
    roff.text([roman(
        "Every flag can be given by a variable; what is typed beats it. Flags that take no value are \
         given by true; lists are parted by commas.",
    )]);
    let own = |argument: &&clap::Arg| is_first || !argument.is_global_set();
    for argument in command.get_arguments().filter(own) {
        let Some(variable) = variables::name(argument) else {
            continue;
        };
        let long = argument.get_long().unwrap_or_default();
        roff.control("TP", []);
        roff.text([bold(variable)]);
        roff.text([roman(format!("As --{long}."))]);
    }
    if is_first {
        for (variable, what) in VARIABLES {
            roff.control("TP", []);
            roff.text([bold(*variable)]);
            roff.text([roman(*what)]);
        }
    }
    roff
}

/// Variables that are no flags.
const VARIABLES: &[(&str, &str)] = &[
    (
        "EDGE_CONTEXT, CENTRAL_CONTEXT, SHARED_CONTEXT, NAMESPACE, REDIS_HOST",
        "As the script that came before had them; weaker than those that begin with TELECTL_.",
    ),
    (
        "REDIS_PASSWORD, DB_PASSWORD",
        "The passwords themselves, where no flag says where they come from.",
    ),
    ("KUBECONFIG", "Files with contexts, parted by colons."),
    (
        "TELECTL_VALUES",
        "The user's own values file; telectl/values.yaml below XDG_CONFIG_HOME otherwise.",
    ),
    (
        "TELECTL_KEY_OF_A_VALUE",
        "A value: TELECTL_IMAGE_TAG sets image.tag. telectl config explain KEY tells who set it.",
    ),
    ("NO_COLOR", "If set to anything, nothing is coloured."),
];

fn exit_status(command: &Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    if let Some(text) = command.get_after_help() {
        let text = text.to_string();
        let is_the_list = text.contains(EXIT_HEADING);
        if !is_the_list {
            roff.text([roman(text)]);
        }
    }
    for code in ExitCode::ALL {
        roff.control("TP", []);
        roff.text([bold(code.number().to_string())]);
        roff.text([roman(code.meaning())]);
    }
    roff
}

/// How the list of exit codes begins in the help of telectl itself.
const EXIT_HEADING: &str = "Exit codes:";

#[cfg(test)]
mod tests {
    use super::pages;

    #[test]
    fn every_command_has_a_page_with_examples_environment_and_exit_codes() {
        let pages = pages(super::super::command());
        let names: Vec<&str> = pages.iter().map(|page| page.name.as_str()).collect();
        assert!(names.contains(&"telectl-config-explain"), "{names:?}");
        assert!(
            !names.iter().any(|name| name.contains("__complete")),
            "{names:?}"
        );
        for page in &pages {
            for wanted in [
                ".TH",
                ".SH EXAMPLES",
                ".SH ENVIRONMENT",
                ".SH \"EXIT STATUS\"",
            ] {
                assert!(page.text.contains(wanted), "{}: {wanted}", page.name);
            }
        }
        let deploy = pages.iter().find(|page| page.name == "telectl-deploy-all");
        let text = &deploy.unwrap().text;
        assert!(text.contains("TELECTL_YES"), "{text}");
        assert!(text.contains("telectl deploy\\-all\\fR"), "{text}");
        assert!(
            !text.contains("TELECTL_COLOR"),
            "it stands on the first page"
        );
    }
}
