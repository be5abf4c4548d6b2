//! What the look beforehand found.

use std::fmt;

use serde::{Serialize, Serializer};

use super::catalogue::Check;
use crate::model::profile::Profile;

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Nothing is written.
    Error,
    /// Somebody should know before saying yes.
    Warning,
    /// It was not looked at; only programs are told.
    Note,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which check.
    #[serde(rename = "id", serialize_with = "id")]
    pub check: &'static Check,
    /// How much it matters.
    pub severity: Severity,
    /// Context of the cluster; empty for what is about several.
    pub cluster: String,
    /// The profile whose stage it is about; `None` for what is about the whole cluster.
    pub profile: Option<Profile>,
    /// What was seen.
    pub observed: String,
    /// What should have been seen.
    pub expected: String,
    /// What to do about it; empty if nothing has to be done.
    pub remedy: String,
}

fn id<S: Serializer>(check: &&'static Check, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(check.id)
}

impl Finding {
    /// Something to know about; the cluster is added where it is known.
    pub(super) fn warning(
        check: &'static Check,
        observed: impl Into<String>,
        expected: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            check,
            severity: Severity::Warning,
            cluster: String::new(),
            profile: None,
            observed: observed.into(),
            expected: expected.into(),
            remedy: remedy.into(),
        }
    }

    /// Something could not be looked at.
    pub(super) fn unchecked(check: &'static Check, what: &str, why: &str) -> Self {
        let observed = format!("{what} were not checked: {why}");
        Self::warning(check, observed, "they can be listed", "")
    }

    /// With another severity.
    #[must_use]
    pub(super) fn being(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// About the stage of a profile.
    #[must_use]
    pub(super) const fn of(mut self, profile: Profile) -> Self {
        self.profile = Some(profile);
        self
    }

    /// In a cluster, unless it says already in which.
    #[must_use]
    pub(super) fn in_cluster(mut self, context: &str) -> Self {
        if self.cluster.is_empty() {
            context.clone_into(&mut self.cluster);
        }
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.observed)?;
        if !self.remedy.is_empty() {
            write!(formatter, ": {}", self.remedy)?;
        }
        write!(formatter, " [{}]", self.check)
    }
}
