//! A NetworkPolicy, as far as it may stop a packet that leaves a pod.

use serde_json::Value;

use crate::model::labels::{MANAGED_BY, TELECTL};

use super::labels::Selector;
use super::{items, text, text_map};

/// A NetworkPolicy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Whether telectl made it.
    pub is_ours: bool,
    /// Whether it restricts what leaves the pods.
    pub restricts_egress: bool,
    /// Which pods.
    pub selector: Selector,
}

impl Policy {
    /// From the object.
    pub fn from_object(object: &Value) -> Self {
        let labels = text_map(&object["metadata"]["labels"]);
        let spec = &object["spec"];
        let types: Vec<String> = items(&spec["policyTypes"]).map(text).collect();
        Self {
            namespace: text(&object["metadata"]["namespace"]),
            name: text(&object["metadata"]["name"]),
            is_ours: labels
                .get(MANAGED_BY)
                .is_some_and(|manager| manager == TELECTL),
            restricts_egress: types.iter().any(|kind| kind == "Egress")
                || (types.is_empty() && !spec["egress"].is_null()),
            selector: Selector::from_object(&spec["podSelector"]),
        }
    }
}
