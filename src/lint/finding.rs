//! What lint found.

use crate::config::Place;
use crate::model::profile::Profile;

use super::rule::{Rule, Severity};

/// One finding.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The rule that is broken.
    pub rule: &'static Rule,
    /// The profiles in which it is.
    pub profiles: Vec<Profile>,
    /// The key or the object that it is about.
    pub subject: String,
    /// Who set the key, if it is one and anybody did.
    pub place: Option<Place>,
    /// What is there.
    pub says: String,
    /// Whether the values, or a flag, allow it by name.
    pub allowed: bool,
}

impl Finding {
    /// A finding without a place.
    pub(super) fn new(
        rule: &'static Rule,
        profile: Profile,
        subject: impl Into<String>,
        says: impl Into<String>,
    ) -> Self {
        Self {
            rule,
            profiles: vec![profile],
            subject: subject.into(),
            place: None,
            says: says.into(),
            allowed: false,
        }
    }

    /// Who set it.
    #[must_use]
    pub(super) fn at(mut self, place: Option<Place>) -> Self {
        self.place = place;
        self
    }

    /// Whether it counts with this severity: it does not if it is allowed.
    pub fn counts_as(&self, severity: Severity) -> bool {
        !self.allowed && self.rule.severity == severity
    }
}

/// The same finding in several profiles is one; worst first, then in the order of the rules.
pub fn merged(found: Vec<Finding>) -> Vec<Finding> {
    let mut merged: Vec<Finding> = Vec::new();
    for finding in found {
        let same = |known: &&mut Finding| {
            known.rule == finding.rule
                && known.subject == finding.subject
                && known.place == finding.place
                && known.says == finding.says
                && known.allowed == finding.allowed
        };
        match merged.iter_mut().find(same) {
            Some(known) => known.profiles.extend(finding.profiles),
            None => merged.push(finding),
        }
    }
    for finding in &mut merged {
        finding.profiles.sort_unstable();
        finding.profiles.dedup();
    }
    let rank = |finding: &Finding| {
        let severity = std::cmp::Reverse(finding.rule.severity);
        (finding.allowed, severity, finding.rule.id)
    };
    merged.sort_by(|one, other| {
        rank(one)
            .cmp(&rank(other))
            .then_with(|| one.subject.cmp(&other.subject))
    });
    merged
}
