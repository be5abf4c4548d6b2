//! What differs between the values of two profiles, and who made it so. Pure.

use serde_json::{Map, Value};

use super::key_path::KeyPath;
use super::layer::Place;
use super::resolve::Resolved;

/// A key that holds different values on the two sides.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The key.
    pub path: KeyPath,
    /// The one side.
    pub one: Side,
    /// The other side.
    pub other: Side,
}

/// What a key holds on one side.
#[derive(Debug, Clone, PartialEq)]
pub struct Side {
    /// The value; `None` if nothing stands there.
    pub value: Option<Value>,
    /// Who set it, or took away what was there.
    pub place: Option<Place>,
}

/// Every key whose values differ, in the order of the keys. Lists are compared as a whole.
pub fn differences(one: &Resolved, other: &Resolved) -> Vec<Difference> {
    let mut keys = leaves(one.tree());
    keys.extend(leaves(other.tree()));
    keys.sort();
    keys.dedup();
    keys.into_iter()
        .map(|path| Difference {
            one: side(one, &path),
            other: side(other, &path),
            path,
        })
        .filter(|found| found.one.value != found.other.value)
        .collect()
}

fn side(resolved: &Resolved, path: &KeyPath) -> Side {
    let found = path
        .keys()
        .iter()
        .try_fold(resolved.tree(), |value, key| value.get(key));
    Side {
        // Null takes away: the key's own default holds, as if nobody had said anything.
        value: found.filter(|value| !is_nothing(value)).cloned(),
        place: resolved.place(path).cloned(),
    }
}

fn leaves(tree: &Value) -> Vec<KeyPath> {
    let mut found = Vec::new();
    if let Value::Object(map) = tree {
        collect(map, &KeyPath::default(), &mut found);
    }
    found
}

fn collect(map: &Map<String, Value>, path: &KeyPath, found: &mut Vec<KeyPath>) {
    for (key, value) in map {
        let path = path.child(key);
        match value {
            Value::Object(below) => collect(below, &path, found),
            value if is_nothing(value) => {}
            _ => found.push(path),
        }
    }
}

/// Null, or a map without entries.
fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(Map::is_empty)
}
