//! Which keys there are and of which type: the shape of `profiles/base.yaml`.

use serde_json::{Map, Value};

use super::key_path::KeyPath;
use super::passwords;

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known<'a> {
    /// A key with keys below it.
    Branch(&'a Map<String, Value>),
    /// A value; the built-in one shows its type.
    Leaf(&'a Value),
    /// A map in which every key is allowed, or something inside it.
    Free(Freedom),
    /// No key.
    Nothing,
}

/// What a free map holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freedom {
    /// Text.
    Texts,
    /// What Kubernetes has there.
    Anything,
}

/// Keys whose value is a free map, wherever they stand.
const FREE: &[(&str, Freedom)] = &[
    ("annotations", Freedom::Texts),
    ("podAnnotations", Freedom::Texts),
    ("podLabels", Freedom::Texts),
    ("labels", Freedom::Texts),
    ("nodeSelector", Freedom::Texts),
    ("commonLabels", Freedom::Texts),
    ("commonAnnotations", Freedom::Texts),
    ("limits", Freedom::Texts),
    ("requests", Freedom::Texts),
    ("hard", Freedom::Texts),
    ("affinity", Freedom::Anything),
    ("behavior", Freedom::Anything),
];

/// The shape of all values.
#[derive(Debug)]
pub(super) struct Schema {
    base: Value,
}

impl Schema {
    pub(super) const fn new(base: Value) -> Self {
        Self { base }
    }

    /// The built-in values.
    pub(super) const fn base(&self) -> &Value {
        &self.base
    }

    /// What stands at `path`.
    pub(super) fn at(&self, path: &KeyPath) -> Known<'_> {
        let mut value = &self.base;
        for key in path.keys() {
            let Some(next) = value.as_object().and_then(|map| map.get(key)) else {
                return Known::Nothing;
            };
            if let Some((_, freedom)) = FREE.iter().find(|(name, _)| name == key) {
                return Known::Free(*freedom);
            }
            value = next;
        }
        match value {
            Value::Object(map) => Known::Branch(map),
            leaf => Known::Leaf(leaf),
        }
    }

    /// Every path that may hold a value; free maps as a whole.
    pub(super) fn leaves(&self) -> Vec<KeyPath> {
        let mut found = Vec::new();
        self.collect(&KeyPath::default(), &self.base, &mut found);
        found
    }

    fn collect(&self, path: &KeyPath, value: &Value, found: &mut Vec<KeyPath>) {
        match (self.at(path), value) {
            (Known::Branch(_), Value::Object(map)) => {
                for (key, below) in map {
                    self.collect(&path.child(key), below, found);
                }
            }
            _ => found.push(path.clone()),
        }
    }

    /// Text as the value that belongs at `path`, for sources that have only text.
    pub(super) fn coerce(&self, path: &KeyPath, text: &str) -> Value {
        match self.at(path) {
            Known::Leaf(Value::String(_)) | Known::Free(Freedom::Texts) => {
                Value::String(text.to_owned())
            }
            Known::Leaf(Value::Array(_)) => list(text),
            _ => scalar(text),
        }
    }

    /// The valid key that `path` was probably meant to be.
    pub(super) fn nearest(&self, path: &KeyPath) -> Option<String> {
        let mut keys: Vec<KeyPath> = self.leaves();
        let parents: Vec<KeyPath> = keys.iter().map(KeyPath::parent).collect();
        keys.extend(parents);
        keys.extend(passwords::SETTINGS.iter().map(|setting| setting.key.into()));
        keys.sort();
        keys.dedup();
        keys.iter()
            .filter(|key| !key.keys().is_empty())
            .map(|key| (closeness(key, path), key))
            .filter(|(closeness, _)| *closeness > 0.6)
            .max_by(|(one, _), (other, _)| one.total_cmp(other))
            .map(|(_, key)| key.to_string())
    }
}

/// How alike two paths are, from 0 to 1: the last keys count as much as the whole, and a key under
/// the same parent comes before one elsewhere.
fn closeness(key: &KeyPath, wanted: &KeyPath) -> f64 {
    let whole = strsim::normalized_damerau_levenshtein(&key.to_string(), &wanted.to_string());
    let last = strsim::jaro_winkler(&key.last().to_lowercase(), &wanted.last().to_lowercase());
    let sibling = if key.parent() == wanted.parent() {
        0.1
    } else {
        0.0
    };
    f64::midpoint(whole, last) + sibling
}

/// A YAML scalar or flow value; text that is none stays text.
fn scalar(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// `[a, b]`, `{a,b}` as helm has it, or `a,b`.
fn list(text: &str) -> Value {
    let text = text
        .strip_prefix('{')
        .and_then(|inner| inner.strip_suffix('}'))
        .unwrap_or(text);
    match scalar(text) {
        list @ Value::Array(_) => list,
        _ => text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(|item| Value::String(item.to_owned()))
            .collect(),
    }
}
