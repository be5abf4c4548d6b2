//! From a merged tree to typed values; everything that has a wrong type is told at once.

use serde_json::Value;
use serde_path_to_error::Segment;

use super::error::{Problem, ProblemKind};
use super::key_path::KeyPath;
use super::layer::Merged;
use super::values::Values;

/// The values; `base` is the tree of the built-in ones.
pub(super) fn typed(merged: &Merged, base: &Value) -> Result<Values, Vec<Problem>> {
    let mut tree = merged.without_nulls();
    let mut problems = Vec::new();
    loop {
        let error = match serde_path_to_error::deserialize::<_, Values>(tree.clone()) {
            Ok(values) if problems.is_empty() => return Ok(values),
            Ok(_) => return Err(problems),
            Err(error) => error,
        };
        let (path, problem) = mistyped(&error, merged);
        // Reading ends at the first wrong value: with a sound one in its place it comes to the next.
        let is_mended = put_right(&mut tree, base, &path);
        problems.push(problem);
        if !is_mended {
            return Err(problems);
        }
    }
}

/// Puts the built-in value, or none, in the place of a wrong one; whether that changes anything.
fn put_right(tree: &mut Value, base: &Value, path: &KeyPath) -> bool {
    let Some((last, above)) = path.keys().split_last() else {
        return false;
    };
    let mut keys = path.keys().iter();
    let sound = keys.try_fold(base, |value, key| value.get(key)).cloned();
    let map = above
        .iter()
        .try_fold(tree, |value, key| value.get_mut(key))
        .and_then(Value::as_object_mut);
    let Some(map) = map else {
        return false;
    };
    let wrong = match &sound {
        Some(sound) => map.insert(last.clone(), sound.clone()),
        None => map.remove(last),
    };
    wrong != sound
}

type Wrong = serde_path_to_error::Error<serde_json::Error>;

/// Where a wrong value stands; a list is one value, whichever of its items is wrong.
fn place_of(error: &Wrong, missing: Option<&str>) -> KeyPath {
    let mut path = KeyPath::default();
    for segment in error.path() {
        match segment {
            Segment::Map { key } => path = path.child(key),
            Segment::Seq { .. } | Segment::Enum { .. } | Segment::Unknown => return path,
        }
    }
    missing.map_or(path.clone(), |field| path.child(field))
}

fn mistyped(error: &Wrong, merged: &Merged) -> (KeyPath, Problem) {
    let message = error.inner().to_string();
    let missing = message.strip_prefix("missing field `");
    let missing = missing.map(|rest| rest.trim_end_matches('`'));
    let path = place_of(error, missing);
    let reason = match missing {
        Some(_) => "must not be null".to_owned(),
        None => format!("has a wrong value: {}", in_words(&message)),
    };
    let problem = Problem {
        place: merged.place_of(&path).cloned(),
        key: path.to_string(),
        kind: ProblemKind::Invalid(reason),
    };
    (path, problem)
}

/// The names of Rust's types mean nothing to the reader.
fn in_words(message: &str) -> String {
    const WORDS: &[(&str, &str)] = &[
        ("expected u16", "expected a port number"),
        ("expected u32", "expected a whole number from 0 on"),
        ("expected i64", "expected a whole number"),
        ("expected a boolean", "expected true or false"),
        ("expected a string", "expected text"),
        ("expected a sequence", "expected a list"),
    ];
    WORDS.iter().fold(message.to_owned(), |text, (rust, word)| {
        text.replace(rust, word)
    })
}
