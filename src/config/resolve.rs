//! From layers to typed values.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::profile::Profile;

use super::check::{self, Demand};
use super::duplicate;
use super::environment::Environment;
use super::error::{ConfigError, Problem, ProblemKind, Warning};
use super::ineffective;
use super::intake::{Findings, GivenSecret, Intake};
use super::key_path::KeyPath;
use super::layer::{Assignment, Layer, Merged, Place};
use super::overlay;
use super::passwords;
use super::profiles;
use super::schema::{Known, Schema};
use super::set;
use super::source::Source;
use super::typing;
use super::values::Values;
use super::variables;

/// A file of values, read but not yet understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValuesFile {
    /// How to call it in messages.
    pub name: String,
    /// What it says.
    pub text: String,
}

impl ValuesFile {
    /// What `-f NAME` means: a file, or an overlay of telectl's own if there is no such file.
    ///
    /// # Errors
    /// When there is neither, or the file cannot be read.
    pub fn open(name: &str) -> Result<Self, ConfigError> {
        let text = match std::fs::read_to_string(name) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                overlay::text(name)?.to_owned()
            }
            Err(source) => {
                return Err(ConfigError::Unreadable {
                    path: Path::new(name).to_owned(),
                    source,
                });
            }
        };
        Ok(Self {
            name: name.to_owned(),
            text,
        })
    }

    /// The user's own file: `TELECTL_VALUES`, or `telectl/values.yaml` where configuration lies.
    ///
    /// # Errors
    /// When `TELECTL_VALUES` names a file that cannot be read.
    pub fn of_user(environment: &Environment) -> Result<Option<Self>, ConfigError> {
        if let Some(name) = environment.get("TELECTL_VALUES") {
            return Self::open(name).map(Some);
        }
        let folder = environment
            .get("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(Path::new(environment.get("HOME")?).join(".config")));
        let Some(path) = folder.map(|folder| folder.join("telectl/values.yaml")) else {
            return Ok(None);
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(Self {
                name: path.display().to_string(),
                text,
            })),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ConfigError::Unreadable { path, source }),
        }
    }

    fn layer(&self, source: Source) -> Result<Layer, ConfigError> {
        let tree = parsed(&self.name, &self.text)?;
        duplicate::refuse(&self.name, &self.text)?;
        Ok(Layer {
            source,
            tree,
            text: self.text.clone(),
        })
    }
}

/// A value that a flag or another cluster gives.
#[derive(Debug, Clone, PartialEq)]
pub struct FlagValue {
    /// The flag's name, or what to call the origin.
    pub flag: String,
    /// The key.
    pub key: String,
    /// The value.
    pub value: Value,
}

/// Everything that values come from, besides what telectl brings with it.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// What a deployment found out about other clusters: weaker than all that the user says.
    pub found: Vec<FlagValue>,
    /// The user's own file.
    pub user_file: Option<ValuesFile>,
    /// What the fleet file says for all clusters and then for this one.
    pub fleet: Vec<ValuesFile>,
    /// Files given with `-f`, in order.
    pub files: Vec<ValuesFile>,
    /// The environment.
    pub environment: Environment,
    /// Texts given with `--set`, in order.
    pub sets: Vec<String>,
    /// Keys and the content of their files, given with `--set-file`, in order.
    pub texts: Vec<(String, String)>,
    /// Other flags.
    pub flags: Vec<FlagValue>,
}

/// The values of a profile, and where each comes from.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The profile.
    pub profile: Profile,
    /// The values.
    pub values: Values,
    /// What is odd.
    pub warnings: Vec<Warning>,
    /// Secrets that the values refer to.
    pub secrets: Vec<GivenSecret>,
    merged: Merged,
}

impl Resolved {
    /// The namespace that the profile goes to.
    pub fn namespace(&self) -> &str {
        match self.values.namespace.as_str() {
            "" => self.profile.default_namespace(),
            chosen => chosen,
        }
    }

    /// `CLUSTER_ID` of the workers.
    pub fn cluster_id(&self) -> &str {
        match self.values.global.cluster_id.as_str() {
            "" => self.profile.name(),
            chosen => chosen,
        }
    }

    /// Name of the pipeline, part of its keys in Redis.
    pub fn pipeline(&self) -> &str {
        match self.values.global.pipeline.as_str() {
            "" => self.namespace(),
            chosen => chosen,
        }
    }

    /// The values as a tree, every key present.
    pub const fn tree(&self) -> &Value {
        &self.merged.tree
    }

    /// Who set the value at a key, or above it, or the last of those below it.
    pub fn place(&self, path: &KeyPath) -> Option<&Place> {
        self.merged.place_of(path)
    }

    /// Who set what stands at, above or below a key; the last one for a key wins.
    ///
    /// # Errors
    /// When there is no such key.
    pub fn explain(&self, key: &str) -> Result<Vec<Assignment>, ConfigError> {
        let schema = schema()?;
        let path = KeyPath::parse(key);
        if schema.at(&path) == Known::Nothing && passwords::at(&path).is_none() {
            return Err(ConfigError::NoSuchKey {
                key: key.to_owned(),
                nearest: schema.nearest(&path),
            });
        }
        let concerns = |set: &&Assignment| set.path.is_within(&path) || path.is_within(&set.path);
        Ok(self
            .merged
            .assignments
            .iter()
            .filter(concerns)
            .cloned()
            .collect())
    }
}

/// The values of a profile out of all layers.
///
/// # Errors
/// Everything that is wrong with them, at once where possible.
pub fn resolve(profile: Profile, layers: &Layers) -> Result<Resolved, ConfigError> {
    let schema = schema()?;
    let mut merged = Merged::default();
    // Lines of files that the reader does not have would tell nothing: no text.
    let built_in = Layer {
        source: Source::BuiltIn,
        tree: schema.base().clone(),
        text: String::new(),
    };
    let own = Layer {
        source: Source::Profile(profile),
        tree: parsed(profile.name(), profiles::of(profile))?,
        text: String::new(),
    };
    merged.add(&built_in, &schema);
    merged.add(&own, &schema);
    for found in &layers.found {
        let source = Source::Found(found.flag.clone());
        let layer = Layer::single(source, &found.key.as_str().into(), found.value.clone());
        merged.add(&layer, &schema);
    }
    let mut intake = Intake {
        schema: &schema,
        environment: &layers.environment,
        findings: Findings::default(),
    };
    let variables = variables::layers(&layers.environment, &schema);
    for layer in file_layers(layers)?.into_iter().chain(variables) {
        let layer = intake.take(layer);
        merged.add(&layer, &schema);
    }
    for text in &layers.sets {
        for (path, value) in set::parse(text, &schema, &merged)? {
            let layer = Layer::single(Source::Set(path.to_string()), &path, value);
            let layer = intake.take(layer);
            merged.add(&layer, &schema);
        }
    }
    for (key, text) in &layers.texts {
        let path = KeyPath::parse(key);
        let value = Value::String(text.clone());
        let layer = Layer::single(Source::Set(key.clone()), &path, value);
        // A file is taken as it is, unless it is for no text: that is refused as ever.
        let is_text = matches!(schema.at(&path), Known::Leaf(Value::String(_)));
        let layer = if is_text { layer } else { intake.take(layer) };
        merged.add(&layer, &schema);
    }
    for given in &layers.flags {
        let source = Source::Flag(given.flag.clone());
        let layer = Layer::single(source, &given.key.as_str().into(), given.value.clone());
        let layer = intake.take(layer);
        merged.add(&layer, &schema);
    }
    typed(profile, merged, schema.base(), intake.findings)
}

/// Variables of ours that set no value and mean nothing else.
///
/// # Errors
/// Never, unless the built-in values are broken.
pub fn unknown_variables(
    environment: &Environment,
    flags: &[String],
) -> Result<Vec<Warning>, ConfigError> {
    Ok(variables::unknown(environment, &schema()?, flags))
}

/// Every key that `--set` and `config explain` take, in order.
///
/// # Errors
/// Never, unless the built-in values are broken.
pub fn keys() -> Result<Vec<String>, ConfigError> {
    let leaves = schema()?.leaves();
    Ok(leaves.iter().map(KeyPath::to_string).collect())
}

/// The shape of all values.
pub(super) fn schema() -> Result<Schema, ConfigError> {
    Ok(Schema::new(parsed("built-in", profiles::BASE)?))
}

fn parsed(name: &str, text: &str) -> Result<Value, ConfigError> {
    let tree: Value = serde_yaml::from_str(text).map_err(|source| ConfigError::NotYaml {
        name: name.to_owned(),
        source,
    })?;
    match tree {
        Value::Object(_) => Ok(tree),
        // A file of comments alone says nothing.
        Value::Null => Ok(Value::Object(serde_json::Map::new())),
        _ => Err(ConfigError::NotAMap {
            name: name.to_owned(),
        }),
    }
}

fn file_layers(layers: &Layers) -> Result<Vec<Layer>, ConfigError> {
    let user = layers
        .user_file
        .iter()
        .map(|file| file.layer(Source::UserFile(file.name.clone())));
    // The fleet's values were cut out of a larger file: their lines are not the file's.
    let fleet = layers.fleet.iter().map(|file| {
        let layer = file.layer(Source::FleetFile(file.name.clone()))?;
        Ok(Layer {
            text: String::new(),
            ..layer
        })
    });
    let given = layers
        .files
        .iter()
        .map(|file| file.layer(Source::File(file.name.clone())));
    user.chain(fleet).chain(given).collect()
}

fn typed(
    profile: Profile,
    merged: Merged,
    base: &Value,
    findings: Findings,
) -> Result<Resolved, ConfigError> {
    let Findings {
        mut problems,
        mut warnings,
        secrets,
        references,
    } = findings;
    let mut merged = merged;
    merged.assignments.extend(references);
    let values = match typing::typed(&merged, base) {
        Ok(values) => values,
        Err(mistyped) => {
            problems.extend(mistyped);
            return Err(ConfigError::Invalid { problems });
        }
    };
    problems.extend(broken(&values, &merged));
    if !problems.is_empty() {
        return Err(ConfigError::Invalid { problems });
    }
    warnings.extend(ineffective::overruled(&values, &merged));
    warnings.extend(odd(&values, &merged));
    Ok(Resolved {
        profile,
        values,
        warnings,
        secrets,
        merged,
    })
}

/// Rules that the values break.
fn broken(values: &Values, merged: &Merged) -> Vec<Problem> {
    let found = |broken: Vec<(String, String)>, kind: fn(String) -> ProblemKind| {
        broken.into_iter().map(move |(key, reason)| Problem {
            place: merged.place_of(&KeyPath::parse(&key)).cloned(),
            key,
            kind: kind(reason),
        })
    };
    let mut problems: Vec<Problem> = found(check::check(values), ProblemKind::Invalid).collect();
    problems.extend(found(check::budgets(values), ProblemKind::BlocksDrains));
    if problems.is_empty() {
        let short = check::quota(values, Demand::Start);
        problems.extend(found(short, ProblemKind::QuotaTooSmall));
    }
    problems
}

/// What is odd about sound values.
fn odd(values: &Values, merged: &Merged) -> Vec<Warning> {
    let short = check::quota(values, Demand::Most).into_iter();
    let short = short.map(|(key, why)| Warning::QuotaTooSmall {
        place: merged.place_of(&KeyPath::parse(&key)).cloned(),
        key,
        why,
    });
    let combinations = check::odd(values).into_iter().map(Warning::Combination);
    short.chain(combinations).collect()
}
