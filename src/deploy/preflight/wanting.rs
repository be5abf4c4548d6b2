//! Workloads that lack one thing, as messages name them. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::deploy::keys;
use crate::model::component::Component;
use crate::model::manifest::Manifest;

/// What takes the profiles' demands away.
pub(super) const OVERLAY: &str = "-f lab (for small machines)";

/// A workload, as messages name it.
fn named(manifest: &Manifest) -> String {
    format!("{}/{}", manifest.object.kind, manifest.object.name)
}

/// `--set A=VALUE,B=VALUE` for the keys that are known.
pub(super) fn set_all(keys: &BTreeSet<String>, value: &str) -> String {
    let settings: Vec<String> = keys.iter().map(|key| format!("{key}={value}")).collect();
    format!("--set {}", settings.join(","))
}

/// Those that lack one thing, and the keys that name it.
#[derive(Debug, Default)]
pub(super) struct Wanting {
    workloads: BTreeSet<String>,
    /// The keys of the values.
    pub(super) keys: BTreeSet<String>,
}

impl Wanting {
    /// One more, with the key for its component if there is one.
    pub(super) fn add(&mut self, manifest: &Manifest, key: impl Fn(Component) -> Option<String>) {
        self.workloads.insert(named(manifest));
        self.keys
            .extend(keys::component_of(&manifest.value).and_then(key));
    }

    /// The workloads, in one line.
    pub(super) fn workloads(&self) -> String {
        let names: Vec<&str> = self.workloads.iter().map(String::as_str).collect();
        names.join(", ")
    }

    /// The keys, in one line.
    pub(super) fn keys(&self) -> String {
        let keys: Vec<&str> = self.keys.iter().map(String::as_str).collect();
        keys.join(", ")
    }
}

/// The items of a list; none if it is no list.
pub(super) fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}
