//! Who owns which fields of an object (`metadata.managedFields`), and how what an earlier tool
//! owned becomes ours.

use serde_json::{Value, json};

use super::apply::FIELD_MANAGER;
use super::fields::FieldSet;

/// An entry of an object's `managedFields`.
#[derive(Debug, Clone, Copy)]
pub struct Manager<'a>(&'a Value);

impl<'a> Manager<'a> {
    fn text(self, field: &str) -> &'a str {
        self.0[field].as_str().unwrap_or_default()
    }

    /// The name, for example `kubectl-edit`.
    pub fn name(self) -> &'a str {
        self.text("manager")
    }

    /// Whether the fields were applied (declared as a whole), not updated one by one.
    pub fn is_applier(self) -> bool {
        self.text("operation") == "Apply"
    }

    /// The part of the object that was written through an endpoint of its own: `status`, `scale`;
    /// empty for the object itself.
    pub fn subresource(self) -> &'a str {
        self.text("subresource")
    }

    /// When the entry changed last, RFC 3339; empty if that is not known.
    pub fn time(self) -> &'a str {
        self.text("time")
    }

    /// The version of the API that the fields are named in.
    pub fn api_version(self) -> &'a str {
        self.text("apiVersion")
    }

    /// The fields.
    pub fn fields(self) -> FieldSet {
        FieldSet::from_value(&self.0["fieldsV1"])
    }

    /// Whether it is what telectl applied.
    pub fn is_us(self) -> bool {
        self.name() == FIELD_MANAGER && self.is_applier() && self.subresource().is_empty()
    }
}

/// The managers of a live object.
pub fn managers(live: &Value) -> impl Iterator<Item = Manager<'_>> {
    let entries = live["metadata"]["managedFields"].as_array();
    entries.into_iter().flatten().map(Manager)
}

/// Whether telectl applied a live object.
pub fn is_applied_by_us(live: &Value) -> bool {
    managers(live).any(Manager::is_us)
}

/// All that managers own together.
pub fn fields_of<'a>(managers: impl Iterator<Item = Manager<'a>>) -> FieldSet {
    managers.fold(FieldSet::default(), |mut sum, manager| {
        sum.add(&manager.fields());
        sum
    })
}

/// The merge patch after which what some managers own was applied by us, so that the next apply
/// gives up what it does not ask for. It fails once the object has changed. `None` if there are no
/// such managers.
pub fn moved_to_us(
    live: &Value,
    api_version: &str,
    moves: impl Fn(Manager<'_>) -> bool,
) -> Option<Value> {
    let (moved, left): (Vec<_>, Vec<_>) = managers(live).partition(|manager| moves(*manager));
    if moved.is_empty() {
        return None;
    }
    let (own, left): (Vec<_>, Vec<_>) = left.into_iter().partition(|manager| manager.is_us());
    let together = || own.iter().chain(&moved).copied();
    // Fields of another version may be named otherwise: of these nothing can be kept but in an
    // entry of that version, and there is only one entry.
    let is_ours = |manager: &Manager<'_>| manager.api_version() == api_version;
    let version = if together().any(|manager| is_ours(&manager)) {
        api_version
    } else {
        moved[0].api_version()
    };
    let fields = fields_of(together().filter(|manager| manager.api_version() == version));
    let time = together().map(Manager::time).max().unwrap_or_default();
    let mut entry = json!({
        "manager": FIELD_MANAGER,
        "operation": "Apply",
        "apiVersion": version,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields.into_value(),
    });
    if !time.is_empty() {
        entry["time"] = time.into();
    }
    let left = left.into_iter().map(|manager| manager.0.clone());
    let entries: Vec<Value> = left.chain([entry]).collect();
    Some(json!({"metadata": {
        "uid": live["metadata"]["uid"],
        "resourceVersion": live["metadata"]["resourceVersion"],
        "managedFields": entries,
    }}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(manager: &str, operation: &str, version: &str, fields: Value) -> Value {
        json!({
            "manager": manager, "operation": operation, "apiVersion": version,
            "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": fields,
        })
    }

    fn live(entries: &[Value]) -> Value {
        json!({"metadata": {"uid": "u", "resourceVersion": "7", "managedFields": entries}})
    }

    fn of_helm(manager: Manager<'_>) -> bool {
        manager.name() == "helm"
    }

    #[test]
    fn what_helm_owned_is_in_one_entry_of_ours_and_others_keep_theirs() {
        let others = entry("kubectl-edit", "Update", "v1", json!({"f:b": {}}));
        let live = live(&[
            entry("helm", "Update", "v1", json!({"f:a": {"f:x": {}}})),
            others.clone(),
            entry("telectl", "Apply", "v1", json!({"f:a": {"f:y": {}}})),
        ]);
        let patch = moved_to_us(&live, "v1", of_helm).unwrap();
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        assert_eq!(patch["metadata"]["uid"], "u");
        let entries = patch["metadata"]["managedFields"].as_array().unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0], others);
        let both = json!({"f:a": {"f:y": {}, "f:x": {}}});
        assert_eq!(entries[1], entry("telectl", "Apply", "v1", both));
        assert_eq!(moved_to_us(&json!({}), "v1", of_helm), None);
    }

    #[test]
    fn fields_of_another_version_are_not_mixed_with_ours() {
        let old = entry("helm", "Update", "autoscaling/v1", json!({"f:old": {}}));
        let new = entry("helm", "Apply", "autoscaling/v2", json!({"f:new": {}}));
        let fields = |entries: &[Value]| {
            let patch = moved_to_us(&live(entries), "autoscaling/v2", of_helm).unwrap();
            let entry = &patch["metadata"]["managedFields"][0];
            (entry["apiVersion"].clone(), entry["fieldsV1"].clone())
        };
        let both = [old.clone(), new];
        assert_eq!(
            fields(&both),
            (json!("autoscaling/v2"), json!({"f:new": {}}))
        );
        assert_eq!(
            fields(&[old]),
            (json!("autoscaling/v1"), json!({"f:old": {}}))
        );
    }

    #[test]
    fn what_was_written_elsewhere_is_not_what_we_applied() {
        let of = |value: Value| is_applied_by_us(&live(&[value]));
        assert!(of(entry("telectl", "Apply", "v1", json!({}))));
        assert!(!of(entry("telectl", "Update", "v1", json!({}))));
        assert!(!of(entry("helm", "Apply", "v1", json!({}))));
        let mut scale = entry("telectl", "Apply", "v1", json!({}));
        scale["subresource"] = "scale".into();
        assert!(!of(scale));
    }
}
