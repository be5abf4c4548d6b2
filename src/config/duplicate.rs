//! Keys that stand twice in one map of a file: YAML readers let the last one win, silently.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::error::ConfigError;
use super::key_path::KeyPath;

/// A key that stands twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate {
    /// The key.
    pub key: KeyPath,
    /// The lines of both, from 1.
    pub lines: [usize; 2],
}

/// Refuses a text in which a key stands twice; `name` is for messages. What is no YAML at all is
/// none of its business.
pub(super) fn refuse(name: &str, text: &str) -> Result<(), ConfigError> {
    let duplicates = find(text);
    if duplicates.is_empty() {
        return Ok(());
    }
    Err(ConfigError::Duplicates {
        name: name.to_owned(),
        duplicates,
    })
}

fn find(text: &str) -> Vec<Duplicate> {
    let keys = RefCell::new(Keys::default());
    // Only a text that can be read to its end has keys to compare.
    if walk(text, &keys).is_err() {
        return Vec::new();
    }
    let found = keys.into_inner().twice;
    found
        .into_iter()
        .map(|(key, first, second)| Duplicate {
            key,
            lines: [line_of(text, first), line_of(text, second)],
        })
        .collect()
}

/// The line of the key with this number. The reader tells lines in errors only, so the walk is
/// made to fail there.
fn line_of(text: &str, number: usize) -> usize {
    let keys = RefCell::new(Keys {
        fail_at: Some(number),
        ..Keys::default()
    });
    let failed = walk(text, &keys).err();
    failed
        .and_then(|error| error.location())
        .map_or(0, |location| location.line())
}

fn walk(text: &str, keys: &RefCell<Keys>) -> Result<(), serde_yaml::Error> {
    let root = Node {
        path: KeyPath::default(),
        keys,
    };
    root.deserialize(serde_yaml::Deserializer::from_str(text))
}

/// What the walk has seen. Keys are numbered in the order of the text, from 0.
#[derive(Default)]
struct Keys {
    seen: usize,
    fail_at: Option<usize>,
    /// Path, number of the first and of the second.
    twice: Vec<(KeyPath, usize, usize)>,
}

/// A value of any kind.
struct Node<'a> {
    path: KeyPath,
    keys: &'a RefCell<Keys>,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut here: HashMap<String, usize> = HashMap::new();
        while let Some((key, number)) = map.next_key_seed(Key(self.keys))? {
            let path = self.path.child(&key);
            if let Some(first) = here.insert(key, number) {
                let mut keys = self.keys.borrow_mut();
                keys.twice.push((path.clone(), first, number));
            }
            let keys = self.keys;
            map.next_value_seed(Node { path, keys })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut index = 0_usize;
        loop {
            let item = Node {
                path: self.path.child(&index.to_string()),
                keys: self.keys,
            };
            if list.next_element_seed(item)?.is_none() {
                return Ok(());
            }
            index += 1;
        }
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

/// A key; its value is its text and its number.
struct Key<'a>(&'a RefCell<Keys>);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = (String, usize);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = (String, usize);

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        let mut keys = self.0.borrow_mut();
        let number = keys.seen;
        keys.seen += 1;
        if keys.fail_at == Some(number) {
            return Err(E::custom("this is the key"));
        }
        Ok((text.to_owned(), number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, [usize; 2])]) {
        let found: Vec<(String, [usize; 2])> = find(text)
            .into_iter()
            .map(|duplicate| (duplicate.key.to_string(), duplicate.lines))
            .collect();
        let expected: Vec<(String, [usize; 2])> = expected
            .iter()
            .map(|(key, lines)| ((*key).to_owned(), *lines))
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn a_key_that_stands_twice_is_found_with_both_lines_in_every_style() {
        check("a: 1\nb: 2\na: 3\n", &[("a", [1, 3])]);
        check("a:\n  # x: 0\n  x: 1\nb: 2\na:\n  y: 1\n", &[("a", [1, 5])]);
        check("a:\n  x: 1\n  'x': 2\n", &[("a.x", [2, 3])]);
        check("a: {x: 1,\n  \"x\": 2}\n", &[("a.x", [1, 2])]);
        check("a:\n- x: 1\n  x: 2\n- x: 3\n", &[("a.0.x", [2, 3])]);
        check("a:\n  1: x\n  \"1\": y\n", &[("a.1", [2, 3])]);
        check("a: 1\na: 2\na: 3\n", &[("a", [1, 2]), ("a", [2, 3])]);
    }

    #[test]
    fn equal_keys_of_different_maps_are_none() {
        check("a:\n  x: 1\nb:\n  x: 2\n", &[]);
        check("a: &x {k: 1}\nb: *x\nc: *x\n", &[]);
        check("a: |\n  x: 1\n  x: 2\n", &[]);
        check("a: [b, {c: null, d: 1.5, e: true, f: -1}]\n", &[]);
        check("", &[]);
    }
}
