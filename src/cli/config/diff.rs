//! `telectl config diff`: what differs between two profiles, and who made it so.

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::Value;

use crate::config::compare::{Difference, Side, differences};
use crate::model::exit::ExitCode;
use crate::model::profile::Profile;
use crate::report::{Cell, Table};

use super::super::error::CliError;
use super::super::render;
use super::super::session::Session;
use super::super::targets::Targets;
use super::super::values::{self, ValuesArgs};
use super::shown;

/// Version of the JSON form; fields are only ever added.
const SCHEMA_VERSION: u32 = 1;

/// Symbols of a value that a table shows; JSON has all of them.
const LONGEST_VALUE: usize = 48;

/// The form of a comparison
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DiffOutput {
    /// For people
    Table,
    /// For programs
    Json,
}

#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// The one profile
    #[arg(value_parser = values::profile())]
    one: Profile,
    /// The other profile
    #[arg(value_parser = values::profile())]
    other: Profile,
    #[command(flatten)]
    values: ValuesArgs,
    /// The form of the comparison
    #[arg(short, long, value_name = "FORM", default_value = "table")]
    output: DiffOutput,
}

pub(super) fn run(
    args: &DiffArgs,
    targets: &Targets,
    session: &Session,
) -> Result<ExitCode, CliError> {
    let layers = render::layers(&args.values, targets, session)?;
    let one = render::resolve(args.one, &layers, session)?;
    let other = render::resolve(args.other, &layers, session)?;
    let found = differences(&one, &other);
    match args.output {
        DiffOutput::Json => session.ui.data(&json(args, &found))?,
        DiffOutput::Table if found.is_empty() => session.ui.note("No key differs."),
        DiffOutput::Table => session.ui.table(&table(args, &found))?,
    }
    Ok(ExitCode::Ok)
}

/// Two rows per key: each side with its value and who set it.
fn table(args: &DiffArgs, found: &[Difference]) -> Table {
    let mut table = Table::new(&["KEY", "PROFILE", "VALUE", "FROM"]);
    for difference in found {
        let key = difference.path.to_string();
        let sides = [
            (key.as_str(), args.one, &difference.one),
            ("", args.other, &difference.other),
        ];
        for (key, profile, side) in sides {
            table.row(vec![
                key.into(),
                profile.name().into(),
                value(side).into(),
                Cell::from(from(side)),
            ]);
        }
    }
    table
}

/// A value in one line, cut where it would push the rest of the table away.
fn value(side: &Side) -> String {
    let text = side.value.as_ref().map_or_else(|| "-".to_owned(), shown);
    if text.chars().count() <= LONGEST_VALUE {
        return text;
    }
    let start: String = text.chars().take(LONGEST_VALUE - 1).collect();
    start + "…"
}

fn from(side: &Side) -> String {
    side.place
        .as_ref()
        .map_or_else(|| "-".to_owned(), ToString::to_string)
}

#[derive(Debug, Serialize)]
struct DiffView<'a> {
    schema_version: u32,
    profiles: [&'a str; 2],
    differences: Vec<DifferenceView<'a>>,
}

#[derive(Debug, Serialize)]
struct DifferenceView<'a> {
    key: String,
    /// In the order of `profiles`.
    sides: [SideView<'a>; 2],
}

#[derive(Debug, Serialize)]
struct SideView<'a> {
    value: Option<&'a Value>,
    from: Option<String>,
}

fn json(args: &DiffArgs, found: &[Difference]) -> String {
    let view = DiffView {
        schema_version: SCHEMA_VERSION,
        profiles: [args.one.name(), args.other.name()],
        differences: found
            .iter()
            .map(|difference| DifferenceView {
                key: difference.path.to_string(),
                sides: [&difference.one, &difference.other].map(|one| SideView {
                    value: one.value.as_ref(),
                    from: one.place.as_ref().map(ToString::to_string),
                }),
            })
            .collect(),
    };
    serde_json::to_string_pretty(&view).unwrap_or_default()
}
