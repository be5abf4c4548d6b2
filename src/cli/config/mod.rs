//! `telectl config`: which values hold, and who set them.

mod diff;
mod overlays;
mod schema;

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::config::Assignment;
use crate::config::values::Values;
use crate::model::exit::ExitCode;
use crate::model::profile::Profile;
use crate::render::images::effective;
use crate::report::{Cell, Emphasis, Table};

use super::error::CliError;
use super::render;
use super::session::Session;
use super::targets::Targets;
use super::values::{self, ValuesArgs};

#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Show who set a key, winner and losers
    Explain(ExplainArgs),
    /// Print all values of a profile as YAML
    View(ViewArgs),
    /// Compare two profiles: keys that differ, both values and where each comes from
    Diff(diff::DiffArgs),
    /// List the overlays that `-f NAME` finds, or print one to start a file of your own with
    Overlays(overlays::OverlaysArgs),
    /// Print the JSON schema of values files or of the fleet file, for editors
    Schema(schema::SchemaArgs),
}

#[derive(Debug, Args)]
struct ExplainArgs {
    /// Key with dots, for example externalRedis.host; also a key with others below it
    key: String,
    /// Profile
    #[arg(default_value = "dev", value_parser = values::profile())]
    profile: Profile,
    #[command(flatten)]
    values: ValuesArgs,
}

#[derive(Debug, Args)]
struct ViewArgs {
    /// Profile
    #[arg(default_value = "dev", value_parser = values::profile())]
    profile: Profile,
    #[command(flatten)]
    values: ValuesArgs,
}

pub(super) fn run(
    args: &ConfigArgs,
    targets: &Targets,
    session: &Session,
) -> Result<ExitCode, CliError> {
    match &args.command {
        ConfigCommand::Explain(args) => explain(args, targets, session),
        ConfigCommand::View(args) => view(args, targets, session),
        ConfigCommand::Diff(args) => diff::run(args, targets, session),
        ConfigCommand::Overlays(args) => overlays::run(args, session),
        ConfigCommand::Schema(args) => schema::run(args, session),
    }
}

fn explain(args: &ExplainArgs, targets: &Targets, session: &Session) -> Result<ExitCode, CliError> {
    let layers = render::layers(&args.values, targets, session)?;
    let resolved = render::resolve(args.profile, &layers, session)?;
    session.ui.table(&table(&resolved.explain(&args.key)?))?;
    for line in images(&args.key, &resolved.values) {
        session.ui.note(&line);
    }
    Ok(ExitCode::Ok)
}

/// What runs in the end, for keys that images are put together from.
fn images(key: &str, values: &Values) -> Vec<String> {
    let is_common = |prefix: &str| key == prefix || key.starts_with(&format!("{prefix}."));
    let concerns = |(of, _): &(&str, String)| {
        let is_worker = !matches!(*of, "redis.image" | "etcd.image" | "postgresql.image");
        is_common(of)
            || matches!(key, "global" | "global.imageRegistry")
            || (is_worker && is_common("image"))
    };
    let mut users: Vec<(String, Vec<&str>)> = Vec::new();
    for (key, image) in effective(values).into_iter().filter(concerns) {
        let component = key.trim_end_matches(".image");
        match users.iter_mut().find(|(known, _)| *known == image) {
            Some((_, users)) => users.push(component),
            None => users.push((image, vec![component])),
        }
    }
    users
        .iter()
        .map(|(image, users)| format!("image of {}: {image}", users.join(", ")))
        .collect()
}

/// One block per key, the value that holds first.
fn table(assignments: &[Assignment]) -> Table {
    let mut table = Table::new(&["KEY", "VALUE", "FROM", ""]);
    let mut keys: Vec<_> = assignments.iter().map(|set| &set.path).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let concerns = |set: &&Assignment| set.path == *key;
        for (index, set) in assignments.iter().filter(concerns).rev().enumerate() {
            let (verdict, emphasis) = match index {
                0 => ("holds", Emphasis::Good),
                _ => ("overridden", Emphasis::None),
            };
            table.row(vec![
                key.to_string().into(),
                shown(&set.value).into(),
                set.place.to_string().into(),
                Cell::new(verdict, emphasis),
            ]);
        }
    }
    table
}

/// A value in one line.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() && !text.contains('\n') => text.clone(),
        other => other.to_string(),
    }
}

fn view(args: &ViewArgs, targets: &Targets, session: &Session) -> Result<ExitCode, CliError> {
    let layers = render::layers(&args.values, targets, session)?;
    let resolved = render::resolve(args.profile, &layers, session)?;
    let text = serde_yaml::to_string(resolved.tree())
        .map_err(|error| CliError::failed("cannot write the values").because(error))?;
    session.ui.data(&text)?;
    Ok(ExitCode::Ok)
}
