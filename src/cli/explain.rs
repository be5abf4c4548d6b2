//! `telectl explain`: what a code means, without a network.

use clap::Args;

use crate::deploy::preflight::catalogue as preflight;
use crate::lint::zero_trust::{self, Principle};
use crate::lint::{RULES, Rule};
use crate::model::exit::ExitCode;
use crate::model::likeness::nearest;
use crate::report::Table;
use crate::validate::{CATALOGUE, CheckInfo};

use super::error::CliError;
use super::session::Session;

/// Same cluster against several, as the documentation has it.
const MODES: &str = include_str!("../../docs/modes.md");

/// The word for [`MODES`].
const MODES_WORD: &str = "modes";

/// Ids differ in their last digits, so that a mistyped one is very much like the right one.
const ALIKE: f64 = 0.6;

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// Id of a check, a rule or a principle (TEL-RED-001), an exit code (4), or `modes` for
    /// same-cluster against cross-cluster; without one, all of them
    #[arg(value_name = "CODE")]
    code: Option<String>,
}

pub(super) fn run(args: &ExplainArgs, session: &Session) -> Result<ExitCode, CliError> {
    let entries = entries();
    match &args.code {
        None => session.ui.table(&table(&entries))?,
        Some(code) => session.ui.data(explained(code, &entries)?)?,
    }
    Ok(ExitCode::Ok)
}

/// Something that can be explained.
struct Entry {
    code: String,
    kind: &'static str,
    about: &'static str,
    text: String,
}

fn entries() -> Vec<Entry> {
    let entry = |code: &str, kind, about, text| Entry {
        code: code.to_owned(),
        kind,
        about,
        text,
    };
    let checks = CATALOGUE
        .iter()
        .map(|check| entry(check.id, "check", check.title, of_check(check)));
    let before = preflight::CATALOGUE
        .iter()
        .map(|check| entry(check.id, "look before", check.title, of_preflight(check)));
    let rules = RULES
        .iter()
        .map(|rule| entry(rule.id, "rule", rule.title, of_rule(rule)));
    let principles = zero_trust::principles()
        .map(|one| entry(one.id, "principle", one.title, of_principle(one)));
    let exits = ExitCode::ALL.map(|exit| {
        let number = exit.number().to_string();
        entry(&number, "exit code", exit.meaning(), of_exit(exit))
    });
    let about = "same cluster against several, and which profile for whom";
    let modes = [entry(MODES_WORD, "guide", about, MODES.to_owned())];
    checks
        .chain(before)
        .chain(rules)
        .chain(principles)
        .chain(exits)
        .chain(modes)
        .collect()
}

fn explained<'e>(code: &str, entries: &'e [Entry]) -> Result<&'e str, CliError> {
    let mut known = entries.iter();
    match known.find(|entry| entry.code.eq_ignore_ascii_case(code)) {
        Some(entry) => Ok(&entry.text),
        None => Err(unknown(code, entries)),
    }
}

fn unknown(code: &str, entries: &[Entry]) -> CliError {
    let error = CliError::usage(format!("there is no code `{code}`"));
    let codes = entries.iter().map(|entry| entry.code.as_str());
    match nearest(&code.to_uppercase(), codes, ALIKE) {
        Some(nearest) => error.hint(format!("`telectl explain {nearest}` is the nearest")),
        None => error.hint("`telectl explain` lists all codes"),
    }
}

fn table(entries: &[Entry]) -> Table {
    let mut table = Table::new(&["CODE", "KIND", "ABOUT"]);
    for entry in entries {
        let code = entry.code.as_str();
        table.row(vec![code.into(), entry.kind.into(), entry.about.into()]);
    }
    table
}

fn of_check(check: &CheckInfo) -> String {
    format!(
        "{}: {}\ncheck of telectl validate, {}\n\n{}\n",
        check.id,
        check.title,
        check.category.word(),
        check.explanation
    )
}

fn of_preflight(check: &preflight::Check) -> String {
    format!(
        "{}: {}\nlook at the clusters before telectl plan and deploy, \
         --skip-preflight {} lets its errors through\n\n{}\n",
        check.id, check.title, check.id, check.explanation
    )
}

fn of_rule(rule: &Rule) -> String {
    let mut text = format!(
        "{}: {}\nrule of telectl lint, {}\n\nWhy: {}\n\nRemedy: {}\n",
        rule.id,
        rule.title,
        rule.severity.word(),
        rule.why,
        rule.remedy
    );
    if !rule.by_construction.is_empty() {
        text.push_str(&format!("\nBy construction: {}\n", rule.by_construction));
    }
    text
}

fn of_exit(exit: ExitCode) -> String {
    format!(
        "exit code {}: {}\n\n{}\n",
        exit.number(),
        exit.meaning(),
        exit.explanation()
    )
}

fn of_principle(principle: &Principle) -> String {
    let Principle {
        id,
        title,
        why,
        remedy,
    } = principle;
    format!(
        "{id}: {title}\nprinciple of telectl lint --zero-trust\n\nOtherwise {why}.\n\n\
         Remedy: {remedy}\n"
    )
}
