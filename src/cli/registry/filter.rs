//! Which registrations are wanted.

use clap::{Args, ValueEnum};

use crate::model::component::Component;
use crate::model::service_record::ServiceRecord;
use crate::registry::PREFIX;
use crate::registry::entries::Entry;
use crate::registry::watch::changes::Change;

/// A type of worker, by its own name or by that in the registry
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum WorkerType {
    /// Reads sources; nexus-streamer in the registry
    #[value(alias = "nexus-streamer")]
    Streamer,
    /// Stores; nexus-collector in the registry
    #[value(alias = "nexus-collector")]
    Collector,
    /// Answers queries; nexus-gateway in the registry
    #[value(alias = "nexus-gateway", alias = "api-gateway")]
    Gateway,
}

impl WorkerType {
    pub(super) const fn component(self) -> Component {
        match self {
            Self::Streamer => Component::Streamer,
            Self::Collector => Component::Collector,
            Self::Gateway => Component::ApiGateway,
        }
    }
}

#[derive(Debug, Clone, Default, Args)]
pub(super) struct FilterArgs {
    /// Only workers of this type; may be given several times
    #[arg(long, value_name = "TYPE")]
    r#type: Vec<WorkerType>,
    /// Only workers of this cluster, by its CLUSTER_ID; may be given several times. What cannot be
    /// read may be of any cluster, so it stays
    #[arg(long, value_name = "ID")]
    cluster: Vec<String>,
}

impl FilterArgs {
    /// Whether everything is wanted.
    pub(super) const fn is_empty(&self) -> bool {
        self.r#type.is_empty() && self.cluster.is_empty()
    }

    pub(super) fn takes(&self, entry: &Entry) -> bool {
        let found = &entry.registered;
        self.admits(&found.key, found.record.as_ref().ok())
    }

    /// A change counts for what was and for what is.
    pub(super) fn takes_change(&self, change: &Change) -> bool {
        let mut sides = change.sides().into_iter().flatten();
        sides.any(|side| self.admits(change.key(), side.record.as_ref().ok()))
    }

    fn admits(&self, key: &str, record: Option<&ServiceRecord>) -> bool {
        let (service_type, _) = type_and_id(key);
        let of_type =
            |wanted: &WorkerType| wanted.component().registry_type() == Some(service_type);
        let of_cluster = |record: &ServiceRecord| {
            let cluster = record.metadata.get("cluster_id");
            cluster.is_some_and(|cluster| self.cluster.contains(cluster))
        };
        (self.r#type.is_empty() || self.r#type.iter().any(of_type))
            && (self.cluster.is_empty() || record.is_none_or(of_cluster))
    }
}

/// The parts of a key `/services/TYPE/ID`; a key that is not made so has no type.
pub(super) fn type_and_id(key: &str) -> (&str, &str) {
    let rest = key.strip_prefix(PREFIX).unwrap_or(key);
    rest.split_once('/').unwrap_or(("", rest))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::registry::watch::changes::Seen;

    fn record(cluster: Option<&str>) -> ServiceRecord {
        let cluster = cluster.map(|id| ("cluster_id".to_owned(), id.to_owned()));
        ServiceRecord {
            id: "a".to_owned(),
            service_type: "nexus-streamer".to_owned(),
            address: "10.1.2.3".to_owned(),
            port: 8081,
            metadata: cluster.into_iter().collect::<BTreeMap<_, _>>(),
            health: "healthy".to_owned(),
            version: "0.1.0".to_owned(),
            registered_at: String::new(),
            instance_uid: String::new(),
            started_at: String::new(),
            lease_ttl: 15,
        }
    }

    #[test]
    fn x12_workers_are_grouped_by_cluster_and_type_and_what_is_unreadable_stays() {
        let filter = FilterArgs {
            r#type: vec![WorkerType::Streamer],
            cluster: vec!["edge".to_owned(), "edge-2".to_owned()],
        };
        let streamer = "/services/nexus-streamer/a";
        assert!(filter.admits(streamer, Some(&record(Some("edge-2")))));
        assert!(!filter.admits(streamer, Some(&record(Some("central")))));
        assert!(!filter.admits(streamer, Some(&record(None))));
        assert!(filter.admits(streamer, None));
        assert!(!filter.admits("/services/nexus-gateway/a", Some(&record(Some("edge")))));
        assert!(FilterArgs::default().admits("/services/x", None));
    }

    #[test]
    fn x07_a_change_counts_for_what_was_and_for_what_is() {
        let filter = FilterArgs {
            r#type: Vec::new(),
            cluster: vec!["edge".to_owned()],
        };
        let seen = |cluster: &str| {
            Box::new(Seen {
                record: Ok(record(Some(cluster))),
                lease: None,
            })
        };
        let takes = |before: &str, now: &str| {
            filter.takes_change(&Change::Changed {
                key: "/services/nexus-streamer/a".to_owned(),
                before: seen(before),
                now: seen(now),
                fields: Vec::new(),
            })
        };
        assert!(takes("edge", "far"), "it left");
        assert!(takes("far", "edge"), "it came");
        assert!(!takes("far", "central"));
    }

    #[test]
    fn a_key_that_is_not_made_of_type_and_id_has_no_type() {
        assert_eq!(
            type_and_id("/services/nexus-streamer/a/b"),
            ("nexus-streamer", "a/b")
        );
        assert_eq!(type_and_id("/services/lost"), ("", "lost"));
    }
}
