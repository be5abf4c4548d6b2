//! The shapes in which the pipeline is deployed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A named set of values and the namespace that it goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Everything in one namespace, small, for development.
    Dev,
    /// Everything in one namespace, for production.
    SameCluster,
    /// Streamers only.
    Edge,
    /// Collectors, gateway and database.
    Central,
    /// Redis and etcd, reached by the other clusters.
    Shared,
}

impl Profile {
    /// Every profile, in the order in which they are deployed.
    pub const ALL: [Self; 5] = [
        Self::Dev,
        Self::SameCluster,
        Self::Shared,
        Self::Central,
        Self::Edge,
    ];

    /// The name on the command line and of the values file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::SameCluster => "same-cluster",
            Self::Edge => "edge",
            Self::Central => "central",
            Self::Shared => "shared",
        }
    }

    /// The namespace that the profile is deployed to unless configured otherwise.
    pub const fn default_namespace(self) -> &'static str {
        match self {
            Self::Shared => "shared-infrastructure",
            Self::Dev | Self::SameCluster | Self::Edge | Self::Central => "telemetry-system",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A name that is no profile.
#[derive(Debug, thiserror::Error)]
#[error("no profile is called `{0}`")]
pub struct UnknownProfile(pub String);

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|profile| profile.name() == name)
            .ok_or_else(|| UnknownProfile(name.to_owned()))
    }
}
