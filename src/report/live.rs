//! A block of text that is drawn again in place.

use dialoguer::console::{Term, truncate_str};

/// A block on a terminal; nothing where there is none.
///
/// The cursor stays at the beginning of the line below: the `^C` that a terminal writes there
/// moves nothing, and is wiped with the block.
#[derive(Debug)]
pub struct Live {
    terminal: Option<Term>,
    drawn: usize,
}

impl Live {
    pub(super) fn new(is_terminal: bool) -> Self {
        Self {
            terminal: is_terminal.then(Term::buffered_stderr),
            drawn: 0,
        }
    }

    /// Whether there is a terminal to draw on.
    pub const fn is_drawn(&self) -> bool {
        self.terminal.is_some()
    }

    /// Columns of the terminal now, if there is one.
    pub fn width(&self) -> Option<usize> {
        Some(usize::from(self.terminal.as_ref()?.size().1))
    }

    /// Draws the block in place of the last one, as much of it as the terminal has room for; the
    /// last line always.
    pub fn show(&mut self, text: &str, last: &str) {
        let Some(terminal) = &self.terminal else {
            return;
        };
        let (rows, columns) = terminal.size();
        let block = fitted(text, last, rows.into(), columns.into());
        self.replace(&block);
    }

    /// Takes the block off the screen.
    pub fn clear(&mut self) {
        self.replace("");
    }

    fn replace(&mut self, block: &str) {
        let Some(terminal) = &self.terminal else {
            return;
        };
        let drawn = std::mem::replace(&mut self.drawn, block.lines().count());
        // Over what is there, line by line: nothing is blank in between, so nothing flickers.
        let block = block.replace('\n', "\u{1b}[K\n");
        let written = terminal
            .write_str("\r")
            .and_then(|()| terminal.move_cursor_up(drawn))
            .and_then(|()| terminal.write_str(&block))
            .and_then(|()| terminal.clear_to_end_of_screen())
            .and_then(|()| terminal.flush());
        // A closed standard error leaves nobody to show it to.
        drop(written);
    }
}

/// Lines that do not wrap, and one row less than there are: what scrolls cannot be drawn again.
fn fitted(text: &str, last: &str, rows: usize, columns: usize) -> String {
    let room = rows.saturating_sub(2);
    let lines = text.lines().take(room).chain([last]);
    lines
        .map(|line| format!("{}\n", truncate_str(line, columns.saturating_sub(1), "…")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::fitted;

    #[test]
    fn a_block_fits_the_terminal_and_keeps_its_last_line() {
        let table = "HOST  UTIL\na     1 %\nb     2 %\n";
        assert_eq!(
            fitted(table, "7 of 9", 24, 80),
            format!("{table}7 of 9\n"),
            "there is room for all"
        );
        assert_eq!(fitted(table, "7 of 9", 4, 8), "HOST  …\na     …\n7 of 9\n");
        let colored = "\u{1b}[33mhot and wide\u{1b}[0m";
        let cut = fitted(colored, "", 9, 5);
        assert_eq!(cut, "\u{1b}[33mhot…\u{1b}[0m\n\n");
    }
}
