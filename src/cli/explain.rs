//! `telectl explain`: what a code means, without a network.

use clap::Args;

use crate::deploy::preflight::catalogue as preflight;
use crate::lint::{self, RULES, Rule};
use crate::model::exit::ExitCode;
use crate::model::likeness::nearest;
use crate::report::Table;
use crate::validate::{CATALOGUE, CheckInfo, check};

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
    /// Id of a check or a rule (TEL-RED-001), an exit code (4), or `modes` for same-cluster against
    /// cross-cluster; without one, all of them
    #[arg(value_name = "CODE")]
    code: Option<String>,
}

pub(super) fn run(args: &ExplainArgs, session: &Session) -> Result<ExitCode, CliError> {
    match &args.code {
        None => session.ui.table(&table())?,
        Some(code) => session.ui.data(&explained(code)?)?,
    }
    Ok(ExitCode::Ok)
}

fn explained(code: &str) -> Result<String, CliError> {
    if code == MODES_WORD {
        return Ok(MODES.to_owned());
    }
    if let Some(check) = check::find(code) {
        return Ok(of_check(check));
    }
    if let Some(check) = preflight::find(code) {
        return Ok(of_preflight(check));
    }
    if let Some(rule) = lint::find(code) {
        return Ok(of_rule(rule));
    }
    let exit = ExitCode::ALL.into_iter();
    let mut exit = exit.filter(|exit| exit.number().to_string() == code);
    exit.next().map(of_exit).ok_or_else(|| unknown(code))
}

fn unknown(code: &str) -> CliError {
    let error = CliError::usage(format!("there is no code `{code}`"));
    let ids = ids();
    match nearest(&code.to_uppercase(), ids.iter().map(|id| &**id), ALIKE) {
        Some(nearest) => error.hint(format!("`telectl explain {nearest}` is the nearest")),
        None => error.hint("`telectl explain` lists all codes"),
    }
}

fn ids() -> Vec<String> {
    let checks = CATALOGUE.iter().map(|check| check.id.to_owned());
    let before = preflight::CATALOGUE.iter().map(|check| check.id.to_owned());
    let rules = RULES.iter().map(|rule| rule.id.to_owned());
    let exits = ExitCode::ALL.map(|exit| exit.number().to_string());
    let modes = [MODES_WORD.to_owned()];
    checks
        .chain(before)
        .chain(rules)
        .chain(exits)
        .chain(modes)
        .collect()
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

fn table() -> Table {
    let mut table = Table::new(&["CODE", "KIND", "ABOUT"]);
    for check in CATALOGUE {
        table.row(vec![check.id.into(), "check".into(), check.title.into()]);
    }
    for check in preflight::CATALOGUE {
        table.row(vec![
            check.id.into(),
            "look before".into(),
            check.title.into(),
        ]);
    }
    for rule in RULES {
        table.row(vec![rule.id.into(), "rule".into(), rule.title.into()]);
    }
    for exit in ExitCode::ALL {
        let number = exit.number().to_string();
        table.row(vec![
            number.into(),
            "exit code".into(),
            exit.meaning().into(),
        ]);
    }
    let modes = "same cluster against several, and which profile for whom";
    table.row(vec![MODES_WORD.into(), "guide".into(), modes.into()]);
    table
}
