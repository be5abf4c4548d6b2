//! How a collector keeps the store's partitions: what is indexed when, and what is kept how long.

use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use crate::config::environment::Environment;

use super::SettingError;
use super::parse::{duration, parsed};

/// What the store does first with rows that arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IngestProfile {
    /// Every row is entered into the index of its series at once.
    #[default]
    Default,
    /// As many rows as possible: a day gets that index once nothing arrives for it any more.
    Max,
}

impl FromStr for IngestProfile {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "default" => Ok(Self::Default),
            "max" => Ok(Self::Max),
            _ => Err(()),
        }
    }
}

/// How the partitions of the store are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpkeepSettings {
    /// What is done first with rows that arrive.
    pub ingest: IngestProfile,
    /// How long nothing must have arrived for a day until it counts as closed.
    pub quiet: Duration,
    /// How many days of event time before today are kept; all of them if unset.
    pub retention: Option<u32>,
}

impl Default for UpkeepSettings {
    fn default() -> Self {
        Self {
            ingest: IngestProfile::default(),
            quiet: Duration::from_secs(3600),
            retention: None,
        }
    }
}

impl UpkeepSettings {
    /// From the collector's variables.
    pub fn from_environment(environment: &Environment) -> Result<Self, SettingError> {
        let usual = Self::default();
        Ok(Self {
            ingest: parsed(environment, "INGEST", "default or max")?.unwrap_or(usual.ingest),
            quiet: duration(environment, "INGEST_QUIET")?.unwrap_or(usual.quiet),
            retention: parsed::<NonZeroU32>(
                environment,
                "RETENTION",
                "a number of days from 1 on",
            )?
            .map(NonZeroU32::get),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_kept_as_before_unless_it_is_told_otherwise() {
        let read = UpkeepSettings::from_environment;
        assert_eq!(read(&Environment::default()), Ok(UpkeepSettings::default()));
        let environment = Environment::from([
            ("INGEST", "max"),
            ("INGEST_QUIET", "5m"),
            ("RETENTION", "30"),
        ]);
        let told = read(&environment).unwrap();
        assert_eq!(told.ingest, IngestProfile::Max);
        assert_eq!(told.quiet, Duration::from_secs(300));
        assert_eq!(told.retention, Some(30));
        for (name, value) in [
            ("INGEST", "fast"),
            ("INGEST_QUIET", "5"),
            ("RETENTION", "0"),
        ] {
            let refused = read(&Environment::from([(name, value)]))
                .unwrap_err()
                .to_string();
            assert!(refused.contains(name), "{refused}");
        }
    }
}
