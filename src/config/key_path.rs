//! Where a value stands: the keys from the root, dots between them.

use std::fmt;

/// The keys that lead to a value. Prints with dots; a dot inside a key is written `\.`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct KeyPath(Vec<String>);

impl KeyPath {
    /// From `a.b\.c.d`, which is the keys `a`, `b.c` and `d`.
    pub fn parse(text: &str) -> Self {
        let mut keys = vec![String::new()];
        let mut symbols = text.chars();
        while let Some(symbol) = symbols.next() {
            match symbol {
                '\\' => push(&mut keys, symbols.next().unwrap_or('\\')),
                '.' => keys.push(String::new()),
                other => push(&mut keys, other),
            }
        }
        Self(keys)
    }

    /// The path with one more key.
    #[must_use]
    pub fn child(&self, key: &str) -> Self {
        let mut keys = self.0.clone();
        keys.push(key.to_owned());
        Self(keys)
    }

    /// The keys.
    pub fn keys(&self) -> &[String] {
        &self.0
    }

    /// The last key; empty at the root.
    pub fn last(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    /// The path without its last key.
    #[must_use]
    pub fn parent(&self) -> Self {
        Self(self.0[..self.0.len().saturating_sub(1)].to_vec())
    }

    /// Whether this is `other` or lies below it.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }
}

fn push(keys: &mut [String], symbol: char) {
    if let Some(key) = keys.last_mut() {
        key.push(symbol);
    }
}

impl From<&str> for KeyPath {
    fn from(text: &str) -> Self {
        Self::parse(text)
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, key) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str(".")?;
            }
            formatter.write_str(&key.replace('\\', "\\\\").replace('.', "\\."))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::KeyPath;

    #[test]
    fn a_dot_inside_a_key_is_escaped_both_ways() {
        let path = KeyPath::parse(r"a.b\.c.d");
        assert_eq!(path.keys(), ["a", "b.c", "d"]);
        assert_eq!(path.to_string(), r"a.b\.c.d");
        assert!(path.is_within(&"a".into()));
        assert!(!path.is_within(&"a.b".into()));
    }
}
