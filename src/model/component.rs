//! The parts of the pipeline.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One part of the pipeline: our workers and the servers between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Component {
    /// Reads sources and publishes batches (edge).
    Streamer,
    /// Moves batches from the queue into the store (central).
    Collector,
    /// Answers queries over HTTP (central).
    ApiGateway,
    /// The queue.
    Redis,
    /// The store.
    Postgresql,
    /// The registry.
    Etcd,
}

impl Component {
    /// Every component, in the order in which they are deployed.
    pub const ALL: [Self; 6] = [
        Self::Redis,
        Self::Etcd,
        Self::Postgresql,
        Self::Collector,
        Self::ApiGateway,
        Self::Streamer,
    ];

    /// The three components that this binary itself runs.
    pub const WORKERS: [Self; 3] = [Self::Streamer, Self::Collector, Self::ApiGateway];

    /// The component of this name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|component| component.name() == name)
    }

    /// The value of the label `app.kubernetes.io/component`, also the object name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Streamer => "streamer",
            Self::Collector => "collector",
            Self::ApiGateway => "api-gateway",
            Self::Redis => "redis",
            Self::Postgresql => "postgresql",
            Self::Etcd => "etcd",
        }
    }

    /// The registry type under `/services/`, for components that register.
    pub const fn registry_type(self) -> Option<&'static str> {
        match self {
            Self::Streamer => Some("nexus-streamer"),
            Self::Collector => Some("nexus-collector"),
            Self::ApiGateway => Some("nexus-gateway"),
            Self::Redis | Self::Postgresql | Self::Etcd => None,
        }
    }

    /// The port that the component listens on unless configured otherwise.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Streamer => 8081,
            Self::Collector => 8082,
            Self::ApiGateway => 8080,
            Self::Redis => 6379,
            Self::Postgresql => 5432,
            Self::Etcd => 2379,
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
