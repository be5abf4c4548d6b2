//! What differs between two looks at the registry. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::model::service_record::ServiceRecord;
use crate::registry::LeaseId;

/// Fields that are new with every process: told by `instance_uid`, which is, too.
const OF_THE_PROCESS: [&str; 2] = ["started_at", "registered_at"];
/// The field that every writing changes: told only where nothing else is.
const OF_THE_WRITING: &str = "registered_at";

/// A registration as far as its changes are told. What is left of its lease is none: it changes
/// all the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The record, or why the value is none.
    pub record: Result<ServiceRecord, String>,
    /// The lease that the key hangs on.
    pub lease: Option<LeaseId>,
}

/// Registrations by key.
pub type Snapshot = BTreeMap<String, Seen>;

/// One field of a registration, before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldChange {
    /// As in the JSON of the record, `metadata.mode` for one of the metadata; `lease` and `value`
    /// besides.
    pub field: String,
    /// `None` if there was none.
    pub before: Option<String>,
    /// `None` if there is none any more.
    pub now: Option<String>,
}

/// What happened to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Registered {
        /// The key.
        key: String,
        /// What stands there.
        now: Seen,
    },
    /// It is another than it was.
    Changed {
        /// The key.
        key: String,
        /// What stood there.
        before: Box<Seen>,
        /// What stands there.
        now: Box<Seen>,
        /// What differs; never empty.
        fields: Vec<FieldChange>,
    },
    /// It is gone: deregistered, or its lease ran out; etcd does not tell which.
    Gone {
        /// The key.
        key: String,
        /// What stood there.
        before: Seen,
    },
}

impl Change {
    /// The key that it is about.
    pub fn key(&self) -> &str {
        match self {
            Self::Registered { key, .. } | Self::Changed { key, .. } | Self::Gone { key, .. } => {
                key
            }
        }
    }

    /// What stood and what stands there, as far as there is any.
    pub fn sides(&self) -> [Option<&Seen>; 2] {
        match self {
            Self::Registered { now, .. } => [None, Some(now)],
            Self::Changed { before, now, .. } => [Some(before), Some(now)],
            Self::Gone { before, .. } => [Some(before), None],
        }
    }
}

/// Everything that differs, ordered by key.
pub fn differences(before: &Snapshot, now: &Snapshot) -> Vec<Change> {
    let keys: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    keys.into_iter()
        .filter_map(|key| difference(key, before.get(key), now.get(key)))
        .collect()
}

/// Takes note of what stands under a key now, and tells what that changes.
pub fn note(snapshot: &mut Snapshot, key: String, now: Option<Seen>) -> Option<Change> {
    let before = match &now {
        Some(now) => snapshot.insert(key.clone(), now.clone()),
        None => snapshot.remove(&key),
    };
    difference(&key, before.as_ref(), now.as_ref())
}

fn difference(key: &str, before: Option<&Seen>, now: Option<&Seen>) -> Option<Change> {
    let key = key.to_owned();
    match (before.cloned(), now.cloned()) {
        (None, None) => None,
        (None, Some(now)) => Some(Change::Registered { key, now }),
        (Some(before), None) => Some(Change::Gone { key, before }),
        (Some(before), Some(now)) if before == now => None,
        (Some(before), Some(now)) => Some(Change::Changed {
            fields: fields(&before, &now),
            key,
            before: Box::new(before),
            now: Box::new(now),
        }),
    }
}

fn fields(before: &Seen, now: &Seen) -> Vec<FieldChange> {
    let (old, new) = (texts(before), texts(now));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut found: Vec<FieldChange> = names
        .into_iter()
        .filter(|name| old.get(*name) != new.get(*name))
        .map(|name| FieldChange {
            field: name.clone(),
            before: old.get(name).cloned(),
            now: new.get(name).cloned(),
        })
        .collect();
    if before.record.is_err() || now.record.is_err() {
        // Else every field of the record that is or was readable would be one.
        found.retain(|one| matches!(one.field.as_str(), "value" | "lease"));
    }
    if found.iter().any(|one| one.field == "instance_uid") {
        found.retain(|one| !OF_THE_PROCESS.contains(&one.field.as_str()));
    } else if found.iter().any(|one| one.field != OF_THE_WRITING) {
        found.retain(|one| one.field != OF_THE_WRITING);
    }
    found
}

/// Every field by name, as text.
fn texts(seen: &Seen) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    if let Some(lease) = seen.lease {
        found.insert("lease".to_owned(), lease.to_string());
    }
    let record = match &seen.record {
        Ok(record) => record,
        Err(reason) => {
            found.insert("value".to_owned(), format!("no record: {reason}"));
            return found;
        }
    };
    found.insert("value".to_owned(), "a record".to_owned());
    if let Ok(value) = serde_json::to_value(record) {
        flatten("", &value, &mut found);
    }
    found
}

fn flatten(path: &str, value: &Value, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let path = match path {
                    "" => name.clone(),
                    path => format!("{path}.{name}"),
                };
                flatten(&path, member, found);
            }
        }
        Value::String(text) => {
            found.insert(path.to_owned(), text.clone());
        }
        other => {
            found.insert(path.to_owned(), other.to_string());
        }
    }
}

#[cfg(test)]
#[path = "changes_tests.rs"]
mod tests;
