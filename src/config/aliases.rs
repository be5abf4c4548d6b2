//! Other names for keys, as one of the original documents has them.

use serde_json::{Map, Value, json};

use super::error::Warning;
use super::key_path::KeyPath;
use super::layer::Layer;

/// Rewrites `redis.external.*` to `externalRedis.*`, also where `tls` is a scalar, and reads
/// `redis.tls.enabled` for an external Redis, too. What the layer says under the canonical name
/// wins.
pub(super) fn rewrite(layer: &mut Layer) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let server_tls = layer.tree.pointer("/redis/tls/enabled").cloned();
    if let Some(external) = take_external(&mut layer.tree) {
        warnings.push(warning(layer, "redis.external", "externalRedis"));
        let mut external = canonical(external);
        external.entry("enabled").or_insert(Value::Bool(true));
        put_below(&mut layer.tree, Value::Object(external));
    }
    if let Some(enabled) = server_tls {
        warnings.push(warning(
            layer,
            "redis.tls.enabled",
            "externalRedis.tls.enabled",
        ));
        put_below(&mut layer.tree, json!({ "tls": { "enabled": enabled } }));
    }
    warnings
}

/// The other name under which a key may stand in a file.
pub(super) fn written(path: &KeyPath) -> Option<KeyPath> {
    let (first, rest) = path.keys().split_first()?;
    (first == "externalRedis").then(|| {
        rest.iter()
            .fold(KeyPath::from("redis.external"), |path, key| path.child(key))
    })
}

fn warning(layer: &Layer, key: &'static str, canonical: &'static str) -> Warning {
    Warning::Alias {
        key,
        canonical,
        place: layer.place(&KeyPath::from(key)),
    }
}

fn take_external(tree: &mut Value) -> Option<Map<String, Value>> {
    let redis = tree.get_mut("redis")?.as_object_mut()?;
    match redis.get("external")? {
        Value::Object(_) => match redis.shift_remove("external") {
            Some(Value::Object(external)) => Some(external),
            _ => None,
        },
        _ => None,
    }
}

fn canonical(mut external: Map<String, Value>) -> Map<String, Value> {
    if let Some(enabled @ Value::Bool(_)) = external.get("tls").cloned() {
        external.insert("tls".to_owned(), json!({ "enabled": enabled }));
    }
    external
}

/// Adds what `externalRedis` of the layer does not say itself.
fn put_below(tree: &mut Value, added: Value) {
    let Some(root) = tree.as_object_mut() else {
        return;
    };
    let slot = root
        .entry("externalRedis")
        .or_insert_with(|| Value::Object(Map::new()));
    fill(slot, added);
}

fn fill(into: &mut Value, from: Value) {
    let (Value::Object(into), Value::Object(from)) = (into, from) else {
        return;
    };
    for (key, value) in from {
        match into.get_mut(&key) {
            Some(present) => fill(present, value),
            None => {
                into.insert(key, value);
            }
        }
    }
}
