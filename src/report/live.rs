//! A block of text that is drawn again in place.

use indicatif::{ProgressBar, ProgressStyle};

/// A block on a terminal; nothing where there is none.
#[derive(Debug)]
pub struct Live(Option<ProgressBar>);

impl Live {
    pub(super) fn new(is_terminal: bool) -> Self {
        Self(is_terminal.then(|| {
            let style = ProgressStyle::with_template("{msg}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            ProgressBar::new_spinner().with_style(style)
        }))
    }

    /// Whether there is a terminal to draw on.
    pub const fn is_drawn(&self) -> bool {
        self.0.is_some()
    }

    /// Draws the block in place of the last one.
    pub fn show(&self, text: &str) {
        if let Some(bar) = &self.0 {
            bar.set_message(text.trim_end().to_owned());
            bar.tick();
        }
    }

    /// Takes the block off the screen.
    pub fn clear(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }

    /// Leaves the last block on the screen; what is written next comes below it.
    pub fn leave(&self) {
        if let Some(bar) = &self.0 {
            bar.abandon();
        }
    }
}
