//! The comments of `profiles/base.yaml`, by the key that each stands above.

use std::collections::BTreeMap;

use super::super::key_path::KeyPath;
use super::super::locate;

/// The comment right above each key that has one, in one line.
pub(super) fn of(text: &str) -> BTreeMap<KeyPath, String> {
    let mut comments = BTreeMap::new();
    let mut open: Vec<(usize, String)> = Vec::new();
    let mut above: Vec<&str> = Vec::new();
    for line in text.lines() {
        let content = line.trim_start();
        if let Some(comment) = content.strip_prefix('#') {
            above.push(comment.trim());
        } else if let Some(key) = locate::key_of(content) {
            let indent = line.len() - content.len();
            open.retain(|(depth, _)| *depth < indent);
            open.push((indent, key));
            let path = open
                .iter()
                .fold(KeyPath::default(), |path, (_, key)| path.child(key));
            if !above.is_empty() {
                comments.insert(path, above.join(" "));
            }
            above.clear();
        } else {
            above.clear();
        }
    }
    comments
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn a_comment_belongs_to_the_key_below_it() {
        let text = "# About the file.\n\n# One,\n# and more.\na:\n  # Two.\n  b: 1\n  c: 2\nd: 3\n";
        let found = of(text);
        let at = |path: &str| found.get(&path.into()).map(String::as_str);
        assert_eq!(at("a"), Some("One, and more."));
        assert_eq!(at("a.b"), Some("Two."));
        assert_eq!((at("a.c"), at("d"), found.len()), (None, None, 2));
    }
}
