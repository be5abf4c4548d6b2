//! Sets of fields as the API server keeps them for every manager of an object (`fieldsV1`).

use serde_json::{Map, Value};

/// Fields of an object: a tree whose keys are `f:NAME` for a field, `k:{"KEY":VALUE}` for the item
/// of a list with these keys and `v:VALUE` for a value of a list. `.` stands for the field itself;
/// nothing below a key stands for all that is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSet(Map<String, Value>);

impl FieldSet {
    /// The set that an entry's `fieldsV1` holds.
    pub fn from_value(fields: &Value) -> Self {
        Self(fields.as_object().cloned().unwrap_or_default())
    }

    /// The set as `fieldsV1`.
    pub fn into_value(self) -> Value {
        Value::Object(self.0)
    }

    /// Adds the fields of another set.
    pub fn add(&mut self, other: &Self) {
        merge(&mut self.0, &other.0);
    }

    /// The object as it is once its manager owns no more than `wanted` has: without the fields of
    /// this set that neither are in `wanted` nor belong to `others`. What the server puts in the
    /// place of a removed field is not known here.
    pub fn given_up(&self, object: &Value, wanted: &Value, others: &Self) -> Value {
        let mut left = object.clone();
        prune(&mut left, &self.0, Some(wanted), Some(&others.0));
        left
    }

    /// The object with the fields of a manifest in it, as the server merges them. The set is that of
    /// everybody who owns fields of the object: it tells lists whose items have keys from those
    /// that are replaced as a whole.
    pub fn merged(&self, object: &Value, manifest: &Value) -> Value {
        let mut merged = object.clone();
        overlay(&mut merged, manifest, Some(&self.0));
        merged
    }

    /// Whether the set has a field, or something below it, given as a path without the keys of
    /// list items: `.spec.template.spec.containers.image`.
    pub fn has(&self, path: &str) -> bool {
        is_in(&self.0, path.trim_start_matches('.'))
    }
}

fn merge(into: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (key, below) in from {
        match (into.get_mut(key), below) {
            (Some(Value::Object(into)), Value::Object(from)) => merge(into, from),
            (Some(_), _) => {}
            (None, below) => {
                into.insert(key.clone(), below.clone());
            }
        }
    }
}

fn is_in(set: &Map<String, Value>, path: &str) -> bool {
    if path.is_empty() || set.is_empty() {
        return true;
    }
    set.iter().any(|(key, below)| {
        let Some(below) = below.as_object() else {
            return false;
        };
        match key.split_once(':') {
            Some(("f", name)) => {
                // Names may hold dots themselves; a path quotes these.
                let quoted = format!("\"{name}\"");
                let rest = path
                    .strip_prefix(name)
                    .or_else(|| path.strip_prefix(quoted.as_str()));
                match rest {
                    Some("") => true,
                    Some(rest) => rest
                        .strip_prefix('.')
                        .is_some_and(|rest| is_in(below, rest)),
                    None => false,
                }
            }
            Some(("k", _)) => is_in(below, path),
            _ => false,
        }
    })
}

type Tree = Map<String, Value>;

fn prune(value: &mut Value, owned: &Tree, wanted: Option<&Value>, others: Option<&Tree>) {
    for (key, below) in owned {
        let others = others
            .and_then(|others| others.get(key))
            .map(|below| below.as_object().cloned().unwrap_or_default());
        let below = below.as_object().cloned().unwrap_or_default();
        let part = Part {
            owned: &below,
            others: others.as_ref(),
        };
        match key.split_once(':') {
            Some(("f", name)) => part.prune_field(value, name, wanted),
            Some(("k", keys)) => part.prune_item(value, keys, wanted),
            Some(("v", text)) => part.prune_value(value, text, wanted),
            _ => {}
        }
    }
}

/// One key of a set: what is owned below it, and what others own there, if they own any.
struct Part<'a> {
    owned: &'a Tree,
    others: Option<&'a Tree>,
}

impl Part<'_> {
    fn prune_field(&self, object: &mut Value, name: &str, wanted: Option<&Value>) {
        let wanted = wanted.and_then(|wanted| wanted.get(name));
        let Some(fields) = object.as_object_mut() else {
            return;
        };
        if let Some(field) = fields.get_mut(name)
            && self.is_to_go(field, wanted)
        {
            fields.shift_remove(name);
        }
    }

    fn prune_item(&self, list: &mut Value, keys: &str, wanted: Option<&Value>) {
        let (Some(items), Ok(Value::Object(keys))) =
            (list.as_array_mut(), serde_json::from_str::<Value>(keys))
        else {
            return;
        };
        let wanted = wanted.and_then(Value::as_array);
        let wanted = wanted.and_then(|items| items.iter().find(|item| may_be(item, &keys)));
        let found = items
            .iter()
            .position(|item| keys.iter().all(|(key, value)| item.get(key) == Some(value)));
        if let Some(at) = found
            && self.is_to_go(&mut items[at], wanted)
        {
            items.remove(at);
        }
    }

    fn prune_value(&self, list: &mut Value, text: &str, wanted: Option<&Value>) {
        let (Some(items), Ok(value)) = (list.as_array_mut(), serde_json::from_str::<Value>(text))
        else {
            return;
        };
        let is_wanted = wanted
            .and_then(Value::as_array)
            .is_some_and(|wanted| wanted.contains(&value));
        if !is_wanted && self.others.is_none() {
            items.retain(|item| *item != value);
        }
    }

    /// Prunes below; whether all of it goes.
    fn is_to_go(&self, value: &mut Value, wanted: Option<&Value>) -> bool {
        prune(value, self.owned, wanted, self.others);
        if wanted.is_some() || self.others.is_some() {
            return false;
        }
        let is_empty = match value {
            Value::Object(fields) => fields.is_empty(),
            Value::Array(items) => items.is_empty(),
            _ => false,
        };
        self.owned.is_empty() || self.owned.contains_key(".") || is_empty
    }
}

fn overlay(value: &mut Value, wanted: &Value, set: Option<&Tree>) {
    match (value, wanted) {
        (Value::Object(fields), Value::Object(wanted)) => {
            for (name, wanted) in wanted {
                let below = set.and_then(|set| set.get(&format!("f:{name}"))?.as_object());
                match fields.get_mut(name) {
                    Some(field) => overlay(field, wanted, below),
                    None => {
                        fields.insert(name.clone(), wanted.clone());
                    }
                }
            }
        }
        (Value::Array(items), Value::Array(wanted)) => {
            let known: Vec<(Tree, &Value)> = set.into_iter().flatten().filter_map(keyed).collect();
            let holds_values = set.is_some_and(|set| set.keys().any(|key| key.starts_with("v:")));
            if known.is_empty() && !holds_values {
                items.clone_from(wanted);
                return;
            }
            for wanted in wanted {
                let own = known.iter().find(|(keys, _)| may_be(wanted, keys));
                let is_it = |item: &&mut Value| match own {
                    Some((keys, _)) => keys.iter().all(|(key, value)| item.get(key) == Some(value)),
                    None => **item == *wanted,
                };
                match items.iter_mut().find(is_it) {
                    Some(item) => overlay(item, wanted, own.and_then(|(_, set)| set.as_object())),
                    None => items.push(wanted.clone()),
                }
            }
        }
        (value, wanted) => value.clone_from(wanted),
    }
}

/// The keys of a list's item, and what is owned below it.
fn keyed<'a>((key, below): (&String, &'a Value)) -> Option<(Tree, &'a Value)> {
    let keys = serde_json::from_str(key.strip_prefix("k:")?).ok()?;
    Some((keys, below))
}

/// Whether an item of a manifest is the one with these keys; a key that it leaves out is given by
/// the server.
fn may_be(item: &Value, keys: &Tree) -> bool {
    let mut keys = keys.iter();
    keys.all(|(key, value)| item.get(key).is_none_or(|own| own == value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(fields: Value) -> FieldSet {
        FieldSet::from_value(&fields)
    }

    #[test]
    fn what_only_the_earlier_manager_has_is_given_up() {
        let owned = set(json!({
            "f:metadata": {"f:annotations": {".": {}, "f:a": {}, "f:b": {}}},
            "f:spec": {"f:replicas": {}, "f:paused": {}},
        }));
        let live = json!({
            "metadata": {"name": "x", "annotations": {"a": "1", "b": "2", "theirs": "3"}},
            "spec": {"replicas": 1, "paused": true, "defaulted": 4},
        });
        let wanted = json!({"metadata": {"annotations": {"a": "1"}}, "spec": {"replicas": 2}});
        let left = owned.given_up(&live, &wanted, &FieldSet::default());
        assert_eq!(
            left,
            json!({
                "metadata": {"name": "x", "annotations": {"a": "1", "theirs": "3"}},
                "spec": {"replicas": 1, "defaulted": 4},
            })
        );
    }

    #[test]
    fn what_somebody_else_owns_too_stays() {
        let owned = set(json!({"f:spec": {"f:replicas": {}, "f:paused": {}}}));
        let others = set(json!({"f:spec": {"f:replicas": {}}}));
        let live = json!({"spec": {"replicas": 3, "paused": true}});
        let left = owned.given_up(&live, &json!({}), &others);
        assert_eq!(left, json!({"spec": {"replicas": 3}}));
    }

    #[test]
    fn an_item_of_a_list_goes_unless_the_manifest_has_one_with_its_keys() {
        let port = |number: u16| format!(r#"k:{{"port":{number},"protocol":"TCP"}}"#);
        let item = json!({".": {}, "f:port": {}, "f:name": {}, "f:nodePort": {}});
        let owned = set(json!({"f:spec": {"f:ports": {
            ".": {}, (port(80)): item, (port(9090)): item,
        }}}));
        let live = json!({"spec": {"ports": [
            {"port": 80, "protocol": "TCP", "name": "http", "nodePort": 30080},
            {"port": 9090, "protocol": "TCP", "name": "debug"},
            {"port": 7, "protocol": "TCP"},
        ]}});
        // The manifest leaves the protocol out: the server fills it in.
        let wanted = json!({"spec": {"ports": [{"port": 80, "name": "http"}]}});
        let left = owned.given_up(&live, &wanted, &FieldSet::default());
        assert_eq!(
            left,
            json!({"spec": {"ports": [
                {"port": 80, "protocol": "TCP", "name": "http"},
                {"port": 7, "protocol": "TCP"},
            ]}})
        );
    }

    #[test]
    fn values_of_a_list_and_a_map_that_is_left_empty_go() {
        let owned = set(json!({
            "f:metadata": {"f:finalizers": {".": {}, r#"v:"a""#: {}, r#"v:"b""#: {}}},
            "f:data": {"f:key": {}},
        }));
        let live = json!({"metadata": {"finalizers": ["a", "b"]}, "data": {"key": "x"}});
        let wanted = json!({"metadata": {"finalizers": ["b"]}});
        let left = owned.given_up(&live, &wanted, &FieldSet::default());
        assert_eq!(left, json!({"metadata": {"finalizers": ["b"]}}));
    }

    #[test]
    fn a_manifest_is_merged_by_the_keys_of_items_and_other_lists_are_replaced() {
        let item = json!({".": {}, "f:name": {}, "f:value": {}});
        let set = set(json!({"f:spec": {
            "f:env": {r#"k:{"name":"A"}"#: item, r#"k:{"name":"B"}"#: item},
            "f:args": {},
            "f:finalizers": {r#"v:"a""#: {}},
        }}));
        let live = json!({"spec": {
            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
            "args": ["x", "y"],
            "finalizers": ["a"],
            "left": true,
        }});
        let manifest = json!({"spec": {
            "env": [{"name": "C", "value": "3"}, {"name": "B", "value": "4"}],
            "args": ["z"],
            "finalizers": ["a", "b"],
            "new": {"a": 1},
        }});
        assert_eq!(
            set.merged(&live, &manifest),
            json!({"spec": {
                "env": [
                    {"name": "A", "value": "1"},
                    {"name": "B", "value": "4"},
                    {"name": "C", "value": "3"},
                ],
                "args": ["z"],
                "finalizers": ["a", "b"],
                "left": true,
                "new": {"a": 1},
            }})
        );
    }

    #[test]
    fn sets_are_added_without_losing_anything() {
        let mut sum = set(json!({"f:a": {"f:b": {}}}));
        sum.add(&set(json!({"f:a": {"f:c": {".": {}}}, "f:d": {}})));
        let both = json!({"f:a": {"f:b": {}, "f:c": {".": {}}}, "f:d": {}});
        assert_eq!(sum.into_value(), both);
    }

    #[test]
    fn a_field_is_found_below_items_and_under_names_with_dots() {
        let fields = set(json!({
            "f:metadata": {"f:labels": {"f:app.kubernetes.io/name": {}}},
            "f:spec": {"f:ports": {r#"k:{"port":80}"#: {"f:targetPort": {}}}, "f:selector": {}},
        }));
        for known in [
            ".metadata.labels.\"app.kubernetes.io/name\"",
            ".spec.ports.targetPort",
            ".spec.selector.app",
            ".spec.ports",
        ] {
            assert!(fields.has(known), "{known}");
        }
        for unknown in [".spec.ports.name", ".metadata.labels.app", ".spec.portsX"] {
            assert!(!fields.has(unknown), "{unknown}");
        }
    }
}
