//! Progress of long work: one live line per cluster on a terminal, one line per change elsewhere.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{Ui, Verbosity, visible_in_line};

/// A heartbeat shows that a run without a terminal is still alive.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Live progress of several things at once, told apart by name.
#[derive(Debug)]
pub struct Progress {
    ui: Ui,
    bars: Option<MultiProgress>,
    lines: BTreeMap<String, Line>,
    started: Instant,
}

#[derive(Debug)]
struct Line {
    text: String,
    bar: Option<ProgressBar>,
    said: Instant,
}

impl Progress {
    pub(super) fn new(ui: Ui) -> Self {
        let live = ui.is_interactive() && ui.verbosity == Verbosity::Normal;
        let bars = live.then(MultiProgress::new);
        Self {
            ui,
            bars,
            lines: BTreeMap::new(),
            started: Instant::now(),
        }
    }

    /// A change that stays on the screen.
    pub fn say(&mut self, subject: &str, text: &str) {
        let line = format!("{subject} > {text}");
        match &self.bars {
            Some(bars) => bars.suspend(|| self.ui.note(&line)),
            None => self.ui.note(&line),
        }
    }

    /// What a thing waits for now; said again only when it changes, or as a heartbeat.
    pub fn waiting(&mut self, subject: &str, text: &str) {
        let now = Instant::now();
        let elapsed = now.duration_since(self.started).as_secs();
        if let Some(line) = self.lines.get_mut(subject) {
            let changed = line.text != text;
            text.clone_into(&mut line.text);
            match &line.bar {
                Some(bar) => bar.set_message(visible_in_line(text).into_owned()),
                None if changed || now.duration_since(line.said) >= HEARTBEAT => {
                    line.said = now;
                    self.ui
                        .note(&format!("{subject} > waiting: {text} ({elapsed} s)"));
                }
                None => {}
            }
            return;
        }
        let bar = self.bars.as_ref().map(|bars| new_bar(bars, subject, text));
        if bar.is_none() {
            self.ui
                .note(&format!("{subject} > waiting: {text} ({elapsed} s)"));
        }
        self.lines.insert(
            subject.to_owned(),
            Line {
                text: text.to_owned(),
                bar,
                said: now,
            },
        );
    }

    /// A thing waits no longer.
    pub fn done(&mut self, subject: &str) {
        if let Some(Line { bar: Some(bar), .. }) = self.lines.remove(subject) {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        for line in self.lines.values() {
            if let Some(bar) = &line.bar {
                bar.finish_and_clear();
            }
        }
    }
}

fn new_bar(bars: &MultiProgress, subject: &str, text: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {prefix} {msg} ({elapsed})")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let bar = bars.add(ProgressBar::new_spinner().with_style(style));
    bar.set_prefix(visible_in_line(subject).into_owned());
    bar.set_message(visible_in_line(text).into_owned());
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
