//! Words for a shell.

use std::borrow::Cow;

/// A word as a POSIX shell takes it, whatever it holds: commands that are offered for pasting are
/// made of what was observed, and that may have been written by anybody. A word with control
/// characters is written as bash and zsh read it, so that none of them reaches a terminal.
pub fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |symbol: char| symbol.is_ascii_alphanumeric() || "-_./:=,@%+".contains(symbol);
    if !word.is_empty() && !word.starts_with('=') && word.chars().all(is_plain) {
        return Cow::Borrowed(word);
    }
    if !word.chars().any(char::is_control) {
        return Cow::Owned(format!("'{}'", word.replace('\'', "'\\''")));
    }
    let mut text = String::from("$'");
    for symbol in word.chars() {
        match symbol {
            '\'' | '\\' => text.extend(['\\', symbol]),
            symbol if symbol.is_control() => text.push_str(&octal(symbol)),
            symbol => text.push(symbol),
        }
    }
    text.push('\'');
    Cow::Owned(text)
}

/// The bytes of a character, each as three octal digits: more digits behind them stay apart.
fn octal(symbol: char) -> String {
    let mut bytes = [0; 4];
    let bytes = symbol.encode_utf8(&mut bytes).bytes();
    bytes.map(|byte| format!("\\{byte:03o}")).collect()
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_word_stays_one_word_and_does_nothing() {
        for plain in ["edge", "statefulset/redis", "--replicas=1", "a@b:8080"] {
            assert_eq!(quoted(plain), plain);
        }
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted("x; curl y|sh"), "'x; curl y|sh'");
        assert_eq!(quoted("$(id)`id`"), "'$(id)`id`'");
        assert_eq!(quoted("=ls"), "'=ls'");
        assert_eq!(quoted("a\n\u{1b}[2J1'\\"), r"$'a\012\033[2J1\'\\'");
        assert_eq!(quoted("\u{9b}"), r"$'\302\233'");
    }

    /// What bash makes of it is the word itself.
    #[test]
    fn bash_reads_back_what_was_quoted() {
        let words = [
            "x; exit 7",
            "a\nb\t\u{1b}7",
            "it's \\ $HOME",
            "é\u{85}1",
            "",
        ];
        for word in words {
            let script = format!("printf %s {}", quoted(word));
            let output = std::process::Command::new("bash")
                .args(["-c", &script])
                .output();
            let output = output.expect("bash is there");
            assert_eq!(String::from_utf8_lossy(&output.stdout), word, "{script}");
        }
    }
}
