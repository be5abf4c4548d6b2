//! What can be wrong with values, and what is merely odd.

use std::fmt;
use std::path::PathBuf;

use super::duplicate::Duplicate;
use super::layer::Place;

/// Values that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read the values file `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is neither a file nor an overlay of this name.
    #[error(
        "there is no values file `{name}`, and no overlay of that name (overlays: {}){}",
        overlays.join(", "), nearest_text(nearest.as_deref())
    )]
    NoValuesFile {
        /// What was given.
        name: String,
        /// The overlays that there are.
        overlays: Vec<&'static str>,
        /// The overlay that was probably meant.
        nearest: Option<String>,
    },
    /// A file is not what it has to be.
    #[error("`{name}` is no valid YAML")]
    NotYaml {
        /// The file.
        name: String,
        /// Where and why.
        source: serde_yaml::Error,
    },
    /// The root of a file is no map.
    #[error("`{name}` must hold keys and values, not a list or a single value")]
    NotAMap {
        /// The file.
        name: String,
    },
    /// Keys stand twice in a file.
    #[error("{}", list_twice(name, duplicates))]
    Duplicates {
        /// The file.
        name: String,
        /// All that were found.
        duplicates: Vec<Duplicate>,
    },
    /// A fleet file that contradicts itself.
    #[error("`{name}`: {problem}")]
    Fleet {
        /// The file.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// A `--set` that cannot be understood.
    #[error("cannot understand `--set {key}…`: {reason}")]
    BadSet {
        /// What was given, up to the value, which may be a secret.
        key: String,
        /// Why.
        reason: &'static str,
    },
    /// Settings are wrong; all that were found.
    #[error("{}", list(problems))]
    Invalid {
        /// What is wrong.
        problems: Vec<Problem>,
    },
    /// There is no such key (asked for, not set).
    #[error("there is no key `{key}`{}", nearest_text(nearest.as_deref()))]
    NoSuchKey {
        /// What was asked for.
        key: String,
        /// The valid key that was probably meant.
        nearest: Option<String>,
    },
}

fn list(problems: &[Problem]) -> String {
    match problems {
        [one] => one.to_string(),
        several => {
            let lines: Vec<String> = several
                .iter()
                .map(|problem| format!("\n  {problem}"))
                .collect();
            format!("{} settings are wrong:{}", several.len(), lines.concat())
        }
    }
}

fn list_twice(name: &str, duplicates: &[Duplicate]) -> String {
    let lines: Vec<String> = duplicates
        .iter()
        .map(
            |Duplicate {
                 key,
                 lines: [first, second],
             }| {
                format!("{name}:{second}: `{key}` stands in {name}:{first} already")
            },
        )
        .collect();
    lines.join("\n  ")
}

fn nearest_text(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |key| format!("; the nearest is `{key}`"))
}

/// One setting that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key.
    pub key: String,
    /// Who set it, if anybody did.
    pub place: Option<Place>,
    /// What is wrong with it.
    pub kind: ProblemKind,
}

/// What is wrong with a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProblemKind {
    /// There is no such key.
    Unknown {
        /// The valid key that was probably meant.
        nearest: Option<String>,
    },
    /// A secret is written out.
    LiteralSecret {
        /// What to write instead.
        instead: &'static str,
    },
    /// It refers to a variable that is not set.
    UnsetVariable(String),
    /// It has the wrong type or an impossible value.
    Invalid(String),
    /// A disruption budget that blocks each drain of a node.
    BlocksDrains(String),
    /// A quota below what starts.
    QuotaTooSmall(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(formatter, "{place}: ")?;
        }
        let key = &self.key;
        match &self.kind {
            ProblemKind::Unknown { nearest } => {
                write!(
                    formatter,
                    "unknown key `{key}`{}",
                    nearest_text(nearest.as_deref())
                )
            }
            ProblemKind::LiteralSecret { instead } => write!(
                formatter,
                "`{key}` holds a secret, which must not stand in values; use {instead}"
            ),
            ProblemKind::UnsetVariable(variable) => write!(
                formatter,
                "`{key}` refers to the environment variable `{variable}`, which is not set"
            ),
            ProblemKind::Invalid(reason)
            | ProblemKind::BlocksDrains(reason)
            | ProblemKind::QuotaTooSmall(reason) => write!(formatter, "`{key}` {reason}"),
        }
    }
}

/// Something odd that does not stop anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// A key of the original chart that has no effect.
    Ineffective {
        /// The key, and with it everything below.
        key: String,
        /// Who set it.
        place: Place,
        /// Why it has none.
        why: String,
    },
    /// Another name for a key.
    Alias {
        /// The name used.
        key: &'static str,
        /// The name to use.
        canonical: &'static str,
        /// Who used it.
        place: Place,
    },
    /// An environment variable of ours that we do not know.
    UnknownVariable {
        /// Its name.
        name: String,
        /// The variable that was probably meant.
        nearest: Option<String>,
    },
    /// A quota below what the autoscalers may ask for.
    QuotaTooSmall {
        /// The key.
        key: String,
        /// Who set it.
        place: Option<Place>,
        /// How much is missing.
        why: String,
    },
    /// Settings that make little sense together, in a sentence that begins with a key.
    Combination(String),
}

impl fmt::Display for Warning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ineffective { key, place, why } => {
                write!(formatter, "{place}: `{key}` has no effect: {why}")
            }
            Self::Alias {
                key,
                canonical,
                place,
            } => write!(formatter, "{place}: `{key}` is read as `{canonical}`"),
            Self::UnknownVariable { name, nearest } => write!(
                formatter,
                "the environment variable `{name}` is none of telectl's{}",
                nearest_text(nearest.as_deref())
            ),
            Self::QuotaTooSmall { key, place, why } => {
                if let Some(place) = place {
                    write!(formatter, "{place}: ")?;
                }
                write!(formatter, "`{key}` {why}")
            }
            Self::Combination(text) => formatter.write_str(text),
        }
    }
}
