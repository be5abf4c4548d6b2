//! `--set`: `a.b=1`, several with commas, `list[0].key=x`, `{a,b}` for a list, `\` before what
//! should be taken as it is.

use serde_json::{Map, Value};

use super::error::ConfigError;
use super::key_path::KeyPath;
use super::layer::Merged;
use super::schema::Schema;

/// One assignment of a `--set`.
#[derive(Debug, PartialEq, Eq)]
struct Setting {
    path: KeyPath,
    /// What follows an index: positions and keys inside a list.
    inside: Vec<Step>,
    text: String,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Position(usize),
    Key(String),
}

/// Lists do not grow further than this by a position.
const LONGEST_LIST: usize = 1000;

/// The keys and values that a `--set` gives; positions refer to the lists merged so far.
pub(super) fn parse(
    text: &str,
    schema: &Schema,
    merged: &Merged,
) -> Result<Vec<(KeyPath, Value)>, ConfigError> {
    let bad = |reason| ConfigError::BadSet {
        key: key_of(text).to_owned(),
        reason,
    };
    let mut values: Vec<(KeyPath, Value)> = Vec::new();
    for part in split(text) {
        let setting = setting(&part).map_err(bad)?;
        let coerced = match setting.text.as_str() {
            "null" => Value::Null,
            text if setting.inside.is_empty() => schema.coerce(&setting.path, text),
            text => serde_yaml::from_str(text).unwrap_or_else(|_| text.into()),
        };
        let value = if setting.inside.is_empty() {
            coerced
        } else {
            let earlier = values.iter().rev().find(|(path, _)| *path == setting.path);
            let mut list = earlier
                .map(|(_, value)| value)
                .or_else(|| merged.get(&setting.path))
                .cloned()
                .unwrap_or_default();
            put(&mut list, &setting.inside, coerced).map_err(bad)?;
            list
        };
        values.push((setting.path, value));
    }
    Ok(values)
}

/// The key that a `--set` begins with. What follows may be a secret, and so may a text without one.
fn key_of(text: &str) -> &str {
    text.split_once('=').map_or("", |(key, _)| key)
}

/// Splits at commas that are neither escaped nor inside brackets; keeps the escapes.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0_usize;
    let mut symbols = text.chars();
    while let Some(symbol) = symbols.next() {
        match symbol {
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if symbol == ',' && depth == 0 {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(symbol);
            if symbol == '\\' {
                part.extend(symbols.next());
            }
        }
    }
    parts
}

fn setting(part: &str) -> Result<Setting, &'static str> {
    let Some((key, value)) = part.split_once('=') else {
        return Err("expected KEY=VALUE");
    };
    let key = key.trim();
    if key.is_empty() {
        return Err("the key is empty");
    }
    let (path, positions) = match key.split_once('[') {
        Some((path, rest)) => (path, Some(rest)),
        None => (key, None),
    };
    Ok(Setting {
        path: KeyPath::parse(path),
        inside: positions.map_or(Ok(Vec::new()), steps)?,
        text: value.replace("\\,", ","),
    })
}

/// `0].key[1]`, the first bracket taken off.
fn steps(text: &str) -> Result<Vec<Step>, &'static str> {
    let mut steps = Vec::new();
    let mut rest = text;
    loop {
        let (position, after) = rest.split_once(']').ok_or("a `]` is missing")?;
        let position: usize = position
            .parse()
            .map_err(|_| "a position in a list is a number from 0 on")?;
        if position >= LONGEST_LIST {
            return Err("a position in a list is below 1000");
        }
        steps.push(Step::Position(position));
        let (keys, next) = match after.split_once('[') {
            Some((keys, next)) => (keys, Some(next)),
            None => (after, None),
        };
        if let Some(keys) = keys.strip_prefix('.') {
            let path = KeyPath::parse(keys);
            steps.extend(path.keys().iter().cloned().map(Step::Key));
        } else if !keys.is_empty() {
            return Err("after `]` comes a dot, another `[` or `=`");
        }
        match next {
            Some(next) => rest = next,
            None => return Ok(steps),
        }
    }
}

fn put(into: &mut Value, steps: &[Step], value: Value) -> Result<(), &'static str> {
    let Some((step, rest)) = steps.split_first() else {
        *into = value;
        return Ok(());
    };
    match step {
        Step::Position(position) => {
            if into.is_null() {
                *into = Value::Array(Vec::new());
            }
            let list = into.as_array_mut().ok_or("a position needs a list")?;
            if list.len() <= *position {
                list.resize(position + 1, Value::Null);
            }
            put(&mut list[*position], rest, value)
        }
        Step::Key(key) => {
            if into.is_null() {
                *into = Value::Object(Map::new());
            }
            let map = into.as_object_mut().ok_or("a key needs a map")?;
            put(map.entry(key.clone()).or_insert(Value::Null), rest, value)
        }
    }
}
