//! What a run makes anew although it would do: passwords, certificates, the private authority. Pure.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::DeployError;
use super::layout::Stage;
use super::plan::hosts;
use super::run::Part;
use super::secrets::{AUTHORITY_SECRET, LiveSecret, SecretError, SecretPlan};
use super::signing::certified;
use crate::model::component::Component;
use crate::model::manifest::{RenderedSet, SecretContent};
use crate::model::profile::Profile;

/// The annotation of a Secret that tells which rotation it had last: when that one began, RFC 3339.
/// A run that goes on with an interrupted rotation skips what has it already.
pub const ROTATED_AT: &str = "telectl.io/rotated-at";

/// Something that can be made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rotated {
    /// The password of Redis.
    RedisPassword,
    /// The password of the database.
    DatabasePassword,
    /// The token of the API.
    ApiToken,
    /// Every certificate that telectl's authority signed.
    Certificates,
    /// The private authority itself, and with it every certificate.
    Authority,
}

impl Rotated {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::RedisPassword,
        Self::DatabasePassword,
        Self::ApiToken,
        Self::Certificates,
        Self::Authority,
    ];

    /// Its name, as flags spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RedisPassword => "redis-password",
            Self::DatabasePassword => "database-password",
            Self::ApiToken => "api-token",
            Self::Certificates => "certificates",
            Self::Authority => "authority",
        }
    }

    /// What a content of a Secret is rotated with; `None` for what telectl does not make.
    pub(super) const fn of(content: SecretContent) -> Option<Self> {
        match content {
            SecretContent::RedisPassword => Some(Self::RedisPassword),
            SecretContent::DatabasePassword => Some(Self::DatabasePassword),
            SecretContent::ApiToken => Some(Self::ApiToken),
            _ if certified(content).is_some() => Some(Self::Certificates),
            _ => None,
        }
    }
}

impl FromStr for Rotated {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let mut all = Self::ALL.into_iter();
        all.find(|rotated| rotated.name() == name)
            .ok_or_else(|| format!("telectl does not rotate `{name}`"))
    }
}

impl fmt::Display for Rotated {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What is made anew, and since when that is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// What.
    pub what: BTreeSet<Rotated>,
    /// When it was asked for, RFC 3339, empty for none; what was rotated at that time is done.
    pub since: String,
}

impl Rotation {
    /// Of these, asked for at a time.
    pub fn of(what: impl IntoIterator<Item = Rotated>, now: jiff::Timestamp) -> Self {
        let what: BTreeSet<Rotated> = what.into_iter().collect();
        let since = if what.is_empty() {
            String::new()
        } else {
            now.to_string()
        };
        Self { what, since }
    }

    /// Whether it is about this content.
    pub(super) fn covers(&self, content: SecretContent) -> bool {
        Rotated::of(content).is_some_and(|rotated| self.what.contains(&rotated))
    }

    /// Whether this is still to be made anew, given the Secret that holds it.
    pub(super) fn is_due(&self, rotated: Rotated, live: Option<&LiveSecret>) -> bool {
        self.what.contains(&rotated)
            && live.is_some_and(|live| live.rotated_at.as_deref() != Some(self.since.as_str()))
    }

    /// Refuses to make an authority anew that somebody else made.
    pub(super) fn refuse_foreign_authority(
        &self,
        namespace: &str,
        live: Option<&LiveSecret>,
    ) -> Result<(), SecretError> {
        if live.is_none_or(|live| live.ours) || !self.is_due(Rotated::Authority, live) {
            return Ok(());
        }
        Err(SecretError::Foreign {
            namespace: namespace.to_owned(),
            name: AUTHORITY_SECRET.to_owned(),
            key: "tls.key".to_owned(),
        })
    }

    /// Refuses what no stage of the run can make anew: it would seem done.
    pub(super) fn refuse_unserved(
        &self,
        stages: &[(Stage, Part, RenderedSet)],
    ) -> Result<(), DeployError> {
        let is_served = |rotated: &Rotated| {
            let applied = stages.iter().filter(|(_, part, _)| *part == Part::Applied);
            let mut offered = applied.map(|(_, _, set)| offers(set, *rotated));
            let is_offered = offered.any(|offered| offered);
            // The servers that are only looked at would go on with the old one.
            let is_whole = stages.iter().all(|(_, part, _)| *part == Part::Applied);
            is_offered && (is_whole || *rotated != Rotated::Authority)
        };
        match self.what.iter().find(|rotated| !is_served(rotated)) {
            None => Ok(()),
            Some(rotated) => Err(DeployError::NotRotated {
                what: rotated.name(),
            }),
        }
    }

    /// What it means for whoever is not part of the run, and for what telectl did not make.
    pub(super) fn warnings(&self, stage: &Stage, planned: &[SecretPlan]) -> Vec<String> {
        let mut warnings = Vec::new();
        let foreign = planned.iter().filter(|plan| plan.holds_foreign_certificate);
        if self.what.contains(&Rotated::Certificates) {
            warnings.extend(foreign.map(|plan| {
                format!(
                    "Secret {}/{} is not telectl's: its certificate is left as it is",
                    stage.namespace, plan.name
                )
            }));
        }
        if stage.profile == Profile::Shared && self.what.contains(&Rotated::RedisPassword) {
            warnings.push(format!(
                "the password of Redis is another one: an edge that is not part of this command \
                 keeps its rows in its spool until `telectl deploy edge --context … \
                 --shared-context {}` gives it the new one",
                stage.context
            ));
        }
        warnings
    }
}

/// Whether a stage with these objects is where something is made.
fn offers(set: &RenderedSet, rotated: Rotated) -> bool {
    let servers = [Component::Redis, Component::Etcd, Component::Postgresql];
    match rotated {
        Rotated::RedisPassword => hosts(set, Component::Redis),
        Rotated::DatabasePassword => hosts(set, Component::Postgresql),
        Rotated::ApiToken => hosts(set, Component::ApiGateway),
        Rotated::Certificates => {
            let mut keys = set.secrets.iter().flat_map(|need| &need.keys);
            keys.any(|key| certified(key.content).is_some())
        }
        Rotated::Authority => servers.iter().any(|server| hosts(set, *server)),
    }
}

/// The Secret of the private authority, unless it is to be made anew.
pub(super) fn kept_authority<'a>(
    rotation: &Rotation,
    secrets: &'a std::collections::BTreeMap<String, LiveSecret>,
) -> Option<&'a LiveSecret> {
    secrets
        .get(AUTHORITY_SECRET)
        .filter(|live| !rotation.is_due(Rotated::Authority, Some(live)))
}
