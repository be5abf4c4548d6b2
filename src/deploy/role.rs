//! Whether a namespace holds another profile than the one that it is about to get: contexts are
//! swapped easily.

use serde::Serialize;
use serde_json::Value;

use super::layout::Stage;
use crate::cluster::inventory;
use crate::cluster::snapshot::Snapshot;
use crate::model::profile::Profile;

/// Another profile that a stage's namespace holds, by its record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    /// Which.
    pub profile: Profile,
    /// When it was deployed, RFC 3339; `None` if that was never finished.
    pub deployed_at: Option<String>,
    /// Whether nothing shows that the namespace has got the stage's own profile since.
    pub is_current: bool,
}

/// The records of other profiles in a stage's namespace.
pub(super) fn others<'a>(live: &'a Snapshot, stage: &Stage) -> Vec<(Profile, &'a Value)> {
    let others = Profile::ALL
        .into_iter()
        .filter(|profile| *profile != stage.profile);
    others
        .filter_map(|profile| {
            let parent = inventory::parent(&stage.namespace, profile.name());
            Some((profile, live.get(&parent)?))
        })
        .collect()
}

/// What the records say, the stage's own (if there is one) and those of other profiles.
pub(super) fn held(own: Option<&Value>, others: &[(Profile, &Value)]) -> Vec<Held> {
    let at = |record: &Value| inventory::recorded_time(record);
    let own = own.and_then(at);
    others
        .iter()
        .map(|(profile, record)| Held {
            profile: *profile,
            deployed_at: at(record).map(|at| at.to_string()),
            is_current: own.is_none_or(|own| at(record).is_some_and(|other| other > own)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::cluster::inventory::{Record, parent, parent_manifest};

    fn record(profile: Profile, at: Option<&str>) -> Value {
        let record = at.map(|at| Record {
            at,
            by: "somebody",
            version: "1",
            files: None,
            generation: None,
        });
        parent_manifest(
            &parent("ns", profile.name()),
            &BTreeSet::new(),
            "west",
            record.as_ref(),
        )
        .value
    }

    #[test]
    fn a_namespace_is_what_was_deployed_to_it_last() {
        let record_of_edge = record(Profile::Edge, Some("2026-06-01T10:00:00Z"));
        let edge = [(Profile::Edge, &record_of_edge)];
        let is_current = |own: Option<&str>| {
            let own = own.map(|at| record(Profile::Central, Some(at)));
            held(own.as_ref(), &edge)[0].is_current
        };
        assert!(is_current(None));
        assert!(is_current(Some("2026-06-01T09:59:59.123456Z")));
        assert!(!is_current(Some("2026-06-01T10:00:00.5Z")));
        assert_eq!(held(None, &[]), []);
    }

    #[test]
    fn a_deployment_that_was_never_finished_counts_while_there_is_no_other() {
        let record_of_edge = record(Profile::Edge, None);
        let edge = [(Profile::Edge, &record_of_edge)];
        let found = held(None, &edge);
        assert_eq!((&found[0].deployed_at, found[0].is_current), (&None, true));
        let own = record(Profile::Central, Some("2026-06-01T10:00:00Z"));
        assert!(!held(Some(&own), &edge)[0].is_current);
    }
}
