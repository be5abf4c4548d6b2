//! Whether a live object is already what applying a manifest would make of it, judged from both
//! alone. Only a proof counts: where anything is in doubt, the server is to be asked.

use serde_json::{Map, Value};

use super::apply::FIELD_MANAGER;

/// Whether it is proven that applying `manifest` as telectl changes no value of `live`: we applied
/// it before, every value that the manifest has stands there, and nothing that we own is missing in
/// the manifest (it would be removed).
pub fn is_applied(manifest: &Value, live: &Value) -> bool {
    let entries = live["metadata"]["managedFields"].as_array();
    let ours = entries.into_iter().flatten().find(|entry| {
        entry["manager"] == FIELD_MANAGER
            && entry["operation"] == "Apply"
            && entry["subresource"].as_str().unwrap_or_default().is_empty()
    });
    let Some(ours) = ours else {
        return false;
    };
    // Fields are listed by the version that they were applied in.
    ours["apiVersion"] == manifest["apiVersion"]
        && ours["fieldsV1"]
            .as_object()
            .is_some_and(|fields| is_wanted(fields, manifest))
        && holds(manifest, live, &ours["fieldsV1"])
}

/// Whether the value has every field of an entry of `managedFields` (`fieldsV1`): `f:NAME` is a
/// field, `k:{KEYS}` an item of a list by its keys, `v:VALUE` an item of a set, `.` the thing itself.
fn is_wanted(fields: &Map<String, Value>, value: &Value) -> bool {
    fields.iter().all(|(path, below)| {
        let Some((mark, name)) = path.split_once(':') else {
            return path == ".";
        };
        let found = match mark {
            "f" => value.get(name).filter(|found| !found.is_null()),
            "k" => item(value, name),
            "v" => member(value, name),
            _ => None,
        };
        let below = below.as_object();
        found.is_some_and(|found| below.is_none_or(|below| is_wanted(below, found)))
    })
}

/// The one item with these keys. A key that the item leaves open may have any value: the server
/// fills it in.
fn item<'a>(list: &'a Value, keys: &str) -> Option<&'a Value> {
    let keys: Map<String, Value> = serde_json::from_str(keys).ok()?;
    let fits = |item: &&Value| {
        let open = |key: &str| item.get(key).is_none_or(Value::is_null);
        keys.iter().any(|(key, _)| !open(key))
            && keys
                .iter()
                .all(|(key, value)| open(key) || item[key] == *value)
    };
    let mut found = list.as_array()?.iter().filter(fits);
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

fn member<'a>(set: &'a Value, value: &str) -> Option<&'a Value> {
    let wanted: Value = serde_json::from_str(value).ok()?;
    set.as_array()?.iter().find(|member| **member == wanted)
}

/// Whether every value of the manifest stands in the live object. Lists have to have the same
/// items in the same order: what others added to one is for the server to judge. `owned` is our
/// entry of `managedFields` at this place, null where it is not followed.
fn holds(wanted: &Value, live: &Value, owned: &Value) -> bool {
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => wanted.iter().all(|(key, value)| {
            let owned = &owned[format!("f:{key}")];
            match live.get(key) {
                Some(live) => holds(value, live, owned),
                // The server drops empty lists (`omitempty`) and keeps them as ours. One that
                // somebody took away would be nobody's.
                None => value.as_array().is_some_and(Vec::is_empty) && !owned.is_null(),
            }
        }),
        (Value::Array(wanted), Value::Array(live)) => {
            wanted.len() == live.len()
                && wanted
                    .iter()
                    .zip(live)
                    .all(|(wanted, live)| holds(wanted, live, &Value::Null))
        }
        (wanted, live) => wanted == live,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn manifest() -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "redis", "labels": {"app": "redis"}, "finalizers": ["a/b"]},
            "spec": {"ports": [{"name": "redis", "port": 6379}], "type": "ClusterIP"},
        })
    }

    fn live() -> Value {
        let mut live = manifest();
        live["spec"]["clusterIP"] = "10.0.0.1".into();
        live["spec"]["ports"][0]["protocol"] = "TCP".into();
        live["metadata"]["managedFields"] = json!([
            {"manager": "controller", "operation": "Update", "fieldsV1": {"f:x": {}}},
            {"manager": "telectl", "operation": "Apply", "apiVersion": "v1", "fieldsV1": {
                "f:metadata": {"f:labels": {"f:app": {}}, "f:finalizers": {"v:\"a/b\"": {}}},
                "f:spec": {
                    "f:type": {},
                    "f:ports": {"k:{\"port\":6379,\"protocol\":\"TCP\"}": {
                        ".": {}, "f:name": {}, "f:port": {},
                    }},
                },
            }},
        ]);
        live
    }

    #[test]
    fn an_object_as_it_was_applied_needs_no_question() {
        assert!(is_applied(&manifest(), &live()));
    }

    #[test]
    fn another_value_or_a_new_or_a_dropped_field_is_for_the_server_to_judge() {
        type Change = dyn Fn(&mut Value, &mut Value);
        let changed = |change: &Change| {
            let (mut manifest, mut live) = (manifest(), live());
            change(&mut manifest, &mut live);
            is_applied(&manifest, &live)
        };
        let cases: [&Change; 8] = [
            &|_, live| live["spec"]["type"] = "LoadBalancer".into(),
            &|manifest, _| manifest["spec"]["sessionAffinity"] = "None".into(),
            &|manifest, _| manifest["metadata"]["labels"] = json!({}),
            &|manifest, _| manifest["metadata"]["finalizers"] = json!([]),
            &|manifest, _| manifest["spec"]["ports"][0]["port"] = 1.into(),
            &|_, live| {
                let ports = live["spec"]["ports"].as_array_mut().unwrap();
                ports.push(json!({"port": 1}));
            },
            &|_, live| live["metadata"]["managedFields"][1]["manager"] = "kubectl".into(),
            &|_, live| live["metadata"]["managedFields"][1]["apiVersion"] = "v2".into(),
        ];
        for (index, case) in cases.iter().enumerate() {
            assert!(!changed(case), "case {index}");
        }
    }

    #[test]
    fn an_empty_list_that_the_server_does_not_store_is_ours_as_long_as_it_says_so() {
        let (mut manifest, mut live) = (manifest(), live());
        manifest["spec"]["egress"] = json!([]);
        assert!(!is_applied(&manifest, &live), "nobody has it");
        live["metadata"]["managedFields"][1]["fieldsV1"]["f:spec"]["f:egress"] = json!({});
        assert!(is_applied(&manifest, &live));
        manifest["spec"]["egress"] = json!([{"ports": []}]);
        assert!(!is_applied(&manifest, &live), "a rule is to be added");
    }

    #[test]
    fn two_items_that_fit_the_same_keys_are_in_doubt() {
        let ports = json!([{"port": 53}, {"port": 53, "protocol": "UDP"}]);
        assert_eq!(item(&ports, r#"{"port":53,"protocol":"UDP"}"#), None);
        let ports = json!([{"port": 53, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]);
        let found = item(&ports, r#"{"port":53,"protocol":"UDP"}"#);
        assert_eq!(found.unwrap()["protocol"], "UDP");
    }
}
