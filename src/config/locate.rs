//! In which line of a values file a key stands.

use super::key_path::KeyPath;

/// The line (from 1) of the key at `path` in YAML block style; `None` where the file is written in
/// another style.
pub(super) fn line_of(text: &str, path: &KeyPath) -> Option<usize> {
    let mut open: Vec<(usize, String)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let content = line.trim_start();
        let Some(key) = key_of(content) else {
            continue;
        };
        let indent = line.len() - content.len();
        open.retain(|(depth, _)| *depth < indent);
        open.push((indent, key));
        if open.iter().map(|(_, key)| key).eq(path.keys()) {
            return Some(number + 1);
        }
    }
    None
}

/// The key of a line in block style, without its indentation.
pub(super) fn key_of(content: &str) -> Option<String> {
    if content.starts_with(['#', '-', '{', '[']) {
        return None;
    }
    let (key, rest) = match content.strip_prefix('"') {
        Some(quoted) => quoted.split_once("\":")?,
        None => content.split_once(':')?,
    };
    (rest.is_empty() || rest.starts_with([' ', '\t'])).then(|| key.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::line_of;

    #[test]
    fn keys_are_found_by_their_indentation() {
        let text = "a:\n  b: 1\n  # c: 2\nx:\n  b:\n    c: 3\n";
        assert_eq!(line_of(text, &"a.b".into()), Some(2));
        assert_eq!(line_of(text, &"x.b.c".into()), Some(6));
        assert_eq!(line_of(text, &"a.c".into()), None);
    }
}
