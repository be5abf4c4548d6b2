//! Merging of layers, with a record of who set what.

use serde_json::{Map, Value};

use super::aliases;
use super::key_path::KeyPath;
use super::locate;
use super::schema::{Known, Schema};
use super::source::Source;

/// Values from one source.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub(super) source: Source,
    pub(super) tree: Value,
    /// The file's text, to find lines in; empty if there is no file that the reader has.
    pub(super) text: String,
}

impl Layer {
    /// A layer with one value.
    pub(super) fn single(source: Source, path: &KeyPath, value: Value) -> Self {
        let tree = path.keys().iter().rev().fold(value, |below, key| {
            Value::Object(Map::from_iter([(key.clone(), below)]))
        });
        Self {
            source,
            tree,
            text: String::new(),
        }
    }

    /// Where in this layer a key stands.
    pub(super) fn place(&self, path: &KeyPath) -> Place {
        let line = || {
            locate::line_of(&self.text, path).or_else(|| {
                let written = aliases::written(path)?;
                locate::line_of(&self.text, &written)
            })
        };
        Place {
            source: self.source.clone(),
            line: if self.text.is_empty() { None } else { line() },
        }
    }
}

/// A source and, where it is a file, the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The source.
    pub source: Source,
    /// The line, from 1.
    pub line: Option<usize>,
}

impl std::fmt::Display for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(formatter, "{}:{line}", self.source),
            None => write!(formatter, "{}", self.source),
        }
    }
}

/// A value that a source gave to a key.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// The key.
    pub path: KeyPath,
    /// The value; null takes away what was there.
    pub value: Value,
    /// Who set it.
    pub place: Place,
}

/// The values so far and everything that was ever set, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Merged {
    pub(super) tree: Value,
    pub(super) assignments: Vec<Assignment>,
}

impl Merged {
    /// Puts a layer on top: maps merge, everything else replaces.
    pub(super) fn add(&mut self, layer: &Layer, schema: &Schema) {
        let mut merge = Merge {
            layer,
            schema,
            assignments: &mut self.assignments,
        };
        merge.value(&mut self.tree, &layer.tree, &KeyPath::default());
    }

    /// The value at a path.
    pub(super) fn get(&self, path: &KeyPath) -> Option<&Value> {
        path.keys()
            .iter()
            .try_fold(&self.tree, |value, key| value.get(key))
    }

    /// Who set the value at a path, or above it, or the last of those below it.
    pub(super) fn place_of(&self, path: &KeyPath) -> Option<&Place> {
        self.assignments
            .iter()
            .rev()
            .find(|set| path.is_within(&set.path) || set.path.is_within(path))
            .map(|set| &set.place)
    }

    /// The values without the keys that are null.
    pub(super) fn without_nulls(&self) -> Value {
        pruned(&self.tree)
    }
}

/// One layer on its way into the values.
struct Merge<'a> {
    layer: &'a Layer,
    schema: &'a Schema,
    assignments: &'a mut Vec<Assignment>,
}

impl Merge<'_> {
    fn value(&mut self, into: &mut Value, from: &Value, path: &KeyPath) {
        let is_map = path.keys().is_empty()
            || matches!(self.schema.at(path), Known::Branch(_) | Known::Free(_));
        if let (Value::Object(added), true) = (from, is_map) {
            if !into.is_object() {
                *into = Value::Object(Map::new());
            }
            let Value::Object(target) = into else { return };
            for (key, value) in added {
                let slot = target.entry(key.clone()).or_insert(Value::Null);
                self.value(slot, value, &path.child(key));
            }
        } else {
            *into = from.clone();
            self.assignments.push(Assignment {
                path: path.clone(),
                value: from.clone(),
                place: self.layer.place(path),
            });
        }
    }
}

fn pruned(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.clone(), pruned(value)))
            .collect(),
        other => other.clone(),
    }
}
