//! What a run may do to what others own and to what cannot be changed: nothing, unless told to.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::plan::FieldConflict;
use crate::model::object::{ObjectKind, ObjectRef};

/// What somebody allowed for a run. The default allows nothing.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// The fields of others that become ours.
    pub take: Vec<Take>,
    /// What happens to objects that somebody else made.
    pub adoption: Adoption,
    /// The objects that are deleted and made anew if they cannot be changed in place.
    pub recreate: BTreeSet<Named>,
}

/// What happens to objects that exist and are somebody else's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Adoption {
    /// They are left alone, and the run stops before it writes anything.
    #[default]
    Refused,
    /// They become ours.
    Granted,
}

/// Which fields of others become ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Take {
    /// All.
    All,
    /// This field and what is below it, as a path: `.spec.replicas`.
    Field(String),
    /// What this manager owns.
    Manager(String),
}

impl Take {
    /// Whether it covers a field that somebody else owns.
    pub fn covers(&self, conflict: &FieldConflict) -> bool {
        match self {
            Self::All => true,
            Self::Manager(name) => *name == conflict.manager,
            Self::Field(path) => is_below(&conflict.change.field, path),
        }
    }
}

impl std::fmt::Display for Take {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::All => "all",
            Self::Field(text) | Self::Manager(text) => text,
        })
    }
}

/// Whether a path is another or leads below it. Keys of list items need not be named.
fn is_below(path: &str, wanted: &str) -> bool {
    let leads = |path: &str, wanted: &str| {
        let rest = path.strip_prefix(wanted);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    leads(path, wanted) || leads(&without_brackets(path), wanted)
}

/// A path without the keys of list items and without quotes.
pub(super) fn without_brackets(field: &str) -> String {
    let mut depth = 0_u32;
    field
        .chars()
        .filter(|symbol| match symbol {
            '[' => {
                depth += 1;
                false
            }
            ']' => {
                depth = depth.saturating_sub(1);
                false
            }
            '"' => false,
            _ => depth == 0,
        })
        .collect()
}

/// An object as it is named on a command line: `StatefulSet/etcd`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Named {
    /// What it is.
    pub kind: ObjectKind,
    /// What it is called.
    pub name: String,
}

impl Named {
    /// Whether an object is meant.
    pub fn is(&self, object: &ObjectRef) -> bool {
        self.kind == object.kind && self.name == object.name
    }
}

impl std::fmt::Display for Named {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.kind, self.name)
    }
}

impl Policy {
    /// Whether a field of somebody else becomes ours.
    pub fn takes(&self, conflict: &FieldConflict) -> bool {
        self.take.iter().any(|take| take.covers(conflict))
    }

    /// Whether an object may be deleted and made anew.
    pub fn recreates(&self, object: &ObjectRef) -> bool {
        self.recreate.iter().any(|named| named.is(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::diff::FieldChange;

    fn conflict(field: &str, manager: &str) -> FieldConflict {
        FieldConflict {
            change: FieldChange {
                field: field.to_owned(),
                before: None,
                after: None,
            },
            manager: manager.to_owned(),
            since: None,
        }
    }

    #[test]
    fn a_field_covers_itself_and_what_is_below_it_with_and_without_keys_of_items() {
        let port = conflict(".spec.ports[name=\"http\"].targetPort", "kubectl-edit");
        for path in [
            ".spec.ports",
            ".spec.ports[name=\"http\"]",
            ".spec.ports.targetPort",
            ".spec.ports[name=\"http\"].targetPort",
            ".spec",
        ] {
            assert!(Take::Field(path.to_owned()).covers(&port), "{path}");
        }
        for path in [".spec.port", ".spec.ports.port", ".spec.ports[name=\"x\"]"] {
            assert!(!Take::Field(path.to_owned()).covers(&port), "{path}");
        }
    }

    #[test]
    fn a_manager_covers_its_own_fields_only_and_all_covers_all() {
        let edited = conflict(".spec.paused", "kubectl-edit");
        assert!(Take::Manager("kubectl-edit".to_owned()).covers(&edited));
        assert!(!Take::Manager("kubectl".to_owned()).covers(&edited));
        assert!(Take::All.covers(&edited));
        assert!(!Policy::default().takes(&edited));
    }
}
