//! What differs between an object as it is and as it would be.

use serde_json::Value;

/// One field that would change.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FieldChange {
    /// The path, for example `.spec.template.spec.containers[name="collector"].image`.
    pub field: String,
    /// The value now; `None` if there is none.
    pub before: Option<Value>,
    /// The value afterwards; `None` if there is none.
    pub after: Option<Value>,
}

/// Parts of an object that the server keeps for itself.
const SERVER_SIDE: [&str; 6] = [
    "managedFields",
    "resourceVersion",
    "generation",
    "uid",
    "creationTimestamp",
    "selfLink",
];

/// The keys by which items of lists are told apart, most telling first.
const ITEM_KEYS: [&str; 6] = ["name", "containerPort", "port", "mountPath", "type", "ip"];

/// The fields that differ, in order of their paths. Status and server-side metadata do not count.
pub fn changes(before: &Value, after: &Value) -> Vec<FieldChange> {
    let mut found = Vec::new();
    compare(&comparable(before), &comparable(after), "", &mut found);
    found
}

/// The same changes of a Secret, with every value replaced by a word.
pub fn masked(changes: Vec<FieldChange>) -> Vec<FieldChange> {
    let mask = |value: Option<Value>, word: &str| value.map(|_| Value::from(word));
    changes
        .into_iter()
        .map(|change| {
            let secret = [".data", ".stringData"]
                .iter()
                .any(|part| change.field.starts_with(part));
            if !secret {
                return change;
            }
            FieldChange {
                before: mask(change.before, "(hidden)"),
                after: mask(change.after, "(hidden, different)"),
                field: change.field,
            }
        })
        .collect()
}

fn comparable(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
        if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
            for field in SERVER_SIDE {
                metadata.remove(field);
            }
        }
    }
    object
}

fn compare(before: &Value, after: &Value, path: &str, found: &mut Vec<FieldChange>) {
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                let path = format!("{path}.{}", path_key(key));
                compare_optional(old.get(key), new.get(key), &path, found);
            }
        }
        (Value::Array(old), Value::Array(new)) => compare_lists(old, new, path, found),
        _ if before == after => {}
        _ => found.push(FieldChange {
            field: path.to_owned(),
            before: Some(before.clone()),
            after: Some(after.clone()),
        }),
    }
}

fn compare_optional(
    before: Option<&Value>,
    after: Option<&Value>,
    path: &str,
    found: &mut Vec<FieldChange>,
) {
    match (before, after) {
        (Some(before), Some(after)) => compare(before, after, path, found),
        (None, None) => {}
        (before, after) => found.push(FieldChange {
            field: path.to_owned(),
            before: before.cloned(),
            after: after.cloned(),
        }),
    }
}

fn compare_lists(old: &[Value], new: &[Value], path: &str, found: &mut Vec<FieldChange>) {
    let Some(key) = ITEM_KEYS
        .into_iter()
        .find(|key| tells_apart(key, old) && tells_apart(key, new))
    else {
        for index in 0..old.len().max(new.len()) {
            let path = format!("{path}[{index}]");
            compare_optional(old.get(index), new.get(index), &path, found);
        }
        return;
    };
    let with =
        |items: &[Value], wanted: &Value| items.iter().find(|item| &item[key] == wanted).cloned();
    let mut seen: Vec<&Value> = Vec::new();
    for item in old.iter().chain(new) {
        let value = &item[key];
        if seen.contains(&value) {
            continue;
        }
        seen.push(value);
        let path = format!("{path}[{key}={value}]");
        compare_optional(
            with(old, value).as_ref(),
            with(new, value).as_ref(),
            &path,
            found,
        );
    }
}

/// Whether every item has the key and no two share its value.
fn tells_apart(key: &str, items: &[Value]) -> bool {
    let values: Vec<&Value> = items.iter().filter_map(|item| item.get(key)).collect();
    values.len() == items.len()
        && values
            .iter()
            .enumerate()
            .all(|(index, value)| !values[..index].contains(value))
}

fn path_key(key: &str) -> String {
    if key.contains(['.', '/']) {
        format!("\"{key}\"")
    } else {
        key.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn server_side_fields_and_status_do_not_count() {
        let before = json!({"metadata": {"name": "a", "resourceVersion": "1"}, "status": {"x": 1}});
        let after = json!({"metadata": {"name": "a", "resourceVersion": "2"}, "status": {"x": 2}});
        assert_eq!(changes(&before, &after), []);
    }

    #[test]
    fn list_items_are_matched_by_name_and_not_by_place() {
        let before = json!({"c": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]});
        let after = json!({"c": [{"name": "b", "image": "2"}, {"name": "a", "image": "1"}]});
        let found = changes(&before, &after);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].field, ".c[name=\"b\"].image");
    }

    #[test]
    fn added_and_removed_fields_are_found() {
        let found = changes(&json!({"a": 1}), &json!({"b.c": 2}));
        let fields: Vec<&str> = found.iter().map(|change| change.field.as_str()).collect();
        assert_eq!(fields, [".a", ".\"b.c\""]);
        assert_eq!(
            (found[0].after.clone(), found[1].before.clone()),
            (None, None)
        );
    }

    #[test]
    fn n10_values_of_a_secret_are_masked() {
        let found = masked(changes(
            &json!({"data": {"password": "b2xk"}}),
            &json!({"data": {"password": "bmV3"}}),
        ));
        let shown = serde_json::to_string(&found).unwrap();
        assert!(
            !shown.contains("b2xk") && !shown.contains("bmV3"),
            "{shown}"
        );
        assert!(shown.contains(".data.password"), "{shown}");
    }
}
