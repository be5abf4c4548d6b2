//! `telectl render`: what would be applied, as YAML or JSON.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::config::{self, FlagValue, Layers, Resolved};
use crate::model::exit::ExitCode;
use crate::model::manifest::{Manifest, RenderedSet};
use crate::model::profile::Profile;
use crate::render::{self, RenderError};

use super::error::CliError;
use super::session::Session;
use super::targets::Targets;
use super::values::{self, ValuesArgs};

/// Format of manifests
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Documents with `---` between them
    Yaml,
    /// One `v1 List`
    Json,
}

#[derive(Debug, Args)]
pub(super) struct RenderArgs {
    /// Profiles; dev if none is given
    #[arg(value_name = "PROFILE", value_parser = values::profile())]
    profiles: Vec<Profile>,
    #[command(flatten)]
    values: ValuesArgs,
    /// Format
    #[arg(short, long, default_value = "yaml")]
    output: Format,
    /// Write one file per object into a folder per profile instead of standard output
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
    /// Put placeholders for addresses that only a deployment finds out; not for applying
    #[arg(long)]
    placeholders: bool,
}

pub(super) fn run(
    args: &RenderArgs,
    targets: &Targets,
    session: &Session,
) -> Result<ExitCode, CliError> {
    let layers = layers(&args.values, targets, session)?;
    let mut sets = Vec::new();
    for profile in profiles(&args.profiles) {
        let resolved = resolve(profile, &layers, session)?;
        let set = if args.placeholders {
            render::preview(&resolved)?
        } else {
            render::render(&resolved)?
        };
        sets.push(set);
    }
    match &args.output_dir {
        Some(folder) => {
            let mut written = 0;
            for set in &sets {
                written += write(folder, set, args.output)?;
            }
            session
                .ui
                .note(&format!("{written} files written to {}", folder.display()));
        }
        None => session.ui.data(&text(&sets, args.output)?)?,
    }
    for set in &sets {
        say_secrets(set, session);
    }
    Ok(ExitCode::Ok)
}

/// The layers of `-f`, `--set` and the environment, and `--namespace` on top.
pub(super) fn layers(
    values: &ValuesArgs,
    targets: &Targets,
    session: &Session,
) -> Result<Layers, CliError> {
    let mut layers = values.layers(targets, session)?;
    layers
        .flags
        .extend(targets.namespace.as_ref().map(|namespace| FlagValue {
            flag: "--namespace".to_owned(),
            key: "namespace".to_owned(),
            value: namespace.clone().into(),
        }));
    Ok(layers)
}

/// Resolves a profile and says what is odd about its values.
pub(super) fn resolve(
    profile: Profile,
    layers: &Layers,
    session: &Session,
) -> Result<Resolved, CliError> {
    let resolved = config::resolve(profile, layers)?;
    for warning in &resolved.warnings {
        session.ui.warn(&warning.to_string());
    }
    Ok(resolved)
}

fn profiles(given: &[Profile]) -> Vec<Profile> {
    if given.is_empty() {
        return vec![Profile::Dev];
    }
    let mut profiles = given.to_vec();
    profiles.sort_unstable();
    profiles.dedup();
    profiles
}

fn text(sets: &[RenderedSet], format: Format) -> Result<String, CliError> {
    let objects = || {
        sets.iter()
            .flat_map(|set| &set.manifests)
            .map(|manifest| &manifest.value)
    };
    match format {
        Format::Json => {
            let items: Vec<&Value> = objects().collect();
            as_text(
                &json!({ "apiVersion": "v1", "kind": "List", "items": items }),
                format,
            )
        }
        Format::Yaml => {
            let documents: Result<Vec<String>, CliError> =
                objects().map(|object| as_text(object, format)).collect();
            Ok(documents?.join("---\n"))
        }
    }
}

fn as_text(value: &Value, format: Format) -> Result<String, CliError> {
    let cannot = "cannot write the manifests";
    match format {
        Format::Yaml => {
            serde_yaml::to_string(value).map_err(|error| CliError::failed(cannot).because(error))
        }
        Format::Json => serde_json::to_string_pretty(value)
            .map(|text| text + "\n")
            .map_err(|error| CliError::failed(cannot).because(error)),
    }
}

/// `DIR/PROFILE/KIND-NAME.yaml`, and how many.
fn write(folder: &Path, set: &RenderedSet, format: Format) -> Result<usize, CliError> {
    let folder = folder.join(set.profile.name());
    let cannot = |path: &Path, error| {
        CliError::failed(format!("cannot write {}", path.display())).because(error)
    };
    std::fs::create_dir_all(&folder).map_err(|error| cannot(&folder, error))?;
    for manifest in &set.manifests {
        let path = folder.join(file_name(manifest, format));
        let text = as_text(&manifest.value, format)?;
        std::fs::write(&path, text).map_err(|error| cannot(&path, error))?;
    }
    Ok(set.manifests.len())
}

fn file_name(manifest: &Manifest, format: Format) -> String {
    let suffix = match format {
        Format::Yaml => "yaml",
        Format::Json => "json",
    };
    let kind = manifest.object.kind.name().to_lowercase();
    format!("{kind}-{}.{suffix}", manifest.object.name)
}

fn say_secrets(set: &RenderedSet, session: &Session) {
    let needs: Vec<String> = set
        .secrets
        .iter()
        .map(|need| {
            let keys: Vec<&str> = need.keys.iter().map(|key| key.key.as_str()).collect();
            format!("\n  {} ({})", need.name, keys.join(", "))
        })
        .collect();
    if !needs.is_empty() {
        session.ui.note(&format!(
            "{}: these Secrets must exist in namespace {}; `telectl deploy` makes those that are \
             missing:{}",
            set.profile,
            set.namespace,
            needs.concat()
        ));
    }
}

impl From<RenderError> for CliError {
    fn from(error: RenderError) -> Self {
        let is_missing = matches!(error, RenderError::Missing { .. });
        let made = Self::from_error(ExitCode::Usage, &error);
        if is_missing {
            made.hint(
                "`telectl deploy-all` finds these addresses out by itself; `telectl render \
                 --placeholders` shows the rest",
            )
        } else {
            made
        }
    }
}
