//! Text that only shows and does nothing to a terminal.

use std::borrow::Cow;

/// A text with its control characters, and those that turn the direction of writing, written out:
/// logs of pods and keys of etcd may hold anything. Line ends and tabs stay.
pub fn visible(text: &str) -> Cow<'_, str> {
    written_out(text, |symbol| {
        acts(symbol) && !matches!(symbol, '\n' | '\t')
    })
}

/// As [`visible`], for a text that has to stay in its line.
pub fn visible_in_line(text: &str) -> Cow<'_, str> {
    written_out(text, acts)
}

/// Whether a terminal would do something other than show it.
fn acts(symbol: char) -> bool {
    symbol.is_control() || matches!(symbol, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn written_out(text: &str, is_hidden: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut written = String::with_capacity(text.len());
    for symbol in text.chars() {
        if is_hidden(symbol) {
            written.extend(symbol.escape_default());
        } else {
            written.push(symbol);
        }
    }
    Cow::Owned(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_written_out() {
        assert_eq!(visible("a\n\tb é ×"), "a\n\tb é ×");
        assert_eq!(
            visible("\u{1b}[2J\r\u{9b}K\u{7f}"),
            r"\u{1b}[2J\r\u{9b}K\u{7f}"
        );
        assert_eq!(visible("x\u{202e}y"), r"x\u{202e}y");
        assert_eq!(visible_in_line("a\nb"), r"a\nb");
    }
}
