//! How registrations look. Pure.

use std::collections::BTreeMap;

use clap::ValueEnum;
use jiff::Timestamp;
use serde::Serialize;

use crate::cli::error::CliError;
use crate::cli::status::age;
use crate::model::endpoint::Endpoint;
use crate::model::service_record::ServiceRecord;
use crate::registry::PREFIX;
use crate::registry::entries::Entry;
use crate::registry::watch::changes::Seen;
use crate::report::{Cell, Emphasis, Table};

use super::filter::type_and_id;

/// Version of the JSON forms; fields are only ever added.
pub(super) const SCHEMA_VERSION: u32 = 1;

/// What is left out first where a terminal has no room.
const DISPENSABLE: [&str; 3] = ["MODE", "VERSION", "AGE"];

/// The form of the answer
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// For people
    Table,
    /// For programs
    Json,
    /// For programs
    Yaml,
}

/// One registration; what its value does not tell is `null`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct RegistrationView {
    pub(super) key: String,
    /// By the key, as everything that an unreadable value leaves.
    #[serde(rename = "type")]
    pub(super) service_type: String,
    pub(super) id: String,
    pub(super) cluster: Option<String>,
    /// `host:port`, as it is advertised.
    pub(super) endpoint: Option<String>,
    /// `http` or `https`.
    pub(super) scheme: Option<String>,
    pub(super) mode: Option<String>,
    pub(super) version: Option<String>,
    pub(super) health: Option<String>,
    /// RFC 3339: when it was written.
    pub(super) registered_at: Option<String>,
    /// Seconds since then; negative where the clocks of here and there differ.
    pub(super) age_s: Option<i64>,
    /// RFC 3339: when the process started.
    pub(super) started_at: Option<String>,
    pub(super) instance_uid: Option<String>,
    /// Hexadecimal; `null` if it hangs on none.
    pub(super) lease: Option<String>,
    pub(super) lease_ttl_s: Option<i64>,
    /// `null` without a lease, and where nobody asked.
    pub(super) lease_remaining_s: Option<i64>,
    /// Nobody keeps it alive.
    pub(super) stale: bool,
    /// What is wrong with it; empty if nothing is.
    pub(super) problems: Vec<String>,
    pub(super) metadata: BTreeMap<String, String>,
}

impl RegistrationView {
    pub(super) fn of(entry: &Entry, now: Timestamp) -> Self {
        let seen = Seen {
            record: entry.registered.record.clone(),
            lease: entry.lease,
        };
        Self {
            lease_remaining_s: entry.registered.lease_remaining,
            ..Self::seen(&entry.registered.key, &seen, now)
        }
    }

    /// As an event tells it: without what is left of the lease.
    pub(super) fn seen(key: &str, seen: &Seen, now: Timestamp) -> Self {
        let (service_type, id) = type_and_id(key);
        let record = seen.record.as_ref().ok();
        let metadata = record.map(|record| record.metadata.clone());
        let metadata = metadata.unwrap_or_default();
        let fact = |name| metadata.get(name).cloned();
        Self {
            service_type: service_type.to_owned(),
            id: id.to_owned(),
            cluster: fact("cluster_id"),
            endpoint: record.map(endpoint),
            scheme: record.map(|_| fact("scheme").unwrap_or_else(|| "http".to_owned())),
            mode: fact("mode"),
            version: record.map(|record| record.version.clone()),
            health: record.map(|record| record.health.clone()),
            registered_at: record.map(|record| record.registered_at.clone()),
            age_s: record.and_then(|record| seconds_since(&record.registered_at, now)),
            started_at: record.map(|record| record.started_at.clone()),
            instance_uid: record.map(|record| record.instance_uid.clone()),
            lease: seen.lease.map(|lease| lease.to_string()),
            lease_ttl_s: record.map(|record| record.lease_ttl),
            lease_remaining_s: None,
            stale: seen.lease.is_none(),
            problems: problems(key, seen),
            metadata,
            key: key.to_owned(),
        }
    }

    /// The key without what all keys have.
    pub(super) fn name(&self) -> &str {
        self.key.strip_prefix(PREFIX).unwrap_or(&self.key)
    }

    /// The facts in one line, as far as there are any.
    pub(super) fn facts(&self) -> String {
        let cluster = self.cluster.as_ref().map(|id| format!("cluster {id}"));
        let facts = [
            self.endpoint.clone(),
            cluster,
            self.mode.clone(),
            self.version.clone(),
            self.health.clone(),
        ];
        let facts = facts.into_iter().flatten().chain(self.problems.clone());
        facts.collect::<Vec<String>>().join(", ")
    }
}

/// What is advertised: `endpoint` of the metadata is the same, written by the worker.
fn endpoint(record: &ServiceRecord) -> String {
    Endpoint::new(record.address.clone(), record.port).to_string()
}

fn seconds_since(time: &str, now: Timestamp) -> Option<i64> {
    let time: Timestamp = time.parse().ok()?;
    Some(now.duration_since(time).as_secs())
}

fn problems(key: &str, seen: &Seen) -> Vec<String> {
    let mut found = Vec::new();
    match &seen.record {
        Err(reason) => found.push(format!("unreadable: {reason}")),
        Ok(record) if record.key() != key => {
            found.push(format!("its record is that of {}", record.key()));
        }
        Ok(_) => {}
    }
    if seen.lease.is_none() {
        found.push("stale: no lease".to_owned());
    }
    found
}

/// The table, as wide as the terminal has room for.
pub(super) fn table(views: &[RegistrationView], columns: Option<usize>) -> Table {
    let mut table = Table::new(&[
        "TYPE", "ID", "CLUSTER", "ADDRESS", "MODE", "VERSION", "HEALTH", "LEASE", "AGE", "PROBLEM",
    ]);
    for view in views {
        table.row(row(view));
    }
    if views.iter().all(|view| view.problems.is_empty()) {
        table.remove("PROBLEM");
    }
    table.fit(columns, &DISPENSABLE);
    table
}

fn row(view: &RegistrationView) -> Vec<Cell> {
    let text = |value: &Option<String>| Cell::from(value.clone().unwrap_or_else(|| "-".to_owned()));
    let health = match view.health.as_deref() {
        Some("healthy") => Cell::new("healthy", Emphasis::Good),
        Some(other) => Cell::new(other, Emphasis::Bad),
        None => Cell::from("-"),
    };
    let lease = match view.lease_remaining_s {
        Some(seconds) => Cell::from(format!("{seconds} s left")),
        None => Cell::new("none", Emphasis::Warning),
    };
    vec![
        view.service_type.clone().into(),
        view.id.clone().into(),
        text(&view.cluster),
        text(&view.endpoint),
        text(&view.mode),
        text(&view.version),
        health,
        lease,
        view.age_s.map_or_else(|| "-".to_owned(), age).into(),
        Cell::new(view.problems.join("; "), Emphasis::Warning),
    ]
}

/// An answer as a document for programs.
pub(super) fn document(form: Form, answer: &impl Serialize) -> Result<String, CliError> {
    let cannot = "cannot write the answer";
    match form {
        Form::Yaml => {
            serde_yaml::to_string(answer).map_err(|error| CliError::failed(cannot).because(error))
        }
        Form::Json | Form::Table => serde_json::to_string_pretty(answer)
            .map_err(|error| CliError::failed(cannot).because(error)),
    }
}

/// A list as programs get it.
#[derive(Debug, Serialize)]
pub(super) struct ListView<'a> {
    pub(super) schema_version: u32,
    pub(super) registrations: &'a [RegistrationView],
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::LeaseId;
    use crate::report::Coloring;

    const NOW: &str = "2026-01-15T10:31:15Z";

    fn record() -> ServiceRecord {
        let metadata = [("cluster_id", "edge"), ("mode", "once")];
        ServiceRecord {
            id: "streamer-0".to_owned(),
            service_type: "nexus-streamer".to_owned(),
            address: "fd00::1".to_owned(),
            port: 8081,
            metadata: metadata.map(|(a, b)| (a.to_owned(), b.to_owned())).into(),
            health: "healthy".to_owned(),
            version: "0.1.0".to_owned(),
            registered_at: "2026-01-15T10:30:00Z".to_owned(),
            instance_uid: "5c1f".to_owned(),
            started_at: "2026-01-15T10:29:59.5Z".to_owned(),
            lease_ttl: 15,
        }
    }

    fn view(
        key: &str,
        record: Result<ServiceRecord, String>,
        lease: Option<i64>,
    ) -> RegistrationView {
        let seen = Seen {
            record,
            lease: lease.map(LeaseId),
        };
        RegistrationView {
            lease_remaining_s: lease.map(|_| 12),
            ..RegistrationView::seen(key, &seen, NOW.parse().unwrap())
        }
    }

    #[test]
    fn x07_the_table_says_what_is_wrong_with_an_entry_and_drops_none() {
        let views = [
            view("/services/lost", Err("EOF".to_owned()), None),
            view("/services/nexus-streamer/streamer-0", Ok(record()), Some(7)),
            view("/services/nexus-streamer/streamer-1", Ok(record()), None),
        ];
        assert_eq!(
            table(&views, None).render(Coloring::Plain),
            "TYPE            ID          CLUSTER  ADDRESS         MODE  VERSION  HEALTH   LEASE      AGE    PROBLEM\n\
             \x20               lost        -        -               -     -        -        none       -      \
             unreadable: EOF; stale: no lease\n\
             nexus-streamer  streamer-0  edge     [fd00::1]:8081  once  0.1.0    healthy  12 s left  1m15s\n\
             nexus-streamer  streamer-1  edge     [fd00::1]:8081  once  0.1.0    healthy  none       1m15s  \
             its record is that of /services/nexus-streamer/streamer-0; \
             stale: no lease\n"
        );
        assert_eq!(views[0].facts(), "unreadable: EOF, stale: no lease");
        assert_eq!(
            views[1].facts(),
            "[fd00::1]:8081, cluster edge, once, 0.1.0, healthy"
        );
        let well = table(&views[1..2], Some(80)).render(Coloring::Plain);
        assert!(
            !well.contains("PROBLEM") && !well.contains("MODE"),
            "{well}"
        );
    }

    #[test]
    fn x04_programs_get_every_field() {
        let view = view(
            "/services/nexus-streamer/streamer-0",
            Ok(record()),
            Some(255),
        );
        let value = serde_json::to_value(&view).unwrap();
        assert_eq!(value["type"], "nexus-streamer");
        assert_eq!(value["endpoint"], "[fd00::1]:8081");
        assert_eq!(value["scheme"], "http");
        assert_eq!(
            (&value["lease"], &value["stale"]),
            (&"ff".into(), &false.into())
        );
        assert_eq!(value["metadata"]["mode"], "once");
        let secured = ServiceRecord {
            metadata: BTreeMap::from([("scheme".to_owned(), "https".to_owned())]),
            ..record()
        };
        let orphan = self::view("/services/nexus-streamer/streamer-0", Ok(secured), None);
        assert_eq!(
            (orphan.scheme.as_deref(), orphan.stale),
            (Some("https"), true)
        );
        assert_eq!(
            (&value["age_s"], &value["lease_remaining_s"]),
            (&75.into(), &12.into())
        );
    }
}
