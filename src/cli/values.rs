//! The flags that values come from.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::config::fleet::Fleet;
use crate::config::{ConfigError, Layers, ValuesFile};
use crate::model::exit::ExitCode;
use crate::model::profile::Profile;

use super::error::CliError;
use super::session::Session;
use super::targets::Targets;

/// Reads a profile; a mistyped one is answered with the nearest.
pub(super) fn profile() -> impl TypedValueParser<Value = Profile> {
    PossibleValuesParser::new(Profile::ALL.map(Profile::name))
        .try_map(|name| name.parse::<Profile>())
}

/// Values for the profiles
#[derive(Debug, Clone, Default, Args)]
pub(super) struct ValuesArgs {
    /// File with values, or the name of an overlay such as lab; may be given several times, later
    /// ones win
    #[arg(short = 'f', long = "values", value_name = "FILE")]
    files: Vec<String>,
    /// One value, for example streamer.replicaCount=3; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// One value out of a file, taken as it is; may be given several times
    #[arg(long = "set-file", value_name = "KEY=FILE")]
    set_files: Vec<String>,
}

impl ValuesArgs {
    /// The layers that these flags and the environment make.
    pub(super) fn layers(&self, targets: &Targets, session: &Session) -> Result<Layers, CliError> {
        let files: Result<Vec<ValuesFile>, ConfigError> = self
            .files
            .iter()
            .map(|name| ValuesFile::open(name))
            .collect();
        let fleet: Result<Vec<ValuesFile>, ConfigError> =
            targets.fleet.iter().map(Fleet::common).collect();
        Ok(Layers {
            fleet: fleet?,
            user_file: ValuesFile::of_user(&session.environment)?,
            files: files?,
            sets: self.sets.clone(),
            texts: self.texts()?,
            environment: session.environment.clone(),
            ..Layers::default()
        })
    }
}

impl ValuesArgs {
    /// What the files of `--set-file` hold.
    fn texts(&self) -> Result<Vec<(String, String)>, CliError> {
        let read = |given: &String| {
            let (key, file) = given
                .split_once('=')
                .ok_or_else(|| CliError::usage(format!("`--set-file {given}` must be KEY=FILE")))?;
            let text = std::fs::read_to_string(file)
                .map_err(|error| CliError::usage(format!("cannot read `{file}`")).because(error))?;
            Ok((key.to_owned(), text))
        };
        self.set_files.iter().map(read).collect()
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        let made = Self::from_error(ExitCode::Usage, &error);
        match error {
            ConfigError::NoValuesFile { .. } => {
                made.hint("`telectl config view PROFILE` prints what a values file may hold")
            }
            ConfigError::Duplicates { .. } => {
                made.hint("keep one of them; YAML would silently take the last")
            }
            ConfigError::NotYaml { source, .. } if is_about_a_tab(&source) => made
                .hint("indent with spaces (a tab is none), and quote texts that begin with @ or `"),
            _ => made,
        }
    }
}

/// YAML's own words for a tab where a line begins: it begins no token.
fn is_about_a_tab(error: &serde_yaml::Error) -> bool {
    error.to_string().contains("cannot start any token")
}
