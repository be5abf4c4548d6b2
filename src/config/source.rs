//! Where a value comes from.

use std::fmt;

use crate::model::profile::Profile;

/// Where a value comes from, weakest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// `profiles/base.yaml`.
    BuiltIn,
    /// The profile's values.
    Profile(Profile),
    /// What a deployment found out about another cluster, by name.
    Found(String),
    /// The user's own file.
    UserFile(String),
    /// The fleet file.
    FleetFile(String),
    /// A file, or an overlay's name, given with `-f`.
    File(String),
    /// An environment variable.
    Environment(String),
    /// `--set` or `--set-file`, with its key; not with its value, which may be a secret.
    Set(String),
    /// Another flag, or what telectl found out itself, by name.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => formatter.write_str("built-in"),
            Self::Profile(profile) => write!(formatter, "profile {profile}"),
            Self::UserFile(file) | Self::FleetFile(file) | Self::File(file) => {
                formatter.write_str(file)
            }
            Self::Environment(variable) => write!(formatter, "${variable}"),
            Self::Set(key) => write!(formatter, "--set {key}"),
            Self::Found(name) | Self::Flag(name) => formatter.write_str(name),
        }
    }
}
