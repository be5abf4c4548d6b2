//! JSON schemas (2020-12) of values files and of the fleet file, for editors.
//!
//! Keys and descriptions are those of `profiles/base.yaml`; types, words and bounds are found out by
//! trying values on the typed settings.

mod comments;
mod leaf;

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde::Deserialize as _;
use serde_json::{Map, Value, json};

use super::check;
use super::error::ConfigError;
use super::fleet::Fleet;
use super::ineffective;
use super::key_path::KeyPath;
use super::layer::Merged;
use super::passwords;
use super::profiles::BASE;
use super::resolve::schema;
use super::schema::{Known, Schema};
use super::values::Values;

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// What the keys of the fleet file are.
const OF_FLEET: &[(&str, &str)] = &[
    ("clusters", "The clusters."),
    ("values", "Values for all clusters, or for this one alone."),
    ("name", "The cluster's name; CLUSTER_ID of its workers."),
    ("context", "Its context in the kubeconfig."),
    ("role", "What it is for."),
    ("region", "Where it is."),
];

/// The schema of values files.
///
/// # Errors
/// When the built-in values are no YAML.
pub fn values() -> Result<Value, ConfigError> {
    let mut schema = bare_values()?;
    head(&mut schema, "Values of telectl", "For files given with -f.");
    Ok(Value::Object(schema))
}

/// The schema of the fleet file.
///
/// # Errors
/// When the built-in values are no YAML.
pub fn fleet() -> Result<Value, ConfigError> {
    let attempt = |tree: &Value| {
        let read: Result<Fleet, _> = serde_json::from_value(tree.clone());
        read.map(drop).map_err(|error| error.to_string())
    };
    let cluster = json!({ "name": "a", "context": "a", "role": "edge" });
    let mut of_cluster = object(&cluster, &|tree| attempt(&json!({ "clusters": [tree] })));
    let mut whole = object(&json!({}), &attempt);
    let values = json!({ "$ref": "#/$defs/values" });
    of_cluster["properties"]["values"] = values.clone();
    whole["properties"]["values"] = values;
    whole["properties"]["clusters"] = json!({
        "type": "array",
        "description": description_of("clusters"),
        "items": of_cluster,
    });
    whole["$defs"] = json!({ "values": bare_values()? });
    let mut whole = match whole {
        Value::Object(whole) => whole,
        _ => Map::new(),
    };
    head(&mut whole, "Fleet of telectl", "For telectl.yaml.");
    Ok(Value::Object(whole))
}

fn head(schema: &mut Map<String, Value>, title: &str, description: &str) {
    schema.shift_insert(0, "$schema".to_owned(), DIALECT.into());
    schema.shift_insert(1, "title".to_owned(), title.into());
    schema.shift_insert(2, "description".to_owned(), description.into());
}

/// A map with the keys that its type names, each found out by trying; `sound` is one that is taken.
fn object(sound: &Value, attempt: leaf::Try<'_>) -> Value {
    let with = |key: &str, value: &Value| {
        let mut tree = sound.clone();
        tree[key] = value.clone();
        tree
    };
    let refusal = attempt(&with("?", &json!(1))).err().unwrap_or_default();
    let keys = leaf::words(&refusal).unwrap_or_default();
    let mut properties = Map::new();
    for key in keys {
        let mut schema = leaf::schema(&|value| attempt(&with(&key, value)));
        if let Some(text) = description_of(&key) {
            schema.shift_insert(0, "description".to_owned(), text.into());
        }
        properties.insert(key, schema.into());
    }
    let required: Vec<&String> = sound.as_object().into_iter().flat_map(Map::keys).collect();
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": required,
        "properties": properties,
    })
}

fn description_of(key: &str) -> Option<&'static str> {
    let found = OF_FLEET.iter().find(|(known, _)| *known == key);
    found.map(|(_, text)| *text)
}

fn bare_values() -> Result<Map<String, Value>, ConfigError> {
    let schema = schema()?;
    let built_in = Merged {
        tree: schema.base().clone(),
        ..Merged::default()
    };
    let builder = Builder {
        schema,
        comments: comments::of(BASE),
        sound: RefCell::new(built_in.without_nulls()),
    };
    let mut root = builder.branch(&KeyPath::default());
    without_effect(&mut root, &builder.schema);
    secrets(&mut root);
    alias(&mut root);
    Ok(root)
}

struct Builder {
    schema: Schema,
    comments: BTreeMap<KeyPath, String>,
    /// The built-in values; what is tried is put in and taken out again.
    sound: RefCell<Value>,
}

impl Builder {
    fn branch(&self, path: &KeyPath) -> Map<String, Value> {
        let mut properties = Map::new();
        if let Known::Branch(map) = self.schema.at(path) {
            for (key, value) in map {
                let below = path.child(key);
                let schema = match self.schema.at(&below) {
                    Known::Branch(_) => self.branch(&below),
                    _ => self.leaf(&below, value),
                };
                properties.insert(key.clone(), schema.into());
            }
        }
        let mut schema = Map::new();
        self.describe(path, &mut schema);
        schema.insert("type".to_owned(), "object".into());
        schema.insert("additionalProperties".to_owned(), false.into());
        schema.insert("properties".to_owned(), properties.into());
        schema
    }

    fn leaf(&self, path: &KeyPath, built_in: &Value) -> Map<String, Value> {
        let mut schema = leaf::schema(&|value| self.attempt(path, value));
        self.describe(path, &mut schema);
        if !built_in.is_null() {
            schema.insert("default".to_owned(), built_in.clone());
        }
        schema
    }

    fn describe(&self, path: &KeyPath, schema: &mut Map<String, Value>) {
        if let Some(comment) = self.comments.get(path) {
            schema.shift_insert(0, "description".to_owned(), comment.clone().into());
        }
    }

    /// Tries a value in the place of the built-in one; null takes away what stands there.
    fn attempt(&self, path: &KeyPath, value: &Value) -> Result<(), String> {
        let mut tree = self.sound.borrow_mut();
        let before = replace(
            &mut tree,
            path,
            Some(value.clone()).filter(|new| !new.is_null()),
        );
        let read = Values::deserialize(&*tree);
        replace(&mut tree, path, before);
        let values = read.map_err(|error| error.to_string())?;
        if !value.is_string() && !value.is_number() {
            return Ok(());
        }
        let key = path.to_string();
        // Of the rules between values, only those that name what may stand here.
        let names_it = |reason: &str| {
            reason.starts_with("must be one of") || reason.starts_with("must be at least")
        };
        let mut broken = check::check(&values).into_iter();
        let broken = broken.find(|(known, reason)| *known == key && names_it(reason));
        broken.map_or(Ok(()), |(_, reason)| Err(reason))
    }
}

/// Puts a value into a tree, or takes it away; gives what was there.
fn replace(tree: &mut Value, path: &KeyPath, value: Option<Value>) -> Option<Value> {
    let (last, parents) = path.keys().split_last()?;
    let parent = parents
        .iter()
        .try_fold(tree, |branch, key| branch.get_mut(key))?
        .as_object_mut()?;
    match value {
        Some(value) => parent.insert(last.clone(), value),
        None => parent.shift_remove(last),
    }
}

/// Puts a schema where a key stands that the built-in values do not have. A key below one that
/// takes anything is there already.
fn put(root: &mut Map<String, Value>, path: &KeyPath, schema: Value) {
    let Some((last, parents)) = path.keys().split_last() else {
        return;
    };
    let parent = parents.iter().try_fold(root, |branch, key| {
        branch.get_mut("properties")?.get_mut(key)?.as_object_mut()
    });
    let properties = parent
        .and_then(|parent| parent.get_mut("properties"))
        .and_then(Value::as_object_mut);
    if let Some(properties) = properties {
        properties.insert(last.clone(), schema);
    }
}

/// Keys of the original chart that are accepted and do nothing.
fn without_effect(root: &mut Map<String, Value>, known: &Schema) {
    for (key, why) in ineffective::all() {
        let path = KeyPath::from(key);
        if known.at(&path) == Known::Nothing {
            let description = format!("Has no effect: {why}.");
            put(
                root,
                &path,
                json!({ "deprecated": true, "description": description }),
            );
        }
    }
}

/// Keys that take a secret by reference.
fn secrets(root: &mut Map<String, Value>) {
    for setting in passwords::SETTINGS {
        let description = match setting.content {
            Some(_) => "A secret, by reference to an environment variable: \"${NAME}\".",
            None => "Has no effect.",
        };
        let schema = json!({
            "type": ["string", "null"],
            "pattern": r"^(\$\{[^}]+\})?$",
            "description": description,
        });
        put(root, &KeyPath::from(setting.key), schema);
    }
}

/// The other name of `externalRedis`, where `tls` may be a mere yes or no.
fn alias(root: &mut Map<String, Value>) {
    let mut external = root["properties"]["externalRedis"].clone();
    external["deprecated"] = true.into();
    external["description"] = "Read as externalRedis.".into();
    let tls = external["properties"]["tls"].take();
    external["properties"]["tls"] = json!({ "anyOf": [{ "type": "boolean" }, tls] });
    put(root, &KeyPath::from("redis.external"), external);
}
